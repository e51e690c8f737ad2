"""The calendar as lines of text, 80 characters at most. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from nixl_efa.capacity.agreement import money
from nixl_efa.capacity.calendar.model import (
    Calendar,
    Kind,
    Lane,
    Owned,
    Wanted,
    block_lanes,
    holds,
    movement,
    offer_lanes,
)
from nixl_efa.capacity.calendar.scale import Scale
from nixl_efa.capacity.history import rates, tracks
from nixl_efa.capacity.search import ORDERS
from nixl_efa.findings import counted
from nixl_efa.lines import folded
from nixl_efa.times import moment, span

WIDTH = 80
LABEL = 28
# If there are more starts than this, the text says how many are left out; the page shows all.
MOST_LANES = 16
MOST_CHEAPEST = 5
MARKS = {
    Kind.ACTIVE: "█",
    Kind.COMING: "▓",
    Kind.EXTENSION: "+",
    Kind.GAP: "!",
    Kind.OFFER: "░",
    Kind.UNUSABLE: "x",
}
SHORTER_END = "│"


def lines(calendar: Calendar, when: Callable[[datetime], str] = moment) -> list[str]:
    """The whole calendar. when: writes a moment, with the local time beside it where the caller wants that."""
    scale = Scale(calendar.now, calendar.end)
    ruler = _ruler(scale)
    found = [
        f"Capacity calendar of account {calendar.account.id}",
        f"from {moment(calendar.now)} to {moment(calendar.end)}",
        "",
    ]
    found += _legend(calendar)
    found += [f"{'BLOCKS':<{LABEL}}{ruler}"]
    found += [_drawn(lane, scale) for lane in block_lanes(calendar)] or ["  none"]
    for one in calendar.owned:
        found += _details(one, calendar, when)
    for wanted in calendar.wanted:
        currencies = sorted({one.currency for one in wanted.found.offerings})
        rate = f", {' or '.join(currencies)} for an instance-hour" if currencies else ""
        found += ["", f"OFFERS: {wanted.what}{rate}", f"{'':<{LABEL}}{ruler}"]
        found += _offers(wanted, scale)
        found += _cheapest(wanted, calendar)
        found += _moved(wanted)
    found += _warnings(calendar)
    return [line.rstrip() for line in found]


def _legend(calendar: Calendar) -> list[str]:
    lanes = [*block_lanes(calendar), *(lane for one in calendar.wanted for lane in offer_lanes(one))]
    kinds = {one.kind for lane in lanes for one in lane.spans}
    words = [f"{MARKS[kind]} {kind.value}" for kind in Kind if kind in kinds]
    words += [f"{SHORTER_END} a shorter one ends"] if any(lane.marks for lane in lanes) else []
    return [*_wrapped(", ".join(words), ""), ""] if words else []


def _ruler(scale: Scale) -> str:
    """The names of days along the line, as many as fit with a space between them."""
    columns = WIDTH - LABEL
    text = f"{scale.start:%m-%d}"
    for day in scale.days(columns // 8):
        column = int(scale.at(day) * columns)
        label = f"{day:%m-%d}"
        if column >= len(text) + 2 and column + len(label) <= columns:
            text = text.ljust(column) + label
    return text


def _drawn(lane: Lane, scale: Scale) -> str:
    """A lane; a span is at least one character long, so that an hour among weeks is still seen."""
    columns = WIDTH - LABEL
    cells = [" "] * columns
    for one in lane.spans:
        first = min(int(scale.at(one.start) * columns), columns - 1)
        last = max(int(scale.at(one.end) * columns), first + 1)
        cells[first:last] = MARKS[one.kind] * (last - first)
        for end in lane.marks:
            column = int(scale.at(end) * columns)
            # Marks side by side would cover the whole bar.
            if first < column < last and cells[column - 1] != SHORTER_END:
                cells[column] = SHORTER_END
        if one.end is None or one.end > scale.end:
            cells[-1] = ">"
    return f"{_label(lane):<{LABEL}}{''.join(cells)}"


def _label(lane: Lane) -> str:
    """The label with the words beside it. For offers these are the rates; their ids are listed below."""
    room = LABEL - 1
    if lane.offers:
        return f"{lane.label[: room - 1 - len(lane.note)]} {lane.note}"
    both = f"{lane.label} {lane.note}"
    return both if len(both) <= room else lane.label[:room]


def _details(one: Owned, calendar: Calendar, when: Callable[[datetime], str]) -> list[str]:
    found = one.reservation
    words = [f"{found.id} {found.size} x {found.instance_type}", found.zone, found.state]
    words += [f"for {one.used_by}" if one.used_by else "used by no environment"]
    if found.start is not None and found.start > calendar.now:
        words.append(f"starts {when(found.start)}")
    if found.end is None:
        words.append("without an end")
    else:
        words.append(f"ends {when(found.end)}")
    if one.terminates is not None and one.terminates > calendar.now:
        words.append(f"EC2 terminates its instances from {one.terminates:%H:%M} UTC on")
        words.append(f"in {span(one.terminates - calendar.now)}")
    if one.extends and one.extension is not None:
        words.append(f"extension to {moment(one.extension.end)} not yet paid")
    words += [f"{one.paid} paid"] if one.paid else []
    words += [f"{one.pending} to be paid"] if one.pending else []
    return _wrapped(", ".join(words), "  ")


def _offers(wanted: Wanted, scale: Scale) -> list[str]:
    lanes = offer_lanes(wanted)
    if not lanes:
        return [f"  {wanted.nothing}"]

    def rank(lane: Lane) -> tuple[bool, bool, Decimal]:
        first = lane.offers[0]
        rate = min(one.fee_per_instance_hour for one in lane.offers)
        return bool(first.unusable), first.region not in wanted.home, rate

    chosen = sorted(lanes, key=rank)[:MOST_LANES]
    shown = [_drawn(lane, scale) for lane in lanes if lane in chosen]
    if len(lanes) > len(shown):
        shown.append(f"  and {len(lanes) - len(shown)} more starts: --html FILE shows all")
    return shown


def _cheapest(wanted: Wanted, calendar: Calendar) -> list[str]:
    """The offers that are cheapest for an hour, in words; those that an environment can use come before all others."""
    usable = sorted(
        (one for one in wanted.found.offerings if not one.unusable),
        key=lambda one: (one.is_short, one.region not in wanted.home, ORDERS["rate"](one)),
    )
    known = tracks(wanted.looks)
    where = f" in {' and '.join(wanted.home)}" if wanted.home else ""
    found = [f"  the cheapest for an hour{where}:"] if usable else []
    for one in usable[:MOST_CHEAPEST]:
        since, before = movement(one, known, calendar.now)
        size = f", {holds(one)}" if holds(one) else ""
        told = f", {since}" if since == "new" else f", known since {since}"
        was = f", was {money(before)}" if before is not None else ""
        found += _wrapped(
            f"{one.id} {one.zone} {one.start:%m-%d %H:%M} to {one.end:%m-%d %H:%M} ({span(one.length)}): "
            f"{money(one.fee)} {one.currency}, {one.fee_per_instance_hour:.2f} an hour{size}"
            f"{told if len(wanted.looks) > 1 else ''}{was}",
            "  ",
        )
    return found


def _moved(wanted: Wanted) -> list[str]:
    """How the lowest rate of each region has moved, where there was more than one search."""
    found = []
    for (region, currency), points in rates(wanted.looks).items():
        known = [one for one in points if one.rate is not None]
        if len(points) < 2 or not known:
            continue
        lowest = min(known, key=lambda one: (one.rate, one.at))
        now = points[-1].rate
        found.append(
            f"  {region:<16}{f'{now:.2f}' if now is not None else 'none':>8} now, "
            f"{lowest.rate:.2f} lowest ({lowest.at:%m-%d}), {known[0].rate:.2f} first ({known[0].at:%m-%d}), "
            f"{currency}"
        )
    gone = len(wanted.gone(wanted.looks[-1].at)) if wanted.looks else 0
    head = f"  the lowest fee for an instance-hour of any length, in {counted(len(wanted.looks), 'search')}:"
    tail = [f"  {counted(gone, 'block')} of earlier searches not in AWS's answer any more"] if gone else []
    return [head, *found, *tail] if found else tail


def _warnings(calendar: Calendar) -> list[str]:
    found: list[str] = []
    for one in calendar.warnings:
        found += _wrapped(f"{one.level.value}: {one.line()}", "  ")
    for where, why in calendar.not_asked:
        found += _wrapped(f"not asked: {where}: {why}", "  ")
    if calendar.lost:
        found.append(f"  {counted(calendar.lost, 'line')} of the history can't be read")
    return ["", "WARNINGS", *found] if found else []


def _wrapped(text: str, indent: str) -> list[str]:
    """The text in lines that break between words, and never inside a command."""
    return folded(text, WIDTH, indent, len(indent) + 2)
