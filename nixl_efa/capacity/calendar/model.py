"""What a calendar shows, and what is on its lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from nixl_efa.account import Account
from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.extension import PENDING, Extension
from nixl_efa.capacity.history import Look, Track, tracks
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.search import Found, Request
from nixl_efa.capacity.users import NOT_SAVED
from nixl_efa.findings import Finding, counted, warned
from nixl_efa.times import moment, span

# As late as a block can start (EC2 user guide, capacity-blocks-purchase), and a week of it: the ends of half a year are
# told in words, since a day would be nothing on their line.
OFFERS_SHOWN = timedelta(weeks=9)
SHORTEST_LINE = timedelta(days=7)
# An end without a successor is a warning so long before.
END_IS_NEAR = timedelta(days=7)

# As what a block is bought for an environment and yet not launched into; UNSURE where its parameters can't be read.
UNSURE = "not known as what"
LOOSE = (NOT_SAVED, UNSURE)


class Kind(StrEnum):
    """What a span of a line is; its value says it in words."""

    ACTIVE = "active"
    COMING = "bought, not yet active"
    EXTENSION = "extension, not yet paid"
    GAP = "nothing between two blocks"
    OFFER = "on offer"
    UNUSABLE = "on offer, but not for a pair"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line. end None: it has no end."""

    kind: Kind
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A line: a label, a few words beside it, and its spans.

    offers: those that it shows, the shortest first. marks: where the shorter ones end.
    """

    label: str
    note: str
    spans: tuple[Span, ...]
    offers: tuple[Offering, ...] = ()

    @property
    def marks(self) -> tuple[datetime, ...]:
        """The ends that lie within the line's span."""
        return tuple(sorted({one.end for one in self.offers})[:-1])


@dataclass(frozen=True, slots=True)
class Owned:
    """A living reservation: who uses it and as what, its last extension, and what was paid for it; the texts are empty
    where that is not known. paid, pending: amounts with their currency."""

    reservation: Reservation
    users: tuple[tuple[str, str], ...] = ()
    extension: Extension | None = None
    paid: str = ""
    pending: str = ""

    @property
    def used_by(self) -> str:
        """Its environments in words; empty for none."""
        return ", ".join(name if kept == "current" else f"{name} ({kept})" for name, kept in self.users)

    @property
    def extends(self) -> bool:
        """Whether an extension is bought and not yet paid."""
        return self.extension is not None and self.extension.status == PENDING

    @property
    def terminates(self) -> datetime | None:
        """When EC2 begins to terminate what runs in it."""
        one = self.reservation
        return terminates_at(one.end, one.instance_type) if one.end and one.is_block else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was searched for, and what was found.

    environments: for which it would be; home: their regions.
    looks: what searches for the same have found, this one last.
    """

    request: Request
    found: Found
    environments: tuple[str, ...] = ()
    home: tuple[str, ...] = ()
    accelerators: int = 0
    looks: tuple[Look, ...] = ()

    @property
    def what(self) -> str:
        """So many of a type."""
        return f"{self.request.count} x {self.request.instance_type}"

    def gone(self, now: datetime) -> list[Track]:
        """Blocks that an earlier search has shown, that would fit this one's window, and that AWS's answer has no more;
        those of regions that did not answer this time are not among them."""
        there = {one.block for one in self.looks[-1].seen} if self.looks else set()
        asked = set(self.looks[-1].regions) if self.looks else set()
        first = max(now, self.request.earliest_start)
        last = max(self.request.end_for(hours) for hours in self.request.hours)
        longest = timedelta(hours=max(self.request.hours), days=1)
        found = [
            track
            for block, track in tracks(self.looks).items()
            if block not in there
            and track.last.region in asked
            and track.last.start >= first
            and track.last.end <= last
            and track.last.end - track.last.start <= longest
        ]
        return sorted(found, key=lambda one: (one.last.region, one.last.zone, one.last.start, one.last.end))


@dataclass(frozen=True, slots=True)
class Calendar:
    """All that is shown.

    regions: those that were asked. targets: what each environment has a reservation for ("prod", "prod/2"), in these
    regions. unknown: those of them whose reservations could not be asked for. users_known: whether all are known that
    could use a block.
    not_asked: what could not be asked and why: ("eu-north-1", "no permission: ...").
    warnings: the worst first. lost: lines of the history that can't be read.
    """

    now: datetime
    account: Account
    regions: tuple[str, ...]
    targets: tuple[str, ...]
    owned: tuple[Owned, ...]
    wanted: tuple[Wanted, ...]
    unknown: tuple[str, ...] = ()
    users_known: bool = True
    until: datetime | None = None
    not_asked: tuple[tuple[str, str], ...] = ()
    warnings: tuple[Finding, ...] = ()
    lost: int = 0

    @property
    def end(self) -> datetime:
        """Where the time line ends: with what is owned, and with the offers, but for those of months."""
        if self.until is not None:
            return self.until
        ends = [one.reservation.end for one in self.owned if one.reservation.end]
        ends += [one.extension.end for one in self.owned if one.extension and one.extends]
        ends += [
            min(offering.end, self.now + OFFERS_SHOWN)
            for wanted in self.wanted
            for offering in wanted.found.offerings
        ]
        return max([*ends, self.now + SHORTEST_LINE])


def block_lanes(calendar: Calendar) -> list[Lane]:
    """A line for each environment's reservations, and one for each that no environment uses."""
    lanes = [_environment_lane(name, calendar) for name in calendar.targets]
    known = set(calendar.targets)
    for one in calendar.owned:
        if not {name for name, _ in one.users} & known:
            found = one.reservation
            lanes.append(Lane(found.id, one.used_by or "no environment", tuple(_spans(one))))
    return lanes


def _environment_lane(name: str, calendar: Calendar) -> Lane:
    mine = of_target(name, calendar.owned)
    # Gaps first: where there is no room for both, the blocks are seen.
    spans = [Span(Kind.GAP, start, end) for start, end in gaps(of_target(name, calendar.owned, used=True))]
    spans += [each for one in mine for each in _spans(one)]
    ids = ", ".join(one.reservation.id for one in mine)
    nothing = "not known" if name in calendar.unknown else "no reservation"
    return Lane(name, ids or nothing, tuple(spans))


def of_target(name: str, owned: Iterable[Owned], *, used: bool = False) -> list[Owned]:
    """What a target has, the earliest first. used: only what it is launched into, now or next."""
    mine = [
        one for one in owned if any(user == name and not (used and kept in LOOSE) for user, kept in one.users)
    ]
    return sorted(mine, key=lambda one: (str(one.reservation.start or ""), one.reservation.id))


def gaps(mine: Iterable[Owned]) -> list[tuple[datetime, datetime]]:
    """The times between an environment's reservations in which it has none, from the end of the one to the start of the
    next."""
    found = []
    until: datetime | None = None
    for one in mine:
        start, end = one.reservation.start, one.reservation.end
        if until is not None and start is not None and start > until:
            found.append((until, start))
        if end is None:
            return found
        until = end if until is None else max(until, end)
    return found


def _spans(one: Owned) -> list[Span]:
    found = one.reservation
    kind = Kind.ACTIVE if found.state == "active" else Kind.COMING
    spans = [Span(kind, found.start, found.end)] if found.start else []
    if one.extends and one.extension is not None:
        spans.append(Span(Kind.EXTENSION, one.extension.start, one.extension.end))
    return spans


def offer_lanes(wanted: Wanted) -> list[Lane]:
    """A line for each zone and start: its longest offer, with marks where shorter ones end; those that a pair can't use
    by themselves. By region, zone and start."""
    groups: dict[tuple[str, str, datetime, int, bool], list[Offering]] = {}
    for one in wanted.found.offerings:
        key = (one.region, one.zone, one.start, one.count, bool(one.unusable))
        groups.setdefault(key, []).append(one)
    lanes = []
    for key in sorted(groups):
        offers = tuple(sorted(groups[key], key=lambda one: one.end))
        longest = offers[-1]
        kind = Kind.UNUSABLE if longest.unusable else Kind.OFFER
        drawn = Span(kind, longest.start, longest.end)
        lanes.append(Lane(longest.zone, rates_text(offers), (drawn,), offers))
    return lanes


def holds(offering: Offering) -> str:
    """What an offer of UltraServers holds: 18 instances (1 x u-p6e-gb200x72); empty for instances one by one, which are
    as many as were searched for."""
    if not offering.ultra_server:
        return ""
    return f"{counted(offering.count, 'instance')} ({offering.ultra_servers})"


def rates_text(offers: Sequence[Offering]) -> str:
    """The lowest and the highest rate of some offers: 28.63-31.00."""
    rates = sorted(one.fee_per_instance_hour for one in offers)
    low, high = f"{rates[0]:.2f}", f"{rates[-1]:.2f}"
    return low if low == high else f"{low}-{high}"


def movement(
    offering: Offering, known: Mapping[tuple[object, ...], Track], now: datetime
) -> tuple[str, Decimal | None]:
    """Since when an offer is known ("new" for one that no earlier search has shown), and its fee before the last
    change; None where it has not moved."""
    block = (
        offering.region,
        offering.zone,
        offering.count,
        offering.start,
        offering.end,
        not offering.unusable,
    )
    track = known.get(block)
    if track is None or track.first_at >= now:
        return "new", None
    return f"{track.first_at:%m-%d %H:%M}", track.before


def ends_findings(calendar: Calendar) -> list[Finding]:
    """What the times of the reservations mean: gaps, ends that nothing follows, blocks that nobody uses."""
    found = []
    for name in calendar.targets:
        if name not in calendar.unknown:
            found += _target_findings(name, of_target(name, calendar.owned, used=True), calendar.now)
    for one in calendar.owned if calendar.users_known else ():
        block = one.reservation
        if block.is_block and all(kept in LOOSE for _, kept in one.users):
            until = f" until {moment(block.end)}" if block.end else ""
            # A tag is what anybody wrote: it is in a command only when it names an environment of the project.
            owner = next((name for name, _ in one.users if name in calendar.targets), "ENV")
            message = f"{block.id} is bought{until}, and no environment uses it."
            remedy = (
                f"`nixl-efa capacity save {block.id} --env {owner} --region {block.region}` gives it to one."
            )
            found.append(warned("unused", message, remedy))
    return found


def _target_findings(name: str, mine: list[Owned], now: datetime) -> list[Finding]:
    found = [
        warned(
            "gap",
            f"{name} has no capacity from {moment(start)} to {moment(end)} ({span(end - start)}).",
            "Its nodes are gone by then, and are deployed anew into the next block.",
        )
        for start, end in gaps(mine)
    ]
    ends = {one.reservation.end: one for one in mine if one.reservation.end is not None}
    if not ends or any(one.reservation.end is None for one in mine):
        return found
    end = max(ends)
    last, begins = ends[end].reservation, ends[end].terminates or end
    if end - now <= END_IS_NEAR:
        left = begins - now
        when = f" (in {span(left)})" if left > timedelta(0) else ""
        message = (
            f"{last.id} of {name} ends at {moment(end)}, and nothing follows it. EC2 begins to terminate its instances "
            f"at {moment(begins)}{when}."
        )
        remedy = f"`nixl-efa capacity extend {last.id} --hours 24 --region {last.region}` buys more time."
        found.append(warned("end", message, remedy if last.is_block else ""))
    return found


def searches(wanted: Wanted) -> str:
    """How many there were, in words."""
    number = len(wanted.looks)
    return f"{number} search" if number == 1 else f"{number} searches"
