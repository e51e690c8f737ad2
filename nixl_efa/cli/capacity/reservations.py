"""`nixl-efa capacity list`, `show`, `wait` and `cancel`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli.capacity.session import (
    AsJson,
    Profile,
    Region,
    Regions,
    ReservationId,
    Session,
    Timeout,
    check_reservation_id,
    failed_regions,
    session,
    tell_failed,
    timeout_seconds,
)
from nixl_efa.cli.output import (
    BadInput,
    Failure,
    ask,
    both_times,
    data,
    print_json,
    print_rows,
    say,
    short_times,
    times_heading,
)
from nixl_efa.lines import Column
from nixl_efa.times import moment, span

if TYPE_CHECKING:
    from nixl_efa.capacity.extension import Extension
    from nixl_efa.capacity.reservation import Reservation

# What `wait --for` can wait for.
STATES = ("scheduled", "active", "expired")
Users = dict[str, tuple[tuple[str, str], ...]]
Extensions = Mapping[str, "list[Extension]"]


def list_(region: Regions = None, as_json: AsJson = False, profile: Profile = None) -> None:
    """List Capacity Blocks and reservations, and who uses them."""
    from nixl_efa.aws_calls import chosen_regions
    from nixl_efa.capacity.reservation import reservations_of
    from nixl_efa.cli.capacity import forms
    from nixl_efa.cli.environments import tell_left_behind

    run = session(profile)
    regions = chosen_regions(region or (), run.clients, run.clock.sleep)
    found, failed = reservations_of(run.clients.ec2, regions, run.clock.sleep)
    tell_failed(failed)
    if len(failed) == len(regions):
        raise Failure("no region answered")
    found.sort(key=lambda one: (one.is_dead, one.end is None, one.end, one.id))
    users = _users(run, found)
    extensions = _extensions(run, found)
    _tell_open(run, regions[0])
    tell_left_behind(run.project, say)
    now = run.clock.now()
    if as_json:
        rows = [
            forms.reservation_form(one, users.get(one.id, ()), extensions.get(one.region), now)
            for one in found
        ]
        print_json("capacity-list", {"reservations": rows, "failed_regions": failed_regions(failed)})
    elif found:
        _print_list(found, users, extensions, run)
        _tell_extensions(found, extensions, now)
        _tell_misfits(found, users, run)
    else:
        say(f"there are no reservations in {', '.join(regions)}")


def _users(run: Session, found: Sequence[Reservation]) -> Users:
    """Which environments use which reservation, and as what. Where Parameter Store can't be read, the settings and the
    tags alone tell."""
    from nixl_efa.capacity.users import stored_values, users

    sources = [launch.reservation for launch in run.launches().values()]
    stored, failed = stored_values(run.clients.ssm, sources)
    tell_failed(failed)
    return users(found, sources, stored)


def _extensions(run: Session, found: Sequence[Reservation]) -> Extensions:
    """Every extension of these blocks, by region; a region that could not be asked for them is left out."""
    from nixl_efa.capacity.extension import extensions_everywhere

    answers, failed = extensions_everywhere(run.clients.ec2, found, run.clock.sleep)
    tell_failed(failed)
    return answers


def _tell_extensions(found: Sequence[Reservation], extensions: Extensions, now: datetime) -> None:
    """Says of each living block whether its last extension is paid."""
    from nixl_efa.capacity.extension import finding, newest
    from nixl_efa.findings import Level

    for one in found:
        last = newest(extensions.get(one.region, ()), one.id)
        told = finding(last) if one.lives(now) else None
        if told is not None and told.level is not Level.PASS:
            say(f"{told.level.value}: {told.line()}")


def _cost(one: Reservation, extensions: Extensions) -> str:
    """What was paid for a reservation, and what is still to be paid; with UltraServers, for all of them together."""
    cost = _fees(one, extensions)
    return f"{cost} for {one.ultra_servers}" if cost and one.ultra_servers else cost


def _fees(one: Reservation, extensions: Extensions) -> str:
    from nixl_efa.capacity.extension import payments

    if one.region not in extensions:
        return f"{one.fee} without extensions" if one.fee else ""
    costs = payments(one, extensions[one.region])
    known = costs.paid or (f"{costs.extensions} for extensions" if costs.extensions else "")
    pending = f"{costs.pending} pending" if costs.pending else ""
    return ", ".join(part for part in (known, pending) if part)


def _tell_misfits(found: Sequence[Reservation], users: Users, run: Session) -> None:
    """Says what the judge finds against a living reservation for the environment that uses it."""
    from nixl_efa.capacity.users import misfits

    for name, fault in misfits(found, users, run.launches(), run.clock.now()):
        say(f"FAIL: {name}: {fault.line()}")


def _tell_open(run: Session, region: str) -> None:
    """Names the purchases whose outcome nobody was told, or that are not saved. That they can't be looked for is said,
    and stops nothing."""
    from nixl_efa.aws_errors import explain
    from nixl_efa.capacity.recover import open_purchases
    from nixl_efa.settings import environment_names

    try:
        for entry in open_purchases(run.buyer(region), environment_names(run.project / "environments")):
            say(f"WARN: {entry.state_text()} {entry.recover_text()}")
    except Exception as error:
        say(f"open purchases could not be looked for: {explain(error)}")


def _print_list(found: Sequence[Reservation], users: Users, extensions: Extensions, run: Session) -> None:
    now = run.clock.now()
    columns = [
        Column("RESERVATION"),
        Column("STATE"),
        Column("KIND", 6),
        Column("TYPE", 5),
        Column("SIZE", 4, right=True),
        Column("FREE", 4, right=True),
        Column("ZONE", 3),
        Column(times_heading("START", now), 7),
        Column(times_heading("END", now)),
        Column("LEFT", 1, right=True),
        Column("FEE", 8),
        Column("USED BY", 2),
    ]
    rows = [
        [
            one.id,
            one.state,
            one.kind,
            one.instance_type,
            str(one.size),
            str(one.free),
            one.zone,
            short_times(one.start) if one.start else "-",
            short_times(one.end) if one.end else "-",
            _left(one, now),
            _cost(one, extensions) or "-",
            _used_by(users.get(one.id, ())),
        ]
        for one in found
    ]
    print_rows(columns, rows, [one.is_dead for one in found])


def _left(one: Reservation, now: datetime) -> str:
    """The time in which a reservation can be used: of a block until EC2 begins to terminate its instances."""
    from nixl_efa.capacity.judge import stops_at

    stop = stops_at(one)
    return "-" if stop is None or one.is_dead else span(max(stop - now, timedelta(0)))


def _used_by(users: Sequence[tuple[str, str]]) -> str:
    return ", ".join(name if kept == "current" else f"{name} ({kept})" for name, kept in users) or "-"


def _left_in_words(one: Reservation, now: datetime) -> str:
    from nixl_efa.capacity.judge import stops_at

    stop = stops_at(one)
    left = _left(one, now)
    if stop is None or left == "-" or not one.is_block:
        return left
    return f"{left} until EC2 begins to terminate ({moment(stop)})"


def show(
    reservation_id: ReservationId, region: Region = None, as_json: AsJson = False, profile: Profile = None
) -> None:
    """Show one reservation: state, size, times, fee, who uses it."""
    from nixl_efa.capacity.extension import newest
    from nixl_efa.capacity.reservation import reservations_in
    from nixl_efa.cli.capacity import forms
    from nixl_efa.ultra_servers import is_ultra_server

    run = session(profile, region)
    found = run.locate(reservation_id)
    # With UltraServers, another reservation of the purchase may be the environment's.
    together = [found]
    if is_ultra_server(found.instance_type):
        together = reservations_in(run.clients.ec2(found.region), found.region, run.clock.sleep)
    users = _users(run, together).get(found.id, ())
    extensions = _extensions(run, [found])
    extension = newest(extensions.get(found.region, ()), found.id)
    now = run.clock.now()
    if as_json:
        form = forms.reservation_form(found, users, extensions.get(found.region), now)
        print_json("capacity-reservation", form)
        return
    rows = {
        "reservation": found.id,
        "state": found.state,
        "kind": found.kind,
        "type": found.instance_type,
        "platform": found.platform,
        "instances": f"{found.size}, of which {found.free} free now",
        "zone": found.zone,
        "start": both_times(found.start) if found.start else "-",
        "end": both_times(found.end) if found.end else "when it is cancelled",
        "left": _left_in_words(found, now),
        "fee": (_cost(found, extensions) or "not known (bought elsewhere)") if found.is_block else "-",
        "used by": _used_by(users),
    }
    if extension is not None:
        ends = f"from {both_times(extension.start)} to {both_times(extension.end)}"
        rows["extension"] = f"{ends}, {extension.status}, {extension.fee} {extension.currency}"
    if found.launch_status:
        rows["launches"] = found.launch_status
    for key, value in rows.items():
        data(f"{key:<12} {value}")
    for key, value in sorted(found.tags.items()):
        data(f"{'tag':<12} {key} = {value}")
    _tell_extensions([found], extensions, now)


def wait(
    reservation_id: ReservationId,
    wanted: Annotated[str, typer.Option("--for", metavar="|".join(STATES), help="The state.")] = "active",
    extension: Annotated[
        bool, typer.Option("--extension", help="Wait until its last extension is paid.")
    ] = False,
    timeout: Timeout = None,
    poll: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How often to look.")] = 30,
    region: Region = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Wait until a reservation is active, or an extension paid.

    Ends at once with exit code 1 when that can no longer happen: payment-failed, expired, cancelled.
    """
    from nixl_efa.capacity import extension as extensions
    from nixl_efa.capacity.reservation import find_reservation
    from nixl_efa.capacity.wait import wait_for, wait_for_payment
    from nixl_efa.cli.capacity import forms

    if wanted not in STATES:
        raise BadInput(f"--for {wanted!r}: give {', '.join(STATES)}")
    check_reservation_id(reservation_id)
    seconds = None if timeout is None else timeout_seconds(timeout)
    run = session(profile, region)
    where = run.region()
    ec2, sleep = run.clients.ec2(where), run.clock.sleep
    if extension:
        paid = wait_for_payment(
            lambda: extensions.newest(extensions.extensions_of(ec2, [reservation_id], sleep), reservation_id),
            run.clock,
            timeout_seconds=seconds,
            poll_seconds=poll,
        )
        if as_json:
            print_json("capacity-extension", {"reservation_id": reservation_id, **forms.extension_form(paid)})
        else:
            data(f"{reservation_id} is extended to {both_times(paid.end)}, and that is paid")
        return
    try:
        found = wait_for(
            wanted,
            lambda: find_reservation(ec2, where, reservation_id, sleep),
            run.clock,
            timeout_seconds=seconds,
            poll_seconds=poll,
            show=_progress(run),
        )
    finally:
        if sys.stderr.isatty():
            # The line that was kept up to date is still open.
            say("")
    if as_json:
        print_json("capacity-reservation", forms.reservation_form(found, (), None, run.clock.now()))
    else:
        data(f"{found.id} is {found.state}")


def _progress(run: Session) -> Callable[[Reservation], None]:
    """Says the state on stderr: on a terminal one line that is kept up to date, elsewhere each state once."""
    said = ""

    def show_state(found: Reservation) -> None:
        nonlocal said
        text = f"{found.id} is {found.state}"
        if found.start is not None and found.state in ("payment-pending", "scheduled"):
            ahead = found.start - run.clock.now()
            starts = f", starts in {span(ahead)}" if ahead.total_seconds() > 0 else ", is about to start"
            text += starts if sys.stderr.isatty() else f", starts {both_times(found.start)}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif text != said:
            say(text)
        said = text

    return show_state


def cancel(
    reservation_id: ReservationId,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    region: Region = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Cancel an On-Demand Capacity Reservation.

    AWS does not allow cancelling a Capacity Block.
    """
    from nixl_efa.cli.capacity import forms

    run = session(profile, region)
    found = run.locate(reservation_id)
    if found.is_block:
        end = f" and ends by itself at {both_times(found.end)}" if found.end else ""
        raise Failure(
            f"{found.id} is a Capacity Block: AWS does not allow cancelling one. It is paid for{end}."
        )
    if found.is_dead:
        raise Failure(f"{found.id} is {found.state} already")
    users = _users(run, [found]).get(found.id, ())
    inside = f"{found.size} x {found.instance_type} in {found.zone}, {found.size - found.free} in use"
    say(f"{found.id}: {inside}, used by {', '.join(name for name, _ in users) or 'no environment'}")
    if not yes and ask("Cancel it? [y/N]").lower() not in ("y", "yes"):
        raise Failure("nothing was cancelled")
    run.clients.ec2(found.region).cancel_capacity_reservation(CapacityReservationId=found.id)
    if as_json:
        form = forms.reservation_form(found, users, None, run.clock.now())
        print_json("capacity-reservation", {**form, "state": "cancelled"})
    else:
        data(f"{found.id} is cancelled")
