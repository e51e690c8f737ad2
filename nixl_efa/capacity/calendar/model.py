"""What a calendar shows: its lines and the spans on them. Pure."""

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

# The latest start of a block is 8 weeks ahead (EC2 user guide, capacity-blocks-purchase); one week more shows what
# follows. Later ends, up to half a year, are written in words: on such a long line a day could not be seen.
OFFERS_SHOWN = timedelta(weeks=9)
# Blocks end no later; an On-Demand reservation can, years ahead.
OWNED_SHOWN = timedelta(weeks=34)
SHORTEST_LINE = timedelta(days=7)
# An end without a next block becomes a warning this long before it.
END_IS_NEAR = timedelta(days=7)

# Uses of a block that was bought for an environment and that no node is launched into: NOT_SAVED, or UNSURE where the
# environment's parameters can't be read.
UNSURE = "not known as what"
LOOSE = (NOT_SAVED, UNSURE)


class Kind(StrEnum):
    """The kind of a span; its value is the kind in words."""

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

    offers: the offers on this line, the shortest first.
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
    """A living reservation: who uses it and as which block, its last extension, and what was paid for it. Texts are
    empty where this is not known. paid, pending: amounts with their currency."""

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

    environments: those that a block would be for. home: their regions.
    looks: the results of all searches for the same, this one last.
    """

    request: Request
    found: Found
    environments: tuple[str, ...] = ()
    home: tuple[str, ...] = ()
    accelerators: int = 0
    looks: tuple[Look, ...] = ()

    @property
    def what(self) -> str:
        """The count and the type, in words."""
        return f"{self.request.count} x {self.request.instance_type}"

    @property
    def nothing(self) -> str:
        """Why no offer is shown, in words."""
        if not self.found.answered:
            return "what is on offer is not known: no region answered"
        return "nothing is on offer" + (" in the regions that answered" if self.found.failed else "")

    def gone(self, now: datetime) -> list[Track]:
        """Blocks that an earlier search has shown, that are within this search's window, and that are no longer in
        AWS's answer. Regions that did not answer this time are left out."""
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

    regions:     those that were asked.
    targets:     the targets of each environment ("prod", "prod/2") in these regions.
    unknown:     those targets whose reservations could not be read.
    users_known: whether every environment that could use a block is known.
    not_asked:   what could not be asked, and why: ("eu-north-1", "no permission: ...").
    warnings:    the worst first.
    lost:        the number of lines of the history that can't be read.
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
        """The end of the time line: the last end of what is owned or offered, which counts as at most OWNED_SHOWN and
        OFFERS_SHOWN ahead."""
        if self.until is not None:
            return self.until
        ends = [min(one.reservation.end, self.now + OWNED_SHOWN) for one in self.owned if one.reservation.end]
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
    # Gaps first: where there is no room for both, the blocks are drawn over them.
    spans = [Span(Kind.GAP, start, end) for start, end in gaps(of_target(name, calendar.owned, used=True))]
    spans += [each for one in mine for each in _spans(one)]
    ids = ", ".join(one.reservation.id for one in mine)
    nothing = "not known" if name in calendar.unknown else "no reservation"
    return Lane(name, ids or nothing, tuple(spans))


def of_target(name: str, owned: Iterable[Owned], *, used: bool = False) -> list[Owned]:
    """The reservations of a target, the earliest first. used: only its current and its next one."""
    mine = [
        one for one in owned if any(user == name and not (used and kept in LOOSE) for user, kept in one.users)
    ]
    return sorted(mine, key=lambda one: (str(one.reservation.start or ""), one.reservation.id))


def gaps(mine: Iterable[Owned]) -> list[tuple[datetime, datetime]]:
    """The times between an environment's reservations in which it has none: from the end of one to the start of the
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
    """A line for each zone and start: its longest offer, with marks where shorter ones end. Offers that a pair can't
    use have lines of their own. Sorted by region, zone and start."""
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
    """What an offer of UltraServers holds: 18 instances (1 x u-p6e-gb200x72). Empty for single instances: their number
    is the one that was searched for."""
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
    """When an offer was first seen ("new" when no earlier search has shown it), and its fee before the last change;
    None where the fee has not changed."""
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
    """Findings about times: gaps, ends without a next block, blocks that nobody uses."""
    found = []
    for name in calendar.targets:
        if name not in calendar.unknown:
            found += _target_findings(name, of_target(name, calendar.owned, used=True), calendar.now)
    for one in calendar.owned if calendar.users_known else ():
        block = one.reservation
        if block.is_block and all(kept in LOOSE for _, kept in one.users):
            until = f" until {moment(block.end)}" if block.end else ""
            # Anybody can write a tag: its text goes into a command only when it names an environment of the project.
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
            "Its nodes have ended by then, and are deployed again into the next block.",
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
        # AWS sells no second extension while one is not paid; the finding about that one says what to do.
        waits = ends[end].extends
        message = (
            f"{last.id} of {name} ends at {moment(end)}, and nothing{' that is paid' if waits else ''} follows it. EC2 "
            f"begins to terminate its instances at {moment(begins)}{when}."
        )
        remedy = f"`nixl-efa capacity extend {last.id} --hours 24 --region {last.region}` buys more time."
        found.append(warned("end", message, remedy if last.is_block and not waits else ""))
    return found
