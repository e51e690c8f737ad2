"""`nixl-efa capacity buy`, `extend` and `recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nixl_efa.cli.capacity.options import (
    AsJson,
    DryRun,
    Environment,
    LookSeconds,
    MaxFee,
    Profile,
    Region,
    Replace,
    ReservationId,
    SettleSeconds,
    Yes,
)
from nixl_efa.cli.output import BadInput, Failure, both_times, data, print_json, say

if TYPE_CHECKING:
    from nixl_efa.capacity.journal import Entry
    from nixl_efa.capacity.order import Order
    from nixl_efa.cli.capacity.till import Till

LOOK_SECONDS = 60.0
SETTLE_SECONDS = 600.0
OfferingType = Annotated[str | None, typer.Option("--type", help="Its type, if no search here has shown it.")]
OfferingCount = Annotated[int | None, typer.Option("--count", help="Its instances, likewise.")]
OfferingHours = Annotated[int | None, typer.Option("--hours", help="The length asked for, likewise.")]
Save = Annotated[bool, typer.Option("--save/--no-save", help="Write it to the environment's parameters.")]


def buy(
    offering_id: Annotated[str, typer.Argument(metavar="OFFERING", help="An offering of a search.")],
    environment: Environment = "prod",
    yes: Yes = False,
    max_fee: MaxFee = None,
    dry_run: DryRun = False,
    save: Save = True,
    replace: Replace = False,
    instance_type: OfferingType = None,
    count: OfferingCount = None,
    hours: OfferingHours = None,
    region: Region = None,
    look_seconds: LookSeconds = LOOK_SECONDS,
    settle_seconds: SettleSeconds = SETTLE_SECONDS,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Buy a Capacity Block, exactly once, and save it for the environment.

    Shows what it is and what it costs, and asks to type the fee. If it is stopped or loses the answer, run it
    again: it finds out whether the purchase was made, and never makes it twice.
    """
    from nixl_efa.capacity.calls import dry_run as try_out
    from nixl_efa.capacity.evidence import WaitingRule, pause_between
    from nixl_efa.capacity.locks import machine_lock
    from nixl_efa.capacity.order import Command, Kind
    from nixl_efa.cli.capacity import till as tills
    from nixl_efa.cli.capacity.lookup import find_again, look_up, order_of
    from nixl_efa.cli.capacity.tools import settings_of, tools

    tills.check_agreement(yes=yes, max_fee=max_fee)
    seen = look_up(tools(profile).searches, offering_id, instance_type, count, hours, region)
    kit = tools(profile, seen.region)
    settings = settings_of(environment)
    rule = WaitingRule(look_seconds, settle_seconds, pause_between(settle_seconds))
    till = tills.open_till(kit, seen.region, rule, replace=replace, save=save)
    if dry_run:
        order = order_of(find_again(kit, offering_id, seen), till.by, environment, settings)
        _summary(order)
        try_out(kit.clients.ec2_purchases(order.region), order)
        say("EC2 would allow this purchase. Nothing was bought.")
        _report("dry-run", order, (), "", as_json)
        return
    with machine_lock(kit.state / "locks", environment):
        done = _settled(till, environment, offering_id)
        if done is None:
            done = till.bought_before(Command(Kind.BLOCK, environment, seen.region, offering_id))
            if done is not None:
                till.hand_over(done)
        if done is not None:
            say(f"this command has bought {offering_id} before; nothing was bought now")
            _end(till, "already-bought", done, as_json)
            return
        order = order_of(find_again(kit, offering_id, seen), till.by, environment, settings)
        stored = _show_and_check(till, order, yes=yes, settings_region=settings.region if settings else None)
        tills.agree_to_fee(order, yes=yes, max_fee=max_fee)
        _end(till, "bought", till.buy(order, stored), as_json)


def _settled(till: Till, environment: str, offering_id: str) -> Entry | None:
    """The open purchase of this offering, if it was made after all. Failure when another one was: whoever
    asks for a second block should know of the first."""
    bought = till.settle_open(environment)
    mine = [entry for entry in bought if entry.order.offering_id == offering_id]
    others = [entry for entry in bought if entry not in mine]
    for problem in till.problems if others else ():
        say(problem)
    if others:
        raise Failure(
            f"an earlier purchase for environment {environment!r} was made after all: "
            f"{', '.join(others[0].reservation_ids)} ({others[0].order.text()}). Nothing was bought now; "
            f"run the "
            f"command again if you want another one."
        )
    return mine[0] if mine else None


def _show_and_check(till: Till, order: Order, *, yes: bool, settings_region: str | None) -> list[Any]:
    """Shows the order and what it would replace; returns the environment's parameters as they are now."""
    from nixl_efa.capacity import parameters

    _summary(order)
    if settings_region not in (None, order.region):
        say(
            f"environment {order.environment!r} is set to {settings_region}: to use this block, set its "
            f"region to "
            f"{order.region}"
        )
    if not till.save:
        return []
    stored = parameters.read_all(till.kit.clients.ssm(order.region), order.environment)
    current = till.in_use(order, stored)
    if current is not None:
        what = (
            f"{current.id} ({current.state}, until {both_times(current.end) if current.end else 'cancelled'})"
        )
        if yes and not till.replace:
            raise Failure(
                f"environment {order.environment!r} uses {what}: nothing was bought. Give --replace to "
                f"put the new "
                f"block in its place, or --no-save to leave it."
            )
        say(f"environment {order.environment!r} uses {what}; the new block takes its place")
    return stored


def extend(
    reservation_id: ReservationId,
    hours: Annotated[int, typer.Option(metavar="N", help="How many hours more, in AWS's steps.")],
    environment: Annotated[
        str | None, typer.Option("--env", help="The environment (default: its tag's).")
    ] = None,
    yes: Yes = False,
    max_fee: MaxFee = None,
    dry_run: DryRun = False,
    region: Region = None,
    look_seconds: LookSeconds = LOOK_SECONDS,
    settle_seconds: SettleSeconds = SETTLE_SECONDS,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Buy more time for a Capacity Block, exactly once. Its id stays the same.

    The block must be scheduled or active, and between 56 days and 1 hour before its end.
    """
    from nixl_efa.capacity.calls import dry_run as try_out
    from nixl_efa.capacity.evidence import WaitingRule, pause_between
    from nixl_efa.capacity.extension import check_extendable
    from nixl_efa.capacity.locks import machine_lock
    from nixl_efa.capacity.order import Kind
    from nixl_efa.capacity.request import check_hours
    from nixl_efa.capacity.reservation import ENVIRONMENT_TAG
    from nixl_efa.cli.capacity import till as tills
    from nixl_efa.cli.capacity.lookup import extension_order
    from nixl_efa.cli.capacity.tools import locate, settings_of, tools

    check_hours(hours, "--hours")
    tills.check_agreement(yes=yes, max_fee=max_fee)
    kit = tools(profile, region)
    block = locate(kit, reservation_id)
    owner = environment or block.tags.get(ENVIRONMENT_TAG) or "prod"
    rule = WaitingRule(look_seconds, settle_seconds, pause_between(settle_seconds))
    till = tills.open_till(kit, block.region, rule)
    settings = settings_of(owner)
    if dry_run:
        check_extendable(block, kit.clock.now())
        order = extension_order(kit, block, hours, till.by, owner, settings)
        _summary(order)
        try_out(kit.clients.ec2_purchases(order.region), order)
        say("EC2 would allow this purchase. Nothing was bought.")
        _report("dry-run", order, (), "", as_json)
        return
    with machine_lock(kit.state / "locks", owner):
        for entry in till.settle_open(owner):
            if entry.order.kind is Kind.EXTENSION and entry.order.target == block.id:
                say("an earlier run of this command has bought the extension; nothing was bought now")
                _end(till, "already-bought", entry, as_json)
                return
        check_extendable(block, kit.clock.now())
        order = extension_order(kit, block, hours, till.by, owner, settings)
        before = till.bought_before(order.command)
        if before is not None:
            say("this extension has been bought before; nothing was bought now")
            _end(till, "already-bought", before, as_json)
            return
        _summary(order)
        tills.agree_to_fee(order, yes=yes, max_fee=max_fee)
        _end(till, "bought", till.buy(order, []), as_json)


def recover(
    environment: Annotated[
        str | None, typer.Option("--env", help="Only this environment; without it, every one known here.")
    ] = None,
    not_bought: Annotated[
        str | None, typer.Option(metavar="TAG", help="Close this open purchase by hand: nothing was bought.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before a lock is removed.")] = False,
    replace: Replace = False,
    region: Region = None,
    settle_seconds: SettleSeconds = SETTLE_SECONDS,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Find out what became of purchases whose outcome is not known, and clear their locks.

    Looks for each by its tag. Nothing is ever bought by this command.
    """
    from nixl_efa.cli.capacity import recovering

    if not_bought is not None and environment is not None:
        raise BadInput("--not-bought names a purchase: leave --env away")
    closed, problems = recovering.recover(
        environment, not_bought, profile, region, settle_seconds, yes=yes, replace=replace
    )
    if as_json:
        print_json("capacity-recover", {"purchases": [recovering.form(entry) for entry in closed]})
    else:
        for entry in closed:
            ids = ", ".join(entry.reservation_ids)
            data(f"{entry.tag} {entry.order.environment} " + (f"bought {ids}" if ids else "not bought"))
        if not closed:
            say("no purchase is open")
    if problems:
        raise Failure("; ".join(problems))


def _summary(order: Order) -> None:
    """What is bought, on stderr, and what can't be undone."""
    from nixl_efa.capacity.order import Kind
    from nixl_efa.cli.capacity.words import length, money

    what = "Extension of " + order.target if order.kind is Kind.EXTENSION else "Capacity Block"
    rows = {
        "offering": order.offering_id,
        what: f"{order.count} x {order.instance_type} in {order.zone}",
        "start": both_times(order.start),
        "end": f"{both_times(order.end)} ({length(order.end - order.start)})",
        "fee": f"{money(order.fee)} {order.currency}, all instances, whole time, charged now",
        "for": f"environment {order.environment}",
    }
    for key, value in rows.items():
        say(f"  {key:<16} {value}")
    say("  A Capacity Block can't be cancelled, changed, moved or split: the fee is not paid back.")


def _end(till: Till, outcome: str, entry: Entry, as_json: bool) -> None:
    """Prints what was bought. Failure, with the purchase said, when it could not be handed over."""
    _report(outcome, entry.order, entry.reservation_ids, entry.tag, as_json)
    if outcome == "bought":
        say(f"bought. `nixl-efa capacity wait {entry.reservation_ids[0]} --for active` waits for its start.")
    if till.problems:
        raise Failure("; ".join(till.problems))


def _report(outcome: str, order: Order, ids: tuple[str, ...], tag: str, as_json: bool) -> None:
    from nixl_efa.cli.capacity.forms import order_form

    if as_json:
        body = {"outcome": outcome, "reservation_ids": list(ids), "tag": tag or None}
        print_json("capacity-purchase", {**body, "order": order_form(order)})
        return
    for reservation_id in ids:
        data(reservation_id)
