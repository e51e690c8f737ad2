"""Synthesis: the three environments by `python main.py`, beside the documented way to import the AWS bindings."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, measure

ROOT = Path(__file__).resolve().parent.parent
COUNTS = (1, 3, 10, 30, 100)

ONE_INSTANCE = """
app = App(outdir=sys.argv[1])
stack = TerraformStack(app, "one")
AwsProvider(stack, "aws", region="us-east-2")
Instance(stack, "node", ami="ami-0123456789abcdef0", instance_type="p5.48xlarge")
app.synth()
"""
DOCUMENTED = f"""
import sys
from cdktf import App, TerraformStack
from cdktf_cdktf_provider_aws.instance import Instance
from cdktf_cdktf_provider_aws.provider import AwsProvider
{ONE_INSTANCE}"""
# What each of the two steps of constructs_lib/fast_bindings.py gives by itself.
PYTHON_ONLY = f"""
import importlib.machinery, importlib.util, sys
found = importlib.util.find_spec("cdktf_cdktf_provider_aws")
bare = importlib.machinery.ModuleSpec("cdktf_cdktf_provider_aws", loader=None, is_package=True)
bare.submodule_search_locations = list(found.submodule_search_locations)
sys.modules["cdktf_cdktf_provider_aws"] = importlib.util.module_from_spec(bare)
from cdktf import App, TerraformStack
from cdktf_cdktf_provider_aws.instance import Instance
from cdktf_cdktf_provider_aws.provider import AwsProvider
{ONE_INSTANCE}"""
FAST = f"""
import sys
import constructs_lib
from cdktf import App, TerraformStack
from cdktf_cdktf_provider_aws.instance import Instance
from cdktf_cdktf_provider_aws.provider import AwsProvider
{ONE_INSTANCE}"""
# The same project, its bindings imported as documented before anything else.
DOCUMENTED_MAIN = """
import os, runpy, sys
import cdktf_cdktf_provider_aws
os.environ["CDKTF_OUTDIR"] = sys.argv[1]
sys.argv = ["main.py"]
try:
    runpy.run_path("main.py", run_name="__main__")
except SystemExit as end:
    sys.exit(end.code)
"""


def run(console: Console) -> None:
    """Print the three tables."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NIXL_EFA_")}
    with TemporaryDirectory() as folder:
        out = Path(folder)
        # The first run of all unpacks the bindings into jsii's cache and lets jsii index them.
        _main(ROOT, out, environ, runs=1)
        _print_ways(
            console,
            "one instance",
            {
                "documented import": _script(DOCUMENTED, out, environ, runs=2),
                "only the needed Python modules": _script(PYTHON_ONLY, out, environ, runs=2),
                "constructs_lib": _script(FAST, out, environ, runs=5),
            },
        )
        _print_ways(
            console,
            "three environments",
            {
                "documented import, then main.py": _script(DOCUMENTED_MAIN, out, environ, runs=2),
                "python main.py": _main(ROOT, out, environ, runs=5),
            },
        )
        _print_growth(console, {count: _environments(count, out, environ) for count in COUNTS})


def _script(code: str, out: Path, environ: dict[str, str], runs: int) -> Measured:
    command = [sys.executable, "-c", code, str(out / "one")]
    return measure(command, cwd=ROOT, environ={**environ, "PYTHONPATH": str(ROOT)}, runs=runs)


def _main(root: Path, out: Path, environ: dict[str, str], runs: int) -> Measured:
    variables = {**environ, "CDKTF_OUTDIR": str(out / "out")}
    return measure([sys.executable, "main.py"], cwd=root, environ=variables, runs=runs)


def _environments(count: int, out: Path, environ: dict[str, str]) -> Measured:
    """A project with that many environments, each like prod.toml but On-Demand."""
    project = out / f"project-{count}"
    project.mkdir()
    for part in ("main.py", "cdktf.json", "constructs_lib", "stacks", "nixl_efa"):
        target = ROOT / part
        (shutil.copytree if target.is_dir() else shutil.copy2)(target, project / part)
    (project / "environments").mkdir()
    for number in range(count):
        text = 'region = "us-east-2"\ninstance_type = "p5.48xlarge"\n'
        (project / "environments" / f"copy{number}.toml").write_text(text, encoding="utf-8")
    return _main(project, project, environ, runs=3)


def _print_ways(console: Console, work: str, ways: dict[str, Measured]) -> None:
    slowest = next(iter(ways.values()))
    table = Table(f"synthesis of {work}", "seconds", "peak MiB, Python and Node.js", "times faster")
    for name, one in ways.items():
        faster = f"{slowest.seconds / one.seconds:.1f}"
        table.add_row(name, f"{one.seconds:.2f}", f"{one.peak_mib:.0f}", faster)
    console.print(table)


def _print_growth(console: Console, growth: dict[int, Measured]) -> None:
    table = Table("p5.48xlarge environments", "seconds", "peak MiB", "ms for each further one")
    smallest = growth[COUNTS[0]]
    for count, one in growth.items():
        further = count - COUNTS[0]
        each = f"{(one.seconds - smallest.seconds) / further * 1000:.0f}" if further else ""
        table.add_row(str(count), f"{one.seconds:.2f}", f"{one.peak_mib:.0f}", each)
    console.print(table)
