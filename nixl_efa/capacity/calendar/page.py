"""The calendar as an HTML page in one file: it loads nothing else and runs no script. Pure.

The time line is a picture; the tables below it say the same in text, for screen readers too.
"""

from __future__ import annotations

from html import escape

from nixl_efa.capacity.calendar.markup import When, document, table, time_of, with_code
from nixl_efa.capacity.calendar.model import Calendar, Kind, Lane, Owned, block_lanes, holds, offer_lanes
from nixl_efa.capacity.calendar.offers import fees, offers
from nixl_efa.capacity.calendar.scale import Scale
from nixl_efa.findings import counted
from nixl_efa.times import moment, span

# The most days that are named along the line: a phone's screen has room for no more.
MOST_DAYS = 7
CLASSES = {
    Kind.ACTIVE: "active",
    Kind.COMING: "coming",
    Kind.EXTENSION: "extension",
    Kind.GAP: "gap",
    Kind.OFFER: "offer",
    Kind.UNUSABLE: "unusable",
}


def page(calendar: Calendar, when: When = moment) -> str:
    """The page. when: writes a moment, with the local time beside it where the caller wants that."""
    title = f"Capacity calendar of account {calendar.account.id}, {moment(calendar.now)}"
    sections = [
        ("warnings", "Warnings", _warnings(calendar)),
        ("line", "Time line", _line(calendar)),
        ("blocks", "Blocks and reservations", _blocks(calendar, when)),
        *(
            (f"offers-{number}", f"Offers: {one.what}", offers(one, calendar))
            for number, one in enumerate(calendar.wanted, 1)
        ),
        *(
            (f"fees-{number}", f"How fees moved: {one.what}", fees(one, calendar))
            for number, one in enumerate(calendar.wanted, 1)
        ),
    ]
    return document(
        title,
        "Capacity calendar",
        f"{_account(calendar)}, as AWS answered at {time_of(calendar.now, when)}. Times are UTC. Fees are in the "
        "currency that\nis next to them, for all instances and the whole time.",
        ("line", "To the time line"),
        sections,
        "Offers change from minute to minute, and each search gives\nthem new ids. An offering is searched for again "
        "before it is bought.",
    )


def _account(calendar: Calendar) -> str:
    alias = f" ({escape(calendar.account.alias)})" if calendar.account.alias else ""
    asked = counted(len(calendar.regions), "region")
    return f"Account {escape(calendar.account.id)}{alias}, {asked}"


def _warnings(calendar: Calendar) -> str:
    rows = [
        f'<li><span class="{"fail" if one.level.value == "FAIL" else "warn"}">{one.level.value}</span> '
        f"{with_code(one.line())}</li>"
        for one in calendar.warnings
    ]
    rows += [
        f'<li><span class="warn">Not asked</span>: {escape(where)}: {with_code(why)}</li>'
        for where, why in calendar.not_asked
    ]
    if calendar.lost:
        rows.append(f"<li>{counted(calendar.lost, 'line')} of the history can't be read.</li>")
    joined = "\n".join(rows)
    return f'<ul class="findings">\n{joined}\n</ul>\n' if rows else "<p>None.</p>\n"


def _line(calendar: Calendar) -> str:
    scale = Scale(calendar.now, calendar.end)
    groups: list[tuple[str, list[Lane]]] = [("Blocks and reservations", block_lanes(calendar))]
    for wanted in calendar.wanted:
        regions: dict[str, list[Lane]] = {}
        for lane in offer_lanes(wanted):
            regions.setdefault(lane.offers[0].region, []).append(lane)
        groups += [(f"Offers of {wanted.what} in {region}", lanes) for region, lanes in regions.items()]
    drawn = [(title, lanes) for title, lanes in groups if lanes]
    kinds = {one.kind for _, lanes in drawn for lane in lanes for one in lane.spans}
    legend = "".join(
        f'<li><span class="bar {CLASSES[kind]}"></span>{escape(kind.value)}</li>\n'
        for kind in Kind
        if kind in kinds
    )
    count = sum(len(lanes) for _, lanes in drawn)
    told = (
        f"{counted(count, 'line')} from {moment(calendar.now)} to {moment(calendar.end)}. "
        "The tables below say the same."
    )
    rows = "".join(
        f'<div class="group">{escape(title)}</div>\n' + "".join(_row(lane, scale) for lane in lanes)
        for title, lanes in drawn
    )
    offered = (
        " A notch in an offer is where a shorter one ends. Its numbers are the fee for an instance-hour, of the "
        "cheapest and the most expensive length."
    )
    return f"""<p>From {moment(calendar.now)} to {moment(calendar.end)}. A bar that goes beyond has a double
edge.{offered if calendar.wanted else ""}</p>
<ul class="legend">
{legend}</ul>
<div class="line" role="img" aria-label="{escape(told)}">
<div aria-hidden="true">
<div class="row head"><div class="label"></div>{_days(scale)}</div>
{rows}</div>
</div>
"""


def _days(scale: Scale) -> str:
    names = "".join(
        f'<span style="left:{_percent(scale.at(day))}">{day:%m-%d}</span>'
        for day in scale.days(MOST_DAYS)
        if scale.at(day) < 0.87
    )
    return f'<div class="track days">{names}</div>'


def _percent(part: float) -> str:
    return f"{part * 100:.2f}%"


def _row(lane: Lane, scale: Scale) -> str:
    bars = "".join(
        f'<span class="bar {CLASSES[one.kind]}{" more" if one.end is None or one.end > scale.end else ""}" '
        f'style="left:{_percent(scale.at(one.start))};width:{_percent(scale.at(one.end) - scale.at(one.start))}">'
        "</span>"
        for one in lane.spans
    )
    marks = "".join(
        f'<span class="mark" style="left:{_percent(scale.at(end))}"></span>'
        for end in lane.marks
        if end < scale.end
    )
    note = lane.note
    if lane.offers:
        note = ", ".join(filter(None, (f"{lane.note} {lane.offers[0].currency}", holds(lane.offers[0]))))
    label = f'<div class="label"><b>{escape(lane.label)}</b> <span>{escape(note)}</span></div>'
    return f'<div class="row">{label}<div class="track">{bars}{marks}</div></div>\n'


def _blocks(calendar: Calendar, when: When) -> str:
    if not calendar.owned:
        return "<p>There are none that have not ended.</p>\n"
    heads = [
        ("Reservation", ""),
        ("Used by", ""),
        ("State", ""),
        ("Holds", ""),
        ("Start", "time"),
        ("End", "words"),
        ("Paid", "words"),
    ]
    rows = []
    for one in calendar.owned:
        found = one.reservation
        fees = filter(None, (one.paid, f"{one.pending} to be paid" if one.pending else ""))
        cells = [
            f"<code>{escape(found.id)}</code>",
            escape(one.used_by or "no environment"),
            escape(found.state),
            escape(f"{found.size} x {found.instance_type} in {found.zone}"),
            time_of(found.start, when) if found.start else "-",
            _end(one, calendar, when),
            escape(", ".join(fees) or "not known"),
        ]
        rows.append(("", cells))
    return table("blocks", "What this account has, by its end.", heads, rows)


def _end(one: Owned, calendar: Calendar, when: When) -> str:
    """The end, the time when EC2 begins to terminate, and the end after the last extension; each on its own line."""
    end, terminates = one.reservation.end, one.terminates
    if end is None:
        return "none"
    told = [time_of(end, when)]
    if terminates is not None and terminates > calendar.now:
        told.append(f"EC2 terminates from {terminates:%H:%M} UTC on, in {span(terminates - calendar.now)}")
    if one.extension is not None:
        told.append(escape(f"extension to {moment(one.extension.end)}: {one.extension.status}"))
    return "<br>".join(told)
