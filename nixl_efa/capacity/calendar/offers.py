"""The page's sections about offers: what can be bought now, and how fees have moved. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from html import escape

from nixl_efa.capacity.agreement import money
from nixl_efa.capacity.calendar.markup import folded, table
from nixl_efa.capacity.calendar.model import Calendar, Wanted, holds, movement, offer_lanes
from nixl_efa.capacity.calendar.scale import Scale
from nixl_efa.capacity.history import Point, rates, tracks
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.search import ORDERS
from nixl_efa.findings import counted
from nixl_efa.times import moment, span


def offers(wanted: Wanted, calendar: Calendar) -> str:
    """The section about what can be bought now: a table of starts and a table of all offers."""
    found = wanted.found
    where = f"For {escape(', '.join(wanted.environments))}. " if wanted.environments else ""
    sold = sorted({one.region for one in found.offerings})
    silent = sorted(found.failed)
    empty = [one for one in calendar.regions if one not in {*sold, *silent, *found.not_sold}]
    words = [f"On offer in {', '.join(sold)}." if sold else f"{wanted.nothing.capitalize()}."]
    words += [f"Sold, but nothing on offer: {', '.join(empty)}."] if empty else []
    words += [f"No answer, or not a whole one, from {', '.join(silent)}."] if silent else []
    words += [f"Not sold in {', '.join(found.not_sold)}."] if found.not_sold else []
    intro = f"<p>{where}{escape(' '.join(words))}</p>\n"
    if not found.offerings:
        return intro
    name = f"starts-{wanted.request.instance_type}-{wanted.request.count}"
    return intro + _starts(name, wanted) + _each(f"each-{name}", wanted, calendar)


def _starts(name: str, wanted: Wanted) -> str:
    """The table of starts: a row for each line of the picture."""
    heads = [
        ("Zone", "time"),
        ("Start", "time"),
        ("Lengths", "time"),
        ("Fee", "number"),
        ("Instance-hour", "number"),
        ("For a pair", "words"),
    ]
    rows = []
    for lane in offer_lanes(wanted):
        offered = lane.offers
        first, last = offered[0], offered[-1]
        fees = sorted(one.fee for one in offered)
        cells = [
            escape(lane.label),
            f"{first.start:%Y-%m-%d %H:%M}",
            f"{_range(span(first.length), span(last.length))} ({len(offered)})",
            f"{_range(f'{fees[0]:,.2f}', f'{fees[-1]:,.2f}')} {escape(first.currency)}",
            lane.note,
            escape(_for_a_pair(last, "yes")),
        ]
        rows.append(("dim" if last.unusable else "", cells))
    caption = f"What is on offer of {wanted.what}: each zone and start, with its lengths (and how many)."
    return table(name, caption, heads, rows)


def _range(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _for_a_pair(one: Offering, whether: str) -> str:
    return f"no: {one.unusable}" if one.unusable else ", ".join(filter(None, (whether, holds(one))))


def _each(name: str, wanted: Wanted, calendar: Calendar) -> str:
    """The table of all offers, each with the command that buys it. It is folded: all lengths of all regions can be
    hundreds of rows."""
    heads = [
        ("Offering", ""),
        ("Zone", "time"),
        ("Start", "time"),
        ("End", "time"),
        ("Length", "number"),
        ("Fee", "number"),
        ("Instance-hour", "number"),
        ("Accelerator-hour", "number"),
        ("For a pair", "words"),
        ("Known since", "time"),
        ("Fee before", "number"),
    ]
    known = tracks(wanted.looks)
    rows = []
    every = sorted(wanted.found.offerings, key=ORDERS["rate"])
    for one in every:
        since, before = movement(one, known, calendar.now)
        accelerator = one.fee_per_accelerator_hour(wanted.accelerators)
        short = f"shorter than the {one.asked_hours} h asked" if one.is_short else "yes"
        cells = [
            f"<code>{escape(one.id)}</code>",
            escape(one.zone),
            f"{one.start:%Y-%m-%d %H:%M}",
            f"{one.end:%Y-%m-%d %H:%M}",
            span(one.length),
            f"{money(one.fee)} {escape(one.currency)}",
            f"{one.fee_per_instance_hour:.2f}",
            "-" if accelerator is None else f"{accelerator:.2f}",
            escape(_for_a_pair(one, short)),
            escape(since),
            _before(one.fee, before),
        ]
        rows.append(("dim" if one.unusable or one.is_short else "", cells))
    caption = (
        "The cheapest for an hour first; those that are shorter than asked, or that no pair can use, at the end. "
        "Buy one by its id, on the machine that made this page."
    )
    return folded(f"All {counted(len(every), 'offer')}, with their ids", table(name, caption, heads, rows))


def _before(fee: Decimal, before: Decimal | None) -> str:
    if before is None:
        return "-"
    share = f" {abs(fee - before) / before * 100:.1f}%" if before else ""
    return f"{money(before)} ({'up' if fee > before else 'down'}{share})"


def fees(wanted: Wanted, calendar: Calendar) -> str:
    """The lowest rate of each region from search to search, and the offers that are gone."""
    heads = [
        ("Region", "time"),
        ("Searches", "number"),
        ("First", "number"),
        ("Lowest", "number"),
        ("Highest", "number"),
        ("Now", "number"),
        ("On offer now", "number"),
        ("Course", ""),
    ]
    moves = rates(wanted.looks)
    first = wanted.looks[0].at if wanted.looks else calendar.now
    rows = []
    for (region, currency), points in moves.items():
        priced = [one for one in points if one.rate is not None]
        if not priced:
            continue
        low = min(priced, key=lambda one: (one.rate, one.at))
        high = max(priced, key=lambda one: (one.rate, one.at))
        cells = [
            escape(region),
            str(len(points)),
            *(f"{one.rate:.2f} {escape(currency)} ({one.at:%m-%d})" for one in (priced[0], low, high)),
            "none" if points[-1].rate is None else f"{points[-1].rate:.2f}",
            str(points[-1].offers),
            _course(points, first, calendar.now),
        ]
        rows.append(("", cells))
    if not rows:
        return "<p>No search has found an offer that a pair can use.</p>\n"
    name = f"fees-{wanted.request.instance_type}-{wanted.request.count}"
    caption = (
        f"The lowest fee for an instance-hour that a pair could have had, of whatever length and start was asked for, "
        f"in {counted(len(wanted.looks), 'search')} on this machine since {moment(first)}."
    )
    return table(name, caption, heads, rows) + _gone(wanted, calendar)


def _course(points: Sequence[Point], first: datetime, now: datetime) -> str:
    """The rates as a step line, from the very first search to now, with gaps where nothing was on offer. "-" for a
    single search."""
    priced = [one.rate for one in points if one.rate is not None]
    if len(points) < 2 or first >= now:
        return "-"
    low, height = min(priced), max(priced) - min(priced)
    scale = Scale(first, now)
    parts: list[list[str]] = [[]]
    for at, one in enumerate(points):
        end = points[at + 1].at if at + 1 < len(points) else now
        if one.rate is None:
            parts.append([])
            continue
        up = 22 - float((one.rate - low) / height * 20) if height else 12.0
        # The last search is at the present time: its step takes the rest of the width.
        right = scale.at(end) * 112 if at + 1 < len(points) else 120.0
        parts[-1] += [f"{scale.at(one.at) * 112:.1f},{up:.1f}", f"{right:.1f},{up:.1f}"]
    drawn = "".join(f'<polyline points="{" ".join(part)}"/>' for part in parts if part)
    return f'<svg viewBox="0 0 120 24" preserveAspectRatio="none" aria-hidden="true" focusable="false">{drawn}</svg>'


def _gone(wanted: Wanted, calendar: Calendar) -> str:
    gone = wanted.gone(calendar.now)
    if not gone:
        return ""
    heads = [("Zone", "time"), ("Start", "time"), ("End", "time"), ("Fee", "number"), ("Last seen", "time")]
    rows = [
        (
            "",
            [
                escape(one.last.zone),
                f"{one.last.start:%Y-%m-%d %H:%M}",
                f"{one.last.end:%Y-%m-%d %H:%M}",
                f"{money(one.last.fee)} {escape(one.last.currency)}",
                f"{one.last_at:%Y-%m-%d %H:%M}",
            ],
        )
        for one in gone
    ]
    name = f"gone-{wanted.request.instance_type}-{wanted.request.count}"
    title = f"{counted(len(gone), 'offer')} of earlier searches, no longer shown"
    caption = (
        "Offers of earlier searches that AWS's answer does not hold any more: bought by somebody, or left out, since "
        "an answer has a few offers only."
    )
    return folded(title, table(name, caption, heads, rows))
