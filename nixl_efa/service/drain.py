"""The end of a service in order: what runs ends, results and logs are copied, nothing is answered any more.

Each node drains itself (drain_node.py), so that it can when nobody is there: when EC2 warns it, or its Capacity Block
ends. The end of the block that is told to the node here can change, because a block can be extended. So the node asks
EC2 again before the end counts; its role may (node_policy.py). A node that can't ask drains at the end that it knows:
a service that ends too early is started again, results that are lost are not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixl_efa.block_end import lead
from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, counted, failed, passed, warned
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import MISSING
from nixl_efa.service import drain_node, units
from nixl_efa.service.model import DRAIN_SECONDS
from nixl_efa.service.router import pd_port
from nixl_efa.service.way import engine_url
from nixl_efa.settings.parts import CONSUMER
from nixl_efa.times import moment

if TYPE_CHECKING:
    from nixl_efa.nodes.outputs import Node
    from nixl_efa.nodes.verify import PairReport
    from nixl_efa.service.on_nodes import OnNodes, Say, Sections, Seen

CHECK = "drain"
# EC2's user guide recommends 5 seconds (spot-instance-termination-notices).
EVERY_SECONDS = 5.0
ASKED_SECONDS = 300
# How often a drain is looked at, how often that is told, how long a node may not answer: of one that hangs, a single
# look takes the minute in which Run Command tries to reach it.
LOOK_SECONDS, TELL_SECONDS, SILENT_SECONDS = 5.0, 10.0, 120.0


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """The end of a node's Capacity Block. lead: how long before it EC2 begins to terminate."""

    id: str
    end: datetime
    lead: timedelta

    @property
    def drains(self) -> datetime:
        """When the node begins to drain."""
        return self.end - self.lead - drain_node.BEFORE


End = BlockEnd | Finding


def ends_of(report: PairReport) -> Mapping[str, End]:
    """The ends of the Capacity Blocks, by the name of each node that runs in one; or why AWS names none."""
    found: dict[str, End] = {}
    for held in report.held:
        if isinstance(held.reservation, Finding):
            found |= dict.fromkeys(held.nodes, held.reservation)
        elif (block := held.block) is not None and block.end is not None:
            found |= dict.fromkeys(held.nodes, BlockEnd(block.id, block.end, lead(block.instance_type)))
    return found


def too_late(ends: Mapping[str, End], now: datetime) -> Mapping[str, Finding]:
    """Why nothing can be started on nodes whose block is about to end."""
    return {
        name: failed(
            CHECK,
            f"{one.id} ends at {moment(one.end)}, and EC2 begins to terminate at {moment(one.end - one.lead)}: a "
            "service that starts now would be drained at once.",
            "`nixl-efa capacity search` finds another block.",
        )
        for name, one in ends.items()
        if isinstance(one, BlockEnd) and one.drains <= now < one.end
    }


def config(nodes: OnNodes, node: Node) -> dict[str, Any]:
    """A node's /etc/nixl-efa/drain.json; drain_node.py says what its members are."""
    end = nodes.ends.get(node.name)
    return {
        "instance": node.instance_id,
        # What a producer computes may be for this consumer, which can't see it before it comes. A producer waits for
        # nobody: it counts a KV cache until a consumer has it.
        "engines": [engine_url(one) for one in nodes.pair.nodes if one == node or node.role == CONSUMER],
        "own": engine_url(node),
        "router": f"http://{nodes.router_node.private_ip}:{pd_port(nodes.pair)}",
        "has_router": node == nodes.router_node,
        "busy": nodes.engine.BUSY,
        "limit": DRAIN_SECONDS,
        "every": EVERY_SECONDS,
        "block": {
            "id": end.id,
            "end": end.end.isoformat(timespec="seconds"),
            "lead": end.lead.total_seconds(),
        }
        if isinstance(end, BlockEnd)
        else None,
    }


def arm(nodes: OnNodes) -> list[tuple[str, Finding]]:
    """Makes every node wait for its own end; a drain that runs is ended. What was found, by the nodes' names."""
    found, problems = _run(nodes, None)
    return [*problems.items(), *((name, _armed(nodes, name, read)) for name, read in found.items())]


def _armed(nodes: OnNodes, name: str, read: Sections) -> Finding:
    armed, asked, end = read.get("armed", MISSING), read.get("ask", MISSING), nodes.ends.get(name)
    if armed.code:
        return failed(
            CHECK, f"it can't be prepared: {armed.last_line}.", "Is the disk full (`df -h`)? Is systemd well?"
        )
    if end is None:
        return passed(CHECK, "by itself when EC2 warns that the instance ends")
    if isinstance(end, Finding):
        return warned(
            CHECK,
            f"if the node is in a Capacity Block, it does not know when that ends: {end.message}",
            "`nixl-efa policy verify` prints the permission; then start the service again.",
            end.command,
        )
    told = f"by itself at {moment(end.drains)}, before {end.id} ends, or when EC2 warns earlier"
    if asked.code:
        environment = nodes.pair.environment
        return warned(
            CHECK,
            f"{told}. The node can't ask EC2 whether the block was extended: {asked.last_line}.",
            f"`nixl-efa deploy {environment}` lets the stack's role ask (ec2:DescribeCapacityReservations); a role of "
            f"your own needs the same. Else start the service again after `nixl-efa capacity extend`.",
        )
    return passed(CHECK, f"{told}; the node asks EC2 first whether the block was extended")


def drain(nodes: OnNodes, limit: int, clock: Clock, say: Say) -> list[tuple[str, Finding]]:
    """Drains every node now. limit: seconds for what runs. What was found, by the nodes' names.

    KeyboardInterrupt leaves the drains running.
    """
    say(
        f"Draining {nodes.pair.every_node}: requests have {limit} s to end; then results and logs are copied ..."
    )
    asked = {"why": f"asked for by `nixl-efa serve drain {nodes.pair.environment}`", "limit": limit}
    sections, problems = _run(nodes, asked)
    ended: dict[str, tuple[Finding, ...]] = {
        name: (_lost(nodes, name, one),) for name, one in problems.items()
    }
    for name, read in sections.items():
        wrong = [step for step in map(read.get, ("armed", "asked")) if step is not None and step.code]
        if wrong or "asked" not in read:
            ended[name] = (not_ended(wrong[0].last_line if wrong else "it was not begun"),)
    told = clock.now()
    answered = dict.fromkeys(sections, told)
    while waiting := [name for name in sections if name not in ended]:
        seen, problems = nodes.look(only=waiting)
        now = clock.now()
        answered |= dict.fromkeys(seen, now)
        silent = {name: (now - answered[name]).total_seconds() for name in problems}
        ended |= {name: _end(name, one) for name, one in seen.items() if not one.drain.is_up}
        ended |= {
            name: (_lost(nodes, name, one),)
            for name, one in problems.items()
            if silent[name] >= SILENT_SECONDS
        }
        if (now - told).total_seconds() >= TELL_SECONDS:
            told = now
            for name in (one for one in waiting if one not in ended):
                if name in seen:
                    say(f"  {name}: {_what_runs(nodes, seen[name])}{seen[name].drain.last_line}")
                else:
                    say(f"  {name}: no answer for {silent[name]:.0f} s. {problems[name].message}")
        if len(ended) < len(nodes.pair.nodes):
            clock.sleep(LOOK_SECONDS)
    return [(node.name, one) for node in nodes.pair.nodes for one in ended[node.name]]


def _what_runs(nodes: OnNodes, one: Seen) -> str:
    now = nodes.engine.activity("", one.engine.metrics, 0)
    if now.running is None or not one.engine.is_up:
        return ""
    return f"{counted(now.running, 'request')} running, {now.waiting or 0} waiting. "


def _lost(nodes: OnNodes, name: str, why: Finding) -> Finding:
    at = f"{nodes.pair.scripts_bucket}/{drain_node.PREFIX}/{nodes.pair.environment}"
    return failed(
        CHECK,
        f"it does not say what it has saved: {why.message}",
        f"`aws s3 ls s3://{at}/{name}/` shows what it has copied, also by itself before; the rest of its "
        "disk is lost with the instance. `nixl-efa serve drain` again if it comes back.",
    )


def _end(name: str, one: Seen) -> tuple[Finding, ...]:
    """What a drain that does not run any more has told."""
    if one.drained is None or "left" not in one.drained or one.drain.state == "failed":
        return (not_ended(one.drain.last_line),)
    return saved(name, one.drained)


def not_ended(last: str) -> Finding:
    """A drain that was not done, or that something else has ended. last: its last line; empty after a boot."""
    last = (
        last
        or "it has logged nothing since the node booted; a boot, or another start of the service, ends a drain"
    )
    by_hand = f"journalctl -u {units.DRAIN_UNIT}"
    return failed(CHECK, f"it did not come to its end: {last}.", "Look at its log.", by_hand)


def saved(name: str, told: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What a drain of a node has told at its end."""
    left = (
        warned("requests", f"still ran after the limit and were ended, at {told['left']}.", "")
        if told["left"]
        else passed("requests", "none is left")
    )
    again = f"Fix that; then `nixl-efa serve drain` copies again what is on {name}."
    wrong = tuple(failed("copy", f"{one}.", again) for one in told["problems"])
    return (left, *wrong, *(() if wrong else (passed("copy", f"{told['saved']}/"),)))


def _run(
    nodes: OnNodes, now: Mapping[str, Any] | None
) -> tuple[Mapping[str, Sections], Mapping[str, Finding]]:
    """drain-node.sh on every node."""
    program, script = (
        Path(__file__).with_name(one).read_text(encoding="utf-8")
        for one in ("drain_node.py", "drain-node.sh")
    )
    environment = nodes.pair.environment
    watch, once = units.watch_unit(environment), units.drain_unit(environment)
    asked = _packed(json.dumps(now)) if now else ""
    scripts = {
        node.name: Script(
            script,
            (
                *map(_packed, (program, json.dumps(config(nodes, node)), watch, once)),
                asked,
            ),
        )
        for node in nodes.pair.nodes
    }
    return nodes.run(scripts, ASKED_SECONDS, CHECK)


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
