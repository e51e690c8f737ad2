"""`nixl-efa capacity buy`, `extend` and `recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    from nixl_efa.cli.capacity.purchasing import Outcome
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
    from nixl_efa.capacity.evidence import WaitingRule, pause_between
    from nixl_efa.cli.capacity.lookup import look_up
    from nixl_efa.cli.capacity.purchasing import Choices, buy_block
    from nixl_efa.cli.capacity.till import check_agreement, open_till
    from nixl_efa.cli.capacity.tools import settings_of, tools

    check_agreement(yes=yes, max_fee=max_fee)
    settings = settings_of(environment)
    wanted = look_up(tools(profile).searches, offering_id, instance_type, count, hours, region)
    rule = WaitingRule(look_seconds, settle_seconds, pause_between(settle_seconds))
    till = open_till(tools(profile, wanted.region), wanted.region, rule, replace=replace, save=save)
    choices = Choices(environment, settings, yes, max_fee, dry_run)
    _end(till, buy_block(till, offering_id, wanted, choices), as_json)


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
    from nixl_efa.capacity.evidence import WaitingRule, pause_between
    from nixl_efa.capacity.request import check_hours
    from nixl_efa.capacity.reservation import ENVIRONMENT_TAG
    from nixl_efa.cli.capacity.purchasing import Choices, extend_block
    from nixl_efa.cli.capacity.till import check_agreement, open_till
    from nixl_efa.cli.capacity.tools import locate, settings_of, tools

    check_hours(hours, "--hours")
    check_agreement(yes=yes, max_fee=max_fee)
    kit = tools(profile, region)
    block = locate(kit, reservation_id)
    owner = environment or block.tags.get(ENVIRONMENT_TAG) or "prod"
    rule = WaitingRule(look_seconds, settle_seconds, pause_between(settle_seconds))
    till = open_till(kit, block.region, rule)
    choices = Choices(owner, settings_of(owner), yes, max_fee, dry_run)
    _end(till, extend_block(till, block, hours, choices), as_json)


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


def _end(till: Till, outcome: Outcome, as_json: bool) -> None:
    """Prints what was bought. Failure, with the purchase said, when it could not be handed over."""
    from nixl_efa.capacity.order import Kind
    from nixl_efa.cli.capacity.forms import order_form

    ids = outcome.reservation_ids
    if as_json:
        body = {"outcome": outcome.kind, "reservation_ids": list(ids), "tag": outcome.tag or None}
        print_json("capacity-purchase", {**body, "order": order_form(outcome.order)})
    else:
        for reservation_id in ids:
            data(reservation_id)
    till.told([outcome.tag])
    if outcome.kind == "bought" and outcome.order.kind is Kind.EXTENSION:
        say(f"extended to {both_times(outcome.order.end)}; `show` has the new end once AWS has the payment.")
    elif outcome.kind == "bought":
        say(f"bought. `nixl-efa capacity wait {ids[0]} --for active` waits for its start.")
    if till.problems:
        raise Failure("; ".join(till.problems))
