"""An environment of many nodes of p5.48xlarge, 33 interfaces each: its synthesis, its apply on the local AWS, its plan.

    .venv/bin/python -m benchmarks.many_nodes

An apply is mostly the provider's own waiting: what it waits for one thing is the shortest time that Terraform says.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks.measure import Command
from benchmarks.server import ROOT, local_aws
from local_aws.control import Control
from local_aws.server import client_environ
from nixl_efa.checks.quota_codes import ELASTIC_IPS, vcpu_quotas
from nixl_efa.rehearse.plugin_mirror import terraform_environ

REGION, TYPE = "us-east-2", "p5.48xlarge"
FEW, HALF, MANY = 2, 33, 64
APPLIED = 16
RUNS, PLANS = 5, 2
# At most: seconds and MiB for MANY nodes; what each of the later ones costs by what each of the first ones does.
WANTED_SECONDS, WANTED_MIB, WANTED_GROWTH = 3.0, 350.0, 1.4
WANTED_APPLY, WANTED_PLAN = 90.0, 20.0
# Terraform's default of -parallelism.
AT_A_TIME = 10
PARTS = ("main.py", "cdktf.json", "constructs_lib", "stacks", "nixl_efa")
COMPLETE = re.compile(r"^(\w+)\.\S+: Creation complete after (?:(\d+)m)?(\d+)s", re.MULTILINE)


def run(console: Console) -> bool:
    """Measures and prints; whether each figure is as wanted."""
    with TemporaryDirectory(prefix="nixl-efa-") as folder:
        projects = {nodes: _project(Path(folder) / str(nodes), nodes) for nodes in (FEW, HALF, MANY, APPLIED)}
        return all([_synthesis(console, projects), _terraform(console, projects[APPLIED])])


def _project(folder: Path, nodes: int) -> Command:
    """Synthesis of an environment of as many producers as consumers, or one more of these."""
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
    (folder / "environments").mkdir()
    counts = f"producers = {nodes // 2}\nconsumers = {nodes - nodes // 2}\n"
    text = f'region = "{REGION}"\ninstance_type = "{TYPE}"\n{counts}'
    (folder / "environments" / "many.toml").write_text(text, encoding="utf-8")
    ours = ("NIXL_EFA_", "PYTHONDONTWRITEBYTECODE")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return Command([sys.executable, "main.py"], folder, {**environ, "PYTHONPATH": str(folder)})


def _synthesis(console: Console, projects: dict[int, Command]) -> bool:
    for project in projects.values():
        project.seconds()  # compiles its modules
    runs = [{nodes: projects[nodes].seconds() for nodes in (FEW, HALF, MANY)} for _ in range(RUNS)]
    wall = min(one[MANY][0] for one in runs)
    few, half, many = (median(one[nodes][1] for one in runs) for nodes in (FEW, HALF, MANY))
    growth = ((many - half) / (MANY - HALF)) / ((half - few) / (HALF - FEW))
    peak = projects[MANY].peak_mib()
    console.print(
        f"synthesis of {MANY} nodes: {wall:.2f} s, {peak:.0f} MiB "
        f"(wanted: {WANTED_SECONDS} s, {WANTED_MIB:.0f} MiB at most)"
    )
    console.print(
        f"CPU for {FEW}, {HALF} and {MANY} nodes: {few:.2f}, {half:.2f}, {many:.2f} s; a later node costs {growth:.2f} "
        f"times an earlier one (wanted: {WANTED_GROWTH} at most)"
    )
    return wall <= WANTED_SECONDS and peak <= WANTED_MIB and growth <= WANTED_GROWTH


def _terraform(console: Console, project: Command) -> bool:
    with local_aws() as (endpoint, _), terraform_environ(os.environ) as installed:
        codes = (ELASTIC_IPS, *vcpu_quotas(TYPE, "on-demand"))
        Control(endpoint).settings(quotas=dict.fromkeys(codes, 1e6))
        config = {"TF_CLI_CONFIG_FILE": installed.get("TF_CLI_CONFIG_FILE", "")}
        environ = {**installed, **client_environ(endpoint, REGION), **config}
        [stack] = (project.cwd / "cdktf.out" / "stacks").iterdir()
        _run(stack, environ, "init")
        apply, said = _run(stack, environ, "apply", "-auto-approve")
        plan = min(_run(stack, environ, "plan", "-detailed-exitcode")[0] for _ in range(PLANS))
    console.print(
        f"apply of {APPLIED} nodes: {apply:.1f} s (wanted: {WANTED_APPLY:.0f} s at most); {_waits(said)}"
    )
    console.print(f"plan of {APPLIED} nodes: {plan:.1f} s (wanted: {WANTED_PLAN:.0f} s at most)")
    return apply <= WANTED_APPLY and plan <= WANTED_PLAN


def _run(stack: Path, environ: dict[str, str], *words: str) -> tuple[float, str]:
    """Seconds of a command of Terraform that must succeed, and what it said."""
    began = time.perf_counter()
    command = ["terraform", *words, "-input=false", "-no-color"]
    done = subprocess.run(command, cwd=stack, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began, done.stdout


def _waits(said: str) -> str:
    """What the provider waits for each thing of a kind, and how long that is for all of them."""
    seconds: dict[str, list[int]] = defaultdict(list)
    for kind, minutes, rest in COMPLETE.findall(said):
        seconds[kind].append(60 * int(minutes or 0) + int(rest))
    slow = {kind: min(each) for kind, each in seconds.items() if min(each) > 1}
    whole = sum(least * len(seconds[kind]) for kind, least in slow.items()) / AT_A_TIME
    each = ", ".join(
        f"{least} s for each {kind}" for kind, least in sorted(slow.items(), key=lambda one: -one[1])
    )
    return f"the provider waits {each}: {whole:.0f} s, {AT_A_TIME} things at a time"


if __name__ == "__main__":
    sys.exit(0 if run(Console(soft_wrap=True)) else 1)
