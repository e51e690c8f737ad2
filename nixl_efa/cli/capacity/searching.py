"""`nixl-efa capacity search`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli.capacity.options import AsJson, Profile, Regions
from nixl_efa.cli.capacity.tools import Tools, tools
from nixl_efa.cli.output import (
    BadInput,
    Failure,
    console,
    data,
    print_json,
    print_table,
    say,
    short_times,
    times_heading,
)

if TYPE_CHECKING:
    from nixl_efa.capacity.offering import Offering
    from nixl_efa.capacity.request import Request
    from nixl_efa.capacity.search import Found

DEFAULT_HOURS = 24
SORTS = ("fee", "start", "rate")


def search(
    instance_type: Annotated[str, typer.Argument(metavar="TYPE", help="For example p5.48xlarge.")],
    count: Annotated[
        int, typer.Argument(metavar="[COUNT]", help="Instances, 1 to 64.", show_default=True)
    ] = 2,
    hours: Annotated[
        int | None,
        typer.Argument(
            metavar="[HOURS]", help="Length: 24-hour steps to 336, then 168 to 4368 (default: 24)."
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
        str | None, typer.Option("--to", metavar="WHEN", help="Latest end; as late as AWS sells without it.")
    ] = None,
    sort: Annotated[str, typer.Option(metavar="|".join(SORTS), help="Order of the table.")] = "fee",
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Search for Capacity Blocks to buy, in one region, several or all.

    The cheapest come first. Fees are totals for all instances and the whole time.
    """
    from nixl_efa.capacity.request import Request, checked
    from nixl_efa.capacity.window import earliest_start, latest_end

    if sort not in SORTS:
        raise BadInput(f"--sort {sort!r}: give {', '.join(SORTS)}")
    kit = tools(profile)
    now = kit.clock.now()
    request = checked(
        Request(
            instance_type,
            count,
            _lengths(hours, hours_list),
            earliest_start(earliest, now),
            latest_end(latest, now),
        )
    )
    found = _ask(kit, kit.regions(region), request)
    _report(kit, request, found, sort, as_json)


def _lengths(hours: int | None, listed: str | None) -> tuple[int, ...]:
    if listed is None:
        return (DEFAULT_HOURS if hours is None else hours,)
    if hours is not None:
        raise BadInput(f"HOURS {hours} and --hours {listed} exclude each other: give one of them")
    try:
        return tuple(dict.fromkeys(int(part) for part in listed.split(",")))
    except ValueError:
        raise BadInput(f"--hours {listed!r}: give numbers of hours with commas between, 24,48,168") from None


def _ask(kit: Tools, regions: Sequence[str], request: Request) -> Found:
    from nixl_efa.capacity import search as library

    total = len(regions) * len(request.hours)
    if not sys.stderr.isatty() or total == 1:
        return library.search(kit.clients.ec2, regions, request, kit.clock.sleep)
    from rich.progress import Progress

    with Progress(console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(f"{len(regions)} regions", total=total)
        return library.search(
            kit.clients.ec2, regions, request, kit.clock.sleep, lambda _: progress.advance(task)
        )


def _report(kit: Tools, request: Request, found: Found, sort: str, as_json: bool) -> None:
    from nixl_efa.capacity.search import ORDERS
    from nixl_efa.capacity.seen import remember
    from nixl_efa.cli.capacity import forms
    from nixl_efa.cli.capacity.words import tell_failed
    from nixl_efa.instance_types import find

    tell_failed(found.failed)
    if found.failed and not found.answered:
        raise Failure("no region answered")
    now = kit.clock.now()
    offerings = sorted(found.offerings, key=ORDERS[sort])
    try:
        remember(kit.searches, offerings, request, now)
    except OSError as error:
        say(f"the search could not be kept for `buy` in {kit.searches}: {error.strerror}")
    facts = find(request.instance_type)
    accelerators = facts.accelerator_count if facts else 0
    if as_json:
        body = {
            "offerings": [forms.offering_form(offering, accelerators, now) for offering in offerings],
            "failed_regions": forms.failed_form(found.failed),
        }
        print_json("capacity-search", body)
        return
    if not offerings:
        lengths = ", ".join(map(str, request.hours))
        say(
            f"no block of {request.count} x {request.instance_type} for {lengths} hours is on offer. Try "
            f"--region all, other hours, fewer instances or a wider --from and --to."
        )
        return
    _print(offerings, accelerators, kit)
    if any(not offering.unusable for offering in offerings):
        say("buy one with: nixl-efa capacity buy OFFERING --env ENV")


def _print(offerings: Sequence[Offering], accelerators: int, kit: Tools) -> None:
    from rich.table import Table

    from nixl_efa.capacity.timeline import timeline
    from nixl_efa.cli.capacity.words import length, money

    now = kit.clock.now()
    currency = offerings[0].currency
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("OFFERING", "ZONE", times_heading("START", now), times_heading("END", now)):
        table.add_column(title, no_wrap=True)
    for title in ("LENGTH", f"FEE {currency}", f"{currency}/INSTANCE-H", f"{currency}/ACCEL-H", "STARTS IN"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("FOR A PAIR", no_wrap=True)
    for offering in offerings:
        per_accelerator = offering.fee_per_accelerator_hour(accelerators)
        table.add_row(
            offering.id,
            offering.zone,
            short_times(offering.start),
            short_times(offering.end),
            length(offering.length),
            money(offering.fee) + ("" if offering.currency == currency else f" {offering.currency}"),
            f"{offering.fee_per_instance_hour:.2f}",
            "-" if per_accelerator is None else f"{per_accelerator:.2f}",
            length(max(offering.start - now, timedelta(0))),
            f"no: {offering.unusable}" if offering.unusable else "yes",
            style="dim" if offering.unusable else None,
        )
    print_table(table)
    data("")
    for line in timeline(offerings, now, min(get_terminal_size((110, 24)).columns, 110)):
        data(line)
