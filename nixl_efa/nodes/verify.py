"""The complete check of a deployed pair: what AWS says about it, what its nodes say, and a transfer between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from nixl_efa.bootstrap.files import NodeFile
from nixl_efa.capacity.judge import is_at_end
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, Level, skipped
from nixl_efa.launch import Launch
from nixl_efa.nodes import (
    block,
    files,
    instances,
    pair_rules,
    rules,
    run_command,
    topology,
    transfer,
    transfer_rules,
)
from nixl_efa.nodes.causes import Cause
from nixl_efa.nodes.facts import NodeFacts, Planned, node_facts, planned_by_node
from nixl_efa.nodes.instances import Instance
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.nodes.sections import IncompleteOutputError, Section, script, sections
from nixl_efa.settings.parts import CONSUMER, PRODUCER, ROLES

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

# At worst, seven commands of one minute each (node-facts.sh); the others are quick.
FACTS_TIMEOUT_SECONDS = 450

Say = Callable[[str], None]
# Runs scripts, by instance id, for at most so many seconds; the text is the comment for Run Command.
Ask = Callable[[Mapping[str, Script], int, str], Mapping[str, Outcome]]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node: where it is, and what was found on it.

    cause: why it does not run; None when it runs. reservation_id: the one that it runs in or was launched for; empty
    without one.
    """

    node: Node
    instance: Instance
    findings: tuple[Finding, ...]
    cause: Cause | None = None
    network_nodes: topology.NetworkNodes = ()
    reservation_id: str = ""


@dataclass(frozen=True, slots=True)
class PairReport:
    """The nodes, the producers first, and the findings about all of them. held: their reservations."""

    pair: PairOutputs
    nodes: tuple[NodeReport, ...]
    findings: tuple[Finding, ...]
    transfers: tuple[transfer.Result, ...] = ()
    held: tuple[block.Held, ...] = ()

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Every finding, those of the nodes first."""
        return (*(one for report in self.nodes for one in report.findings), *self.findings)


def status(ec2: EC2Client, ssm: SSMClient, pair: PairOutputs, launch: Launch, clock: Clock) -> PairReport:
    """What AWS says about the pair: the state of the instances, and why one does not run; the state of each
    reservation, with the time left, its extension and the block that follows it; and which nodes share a network
    node."""
    found = instances.read(ec2, pair)
    seen = block.read(ec2, reservation_ids(pair, found, launch), launch.region)
    reports = node_reports(pair, found, seen, launch, clock.now())
    held = _held(reports, seen, launch)
    capacity = _capacity(ec2, ssm, pair, held, clock)
    others = pair_rules.as_settings(pair, launch)
    reports, near = _placed(ec2, reports, launch.region, clock)
    return PairReport(pair, reports, (*capacity, *near, *((others,) if others else ())), held=held)


def _held(
    reports: Sequence[NodeReport], seen: Mapping[str, Reservation | Finding], launch: Launch
) -> tuple[block.Held, ...]:
    """The reservations of the nodes, in the order of their first nodes."""
    groups: dict[str, list[NodeReport]] = {}
    for one in reports:
        groups.setdefault(one.reservation_id, []).append(one)
    if len(groups) > 1 and all(one.cause is not None for one in groups.get("", ())):
        # Nodes that do not run, and were launched without a reservation: there is no end to report.
        groups.pop("", None)
    requests = {node.name: one for one in launch.requests for node in one.nodes}
    return tuple(
        block.Held(
            reservation_id,
            seen.get(reservation_id),
            tuple(one.node.name for one in its),
            frozenset(one.instance.market for one in its if one.cause is None),
            next((requests[one.node.name] for one in its if one.node.name in requests), None),
        )
        for reservation_id, its in groups.items()
    )


def _capacity(
    ec2: EC2Client, ssm: SSMClient, pair: PairOutputs, held: Sequence[block.Held], clock: Clock
) -> list[Finding]:
    """The findings on each reservation; with its nodes, if there are several reservations."""
    more, now = block.read_more(ec2, ssm, held, clock), clock.now()
    found: list[Finding] = []
    for one in held:
        beside = None
        if len(held) > 1:
            request = one.request
            over = one.block is not None and (one.block.is_dead or is_at_end(one.block, now))
            beside = block.Beside(
                pair.environment,
                request.reservation.target if request is not None else pair.environment,
                one.nodes,
                any(other.markets for other in held if other is not one),
                block.named_now(ssm, request) if request is not None and over else "",
            )
        found += block.findings(one.reservation, now, more.get(one.id, ()), one.markets, beside)
    return found


def _placed(
    ec2: EC2Client, reports: tuple[NodeReport, ...], region: str, clock: Clock
) -> tuple[tuple[NodeReport, ...], tuple[Finding, ...]]:
    """The nodes with their network nodes, and the findings from them; only if two or more nodes run."""
    up = [one for one in reports if one.cause is None]
    if len(up) < 2:
        return reports, ()
    told = topology.read(ec2, [one.node.instance_id for one in up], region, clock.sleep)
    if isinstance(told, Finding):
        return reports, (told,)
    placed = tuple(replace(one, network_nodes=told.get(one.node.instance_id, ())) for one in reports)
    near = {one.node.name: one.network_nodes for one in placed if one.cause is None}
    return placed, (topology.finding(near, [one.instance.instance_type for one in up]),)


def reservation_ids(pair: PairOutputs, found: Mapping[str, Instance], launch: Launch) -> tuple[str, ...]:
    """The reservations that the nodes run in, or were launched for, each once."""
    return tuple(dict.fromkeys(filter(None, _reservation_of(pair, found, launch).values())))


def _reservation_of(pair: PairOutputs, found: Mapping[str, Instance], launch: Launch) -> dict[str, str]:
    """The reservation of each node, by its name: that of its instance; else, if all nodes are launched alike, that of
    another instance; else that in the outputs. Empty without one."""
    by_instance = {node.name: instances.of(node, found).reservation_id for node in pair.nodes}
    common = "" if launch.parts else next(filter(None, by_instance.values()), "")
    return {
        node.name: by_instance[node.name] or common or node.capacity_reservation_id for node in pair.nodes
    }


def node_reports(
    pair: PairOutputs,
    found: Mapping[str, Instance],
    reservations: Mapping[str, Reservation | Finding],
    launch: Launch,
    now: datetime,
) -> tuple[NodeReport, ...]:
    """The nodes from EC2's answers, the producers first. reservations: by id, from block.read."""
    targets = {node.name: one.reservation.target for one in launch.parts for node in one.nodes}
    of_node = _reservation_of(pair, found, launch)
    reports = []
    for node in pair.nodes:
        instance, its = instances.of(node, found), of_node[node.name]
        reservation = reservations.get(its)
        known = reservation if isinstance(reservation, Reservation) else None
        why = instances.cause_of(node, pair, found, known, launch.region, now, targets.get(node.name, ""))
        state = instances.state_finding(instance, why, launch.region)
        reports.append(NodeReport(node, instance, (state,), why, reservation_id=its))
    return tuple(reports)


def verify(
    ec2: EC2Client,
    ssm: SSMClient,
    pair: PairOutputs,
    *,
    launch: Launch,
    measure: bool,
    clock: Clock,
    say: Say,
    s3: S3Client | None = None,
) -> PairReport:
    """`status`, then the nodes' own facts, then, with `measure`, a transfer.

    say: is called with a message before a long step. s3: reads outputs that are too long for Run Command.
    """
    seen = status(ec2, ssm, pair, launch, clock)
    up = [report for report in seen.nodes if report.cause is None]
    if len(up) < 2:
        return seen
    own_types = {node.name: one.instance_type for one in launch.requests for node in one.nodes}
    # If EC2 no longer shows the instance, the type in the settings.
    types = {
        report.node.name: report.instance.instance_type
        or own_types.get(report.node.name, launch.instance_type)
        for report in seen.nodes
    }
    running = replace(pair, nodes=tuple(report.node for report in up))
    wanted = planned_by_node(running, launch.of_machines(types))
    some = "" if running == pair else f" that run, of {len(pair.nodes)},"
    say(f"Asking {running.every_node}{some} through Run Command ...")
    known = files.wanted(pair, launch, types)
    bucket = run_command.Bucket(s3, pair.scripts_bucket) if s3 is not None and pair.scripts_bucket else None

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        return run_command.run(ssm, scripts, clock, seconds, f"nixl-efa verify: {what}", bucket)

    facts_scripts = {node.instance_id: _facts_script(known[node.name]) for node in running.nodes}
    outcomes = ask(facts_scripts, FACTS_TIMEOUT_SECONDS, "node facts")
    facts: dict[str, NodeFacts] = {}
    reports = []
    for report in seen.nodes:
        if report.cause is not None:
            reports.append(report)
            continue
        outcome = outcomes[report.node.instance_id]
        read, problem = sections_of(report.node, outcome)
        found: tuple[Finding, ...]
        if problem:
            found = (Finding(Level.FAIL, "Run Command", problem),)
        else:
            facts[report.node.name] = node_facts(read)
            ours = files.finding(pair.environment, known[report.node.name], read)
            found = (*rules.node_findings(facts[report.node.name], wanted[report.node.name]), ours)
        reports.append(replace(report, findings=(*report.findings, *found)))
    findings = [*seen.findings]
    results: tuple[transfer.Result, ...] = ()
    if facts:
        findings += [pair_rules.agreement(pair, facts), pair_rules.versions(pair, facts)]
        if measure:
            # The slower end of a link is its limit.
            least = min(wanted.values(), key=lambda one: one.network_gbps)
            results = _measure(ask, running, facts, least, say)
            if missing := [role for role in ROLES if not running.of_role(role)]:
                findings.append(skipped("transfer", f"no {missing[0]} runs: there is no link to measure."))
            findings += transfer_rules.findings(
                results, least, {one.node.name: one.network_nodes for one in seen.nodes}
            )
    return PairReport(pair, tuple(reports), tuple(findings), results, seen.held)


def _facts_script(known: tuple[NodeFile, ...]) -> Script:
    """The script that prints a node's facts, and whether its files are those of the settings."""
    return Script(f"{script('node-facts.sh')}{files.sums().text}", files.arguments(known))


def _measure(
    ask: Ask, pair: PairOutputs, facts: Mapping[str, NodeFacts], wanted: Planned, say: Say
) -> tuple[transfer.Result, ...]:
    """NIXL's transfers on all links. If NIXL moved nothing on some links, the other tools run on one of these, until
    one moves bytes; then NIXL runs without EFA. A node that did not answer once is not used again, because each attempt
    would wait for it."""
    lost: set[Node] = set()

    def attempt(one: transfer.Attempt, chosen: Sequence[transfer.Link]) -> tuple[transfer.Result, ...]:
        where = "a transfer from producer to consumer" if len(chosen) == 1 else f"{len(chosen)} transfers"
        say(f"Measuring {where} with {one.title} ...")
        outcomes = ask(transfer.scripts(one, chosen), transfer.limit_seconds(chosen), "transfer")
        ends: dict[str, Mapping[str, Section] | str] = {}
        for node in dict.fromkeys(end for link in chosen for end in link.ends):
            read, problem = sections_of(node, outcomes[node.instance_id])
            ends[node.name] = problem or read
            if problem:
                lost.add(node)
        return transfer.results(one, chosen, ends)

    def with_facts(role: str) -> list[Node]:
        return [node for node in pair.of_role(role) if node.name in facts]

    links = transfer.links(with_facts(PRODUCER), with_facts(CONSUMER))
    results: list[transfer.Result] = []
    # From GPU memory only on links that worked from host memory: a failure of the others is not a fault of the GPUs.
    working = links
    for one in transfer.attempts(facts, wanted):
        latest = attempt(one, working) if working else ()
        results += latest
        working = tuple(result.link for result in latest if result.rows)
    moved = {result.link for result in results if result.rows}
    silent = [link for link in links if link not in moved and not lost.intersection(link.ends)]
    # One such link is enough to see whether EFA is at fault; the result without EFA applies to all of them.
    for one, chosen in (
        *((witness, silent[:1]) for witness in transfer.witnesses(facts, wanted)),
        *((other, silent) for other in transfer.diagnosis(wanted)),
    ):
        if not chosen:
            break
        results += attempt(one, chosen)
        if results[-1].rows:
            break
    return tuple(results)


def sections_of(node: Node, outcome: Outcome) -> tuple[Mapping[str, Section], str]:
    """A node's sections, or why there is no output."""
    if outcome.problem:
        return {}, outcome.problem
    try:
        read = sections(outcome.stdout)
    except IncompleteOutputError as error:
        limit = run_command.OUTPUT_LIMIT_CHARACTERS
        return {}, f"{node.instance_id}: {error}: Run Command gives {limit} characters."
    if not read:
        return {}, f"{node.instance_id}: Run Command succeeded, and printed nothing that can be read."
    return read, ""
