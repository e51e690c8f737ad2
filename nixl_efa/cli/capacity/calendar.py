"""`nixl-efa capacity calendar`: offers, blocks, their use and their ends on one time line, as text or as a page."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli.capacity.search import DEFAULT_COUNT, lengths_of
from nixl_efa.cli.capacity.session import Profile, Regions, Session, session
from nixl_efa.cli.commands import shown
from nixl_efa.cli.output import BadInput, both_times, console, data, say
from nixl_efa.cli.project import environments

if TYPE_CHECKING:
    from nixl_efa.capacity.calendar.gather import Questions
    from nixl_efa.capacity.calendar.model import Calendar
    from nixl_efa.capacity.search import Request
    from nixl_efa.launch import Launch


def calendar(
    instance_type: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help="Offers of this type (default: the environments' types)."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Argument(metavar="[COUNT]", help="Instances, 1 to 64 (default: 2), or UltraServers (1)."),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            help="Use only this environment's type, number of nodes and region.",
            autocompletion=environments,
        ),
    ] = None,
    region: Regions = None,
    hours_list: Annotated[
        str | None,
        typer.Option("--hours", metavar="LIST", help="Lengths: 24,48,168 (default: all that AWS sells)."),
    ] = None,
    latest: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="WHEN", help="End of the line: a date, a time or +14d (default: 9 weeks)."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write a page in one file instead of the text."),
    ] = None,
    profile: Profile = None,
) -> None:
    """Show offers, blocks and their use on one time line.

    Asks all regions for all lengths, unless --region and --hours name some. Buys nothing.
    """
    from nixl_efa.capacity import history
    from nixl_efa.capacity.calendar.gather import Questions
    from nixl_efa.capacity.calendar.page import page
    from nixl_efa.capacity.calendar.text import lines
    from nixl_efa.capacity.search import latest_end
    from nixl_efa.settings import environment_names

    if environment is not None and instance_type is not None:
        raise BadInput(
            f"--env {environment} and TYPE {instance_type} exclude each other: give one, and lengths with --hours"
        )
    if html is not None and not html.absolute().parent.is_dir():
        raise BadInput(f"--html {html}: there is no folder {html.parent}: make it first")
    run = session(profile)
    launches = run.launches()
    if environment is not None:
        own = run.launch(environment)
        run = run.acting_for(own)
        region = region or [own.region]
    mine = _of_these_credentials(run, launches, environment)
    for name in sorted(launches.keys() - mine.keys()):
        say(f"{name} has other credentials: `nixl-efa capacity calendar --env {name}` shows it")
    until = latest_end(latest, run.clock.now())
    if until is not None and until <= run.clock.now():
        raise BadInput(f"--to {latest}: that is over: give a later --to")
    requests = _requests(run, mine, environment, instance_type, count, hours_list, until)
    regions = _regions(run, region)
    path = history.path_in(run.state)
    earlier = history.History()
    try:
        earlier = history.read(path)
    except OSError as error:
        say(f"the history {path} can't be read: {error.strerror}")
    names = environment_names(run.project / "environments")
    asked = Questions(regions, requests, mine, mine.keys() != launches.keys(), until, names, earlier)
    found = _gather(run, asked)
    for wanted in found.wanted:
        run.keep_shown(wanted.request, wanted.found)
        if wanted.found.answered:
            run.keep_look(wanted.looks[-1])
    found = _completed(found)
    for where, why in found.not_asked:
        say(f"not asked: {where}: {why}")
    if html is None:
        for line in lines(found, both_times):
            data(line)
        return
    _write(html, page(found, both_times))
    # Not behind a page that went to stdout itself.
    (data if html.is_file() else say)(str(html))


def _completed(found: Calendar) -> Calendar:
    """With the commands in its warnings as they work in the user's shell: what is broken into lines, or stands on a
    page, is completed before."""
    return replace(
        found,
        warnings=tuple(
            replace(one, message=shown(one.message), remedy=shown(one.remedy)) for one in found.warnings
        ),
        not_asked=tuple((where, shown(why)) for where, why in found.not_asked),
    )


def _of_these_credentials(
    run: Session, launches: Mapping[str, Launch], environment: str | None
) -> dict[str, Launch]:
    """The launches whose Terraform calls AWS as this session does: the reservations of the others are not visible
    from here."""
    acting = {(one.profile, one.assume_role) for one in launches.values()}
    if environment is not None:
        own = run.launch(environment)
        acting = {(own.profile, own.assume_role)}
    elif len(acting) > 1:
        acting = {(run.profile, None)}
    return {name: one for name, one in launches.items() if (one.profile, one.assume_role) in acting}


def _requests(
    run: Session,
    launches: Mapping[str, Launch],
    environment: str | None,
    instance_type: str | None,
    count: int | None,
    hours_list: str | None,
    until: datetime | None,
) -> tuple[tuple[Request, tuple[str, ...]], ...]:
    """What is searched for, with the environments it would be for: the type that is given, else each that an
    environment's nodes have and that is sold as a block."""
    from nixl_efa.capacity.search import ALLOWED_HOURS, Request, checked
    from nixl_efa.instance_types import find
    from nixl_efa.ultra_servers import ULTRA_SERVERS, is_ultra_server

    now = run.clock.now()
    hours = lengths_of(None, hours_list) if hours_list is not None else ALLOWED_HOURS
    if until is not None and hours_list is None:
        # The first length is kept: if none fits before the end, the message is then the same as in `search`.
        hours = tuple(one for one in hours if one == hours[0] or now + timedelta(hours=one) <= until)
    if instance_type is not None:
        number = count if count is not None else 1 if instance_type in ULTRA_SERVERS else DEFAULT_COUNT
        return ((checked(Request(instance_type, number, hours, now, until)), ()),)
    chosen: dict[tuple[str, int], list[str]] = {}
    for name, one in launches.items():
        if environment is not None and name != environment:
            continue
        facts = find(one.instance_type)
        reserves = one.reservation.is_named or one.market == "capacity-block"
        if facts is not None and facts.supports_capacity_block and (reserves or environment is not None):
            number = one.count if not is_ultra_server(one.instance_type) else DEFAULT_COUNT
            chosen.setdefault((one.instance_type, count or number), []).append(name)
    if not chosen:
        say("no environment has nodes of a type that is sold as a block: give TYPE to see what is on offer")
    return tuple(
        (checked(Request(name, number, hours, now, until)), tuple(sorted(names)))
        for (name, number), names in sorted(chosen.items())
    )


def _regions(run: Session, region: Sequence[str] | None) -> tuple[str, ...]:
    from nixl_efa.aws_calls import ALL_REGIONS, chosen_regions

    return chosen_regions(region or [ALL_REGIONS], run.clients, run.clock.sleep)


def _gather(run: Session, asked: Questions) -> Calendar:
    from nixl_efa.capacity.calendar import gather as library

    buyer = run.buyer(run.clients.region or asked.regions[0])
    if not sys.stderr.isatty():
        return library.gather(buyer, asked)
    with console(sys.stderr).status(f"asking {len(asked.regions)} regions") as status:
        return library.gather(
            buyer, asked, lambda what, left: status.update(f"{what}: {left} questions left")
        )


def _write(path: Path, text: str) -> None:
    from nixl_efa.failure import Failure
    from nixl_efa.files import put

    try:
        put(path, text)
    except OSError as error:
        raise Failure(f"--html {path} can't be written: {error.strerror}") from error
