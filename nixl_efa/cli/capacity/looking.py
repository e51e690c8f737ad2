"""`nixl-efa capacity list`, `show`, `wait` and `cancel`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli.capacity.options import AsJson, Profile, Region, Regions, ReservationId
from nixl_efa.cli.capacity.tools import Tools, all_settings, locate, tools
from nixl_efa.cli.output import (
    BadInput,
    Failure,
    ask,
    both_times,
    data,
    print_json,
    print_table,
    say,
    short_times,
    times_heading,
)

if TYPE_CHECKING:
    from nixl_efa.capacity.reservation import Reservation

# What `wait --for` can wait for.
STATES = ("scheduled", "active", "expired")
Users = Mapping[str, Sequence[str]]


def list_(region: Regions = None, as_json: AsJson = False, profile: Profile = None) -> None:
    """List Capacity Blocks and On-Demand Capacity Reservations, and which environment uses which."""
    from nixl_efa.capacity.reservations import reservations_of
    from nixl_efa.cli.capacity import forms
    from nixl_efa.cli.capacity.words import tell_failed

    kit = tools(profile)
    regions = kit.regions(region)
    found, failed = reservations_of(kit.clients.ec2, regions, kit.clock.sleep)
    tell_failed(failed)
    if len(failed) == len(regions):
        raise Failure("no region answered")
    found.sort(key=lambda one: (one.is_dead, one.end is None, one.end, one.id))
    users = _users(kit, sorted({one.region for one in found}))
    now = kit.clock.now()
    if as_json:
        rows = [forms.reservation_form(one, users.get(one.id, ()), now) for one in found]
        print_json("capacity-list", {"reservations": rows, "failed_regions": forms.failed_form(failed)})
    elif found:
        _print_list(found, users, kit)
    else:
        say(f"there are no reservations in {', '.join(regions)}")


def _users(kit: Tools, regions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which environments use which reservation. Where Parameter Store can't be read, the settings alone
    tell."""
    from nixl_efa.aws_calls import ask_all
    from nixl_efa.capacity.usage import environments_by_reservation, stored_parameters
    from nixl_efa.cli.capacity.words import tell_failed

    settings = all_settings()
    stored, failed = ask_all(regions, lambda region: stored_parameters(kit.clients.ssm(region)))
    tell_failed(failed)
    users: dict[str, tuple[str, ...]] = {}
    for region in regions:
        users |= environments_by_reservation(stored.get(region, {}), region, settings)
    return users


def _print_list(found: Sequence[Reservation], users: Users, kit: Tools) -> None:
    from rich.table import Table

    from nixl_efa.cli.capacity.words import length

    now = kit.clock.now()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("RESERVATION", no_wrap=True)
    for title in ("STATE", "KIND", "TYPE"):
        table.add_column(title)
    for title in ("SIZE", "FREE"):
        table.add_column(title, justify="right")
    for title in ("ZONE", times_heading("START", now), times_heading("END", now), "LEFT", "FEE", "USED BY"):
        table.add_column(title)
    for one in found:
        left = one.time_left(now)
        table.add_row(
            one.id,
            one.state,
            one.kind,
            one.instance_type,
            str(one.size),
            str(one.free),
            one.zone,
            short_times(one.start) if one.start else "-",
            short_times(one.end) if one.end else "-",
            length(left) if left is not None and not one.is_dead else "-",
            one.fee or "-",
            ", ".join(users.get(one.id, ())) or "-",
            style="dim" if one.is_dead else None,
        )
    print_table(table)


def show(
    reservation_id: ReservationId, region: Region = None, as_json: AsJson = False, profile: Profile = None
) -> None:
    """Show one reservation: state, size, times, fee, who uses it."""
    from nixl_efa.cli.capacity import forms
    from nixl_efa.cli.capacity.words import length

    kit = tools(profile, region)
    found = locate(kit, reservation_id)
    users = _users(kit, [found.region])
    now = kit.clock.now()
    form = forms.reservation_form(found, users.get(found.id, ()), now)
    if as_json:
        print_json("capacity-reservation", form)
        return
    left = found.time_left(now)
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
        "left": length(left) if left is not None else "-",
        "fee": found.fee or "not known (bought elsewhere)" if found.is_block else "-",
        "used by": ", ".join(form["environments"]) or "-",
    }
    for key, value in rows.items():
        data(f"{key:<12} {value}")
    for key, value in sorted(found.tags.items()):
        data(f"{'tag':<12} {key} = {value}")


def wait(
    reservation_id: ReservationId,
    wanted: Annotated[str, typer.Option("--for", metavar="|".join(STATES), help="The state.")] = "active",
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give up after 30m, 12h or 2d; never without it.")
    ] = None,
    poll: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How often to look.")] = 30,
    region: Region = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Wait until a reservation is active (or scheduled, or expired).

    Ends at once with exit code 1 when that can no longer happen: payment-failed, expired, cancelled.
    """
    from nixl_efa.capacity.reservations import find_reservation
    from nixl_efa.capacity.waiting import wait_for
    from nixl_efa.cli.capacity import forms

    if wanted not in STATES:
        raise BadInput(f"--for {wanted!r}: give {', '.join(STATES)}")
    if not reservation_id.startswith("cr-"):
        raise BadInput(f"ID {reservation_id!r}: a reservation's id begins with cr-")
    seconds = None if timeout is None else _seconds(timeout)
    kit = tools(profile, region)
    where = kit.region()
    try:
        found = wait_for(
            wanted,
            lambda: find_reservation(kit.clients.ec2(where), where, reservation_id, kit.clock.sleep),
            kit.clock,
            timeout_seconds=seconds,
            poll_seconds=poll,
            show=_progress(kit),
        )
    finally:
        if sys.stderr.isatty():
            # The line that was kept up to date is still open.
            say("")
    if as_json:
        print_json("capacity-reservation", forms.reservation_form(found, (), kit.clock.now()))
    else:
        data(f"{found.id} is {found.state}")


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadInput(f"--timeout {text!r}: give a time such as 90s, 30m, 12h or 2d")
    return seconds


def _progress(kit: Tools) -> Callable[[Reservation], None]:
    """Says the state on stderr: on a terminal one line that is kept up to date, elsewhere each state once."""
    from nixl_efa.cli.capacity.words import length

    said = ""

    def show_state(found: Reservation) -> None:
        nonlocal said
        text = f"{found.id} is {found.state}"
        if found.start is not None and found.state in ("payment-pending", "scheduled"):
            ahead = found.start - kit.clock.now()
            starts = f", starts in {length(ahead)}" if ahead.total_seconds() > 0 else ", is about to start"
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
    """Cancel an On-Demand Capacity Reservation. AWS does not let anybody cancel a Capacity Block."""
    from nixl_efa.cli.capacity import forms

    kit = tools(profile, region)
    found = locate(kit, reservation_id)
    if found.is_block:
        end = f" and ends by itself at {both_times(found.end)}" if found.end else ""
        raise Failure(
            f"{found.id} is a Capacity Block: AWS does not allow to cancel one. It is paid for{end}."
        )
    if found.is_dead:
        raise Failure(f"{found.id} is {found.state} already")
    users = _users(kit, [found.region]).get(found.id, ())
    say(
        f"{found.id}: {found.size} x {found.instance_type} in {found.zone}, {found.size - found.free} in "
        f"use, "
        f"used by {', '.join(users) or 'no environment'}"
    )
    if not yes and ask("Cancel it? [y/N]").lower() not in ("y", "yes"):
        raise Failure("nothing was cancelled")
    kit.clients.ec2(found.region).cancel_capacity_reservation(CapacityReservationId=found.id)
    if as_json:
        form = forms.reservation_form(found, users, kit.clock.now())
        print_json("capacity-reservation", {**form, "state": "cancelled"})
    else:
        data(f"{found.id} is cancelled")
