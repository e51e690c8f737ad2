"""Writes the current files to the nodes of a running pair, without replacing the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nixl_efa.bootstrap.files import NodeFile
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.findings import listed
from nixl_efa.launch import Launch
from nixl_efa.nodes import files, run_command, verify
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.parse import json_object, objects
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import MISSING, Section

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

LOOK_SECONDS = 60
# The boot report runs commands for each device, and NIXL itself.
WRITE_SECONDS = 300

AS_PLANNED = "as planned"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NodeSync:
    """One node. differing: paths of files that were found to differ from the settings.

    written: whether they were written. boot_report: what the boot report then said; empty if it was not run.
    problem: why the node is not in order, a sentence; empty if it is.
    """

    node: Node
    differing: tuple[str, ...] = ()
    written: bool = False
    boot_report: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The nodes, the producers first. to_do: what the user has still to do, a sentence each."""

    environment: str
    nodes: tuple[NodeSync, ...]
    to_do: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all nodes have the files of the settings, and are as planned."""
        return all(not one.problem and (one.written or not one.differing) for one in self.nodes)


def sync(
    ec2: EC2Client,
    ssm: SSMClient,
    pair: PairOutputs,
    launch: Launch,
    *,
    check: bool,
    clock: Clock,
    say: Say,
) -> SyncReport:
    """Reads the files on the nodes and, unless `check`, writes those that differ. If one node can't be written, none is
    written.

    Failure if the outputs don't have the values for the files. After KeyboardInterrupt, each node has all its old files
    or all its new ones; a command that was sent continues there.
    """
    if not pair.scripts_bucket:
        raise Failure(
            f"environment {pair.environment!r}: the stack's outputs have no scripts_bucket, which is in "
            f"the nodes' files. Run `nixl-efa deploy {pair.environment}` first."
        )
    report = verify.status(ec2, ssm, pair, launch, clock)
    types = {one.node.name: one.instance.instance_type for one in report.nodes}
    stopped = {one.node.name: one.findings[0].line() for one in report.nodes if one.cause is not None}
    if stopped:
        beside = "was not checked, because another node does not run."
        nodes = tuple(NodeSync(node, problem=stopped.get(node.name, beside)) for node in pair.nodes)
        return SyncReport(pair.environment, nodes)
    wanted = files.wanted(pair, launch, types)
    say(f"Asking {pair.every_node} through Run Command ...")
    found, differing = _look(ssm, pair, wanted, clock)
    if check or any(one.problem for one in found):
        return SyncReport(pair.environment, found, files.after_writing((), launch, types))
    if any(differing.values()):
        say(f"Writing what differs, on {listed(name for name, some in differing.items() if some)} ...")
        found = _write(ssm, pair.environment, found, differing, clock)
    written = {path for one in found if one.written for path in one.differing}
    return SyncReport(pair.environment, found, files.after_writing(written, launch, types))


def _look(
    ssm: SSMClient, pair: PairOutputs, wanted: Mapping[str, tuple[NodeFile, ...]], clock: Clock
) -> tuple[tuple[NodeSync, ...], Mapping[str, tuple[NodeFile, ...]]]:
    """The nodes, and the differing files of each, by its name."""
    scripts = {node.instance_id: files.look(wanted[node.name]) for node in pair.nodes}
    answers = _ask(ssm, pair.nodes, scripts, clock, LOOK_SECONDS, "look")
    nodes, differing = [], {}
    for node in pair.nodes:
        read, problem = answers[node.name]
        problem = problem or files.refusal(pair.environment, node.name, read)
        differing[node.name] = () if problem else files.differing(wanted[node.name], read)
        nodes.append(NodeSync(node, tuple(file.path for file in differing[node.name]), problem=problem))
    return tuple(nodes), differing


def _write(
    ssm: SSMClient,
    environment: str,
    nodes: tuple[NodeSync, ...],
    differing: Mapping[str, tuple[NodeFile, ...]],
    clock: Clock,
) -> tuple[NodeSync, ...]:
    """The nodes after their files were written."""
    asked = [one.node for one in nodes if differing[one.node.name]]
    scripts = {node.instance_id: files.writer(differing[node.name]) for node in asked}
    answers = _ask(ssm, asked, scripts, clock, WRITE_SECONDS, "write")
    return tuple(
        _outcome(environment, one, *answers[one.node.name]) if one.differing else one for one in nodes
    )


def _outcome(environment: str, one: NodeSync, read: Mapping[str, Section], problem: str) -> NodeSync:
    """The result of a node after the command that writes its files."""
    if problem:
        return replace(one, problem=f"{problem} Run it again: it writes only what differs.")
    configure = read.get("configure", MISSING)
    said = _boot_report(read.get("boot_report", MISSING))
    faults = []
    if configure.code:
        faults.append(f"configure failed: {configure.last_line or f'exit code {configure.code}'}.")
    if said != AS_PLANNED:
        faults.append(f"the boot report is {said}. Look at `nixl-efa verify {environment}`.")
    return replace(one, written=True, boot_report=said, problem=" ".join(faults))


def _boot_report(section: Section) -> str:
    """The result of the boot report, in a few words. Exit code of the unit: 0 if everything is as planned."""
    if section.code == 0:
        return AS_PLANNED
    checks = objects(json_object(section.text) or {}, "checks")
    faults = [str(check.get("check")) for check in checks if not check.get("ok")]
    return f"not as planned: {', '.join(faults)}" if faults else "missing: its unit did not run"


def _ask(
    ssm: SSMClient,
    nodes: tuple[Node, ...] | list[Node],
    scripts: Mapping[str, Script],
    clock: Clock,
    seconds: int,
    what: str,
) -> Mapping[str, tuple[Mapping[str, Section], str]]:
    """Each node's sections or why there are none, by its name."""
    outcomes = run_command.run(ssm, scripts, clock, seconds, f"nixl-efa nodes sync: {what}")
    return {node.name: verify.sections_of(node, outcomes[node.instance_id]) for node in nodes}
