"""How the nodes are shown: a pair side by side, more in a list, the worst first; what concerns all; what to do."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nixl_efa.capacity.judge import stops_at
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks import rendering
from nixl_efa.cli import output
from nixl_efa.cli.commands import shown
from nixl_efa.findings import Finding, Level, counted, listed, worst_first
from nixl_efa.lines import folded
from nixl_efa.nodes.block import Held
from nixl_efa.nodes.verify import NodeReport, PairReport
from nixl_efa.settings.model import STACK_PREFIX

if TYPE_CHECKING:
    from rich.text import Text

# So many nodes still have a readable column each in a terminal of 80 characters.
_SIDE_BY_SIDE = 3
_STYLES = {Level.FAIL: "bold red", Level.WARN: "yellow", Level.SKIP: "dim", Level.PASS: "green"}


def show(report: PairReport, kind: str, as_json: bool) -> None:
    """The report on stdout, as tables or as one JSON document of the form nixl-efa/<kind>/1."""
    if as_json:
        output.print_json(kind, document(report))
        return
    (_nodes if len(report.nodes) <= _SIDE_BY_SIDE else _many_nodes)(report)
    _pair(report)
    _remedies(report)


def document(report: PairReport) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "environment": report.pair.environment,
        "ok": not any(finding.level is Level.FAIL for finding in report.all_findings),
        "nodes": [
            {
                "name": one.node.name,
                "role": one.node.role,
                "instance_id": one.node.instance_id,
                "instance_type": one.instance.instance_type,
                "zone": one.instance.zone,
                "state": one.instance.state,
                "market": one.instance.market,
                "state_reason": one.instance.reason_code,
                "cause": one.cause.why if one.cause else "",
                "launched": output.iso(one.instance.launched) if one.instance.launched else None,
                "private_ip": one.node.private_ip,
                "public_ip": one.node.public_ip,
                "network_nodes": list(one.network_nodes),
                "capacity_reservation_id": one.reservation_id,
                "findings": [_plain(finding) for finding in one.findings],
            }
            for one in report.nodes
        ],
        "reservations": reservations(report.held),
        "findings": [_plain(finding) for finding in report.findings],
        "transfers": [
            {
                "producer": one.link.producer.name,
                "consumer": one.link.consumer.name,
                "tool": one.attempt.tool,
                "backend": one.attempt.backend,
                "segment": one.attempt.segment,
                "provider": one.provider,
                "error": one.error,
                "handshake_seconds": one.handshake_seconds,
                "small": asdict(one.small) if one.small else None,
                "rows": [asdict(row) for row in one.rows],
                "producer_efa": asdict(one.sent),
                "consumer_efa": asdict(one.received),
            }
            for one in report.transfers
        ],
    }


def document_without_nodes(environment: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same document where the state tells no nodes, with why."""
    return {
        "environment": environment,
        "ok": False,
        "nodes": [],
        "reservations": [],
        "findings": [_plain(finding) for finding in findings],
        "transfers": [],
    }


def reservations(held: Iterable[Held]) -> list[dict[str, Any]]:
    """Those that have an id, as plain values: terminates is when EC2 begins to terminate the nodes in a block."""
    return [_reservation(one) for one in held if one.id]


def _reservation(held: Held) -> dict[str, Any]:
    found = held.reservation if isinstance(held.reservation, Reservation) else None
    stop = stops_at(found) if found is not None and found.is_block else None
    return {
        "id": held.id,
        "target": held.request.reservation.target if held.request is not None else "",
        "nodes": list(held.nodes),
        "state": found.state if found is not None else "",
        "end": output.iso(found.end) if found is not None and found.end else None,
        "terminates": output.iso(stop) if stop else None,
    }


def _plain(finding: Finding) -> dict[str, str]:
    return {**asdict(finding), "level": finding.level.value}


def _nodes(report: PairReport) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{STACK_PREFIX}{report.pair.environment}")
    for one in report.nodes:
        table.add_column(one.node.name, overflow="fold")
    about = [
        ("type", [one.instance.instance_type or "-" for one in report.nodes]),
        ("zone", [one.instance.zone or "-" for one in report.nodes]),
        ("market", [one.instance.market or "-" for one in report.nodes]),
        ("private address", [one.node.private_ip for one in report.nodes]),
        ("public address", [one.node.public_ip or "none" for one in report.nodes]),
        ("launched", [_launched(one) for one in report.nodes]),
    ]
    for name, cells in about:
        table.add_row(name, *cells)
    by_node = [{finding.check: finding for finding in one.findings} for one in report.nodes]
    for check in dict.fromkeys(check for found in by_node for check in found):
        table.add_row(check, *(_cell(found.get(check)) for found in by_node))
    output.print_table(table)
    output.data("")


def _many_nodes(report: PairReport) -> None:
    """A row a node: its address and what is not in order; those that have such first."""
    from rich.table import Table
    from rich.text import Text

    roles = Counter(one.node.role for one in report.nodes)
    about = [
        ("nodes", ", ".join(counted(count, role) for role, count in roles.items())),
        *(
            (name, ", ".join(f"{count} x {value or '-'}" for value, count in Counter(values).items()))
            for name, values in (
                ("type", [one.instance.instance_type for one in report.nodes]),
                ("zone", [one.instance.zone for one in report.nodes]),
                ("market", [one.instance.market for one in report.nodes]),
            )
        ),
    ]
    head = Table(box=None, pad_edge=False, show_header=False)
    for name, text in [("stack", f"{STACK_PREFIX}{report.pair.environment}"), *about]:
        head.add_row(name, text)
    output.print_table(head)
    output.data("")
    table = Table("node", "address", box=None, pad_edge=False, header_style="bold")
    table.add_column("found", overflow="fold")
    for one in sorted(report.nodes, key=lambda one: worst_first(one.findings)[0].level.rank):
        open_ones = [each for each in worst_first(one.findings) if each.level in (Level.FAIL, Level.WARN)]
        lines = [_cell(each, f"{each.check}: ") for each in open_ones]
        table.add_row(
            one.node.name,
            one.node.private_ip,
            Text("\n").join(lines or [Text(_summary(each.level for each in one.findings))]),
        )
    output.print_table(table)
    output.data("")


def _launched(one: NodeReport) -> str:
    return output.both_times(one.instance.launched) if one.instance.launched else "-"


def _pair(report: PairReport) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("the pair" if len(report.nodes) == 2 else "all nodes")
    table.add_column("", overflow="fold")
    for finding in report.findings:
        table.add_row(finding.check, _cell(finding))
    output.print_table(table)


def _remedies(report: PairReport) -> None:
    """What to do about everything that isn't in order, each remedy once, and the count of each level."""
    output.data("")
    width = output.width_of(sys.stdout)
    where: dict[Finding, list[str]] = {}
    for one in report.nodes:
        for finding in one.findings:
            where.setdefault(finding, []).append(one.node.name)
    for finding in [*where, *report.findings]:
        if finding.remedy:
            names = f" ({listed(where[finding])})" if finding in where else ""
            head = f"{finding.level.value} {finding.check}{names}: "
            for line in folded(shown(finding.remedy), width, head, rendering.INDENT):
                output.data(line)
            for line in rendering.by_hand(finding, width, shown):
                output.data(line)
    output.data(_summary(finding.level for finding in report.all_findings))


def _summary(levels: Iterable[Level]) -> str:
    counts = dict.fromkeys(Level, 0)
    for level in levels:
        counts[level] += 1
    return ", ".join(f"{count} {level.value}" for level, count in counts.items() if count)


def _cell(finding: Finding | None, title: str = "") -> Text:
    from rich.text import Text

    if finding is None:
        return Text("")
    return Text.assemble((finding.level.value, _STYLES[finding.level]), f" {title}{finding.message}")
