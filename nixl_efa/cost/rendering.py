"""What an environment costs as lines of text, 80 columns wide. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from nixl_efa.capacity.reservation import DEAD_STATES
from nixl_efa.cost.billed import Billed
from nixl_efa.cost.blocks import Block
from nixl_efa.cost.compare import INCLUDED_IOPS, INCLUDED_MIBPS, MONTH_HOURS, BreakEven, Comparison, whole
from nixl_efa.cost.money import MILL, Amount, Price, Sum, Unknown, added, reasons_of, shown, times
from nixl_efa.cost.running import Node, Spent, together
from nixl_efa.cost.spot import LOOKED_BACK
from nixl_efa.findings import counted
from nixl_efa.launch import Launch, Market
from nixl_efa.times import moment

WIDTH = 80
MARKETS: tuple[Market, ...] = ("capacity-block", "on-demand", "spot")
_WORDS: dict[Market, str] = {"capacity-block": "Capacity Block", "on-demand": "On-Demand", "spot": "Spot"}
_NAME, _COLUMN = 23, 19
NOTES = (
    "EFA has no extra cost, nor has data between the nodes: they are in one zone and use private addresses.",
    "Data to the internet and to other zones is not counted: what it costs depends on use.",
    "The scripts bucket holds a few KiB: less than 0.01 USD a month.",
    f"Volumes are priced by the month: of {MONTH_HOURS} hours here (30 days), as in AWS's own examples.",
    "Prices are without taxes, discounts, Savings Plans and credits.",
)


def lines(comparisons: Sequence[Comparison], stack: str, region: str) -> Iterator[str]:
    """The markets side by side: for each request, then for all of them together."""
    nodes = sum(one.request.count for one in comparisons)
    alike = len({one.hours for one in comparisons}) == 1
    length = hours(comparisons[0].hours) if alike else "the time of their blocks"
    yield f"{stack} in {region}: {counted(nodes, 'node')} for {length}"
    types = set()
    for one in comparisons:
        yield ""
        called = f"{one.request.called}: " if one.request.called else ""
        yield f"{called}{one.request.count} x {one.request.instance_type}"
        yield from _block(one)
        yield from _next_block(one)
        yield ""
        yield from _table(one)
        yield ""
        yield from _break_even(one)
        if one.request.instance_type not in types:
            yield from _market_notes(one)
        types.add(one.request.instance_type)
    if len(comparisons) > 1:
        yield ""
        yield _row("all nodes", *(_WORDS[market].upper() for market in MARKETS))
        yield _row("together", *(_in_column(whole(comparisons, market)) for market in MARKETS))
        if not all(one.is_covered for one in comparisons):
            yield from _wrapped(
                "The column of the blocks counts less: one block does not cover all the hours and nodes."
            )
    yield ""
    for note in NOTES:
        yield from _wrapped(note)


def running(nodes: Sequence[Node], parts: Sequence[Spent]) -> Iterator[str]:
    """What runs: so far, and by the end."""
    yield from _wrapped(f"Running: {', '.join(f'{one.name} ({one.state})' for one in nodes)}")
    so_far, by_end = together(parts)
    ends = [one.end for one in parts if one.end is not None]
    untold = any(one.by_end is not None and one.end is None for one in parts)
    last = "EACH FURTHER HOUR" if by_end is None else f"BY {moment(max(ends))}" if ends else "BY ITS END"
    yield f"{'':38}{'SO FAR':>17}  {last:>23}"
    for one in parts:
        then = one.each_hour if by_end is None else one.by_end
        yield f"{one.what:38}{_in_column(one.so_far):>17}  {_in_column(then):>23}"
        if one.paid_with:
            yield f"  bought with {one.paid_with}: one fee for both"
        if one.used is not None and one.idle is not None:
            yield f"  of its instance-hours so far: {plain(one.used)} used, {plain(one.idle)} idle"
    each = _sum_of([one.each_hour for one in parts]) if by_end is None else by_end
    yield f"{'together':38}{_in_column(so_far):>17}  {_in_column(each):>23}"
    for one in parts:
        reasons = (*reasons_of(one.so_far), *reasons_of(one.by_end), *reasons_of(one.each_hour))
        for reason in dict.fromkeys(reasons):
            yield from _wrapped(f"{one.what}: unknown: {reason.rstrip('.')}.")
        if one.used is not None and any(node.state == "stopped" for node in nodes):
            yield from _wrapped(f"{one.what}: hours in which stopped nodes ran before count as idle here.")
    yield from _wrapped(
        "Instances and addresses count from the last start on: EC2 shows no earlier one. "
        + (
            "The end is when EC2 begins to terminate."
            if by_end is not None
            else "When the block ends is not known."
            if untold
            else "What is paid by the hour has no end time."
        )
    )


def nothing_runs(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Without nodes: what costs all the same."""
    reserved = [one.request for one in comparisons if one.request.market == "on-demand"]
    if any(one.reservation.is_named for one in reserved):
        yield from _wrapped(
            "No node runs. An On-Demand reservation costs the On-Demand price for each of its instances all the "
            "same, until it is cancelled."
        )
    else:
        yield "No node runs: of the instances, nothing but a bought block costs anything now."


def left(count: int | Unknown, rate: Price) -> Iterator[str]:
    """The public addresses that cost without a node."""
    if isinstance(count, Unknown):
        yield from _wrapped(f"Public addresses that no node has: unknown: {count.reason}.")
    elif count:
        yield from _wrapped(
            f"{counted(count, 'public address')} of the stack without a node: {shown(times(rate, count), MILL)} an "
            "hour, until nodes have them again or the stack is destroyed."
        )


def billed(found: Billed) -> Iterator[str]:
    """What Cost Explorer has, by service."""
    yield f"Billed by Cost Explorer, {found.start} to before {found.end} (UTC)"
    if isinstance(found.services, Unknown):
        yield from _wrapped(f"unknown: {found.services.reason}.", "  ")
        return
    for name, price in found.services.items():
        yield f"  {name:50}{_in_column(price):>19}"
    yield f"  {'together':50}{_in_column(added(found.services.items())):>19}"
    yield from _wrapped(
        "Only what has the stack's tag: a block's fee is on its own invoice. The last day may be missing.",
        "  ",
    )


def hours(value: Decimal) -> str:
    """A length in hours, with days where there are some: "26.3 h (1 d 2 h)"."""
    days, rest = divmod(int(value), 24)
    return f"{plain(value)} h ({days} d {rest} h)" if days else f"{plain(value)} h"


def plain(value: Decimal) -> str:
    """A number to a tenth, without a zero behind the point."""
    text = f"{value.quantize(Decimal('0.1')):,}"
    return text.removesuffix(".0")


def unknowns(one: Comparison) -> list[tuple[str, str]]:
    """What is not known of a request, and why."""
    prices: list[tuple[str, object]] = [
        ("Capacity Block", one.block_price),
        ("On-Demand", one.rates.on_demand),
        ("Spot", one.rates.spot),
        ("volumes", next((each for each in _of_volume(one) if isinstance(each, Unknown)), None)),
        ("public addresses", one.rates.address if one.request.elastic_ip else None),
    ]
    return [(name, price.reason) for name, price in prices if isinstance(price, Unknown)]


def _block(one: Comparison) -> Iterator[str]:
    block = one.block
    if isinstance(block, Unknown):
        yield from _wrapped(f"Capacity Block: {block.word}: {block.reason}.", "  ")
        return
    what = f"bought, {block.state}" if block.bought else "on offer, the cheapest"
    yield f"  Capacity Block {block.id} ({what})"
    yield f"  {counted(block.instances, 'instance')} in {block.zone}, {moment(block.start)} to {moment(block.end)}"
    if block.bought and block.state in DEAD_STATES:
        yield from _wrapped("It has ended: these are the figures it had. A launch needs another one.", "  ")
    usable = Decimal(int(block.usable.total_seconds())) / 3600
    yield f"  {'fee':30}{shown(block.price):>17}  whole time, used or not"
    if isinstance(block.price, Unknown):
        yield from _wrapped(f"The fee is unknown: {block.price.reason}.", "  ")
    if block.extensions:
        yield f"  {'  of it for extensions':30}{shown(_sum_of(block.extensions)):>17}"
    if block.pending is not None:
        yield f"  {'still to be paid':30}{shown(block.pending):>17}"
    yield f"  {'for an instance-hour':30}{shown(block.instance_hour):>17}"
    if count := _accelerators(one.request):
        yield f"  {'for an accelerator-hour':30}{shown(times(block.instance_hour, Decimal(1) / count)):>17}"
    yield f"  {'usable':30}{plain(usable):>13} h    EC2 terminates then"
    part = plain(one.used / block.instance_hours * 100)
    yield (
        f"  {'used in these hours':30}{plain(one.used):>13} of {plain(block.instance_hours)} instance-hours "
        f"({part} %)"
    )
    yield f"  {'idle':30}{plain(one.idle):>13} of them"
    if others := one.in_block - one.request.count:
        yield from _wrapped(
            f"{counted(others, 'other node')} of the environment {'runs' if others == 1 else 'run'} in it, too: the "
            "column has the whole fee, which all nodes together pay once.",
            "  ",
        )
    if one.without_place:
        yield from _wrapped(
            f"It has {counted(block.size, 'instance')} for {counted(one.in_block, 'node')}: its column is for these "
            "only, and says nothing about the others.",
            "  ",
        )
    if one.block_hours != one.hours:
        yield from _wrapped(
            f"It covers {plain(one.block_hours)} of the {plain(one.hours)} hours: its column is for these only.",
            "  ",
        )


def _next_block(one: Comparison) -> Iterator[str]:
    block = one.next_block
    if isinstance(block, Unknown):
        yield from _wrapped(f"Whether a next block is bought is unknown: {block.reason}.", "  ")
    elif block is not None:
        yield f"  next block {block.id}, bought, from {moment(block.start)}"
        yield f"  {'fee, not counted here':30}{shown(block.price):>17}"


def _table(one: Comparison) -> Iterator[str]:
    rates: dict[Market, Price] = {
        "capacity-block": one.block if isinstance(one.block, Unknown) else one.block.instance_hour,
        "on-demand": one.rates.on_demand,
        "spot": one.rates.spot,
    }
    whole_time: dict[Market, Price] = {
        "capacity-block": one.block_price,
        "on-demand": one.on_demand,
        "spot": one.spot,
    }
    count = _accelerators(one.request)
    rows: list[tuple[str, Callable[[Market], Price | Sum | None]]] = [
        ("an instance-hour", lambda market: rates[market]),
        *(
            [("an accelerator-hour", lambda market: times(rates[market], Decimal(1) / count))]
            if count
            else []
        ),
        (counted(one.request.count, "instance"), lambda market: whole_time[market]),
        ("volumes", lambda _: one.volumes),
        ("public addresses", lambda _: one.addresses),
        ("together", lambda market: _of_market(whole_time[market], one.total(market))),
    ]
    yield _row(f"for {plain(one.hours)} h", *(_WORDS[market].upper() for market in MARKETS))
    for name, price in rows:
        yield _row(name, *(_in_column(price(market)) for market in MARKETS))


def _of_market(price: Price, total: Sum) -> Price | Sum:
    """A market's total; without its price, the word for that."""
    return price if isinstance(price, Unknown) else total


def _break_even(one: Comparison) -> Iterator[str]:
    for found in one.break_even:
        yield from _wrapped(break_even_words(found, one))
    if not one.break_even and isinstance(one.block, Block):
        why = "for a block that is too small" if one.without_place else "without both prices"
        yield from _wrapped(f"Where the block breaks even can't be said {why}.")


def break_even_words(found: BreakEven, one: Comparison) -> str:
    """Where the block is cheaper, as a sentence."""
    market, at = _WORDS[found.market], plain(found.hours)
    if found.reached:
        return f"The block costs less than {market} after {at} h of use of all its nodes."
    assert isinstance(one.block, Block)
    usable = plain(Decimal(int(one.block.usable.total_seconds())) / 3600)
    return f"The block never costs less than {market}: that takes {at} h of use, and it is usable for {usable} h."


def _market_notes(one: Comparison) -> Iterator[str]:
    rates = one.rates
    for name, reason in unknowns(one):
        if name != "Capacity Block":
            yield from _wrapped(f"{name[0].upper()}{name[1:]}: unknown: {reason.rstrip('.')}.")
    if isinstance(rates.on_demand, Amount):
        yield from _wrapped("On-Demand is the Price List's price, and no promise that EC2 has the instances.")
    if one.request.market == "on-demand" and one.request.reservation.is_named:
        yield from _wrapped("An On-Demand reservation's unused instances cost the On-Demand price, too.")
    if isinstance(rates.spot, Amount):
        span = ""
        lowest = "" if one.request.reservation.zone else ", the lowest of the region's zones"
        if rates.spot_span is not None:
            low, high = (shown(Amount(one, rates.spot.currency)) for one in rates.spot_span)
            span = f", {low} to {high} in the last {LOOKED_BACK.days} days"
        yield from _wrapped(
            f"Spot is the present price in {rates.spot_zone}{lowest}{span}. EC2 can take the instances back at any "
            "time."
        )
    if isinstance(rates.scores, Unknown):
        yield from _wrapped(f"Spot's placement score: unknown: {rates.scores.reason}.")
    elif rates.scores:
        scored = ", ".join(f"{each.zone} {each.score}" for each in rates.scores)
        yield from _wrapped(
            f"Spot's placement score, from 1 to 10: {scored}. EC2 always gives a single type a low one."
        )


def _of_volume(one: Comparison) -> list[Price]:
    """The prices that a node's volume needs."""
    volume, rates = one.request.volume, one.rates
    return [
        rates.gib_month,
        *([rates.iops_month] if volume.iops > INCLUDED_IOPS else []),
        *([rates.mibps_month] if volume.throughput > INCLUDED_MIBPS else []),
    ]


def _accelerators(request: Launch) -> int:
    return request.type_facts.accelerator_count if request.type_facts else 0


def _sum_of(prices: Sequence[Price | Sum | None]) -> Sum:
    return added(("", one) for one in prices)


def _row(name: str, *columns: str) -> str:
    return f"{name:{_NAME}}" + "".join(f"{one:>{_COLUMN}}" for one in columns)


def _in_column(price: Price | Sum | None) -> str:
    """A price in a column: a sum of which a part is missing is unknown there, since the parts stand above it."""
    if isinstance(price, Sum) and (price.unknown or len(price.known) > 1):
        return "unknown" if price.unknown else shown(price)
    return shown(price)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
