"""The nodes of a rehearsal that really boot: waits for them, shows their boot reports, and judges verify's result.

What this machine can't provide (the local AWS says: no EFA, no GPU, a limit of locked memory) FAILs by the same rules
as on AWS. Those FAILs are expected, by name; every other one ends the rehearsal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws.machines.failure import CannotBootError
from local_aws.machines.root import home, prepare
from local_aws.machines.run import Run
from nixl_efa.clock import SystemClock
from nixl_efa.failure import Failure
from nixl_efa.nodes import run_command
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.run_command import Script

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

Tell = Callable[[str], None]
BOOT_SECONDS = 60.0
CLOUD_INIT_SECONDS = 600

# cloud-init's end is when it writes its result: time in seconds, then its own words, then the two boot reports.
_LOOK = """\
cloud-init status --wait >/dev/null
stat -c %.Y /run/cloud-init/result.json
cloud-init status | tr '\\n' ' '
echo
cat /var/lib/nixl-efa/boot-report.json || echo '{"checks": []}'
cat /var/lib/nixl-efa/boot-report.txt
"""

# What the machines of the local AWS lack, and the checks of verify and of the boot report that FAIL because of it.
_VERIFY: Mapping[str, tuple[str, ...]] = {
    "efa": ("EFA devices", "fi_info", "EFA driver", "NIXL", "fabric", "transfer"),
    "gpu": ("accelerators", "CUDA"),
    "memlock": ("memlock",),
}
_BOOT_REPORT: Mapping[str, tuple[str, ...]] = {
    "efa": ("efa_devices", "fi_info_domains", "nixl_backend"),
    "gpu": ("accelerators",),
    "memlock": ("memlock",),
}
# No device is the reason for this one.
_NOT_INSTALLED = "No module named"
# They FAIL when the boot report does: its own row, and cloud-init, of which the report is the last command.
_OF_THE_REPORT = ("boot report", "cloud-init")


def why_none_boots(environ: Mapping[str, str], tell: Tell) -> str:
    """Why no machine can boot here; empty if they can, with what they boot from made ready and namespaces tried."""
    try:
        tree = prepare(environ, tell)
        Run(home(environ), tree).close()
    except CannotBootError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class Booted:
    """A node after its first boot. ended: when cloud-init did, in seconds since 1970; failed: the report's checks."""

    node: Node
    ended: float
    status: str
    failed: tuple[str, ...]
    report: tuple[str, ...]


def wait_for_boot(
    machines: Callable[[], Mapping[str, Mapping[str, Any]]], pair: PairOutputs, ssm: SSMClient
) -> list[Booted]:
    """Both nodes once cloud-init has ended on them. Failure for one that does not boot, or does not end."""
    clock = SystemClock()
    wanted = [node.instance_id for node in pair.nodes]
    for _ in range(int(BOOT_SECONDS / 0.2)):
        seen = machines()
        for instance_id in wanted:
            if failure := seen.get(instance_id, {}).get("failure"):
                raise Failure(f"the machine of {instance_id} does not boot: {failure}")
        if all(seen.get(instance_id, {}).get("state") == "up" for instance_id in wanted):
            break
        clock.sleep(0.2)
    else:
        raise Failure(
            f"the machines of the nodes are not up after {BOOT_SECONDS:.0f} s: {json.dumps(machines())}"
        )
    scripts = {instance_id: Script(_LOOK) for instance_id in wanted}
    outcomes = run_command.run(ssm, scripts, clock, CLOUD_INIT_SECONDS, "rehearsal: the end of cloud-init")
    return [booted_of(node, outcomes[node.instance_id]) for node in pair.nodes]


def booted_of(node: Node, outcome: run_command.Outcome) -> Booted:
    """What the node printed of its boot; Failure when that is not an end of cloud-init."""
    if outcome.problem:
        raise Failure(f"cloud-init of the {node.name}: {outcome.problem}")
    try:
        ended, status, report, *lines = outcome.stdout.splitlines()
        at = float(ended)
    except ValueError:
        said = " ".join(outcome.stdout.split()) or "nothing"
        raise Failure(f"cloud-init of the {node.name} wrote no result: its node says {said}.") from None
    failed = tuple(check["check"] for check in json.loads(report)["checks"] if not check["ok"])
    return Booted(node, at, status.strip(), failed, tuple(line for line in lines if line))


def tell_boot(booted: Iterable[Booted], deployed: float, tell: Tell) -> None:
    """When cloud-init ended on each node, after the deploy's end at `deployed`, and its boot report."""
    for one in booted:
        after = one.ended - deployed
        when = f"{after:.1f} s after the deploy" if after >= 0 else f"{-after:.1f} s before the deploy's end"
        tell(f"  {one.node.name}: cloud-init ended {when} ({one.status})")
        for line in one.report:
            tell(f"    {line}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """verify's FAILs in two groups: those that this machine explains, with what it lacks, and those without an
    explanation."""

    expected: tuple[str, ...]
    unexpected: tuple[str, ...]


def judge(report: Mapping[str, Any], booted: Sequence[Booted], lacking: Sequence[str]) -> Judgement:
    """verify's JSON document compared with what the machines lack."""
    by_check = {check: lack for lack in lacking for check in _VERIFY[lack]}
    by_boot = {check: lack for lack in lacking for check in _BOOT_REPORT[lack]}
    failed = {check for one in booted for check in one.failed}
    if failed and failed <= by_boot.keys():
        why = " and ".join(dict.fromkeys(by_boot[check] for check in sorted(failed)))
        by_check |= dict.fromkeys(_OF_THE_REPORT, why)
    expected, unexpected = [], []
    for check, message, who in _failed(report):
        line = f"{check}{who}: {message}"
        if check in by_check and _NOT_INSTALLED not in message:
            expected.append(f"{line} [no {by_check[check]} here]")
        else:
            unexpected.append(line)
    if not any(transfer["rows"] for transfer in report["transfers"]):
        # Without EFA, there is still a network: NIXL over tcp has to move its bytes.
        unexpected.append("transfer: nothing was moved between the nodes, not even over tcp")
    return Judgement(tuple(expected), tuple(unexpected))


def _failed(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Check and message of each FAIL, once, and on which nodes: " (producer and consumer)"; empty for the pair."""
    where: dict[tuple[str, str], list[str]] = {}
    for node in report["nodes"]:
        for one in node["findings"]:
            if one["level"] == "FAIL":
                where.setdefault((one["check"], one["message"]), []).append(node["name"])
    of_nodes = [(check, message, f" ({' and '.join(names)})") for (check, message), names in where.items()]
    of_pair = [(one["check"], one["message"], "") for one in report["findings"] if one["level"] == "FAIL"]
    return of_nodes + of_pair


def tell_verified(report: Mapping[str, Any], judgement: Judgement, tell: Tell) -> None:
    """The findings of verify: the passed ones by name, then all others, then the judgement."""
    for node in report["nodes"]:
        _tell_passed(node["name"], node["findings"], tell)
    _tell_passed("the pair", report["findings"], tell)
    for transfer in report["transfers"]:
        rows = transfer["rows"]
        what = (
            f"{len(rows)} sizes, up to {max(row['gbps'] for row in rows):.1f} Gbit/s"
            if rows
            else transfer["error"]
        )
        provider = f", provider {transfer['provider']}" if transfer["provider"] else ""
        how = f"{transfer['tool']} ({transfer['backend']}, {transfer['segment']}{provider})"
        tell(f"  transfer with {how}: {what}")
    for line in judgement.expected:
        tell(f"  expected FAIL  {line}")
    for line in judgement.unexpected:
        tell(f"  FAIL  {line}")


def _tell_passed(who: str, findings: Sequence[Mapping[str, str]], tell: Tell) -> None:
    passed = [f"{one['check']} ({one['message']})" for one in findings if one["level"] == "PASS"]
    tell(f"  {who}: PASS {', '.join(passed)}")
    for one in findings:
        if one["level"] in ("WARN", "SKIP"):
            tell(f"  {who}: {one['level']} {one['check']}: {one['message']}")
