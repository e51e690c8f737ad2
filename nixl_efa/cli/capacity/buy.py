"""`nixl-efa capacity buy`, `extend`, `recover`, `save`, `load` and `switch`: options in, words out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nixl_efa.cli.capacity.session import (
    LOOK_SECONDS,
    SETTLE_SECONDS,
    AsJson,
    DryRun,
    Environment,
    LookSeconds,
    MaxFee,
    Profile,
    Region,
    Replace,
    ReservationId,
    Session,
    SettleSeconds,
    Terminal,
    Yes,
    interruptible,
    session,
)
from nixl_efa.cli.output import BadInput, Failure, ask, both_times, data, print_json, say
from nixl_efa.cli.project import WHAT_IT_IS, environments

if TYPE_CHECKING:
    from nixl_efa.account import Account
    from nixl_efa.capacity.order import Entry
    from nixl_efa.capacity.purchase import Outcome
    from nixl_efa.launch import Launch

# The form of an environment's name, which becomes part of names of files and parameters (settings.files).
_NAME = re.compile(r"[a-z][a-z0-9-]*(/[a-z0-9]+)?")
OfferingType = Annotated[str | None, typer.Option("--type", help="Its type, if no search here has shown it.")]
OfferingCount = Annotated[
    int | None, typer.Option("--count", help="Its instances, if no search here has shown it.")
]
OfferingHours = Annotated[
    int | None, typer.Option("--hours", help="The length that was asked for, if no search here has shown it.")
]
Save = Annotated[bool, typer.Option("--save/--no-save", help="Save it in the environment's parameters.")]
MinHours = Annotated[
    float | None,
    typer.Option(metavar="N", help="Accept a block that is shorter than asked, if it lasts this many hours."),
]


def buy(
    offering_id: Annotated[
        str, typer.Argument(metavar="OFFERING", help="An offering that a search has shown.")
    ],
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            help="The environment it is for. [default: the one that it fits]",
            autocompletion=environments,
        ),
    ] = None,
    unbound: Annotated[bool, typer.Option("--unbound", help="Buy it for no environment.")] = False,
    yes: Yes = False,
    max_fee: MaxFee = None,
    min_hours: MinHours = None,
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
    """Buy a Capacity Block, exactly once, and save it.

    Shows the block, who pays and the fee, and asks you to type the fee. A block that the environment can't use is
    refused. If it is stopped, or gets no answer, run it again: it finds out whether the purchase was made, and makes no
    second one.
    """
    from nixl_efa.capacity import buy as library
    from nixl_efa.capacity.agreement import agreement
    from nixl_efa.capacity.buyer import checked_rule
    from nixl_efa.capacity.order import UNBOUND
    from nixl_efa.capacity.search import checked_question
    from nixl_efa.capacity.shown import recall

    agreed = agreement(yes=yes, max_fee=max_fee, min_hours=min_hours, replace=replace)
    rule = checked_rule(look_seconds, settle_seconds)
    run = session(profile)
    launches = _launches(run, environment, unbound=unbound)
    run = run.acting_for(launches[environment]) if environment else run
    question = checked_question(
        offering_id,
        recall(run.searches, offering_id),
        instance_type=instance_type,
        count=count,
        hours=hours,
        region=region,
        now=run.clock.now(),
    )
    request = library.BuyRequest(
        question, launches, UNBOUND if unbound else environment or "", agreed, save, dry_run
    )
    buyer = run.buyer(question.region, as_json=as_json, rule=rule)
    with interruptible():
        _end(library.buy(request, buyer), buyer.account, as_json=as_json)


def extend(
    reservation_id: ReservationId,
    hours: Annotated[
        int, typer.Option(metavar="N", help="How many more hours: 24-hour steps to 336, then 168 to 4368.")
    ],
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            help="The environment (default: its tag's).",
            autocompletion=environments,
        ),
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
    """Buy more time for a Capacity Block, exactly once.

    The id stays the same. It is effective only when it is paid: `wait ID --extension` waits for that.
    """
    from nixl_efa.capacity import extend as library
    from nixl_efa.capacity.agreement import agreement
    from nixl_efa.capacity.buyer import checked_rule
    from nixl_efa.capacity.search import check_hours

    check_hours(hours, "--hours")
    agreed = agreement(yes=yes, max_fee=max_fee, min_hours=None, replace=False)
    rule = checked_rule(look_seconds, settle_seconds)
    run = session(profile, region)
    launches = {environment: run.launch(environment)} if environment else run.launches()
    run = run.acting_for(launches[environment]) if environment else run
    block = run.locate(reservation_id)
    request = library.ExtendRequest(block, hours, agreed, environment or "", launches, dry_run)
    buyer = run.buyer(block.region, as_json=as_json, rule=rule)
    with interruptible():
        _end(library.extend(request, buyer), buyer.account, as_json=as_json)


def recover(
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            help="Only this environment. [default: all of this project]",
            autocompletion=environments,
        ),
    ] = None,
    not_bought: Annotated[
        str | None, typer.Option(metavar="TAG", help="Close this open purchase by hand: nothing was bought.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before a purchase is closed.")] = False,
    replace: Replace = False,
    region: Region = None,
    settle_seconds: SettleSeconds = SETTLE_SECONDS,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Find out the outcome of open purchases, report and save them. Buys nothing."""
    from dataclasses import replace as changed

    from nixl_efa.capacity import recover as library
    from nixl_efa.capacity.buyer import checked_rule
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.launch import launch_of
    from nixl_efa.reservation_source import environment_of
    from nixl_efa.settings import environment_names
    from nixl_efa.settings.names import did_you_mean

    if not_bought is not None and environment is not None:
        raise BadInput("--not-bought names a purchase: leave out --env")
    if environment is not None and not _NAME.fullmatch(environment):
        raise BadInput(f"--env {environment!r}: a name has small letters, digits and hyphens, a letter first")
    rule = checked_rule(LOOK_SECONDS, settle_seconds)
    run = session(profile, region)
    names = environment_names(run.project / "environments")
    if environment and environment_of(environment) in names:
        # Not the launch of a target: the entry for which a purchase was made may not exist any more.
        settings = environment_settings(
            environment_of(environment), run.environ, run.project, run.profile, filled=False
        )
        run = run.acting_for(launch_of(settings, profile=run.profile))
    launches = run.launches()
    where = run.clients.region or next((one.region for one in launches.values()), None) or run.region()
    found = run.buyer(where, rule=rule)
    buyer = changed(found, talk=_Recovery(found.account))
    known = {*names, *launches, *library.known_names(buyer)}
    if environment and names and environment not in known:
        raise BadInput(
            f"--env {environment!r}: there is no such environment. {did_you_mean(environment, names)}"
        )

    def agree(question: str) -> bool:
        return yes or ask(f"{question} [y/N]").lower() in ("y", "yes")

    with interruptible():
        done = library.recover(
            {environment} if environment else known,
            buyer,
            agree,
            replace_living=replace,
            declared=not_bought or "",
        )
    if as_json:
        print_json("capacity-recover", {"purchases": [_recovered(entry) for entry in done.entries]})
    else:
        for entry in done.entries:
            data(_line(entry))
    if not done.entries and not done.problems:
        say(f"no purchase is open in account {buyer.account.id}")
    for entry in buyer.journal.open_in_other_accounts():
        say(f"WARN: account {entry.place.account}: {entry.state_text()} Use credentials of that account.")
    if done.problems:
        raise Failure("; ".join(done.problems))


def save(
    reservation_id: ReservationId,
    environment: Environment,
    replace: Replace = False,
    region: Region = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Save a reservation's id and zone for an environment.

    Its stack reads them from Parameter Store. A reservation that the environment can't use is refused. A block that
    ends later than the current one is kept as the next. Asks before it replaces a reservation that has not ended.
    """
    from nixl_efa.capacity import save as library

    run = session(profile, region)
    launch = run.launch(environment)
    run = run.acting_for(launch, region or launch.region)
    found = run.locate(reservation_id)
    names = run.node_names(launch)
    saved = library.save(found, launch, names, run.buyer(launch.region), replace=replace)
    if as_json:
        body = {
            "environment": environment,
            "region": found.region,
            "reservation_id": found.id,
            "availability_zone": found.zone,
            "kept_as": saved.slot.value,
            "parameters": list(saved.parameters),
        }
        print_json("capacity-save", body)


def switch(
    environment: Annotated[str, typer.Argument(metavar="ENV", autocompletion=environments)],
    profile: Profile = None,
) -> None:
    """Make an environment's next block its current one.

    Asks if nodes still run in the current one: the next deployment destroys them.
    """
    from nixl_efa.capacity import save as library
    from nixl_efa.reservation_source import environment_of

    run = session(profile)
    launch = run.launch(environment)
    run = run.acting_for(launch)
    held = library.switch(launch, run.node_names(launch), run.buyer(launch.region))
    data(held.current.id if held.current else "-")
    say(f"`nixl-efa deploy {environment_of(environment)}` launches into it.")


def load(
    environment: Environment, region: Region = None, as_json: AsJson = False, profile: Profile = None
) -> None:
    """Print the reservations that are saved for an environment.

    Exits with 1 if a launch into the current one would fail permanently.
    """
    from nixl_efa.capacity import save as library
    from nixl_efa.cli.capacity import forms
    from nixl_efa.findings import failures

    run = session(profile, region)
    launch = run.launch(environment)
    source = launch.reservation
    run = run.acting_for(launch)
    held, findings = library.load(launch, run.buyer(launch.region))
    now = run.clock.now()
    stored_id = held.current.id if held.current else ""
    stored_zone = held.stored[source.zone_parameter].value
    if as_json:
        users = ((environment, "current"),)
        known = held.current if held.current and held.current.state != "unknown" else None
        body: dict[str, Any] = {
            "environment": environment,
            "region": launch.region,
            "reservation_id": stored_id or None,
            "availability_zone": stored_zone or None,
            "next_reservation_id": held.next.id if held.next else None,
            "parameters": [source.zone_parameter, source.id_parameter],
            "fits": not failures(findings),
            "findings": [
                {"level": one.level.value, "message": one.message, "remedy": one.remedy} for one in findings
            ],
            "reservation": forms.reservation_form(known, users, None, now) if known else None,
        }
        print_json("capacity-load", body)
    else:
        data(f"{source.id_parameter:<40} {stored_id or '-'}")
        data(f"{source.zone_parameter:<40} {stored_zone or '-'}")
        if held.next is not None:
            data(f"{source.next_id_parameter:<40} {held.next.id}")
        if held.current is not None and held.current.end is not None:
            data(f"{'ends':<40} {both_times(held.current.end)}")
        for finding in findings:
            say(f"{finding.level.value}: {finding.line()}")
    if failures(findings):
        raise typer.Exit(1)


class _Recovery(Terminal):
    """Says each outcome at once on stderr; the lines on stdout follow when all is done."""

    def report(self, entry: Entry, outcome: str, kept_as: str = "") -> None:
        kept = f", kept as its {kept_as} block" if kept_as else ""
        say(f"{outcome}: {_line(entry)}{kept}")


def _line(entry: Entry) -> str:
    whom = entry.order.environment or "no environment"
    ids = ", ".join(entry.reservation_ids)
    return f"{entry.tag} {whom} " + (f"bought {ids}" if ids else "not bought")


def _recovered(entry: Entry) -> dict[str, Any]:
    from nixl_efa.cli.capacity.forms import order_form

    return {
        "tag": entry.tag,
        "outcome": "bought" if entry.reservation_ids else "not-bought",
        "reservation_ids": list(entry.reservation_ids),
        "order": order_form(entry.order),
    }


def _launches(run: Session, environment: str | None, *, unbound: bool) -> dict[str, Launch]:
    """Who could take the block: the environment that is named, else every one."""
    from nixl_efa.settings import environment_names

    if unbound and environment is not None:
        raise BadInput(f"--env {environment} and --unbound exclude each other: give one of them")
    if unbound:
        return {}
    if not environment_names(run.project / "environments"):
        raise BadInput(f"there are no environments here to buy for: {WHAT_IT_IS}. --unbound buys for none.")
    named = {} if environment is None else {environment: run.launch(environment)}
    return {**run.launches(), **named}


def _end(outcome: Outcome, account: Account, *, as_json: bool) -> None:
    """Shows what to do next. Failure, which names the purchase, when it could not be saved."""
    from nixl_efa.cli.capacity import forms

    order = outcome.order
    if outcome.kind == "dry-run" and as_json:
        kept_as = outcome.slot.value if outcome.slot else ""
        form = forms.purchase_form(order, account, outcome.kind, kept_as)
        print_json("capacity-purchase", form)
    if outcome.kind == "bought" and order.is_extension:
        block, end = order.offering.extends, both_times(order.offering.end)
        say(
            f"bought, payment pending: {block} ends at {end} once it is paid. "
            f"`nixl-efa capacity wait {block} --extension` waits for that."
        )
    elif outcome.kind == "bought" and outcome.entry:
        first, *others = outcome.entry.reservation_ids
        say(f"bought. `nixl-efa capacity wait {first} --for active` waits for its start.")
        if others:
            say(f"{', '.join(others)} of the same purchase: no node of this environment is launched there.")
    if outcome.problem:
        raise Failure(outcome.problem)
