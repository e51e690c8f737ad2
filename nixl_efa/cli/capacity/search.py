"""`nixl-efa capacity search`: what is on offer, as a table, as bars on one line of days, or as a document."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli.capacity.session import (
    AsJson,
    Profile,
    Regions,
    Session,
    Timeout,
    failed_regions,
    interruptible,
    session,
    tell_failed,
    timeout_seconds,
)
from nixl_efa.cli.output import (
    BadInput,
    Failure,
    console,
    data,
    print_json,
    print_rows,
    say,
    short_times,
    times_heading,
)
from nixl_efa.cli.project import environments
from nixl_efa.lines import Column
from nixl_efa.times import span

if TYPE_CHECKING:
    from nixl_efa.capacity.offering import Offering
    from nixl_efa.capacity.search import Found, Request
    from nixl_efa.capacity.watch import Watch

DEFAULT_COUNT = 2
DEFAULT_HOURS = 24
SORTS = ("fee", "start", "rate")
MOST_ROWS = 20
_LABEL_WIDTH = 24
# A date and the space to the next one.
_TICK_WIDTH = 8


def search(
    instance_type: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help="For example p5.48xlarge, or an UltraServer: u-p6e-gb200x72."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Argument(metavar="[COUNT]", help="Instances, 1 to 64 (default: 2), or UltraServers (1)."),
    ] = None,
    hours: Annotated[
        int | None,
        typer.Argument(
            metavar="[HOURS]", help="Length: 24-hour steps to 336, then 168 to 4368 (default: 24)."
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            help="Use this environment's type, number of nodes and region.",
            autocompletion=environments,
        ),
    ] = None,
    region: Regions = None,
    hours_list: Annotated[
        str | None, typer.Option("--hours", metavar="LIST", help="Several lengths: 24,48,168.")
    ] = None,
    earliest: Annotated[
        str | None, typer.Option("--from", metavar="WHEN", help="Earliest start: a date, a time or +7d.")
    ] = None,
    latest: Annotated[
        str | None,
        typer.Option("--to", metavar="WHEN", help="Latest end. [default: the latest that AWS sells]"),
    ] = None,
    sort: Annotated[str, typer.Option(metavar="|".join(SORTS), help="Order of the table.")] = "fee",
    watching: Annotated[
        bool, typer.Option("--watch", help="Search again and again until one fits; buys nothing.")
    ] = False,
    max_rate: Annotated[
        str | None, typer.Option(metavar="USD", help="With --watch: the highest price for an instance-hour.")
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="With --watch: how often, 30 or more (default: 300)."),
    ] = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Search for Capacity Blocks to buy, in one or more regions.

    The cheapest come first. Blocks that are shorter than you asked for come after those that fit. A fee is the total
    for all instances and the whole time.
    """
    from nixl_efa.aws_calls import chosen_regions
    from nixl_efa.capacity.search import Request, checked, earliest_start, latest_end
    from nixl_efa.ultra_servers import ULTRA_SERVERS, is_ultra_server

    if sort not in SORTS:
        raise BadInput(f"--sort {sort!r}: give {', '.join(SORTS)}")
    run, zone = session(profile), ""
    if environment is not None:
        if instance_type is not None:
            raise BadInput(
                f"--env {environment} and TYPE {instance_type} exclude each other: give one, and a length with --hours"
            )
        launch = run.launch(environment)
        run = run.acting_for(launch)
        instance_type, region = launch.instance_type, region or [launch.region]
        zone = launch.reservation.zone
        # UltraServers are counted as a whole.
        count = count if is_ultra_server(instance_type) else launch.count
    if instance_type is None:
        raise BadInput("which type? Give TYPE, for example p5.48xlarge, or --env with an environment's name")
    now = run.clock.now()
    lengths = lengths_of(hours, hours_list)
    request = checked(
        Request(
            instance_type,
            count if count is not None else 1 if instance_type in ULTRA_SERVERS else DEFAULT_COUNT,
            lengths,
            earliest_start(earliest, now),
            latest_end(latest, now),
        )
    )
    watch = _watch(request, max_rate, poll, timeout, zone, watching=watching)
    regions = chosen_regions(region or (), run.clients, run.clock.sleep)
    if watch is None:
        found = _ask(run, regions, request)
        tell_failed(found.failed)
        if found.failed and not found.answered:
            raise Failure("no region answered")
        run.keep_search(request, regions, found)
    else:
        request, found = _wait(run, regions, watch)
    _report(run, request, found, sort, environment or "ENV", as_json)


def lengths_of(hours: int | None, listed: str | None) -> tuple[int, ...]:
    """The lengths in hours of HOURS and --hours. BadInput for both, and for what is no list of numbers."""
    if listed is None:
        return (DEFAULT_HOURS if hours is None else hours,)
    if hours is not None:
        raise BadInput(f"HOURS {hours} and --hours {listed} exclude each other: give one of them")
    try:
        return tuple(dict.fromkeys(int(part) for part in listed.split(",")))
    except ValueError:
        raise BadInput(f"--hours {listed!r}: give numbers of hours with commas between, 24,48,168") from None


def _watch(
    request: Request,
    max_rate: str | None,
    poll: float | None,
    timeout: str | None,
    zone: str,
    *,
    watching: bool,
) -> Watch | None:
    """What is waited for; None for a search that looks once. BadInput for options of the one with the other."""
    from nixl_efa.capacity.agreement import amount
    from nixl_efa.capacity.watch import LEAST_POLL_SECONDS, MOST_POLL_SECONDS, POLL_SECONDS, Watch

    if not watching:
        options = {"--max-rate": max_rate, "--poll": poll, "--timeout": timeout}
        for option, given in options.items():
            if given is not None:
                raise BadInput(f"{option} {given}: only with --watch")
        return None
    seconds = POLL_SECONDS if poll is None else poll
    if not seconds >= LEAST_POLL_SECONDS:
        raise BadInput(
            f"--poll {seconds:g}: give {LEAST_POLL_SECONDS:g} seconds or more, since AWS limits how often it answers"
        )
    if seconds > MOST_POLL_SECONDS:
        raise BadInput(f"--poll {seconds:g}: give {MOST_POLL_SECONDS:g} seconds (a day) or less")
    highest = None if max_rate is None else amount(max_rate, "--max-rate")
    if highest == 0:
        raise BadInput(f"--max-rate {max_rate}: give more than 0, or it is never reached")
    return Watch(
        request,
        highest,
        zone,
        seconds,
        None if timeout is None else timeout_seconds(timeout),
    )


def _wait(run: Session, regions: Sequence[str], watch: Watch) -> tuple[Request, Found]:
    """The request as it was asked last, and what fits. What is found meanwhile is kept for the calendar."""
    from nixl_efa.capacity import history
    from nixl_efa.capacity import search as library
    from nixl_efa.capacity.watch import wait_for_offer

    kept: history.Look | None = None

    def keep(request: Request, found: Found) -> None:
        nonlocal kept
        look = history.look(request, regions, found, run.clock.now(), run.endpoint(regions[0]))
        if history.is_worth_keeping(look, kept):
            run.keep_look(look)
            kept = look

    def ask(request: Request) -> Found:
        return library.search(run.clients.ec2, regions, request, run.clock.sleep)

    with interruptible():
        request, found = wait_for_offer(watch, ask, run.clock, say, keep)
    tell_failed(found.failed)
    run.keep_shown(request, found)
    return request, found


def _ask(run: Session, regions: Sequence[str], request: Request) -> Found:
    from nixl_efa.capacity import search as library

    total = len(library.questions(regions, request))
    if not sys.stderr.isatty() or total == 1:
        return library.search(run.clients.ec2, regions, request, run.clock.sleep)
    from rich.progress import Progress

    with Progress(console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(f"{len(regions)} regions", total=total)
        return library.search(
            run.clients.ec2, regions, request, run.clock.sleep, lambda _: progress.advance(task)
        )


def _report(run: Session, request: Request, found: Found, sort: str, environment: str, as_json: bool) -> None:
    from nixl_efa.capacity.search import ORDERS
    from nixl_efa.cli.capacity import forms
    from nixl_efa.instance_types import find
    from nixl_efa.ultra_servers import ULTRA_SERVERS

    now = run.clock.now()
    offerings = sorted(found.offerings, key=ORDERS[sort])
    known = ULTRA_SERVERS.get(request.instance_type)
    facts = find(known.instance_type if known else request.instance_type)
    accelerators = facts.accelerator_count if facts else 0
    if as_json:
        body = {
            "offerings": [forms.offering_form(offering, accelerators, now) for offering in offerings],
            "failed_regions": failed_regions(found.failed),
        }
        print_json("capacity-search", body)
    elif offerings:
        _print_offerings(offerings, accelerators, run)
        if any(not offering.unusable for offering in offerings):
            say(f"Buy one: `nixl-efa capacity buy OFFERING --env {environment}`")
    else:
        lengths = ", ".join(map(str, request.hours))
        say(
            f"no block of {request.count} x {request.instance_type} for {lengths} hours is on offer. "
            "Try --region all, other hours, fewer instances or a wider --from and --to. "
            "Offers in a Local Zone are shown only to accounts that have opted in to it."
        )


def _print_offerings(offerings: Sequence[Offering], accelerators: int, run: Session) -> None:
    from nixl_efa.capacity.agreement import money

    now = run.clock.now()
    currency = offerings[0].currency
    columns = [
        Column("OFFERING"),
        Column("ZONE", 2),
        Column(times_heading("START", now), 1),
        Column(times_heading("END", now), 4),
        Column("LENGTH", 3, right=True),
        Column(f"FEE {currency}", right=True),
        Column("INST-HOUR", right=True),
        Column("ACCEL-HOUR", 5, right=True),
        Column("STARTS IN", 6, right=True),
        Column("FOR A PAIR", 7),
    ]
    rows = []
    for offering in offerings:
        per_accelerator = offering.fee_per_accelerator_hour(accelerators)
        rows.append(
            [
                offering.id,
                offering.zone,
                short_times(offering.start),
                short_times(offering.end),
                span(offering.length),
                money(offering.fee) + ("" if offering.currency == currency else f" {offering.currency}"),
                f"{offering.fee_per_instance_hour:.2f}",
                "-" if per_accelerator is None else f"{per_accelerator:.2f}",
                span(max(offering.start - now, timedelta(0))),
                _for_a_pair(offering),
            ]
        )
    print_rows(columns, rows, [bool(one.unusable) or one.is_short for one in offerings])
    data("")
    for line in timeline(offerings, now, min(get_terminal_size((110, 24)).columns, 110)):
        data(line)


def _for_a_pair(offering: Offering) -> str:
    if offering.unusable:
        return f"no: {offering.unusable}"
    named = f", {offering.count} instances ({offering.ultra_servers})" if offering.ultra_server else ""
    fits = f"{span(offering.length)} of the {offering.asked_hours} h asked" if offering.is_short else "yes"
    return f"{fits}{named}"


def timeline(offerings: Sequence[Offering], now: datetime, width: int) -> list[str]:
    """A line for each offering, the earliest first, below a ruler of dates; `width` in characters, all of it.

    A bar is at least one character long, so a day among weeks is still seen. `x` marks what a pair can't use.
    """
    if not offerings:
        return []
    shown = sorted(offerings, key=lambda offering: (offering.start, offering.end))[:MOST_ROWS]
    end = max(offering.end for offering in shown)
    columns = max(width - _LABEL_WIDTH, 20)
    scale = (end - now) / columns
    lines = [" " * _LABEL_WIDTH + _ruler(now, end, columns)]
    for offering in shown:
        first = min(_column(offering.start, now, scale), columns - 1)
        last = max(min(_column(offering.end, now, scale), columns), first + 1)
        mark = "x" if offering.unusable else "█"
        bar = " " * first + mark * (last - first)
        lines.append(f"{_label(offering):<{_LABEL_WIDTH}}{bar}".rstrip())
    if len(offerings) > len(shown):
        lines.append(f"and {len(offerings) - len(shown)} more")
    return lines


def _label(offering: Offering) -> str:
    zone = offering.region if len(offering.segments) > 1 else offering.zone
    return f"{zone[:15]} {offering.fee:.0f}"[: _LABEL_WIDTH - 1]


def _column(moment: datetime, now: datetime, scale: timedelta) -> int:
    return max(int((moment - now) / scale), 0)


def _ruler(now: datetime, end: datetime, columns: int) -> str:
    """The dates that begin along the line (UTC), as many as fit without touching."""
    scale = (end - now) / columns
    days = max(math.ceil(_TICK_WIDTH * scale / timedelta(days=1)), 1)
    text = f"{now:%m-%d}"
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while midnight < end:
        column = _column(midnight, now, scale)
        label = f"{midnight:%m-%d}"
        if column >= len(text) + 2 and column + len(label) <= columns:
            text = text.ljust(column) + label
        midnight += timedelta(days=days)
    return text
