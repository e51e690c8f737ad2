"""A Capacity Block, On-Demand and Spot for the same hours, and where one breaks even. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from nixl_efa.capacity.offering import hours_of
from nixl_efa.cost.blocks import Block
from nixl_efa.cost.money import Amount, Price, Sum, Unknown, added, times
from nixl_efa.cost.spot import Score
from nixl_efa.launch import Launch, Market, Volume

# AWS's own example divides a month's price by 30 days (aws.amazon.com/ebs/pricing).
MONTH_HOURS = 720
# What gp3 includes (EBS user guide, general-purpose).
INCLUDED_IOPS, INCLUDED_MIBPS = 3000, 125
DEFAULT_HOURS = Decimal(24)


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of one region and instance type, for an instance and hour unless a name says else.

    spot_zone: in which the Spot price is; spot_span: its lowest and highest of the last days; None where not known.
    scores: how likely EC2 thinks a Spot launch. The three of volumes are for a GiB, I/O operation or MiB/s and month.
    """

    on_demand: Price
    spot: Price
    gib_month: Price
    iops_month: Price
    mibps_month: Price
    address: Price
    spot_zone: str = ""
    spot_span: tuple[Decimal, Decimal] | None = None
    scores: tuple[Score, ...] | Unknown = ()


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The hours of use from which a block costs less than a market that is paid by the hour.

    hours: in which all nodes together are in use. reached: whether the block is usable that long.
    """

    market: Market
    hours: Decimal
    reached: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the nodes of one request cost for some hours on each market, without volumes and addresses.

    hours: asked for. block: bought, or the cheapest on offer; Unknown without one, with the reason.
    block_hours: of these, those that the block covers. used, idle: of its instance-hours, in the block's whole time.
    in_block: the nodes of the environment that run in the block; nodes of other requests can share it.
    next_block: bought to follow the block, and not counted here; None without.
    volumes, addresses: for the hours, on each market alike; None where there are none.
    """

    request: Launch
    rates: Rates
    hours: Decimal
    block: Block | Unknown
    block_hours: Decimal
    in_block: int
    used: Decimal
    idle: Decimal
    on_demand: Price
    spot: Price
    volumes: Sum
    addresses: Price | None
    next_block: Block | Unknown | None = None

    @property
    def block_price(self) -> Price:
        """The whole fee: it is paid whatever is used."""
        return self.block if isinstance(self.block, Unknown) else self.block.price

    @property
    def is_covered(self) -> bool:
        """Whether the block, where there is one, is usable for all the hours and nodes."""
        return isinstance(self.block, Unknown) or (self.block_hours == self.hours and not self.without_place)

    @property
    def without_place(self) -> int:
        """Nodes that are to be launched into the block and for which it has no instance."""
        return 0 if isinstance(self.block, Unknown) else max(self.in_block - self.block.size, 0)

    def total(self, market: Market) -> Sum:
        """All together on a market."""
        prices: dict[Market, Price] = {
            "capacity-block": self.block_price,
            "on-demand": self.on_demand,
            "spot": self.spot,
        }
        return added(
            [(market, prices[market]), ("volumes", self.volumes), ("public addresses", self.addresses)]
        )

    @property
    def break_even(self) -> tuple[BreakEven, ...]:
        """Against On-Demand and Spot, as far as both prices are known in one currency. Volumes and addresses are the
        same on each market, so they change nothing. None for a block that is too small for the nodes."""
        fee = self.block_price
        if isinstance(self.block, Unknown) or isinstance(fee, Unknown) or self.without_place:
            return ()
        found = []
        markets: tuple[tuple[Market, Price], ...] = (
            ("on-demand", self.rates.on_demand),
            ("spot", self.rates.spot),
        )
        for market, rate in markets:
            if isinstance(rate, Amount) and rate.currency == fee.currency:
                hours = fee.value / (rate.value * self.in_block)
                found.append(BreakEven(market, hours, hours <= hours_of(self.block.usable)))
        return tuple(found)


def compare(
    request: Launch,
    rates: Rates,
    block: Block | Unknown,
    hours: Decimal,
    next_block: Block | Unknown | None = None,
) -> Comparison:
    """The three for the same hours."""
    covered, used, idle, in_block = Decimal(0), Decimal(0), Decimal(0), request.count
    if isinstance(block, Block):
        in_block = request.count_in_reservation if block.bought else request.count
        covered = min(hours, hours_of(block.usable))
        used = min(in_block, block.instances) * covered
        idle = block.instance_hours - used
    return Comparison(
        request=request,
        rates=rates,
        hours=hours,
        block=block,
        block_hours=covered,
        in_block=in_block,
        used=used,
        idle=idle,
        on_demand=times(rates.on_demand, request.count * hours),
        spot=times(rates.spot, request.count * hours),
        volumes=volume_hours(request.volume, rates, request.count * hours),
        addresses=times(rates.address, request.count * hours) if request.elastic_ip else None,
        next_block=next_block,
    )


def volume_hours(volume: Volume, rates: Rates, hours: Decimal) -> Sum:
    """What a root volume costs for so many hours: storage, and what it has above what gp3 includes."""
    part = hours / MONTH_HOURS
    iops, mibps = max(volume.iops - INCLUDED_IOPS, 0), max(volume.throughput - INCLUDED_MIBPS, 0)
    return added(
        [
            ("volumes", times(rates.gib_month, volume.gib * part)),
            ("volumes", times(rates.iops_month, iops * part) if iops else None),
            ("volumes", times(rates.mibps_month, mibps * part) if mibps else None),
        ]
    )


def hours_to_compare(asked: int | None, blocks: Sequence[Block | Unknown]) -> list[Decimal]:
    """The hours for each request, by its block: the requested hours, else the usable time of its own bought block, else
    the longest usable time of the other blocks, else a day."""
    if asked is not None:
        return [Decimal(asked)] * len(blocks)
    own = [hours_of(one.usable) if isinstance(one, Block) and one.bought else None for one in blocks]
    otherwise = max((one for one in own if one is not None), default=DEFAULT_HOURS)
    return [otherwise if one is None else one for one in own]


def whole(comparisons: Sequence[Comparison], market: Market) -> Sum:
    """What all requests of an environment cost on a market; a purchase that several requests share is counted once."""
    parts: list[tuple[str, Price | Sum | None]] = []
    seen = set()
    for one in comparisons:
        called = f"{one.request.called} " if one.request.called else ""
        if market == "capacity-block":
            purchase = "" if isinstance(one.block, Unknown) else one.block.purchase
            if not purchase or purchase not in seen:
                parts.append((f"{called}block", one.block_price))
            seen.add(purchase)
        else:
            parts.append((f"{called}{market}", one.on_demand if market == "on-demand" else one.spot))
        parts += [(f"{called}volumes", one.volumes), (f"{called}public addresses", one.addresses)]
    return added(parts)
