"""Which Capacity Blocks are on offer: the same for the same region, date, type, count and length. Pure.

The rules are AWS's (EC2 user guide, capacity-blocks-purchase; botocore's DescribeCapacityBlockOfferings): starts at any
minute from half an hour to eight weeks ahead, every end at 11:30 UTC, so that a block is up to a day shorter or longer
than requested; the fee is a string, for all instances and the whole time; up to six offerings, in no order. A public
log of AWS, for a search of 24 h, shows blocks of 24 h from 11:30, and of 19 h 17 min and 43 h 17 min from 16:13 on.
Which regions sell, and every fee, are invented. An offering has a fixed id here; each answer shows it under a new id.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

END_OF_BLOCKS = time(11, 30, tzinfo=UTC)
EARLIEST = timedelta(minutes=30)
LATEST = timedelta(weeks=8)
MOST_INSTANCES = 64
MOST_INSTANCES_IN_BLOCKS = 256
MOST_OFFERINGS = 6
_ZONES = 2  # zones of a region that sell blocks of a type
_SHORTEST = timedelta(hours=2)

# USD an instance-hour, near AWS's list of 2026 (aws.amazon.com/ec2/capacityblocks/pricing).
_RATES = {
    "p4d.24xlarge": 11.80,
    "p4de.24xlarge": 14.75,
    "p5.4xlarge": 3.933,
    "p5.48xlarge": 31.464,
    "p5e.48xlarge": 34.608,
    "p5en.48xlarge": 36.184,
    "p6-b200.48xlarge": 74.88,
    "p6-b300.48xlarge": 92.40,
    "p6e-gb200.36xlarge": 42.328,
    "trn1.32xlarge": 9.532,
    "trn2.3xlarge": 2.235,
    "trn2.48xlarge": 35.7608,
    "trn2u.48xlarge": 35.7608,
}
# Regions that sell blocks: fewer than those that offer the types, as on AWS.
_SELLING = {
    "us-east-1": ("p4d", "p5", "p5en", "p6-b200", "p6e-gb200"),
    "us-east-2": ("p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "trn1", "trn2", "trn2u"),
    "us-west-2": ("p4d", "p5", "p5e", "p5en", "p6-b200", "p6-b300", "trn1"),
    "ap-northeast-1": ("p5", "p5en"),
    "ap-south-1": ("p5",),
    "ap-southeast-4": ("trn1", "trn2"),
    "eu-north-1": ("p5", "p5en"),
    "sa-east-1": ("p5",),
}


_Span = tuple[str, datetime, datetime]  # zone, start, end


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an offering in one zone and one stretch of time, with its part of the fee in USD."""

    zone: str
    start: datetime
    end: datetime
    count: int
    fee: float


@dataclass(frozen=True, slots=True)
class Offering:
    """A block that can be bought. `fee` in USD at the list price; more than one part can't hold a pair.

    ultra_server, ultra_server_count: what the `count` instances are, when they are not sold one by one.
    """

    id: str
    instance_type: str
    zone: str
    count: int
    start: datetime
    end: datetime
    fee: float
    parts: tuple[Part, ...] = ()
    ultra_server: str = ""
    ultra_server_count: int = 0


def duration_is_sold(hours: int) -> bool:
    """24-hour steps to 14 days, then 168-hour steps to 182 days."""
    return (24 <= hours <= 336 and hours % 24 == 0) or (336 < hours <= 4368 and hours % 168 == 0)


def sells(region: str, instance_type: str) -> bool:
    """Whether the region sells blocks of the type."""
    return instance_type in _RATES and instance_type.partition(".")[0] in _SELLING.get(region, ())


def offerings(
    region: str,
    zones: Sequence[str],
    instance_type: str,
    count: int,
    hours: int,
    now: datetime,
    earliest: datetime | None = None,
    latest_end: datetime | None = None,
) -> tuple[Offering, ...]:
    """What is on offer between `earliest` start and `latest_end`, in no order; `zones` offer the type.

    One whole offering covers the hours asked for, wherever the range of dates leaves room for it.
    """
    if not sells(region, instance_type) or not zones:
        return ()
    zones = sorted(sorted(zones, key=lambda zone: _number(zone, instance_type))[:_ZONES])
    first = max(now + EARLIEST, earliest or now)
    length = timedelta(hours=hours)

    def allowed(spans: Iterable[_Span]) -> Iterator[Offering]:
        for zone, start, end in spans:
            if start <= now + LATEST and (latest_end is None or end <= latest_end):
                yield _offering(region, zone, instance_type, count, start, end)

    covering = list(allowed(_soon(region, zones, instance_type, first, length)))
    shorter = list(allowed(_cut_short(region, zones, instance_type, first, length)))
    for day in range(1, (LATEST + timedelta(days=1)).days):
        opening = datetime.combine(first.date() + timedelta(days=day), END_OF_BLOCKS)
        left = [zone for zone in zones if _number(region, zone, instance_type, opening.date()) % 3]
        covering += allowed((zone, opening, opening + length) for zone in left)
    covering = covering[: MOST_OFFERINGS - 1 - len(shorter)]
    found = [*covering, *shorter, *_split(covering, region, zones)]
    return tuple(sorted(found, key=lambda offering: _number(offering.id)))


def of_ultra_servers(found: Iterable[Offering], name: str, count: int) -> tuple[Offering, ...]:
    """Offerings of all instances of `count` UltraServers, as offerings of these: an UltraServer has no parts."""
    return tuple(
        replace(one, id=_identifier("cb", one.id, name, count), ultra_server=name, ultra_server_count=count)
        for one in found
        if not one.parts
    )


def _soon(
    region: str, zones: Sequence[str], instance_type: str, first: datetime, length: timedelta
) -> Iterator[_Span]:
    """A block in each zone that starts within half an hour, at any minute, and is longer than was asked for."""
    for zone in zones:
        start = _next_start(first, _number(region, zone, instance_type) % 30)
        yield zone, start, _next_end(start + length)


def _cut_short(
    region: str, zones: Sequence[str], instance_type: str, first: datetime, length: timedelta
) -> Iterator[_Span]:
    """The same block a day shorter: always in the first zone, in the second one by a pseudo-random choice. No block is
    shorter than two hours."""
    for zone, start, end in _soon(region, zones, instance_type, first, length):
        by_chance = _number(region, zone, instance_type, first.date()) % 2
        end -= timedelta(days=1)
        if (zone == zones[0] or by_chance) and end - start >= _SHORTEST:
            yield zone, start, end


def _offering(
    region: str, zone: str, instance_type: str, count: int, start: datetime, end: datetime
) -> Offering:
    luck = _number(region, zone, instance_type, start.date().isoformat())
    fee = _RATES[instance_type] * (0.9 + luck % 31 / 100) * count * _hours(end - start)
    identifier = _identifier("cb", region, zone, instance_type, count, start, end)
    return Offering(identifier, instance_type, zone, count, start, end, fee)


def _split(found: Sequence[Offering], region: str, zones: Sequence[str]) -> Iterator[Offering]:
    """The last offering again, cheaper, with its last 12 hours in another zone: two segments."""
    if not found:
        return
    whole = found[-1]
    middle = whole.end - timedelta(hours=12)
    other = zones[(zones.index(whole.zone) + 1) % len(zones)]
    rate = whole.fee * 0.8 / _hours(whole.end - whole.start)
    spans = ((whole.zone, whole.start, middle), (other, middle, whole.end))
    parts = tuple(
        Part(zone, start, end, whole.count, rate * _hours(end - start)) for zone, start, end in spans
    )
    identifier = _identifier("cb", region, "split", whole.instance_type, whole.count, whole.start, whole.end)
    fee = sum(part.fee for part in parts)
    yield Offering(
        identifier, whole.instance_type, whole.zone, whole.count, whole.start, whole.end, fee, parts
    )


def shown_again(offering: Offering, hours: int, times: int) -> Offering:
    """The offering as the answer to the `times`-th question for `hours`: the same question gets new ids each time, and
    another question, too (remarks in terraform-provider-aws's test of the data source)."""
    return replace(offering, id=_identifier("cb", offering.id, hours, times))


def extension_fee(instance_type: str, count: int, hours: int) -> float:
    """The list price in USD of `hours` more of a block."""
    return _RATES[instance_type] * count * hours


def extension_id(reservation_id: str, end: datetime, hours: int) -> str:
    """The id of the offering that extends a reservation from `end` by `hours`."""
    return _identifier("cbe", reservation_id, end, hours)


def money(amount: float) -> str:
    """A fee as the API writes it: USD, a string."""
    return f"{amount:.4f}"


def _next_start(moment: datetime, minute: int) -> datetime:
    """The first time from `moment` on that is `minute` minutes after a full or a half hour."""
    floor = moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0)
    start = floor + timedelta(minutes=minute)
    return start if start >= moment else start + timedelta(minutes=30)


def _next_end(moment: datetime) -> datetime:
    """The first 11:30 UTC from `moment` on: a block that starts at any other time is longer than was asked for."""
    end = datetime.combine(moment.date(), END_OF_BLOCKS)
    return end if end >= moment else end + timedelta(days=1)


def _hours(length: timedelta) -> float:
    return length.total_seconds() / 3600


def _number(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:4])


def _identifier(prefix: str, *parts: object) -> str:
    return f"{prefix}-{hashlib.sha256('|'.join(map(str, parts)).encode()).hexdigest()[:17]}"
