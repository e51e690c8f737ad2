"""What the running nodes of an environment have cost so far, and will have cost by their end. Pure.

An instance is billed by the second while it runs, a volume and a public address from their creation on, whether the
instance runs or not (EC2 user guide, ec2-instance-lifecycle; EBS user guide; VPC user guide).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.offering import hours_of
from nixl_efa.cost import spot
from nixl_efa.cost.blocks import Block
from nixl_efa.cost.compare import Rates, volume_hours
from nixl_efa.cost.money import Price, Sum, Unknown, added, times
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Market, Volume

# Of one that has begun to end, EC2 does not tell since when: it counts until now, some minutes too long, and no further
# hour. A pending one is about to run.
BILLED = frozenset({"running", "shutting-down", "stopping"})


@dataclass(frozen=True, slots=True)
class Node:
    """An instance of the environment. launched: its last start; EC2 gives no earlier one.

    addresses: its public ones. reservation_id: empty without one.
    """

    id: str
    name: str
    state: str
    instance_type: str
    market: Market
    zone: str
    launched: datetime
    addresses: int
    reservation_id: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume of a node. volume: as EC2 has it today."""

    node_id: str
    created: datetime
    volume: Volume


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost of some nodes, or of a block: what it is, its cost so far and by its end.

    end: None where nothing ends by itself; by_end is then None. each_hour: what a further hour costs; None for nothing.
    used, idle: instance-hours of a block so far; None for anything else.
    paid_with: for a block, the block with which it was bought and whose row has the fee of both; empty for any other.
    """

    what: str
    so_far: Price | Sum
    by_end: Price | Sum | None
    end: datetime | None
    each_hour: Price | Sum | None
    used: Decimal | None = None
    idle: Decimal | None = None
    paid_with: str = ""


def spent(
    nodes: Sequence[Node],
    disks: Sequence[Disk] | Unknown,
    blocks: Mapping[str, Block | Unknown],
    rates: Mapping[str, Rates],
    history: Mapping[str, tuple[spot.Change, ...] | Unknown],
    currency: str,
    now: datetime,
) -> tuple[Spent, ...]:
    """Blocks, instances by the hour, volumes and addresses, each by itself.

    blocks: by the ids of the reservations. rates: by instance type. history: Spot's, by type. currency: Spot's.
    """
    used = {one.reservation_id for one in nodes if one.reservation_id in blocks}
    found: list[Spent] = []
    paid: dict[str, str] = {}
    for name in (one for one in blocks if one in used):
        block = blocks[name]
        purchase = name if isinstance(block, Unknown) else block.purchase
        found.append(_of_block(name, block, nodes, now, paid.get(purchase, "")))
        paid.setdefault(purchase, name)
    by_the_hour = [one for one in nodes if one.reservation_id not in blocks]
    if lost := [one.name for one in by_the_hour if one.market == "capacity-block"]:
        why = Unknown(f"EC2 does not name the block of {', '.join(lost)}")
        found.append(Spent("a block", why, why, None, None))
    for market in ("on-demand", "spot"):
        mine = [one for one in by_the_hour if one.market == market]
        if mine:
            found.append(_of_market(market, mine, rates, history, currency, now))
    end = end_of(nodes, blocks)
    found.append(_of_disks(nodes, disks, rates, blocks if end else {}, end, now))
    if any(one.addresses for one in nodes):
        found.append(_of_addresses(nodes, rates, end, now))
    return tuple(found)


def end_of(nodes: Iterable[Node], blocks: Mapping[str, Block | Unknown]) -> datetime | None:
    """When the last of the nodes ends by its block's end; None where one of them doesn't, or it is not known."""
    ends = []
    for node in nodes:
        block = blocks.get(node.reservation_id)
        if not isinstance(block, Block):
            return None
        ends.append(terminates_at(block.end, block.instance_type))
    return max(ends, default=None)


def together(parts: Iterable[Spent]) -> tuple[Sum, Sum | None]:
    """So far, and by the end; None where something has no end."""
    every = list(parts)
    so_far = added((one.what, one.so_far) for one in every)
    if any(one.by_end is None for one in every):
        return so_far, None
    return so_far, added((one.what, one.by_end) for one in every)


def _of_block(
    name: str, block: Block | Unknown, nodes: Sequence[Node], now: datetime, paid_with: str
) -> Spent:
    """The fee is paid, and no longer changes. For the time so far: the hours that nodes of the environment used, and
    those that were idle."""
    if isinstance(block, Unknown):
        return Spent(f"block {name}", block, block, None, None)
    end = terminates_at(block.end, block.instance_type)
    mine = [one for one in nodes if one.reservation_id == name and one.state in BILLED]
    used = sum(
        (hours_of(_since(max(one.launched, block.start), min(now, block.end))) for one in mine), Decimal(0)
    )
    passed = block.size * hours_of(_since(block.start, min(now, block.end)))
    price: Price | Sum = Sum({}) if paid_with else block.price
    idle = max(passed - used, Decimal(0))
    return Spent(f"block {name}", price, price, end, None, used, idle, paid_with)


def _of_market(
    market: Market,
    nodes: Sequence[Node],
    rates: Mapping[str, Rates],
    history: Mapping[str, tuple[spot.Change, ...] | Unknown],
    currency: str,
    now: datetime,
) -> Spent:
    paid: list[tuple[str, Price | Sum | None]] = []
    hourly: list[tuple[str, Price | Sum | None]] = []
    for node in nodes:
        if node.state == "stopped":
            why = f"{node.name} is stopped, and EC2 does not say how long it ran before"
            paid.append((node.name, Unknown(why)))
        changes = history.get(node.instance_type, ())
        so_far: Price
        if market == "on-demand":
            rate = rates[node.instance_type].on_demand
            so_far = times(rate, hours_of(_since(node.launched, now)))
        elif isinstance(changes, Unknown):
            rate = so_far = changes
        else:
            rate, _ = spot.now_in(changes, currency, node.zone)
            so_far = spot.paid(changes, currency, node.zone, node.launched, now)
        if node.state in BILLED:
            paid.append((node.name, so_far))
        if node.state in RUNNING:
            hourly.append((node.name, rate))
    words = {"on-demand": "On-Demand instances", "spot": "Spot Instances"}[market]
    return Spent(words, added(paid), None, None, added(hourly))


def _of_disks(
    nodes: Sequence[Node],
    disks: Sequence[Disk] | Unknown,
    rates: Mapping[str, Rates],
    blocks: Mapping[str, Block | Unknown],
    end: datetime | None,
    now: datetime,
) -> Spent:
    """A volume is deleted with its node, at the end of the node's own block."""
    if isinstance(disks, Unknown):
        return Spent("volumes", disks, disks if end else None, end, disks)
    types = {node.id: node.instance_type for node in nodes}

    ends = {node.id: end_of([node], blocks) or now for node in nodes}

    def until(moments: Mapping[str, datetime]) -> Sum:
        return added(
            (
                "volumes",
                _disk_hours(one, rates[types[one.node_id]], _since(one.created, moments[one.node_id])),
            )
            for one in disks
        )

    so_far = until(dict.fromkeys(ends, now))
    by_end = until({name: max(now, one) for name, one in ends.items()}) if end else None
    hourly = added(
        ("volumes", _disk_hours(one, rates[types[one.node_id]], timedelta(hours=1))) for one in disks
    )
    return Spent("volumes", so_far, by_end, end, hourly)


def _disk_hours(disk: Disk, rates: Rates, length: timedelta) -> Price | Sum:
    if disk.volume.kind != "gp3":
        return Unknown(f"only gp3 is priced here, not {disk.volume.kind}")
    return volume_hours(disk.volume, rates, hours_of(length))


def _of_addresses(
    nodes: Sequence[Node], rates: Mapping[str, Rates], end: datetime | None, now: datetime
) -> Spent:
    def until(moment: datetime) -> Sum:
        return added(
            (
                "public addresses",
                times(
                    rates[one.instance_type].address, one.addresses * hours_of(_since(one.launched, moment))
                ),
            )
            for one in nodes
        )

    hourly = added(
        ("public addresses", times(rates[one.instance_type].address, one.addresses)) for one in nodes
    )
    return Spent("public addresses", until(now), until(max(now, end)) if end else None, end, hourly)


def _since(start: datetime, end: datetime) -> timedelta:
    return max(end - start, timedelta(0))
