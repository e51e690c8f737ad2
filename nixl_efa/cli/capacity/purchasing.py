"""The steps of `buy` and `extend`: settle what is open, look anew, agree, buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixl_efa.capacity import calls, parameters, purchase
from nixl_efa.capacity.extension import check_extendable
from nixl_efa.capacity.journal import Entry
from nixl_efa.capacity.locks import machine_lock
from nixl_efa.capacity.order import Command, Kind, Order
from nixl_efa.capacity.parameters import Stored
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.seen import Wanted
from nixl_efa.cli.capacity.lookup import extension_order, find_again, order_of
from nixl_efa.cli.capacity.till import Till, agree_to_fee
from nixl_efa.cli.capacity.words import length, money
from nixl_efa.cli.output import Failure, both_times, say

if TYPE_CHECKING:
    from nixl_efa.settings import Settings


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose: settings are the environment's, None when it has none here."""

    environment: str
    settings: Settings | None = None
    yes: bool = False
    max_fee: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: "bought", "already-bought" or "dry-run"; no reservation for the last."""

    kind: str
    order: Order
    reservation_ids: tuple[str, ...] = ()
    tag: str = ""


def buy_block(till: Till, offering_id: str, wanted: Wanted, choices: Choices) -> Outcome:
    """Buys the offering for the environment, unless this command has bought it before."""
    if choices.dry_run:
        return _try_out(till, _block_order(till, offering_id, wanted, choices))
    command = Command(Kind.BLOCK, choices.environment, wanted.region, offering_id)
    with machine_lock(till.kit.state / "locks", choices.environment):
        done = _settled(till, choices.environment, offering_id)
        if done is None:
            done = till.bought_before(command)
            if done is not None:
                till.hand_over(done)
                # Whatever ended the earlier run may have come between its outcome and its lock's release.
                purchase.release(till.desk, done)
        if done is not None:
            return _already(done)
        # Before the user is asked: whoever buys while the question stands has been quicker.
        made = till.made(command)
        order = _block_order(till, offering_id, wanted, choices)
        summarize(order)
        stored = _check_environment(till, order, choices)
        agree_to_fee(order, yes=choices.yes, max_fee=choices.max_fee)
        return _ended("bought", till.buy(order, made, stored))


def extend_block(till: Till, block: Reservation, hours: int, choices: Choices) -> Outcome:
    """Buys more hours for the block, unless an earlier run of the command turns out to have."""
    if choices.dry_run:
        return _try_out(till, _extension_order(till, block, hours, choices))
    with machine_lock(till.kit.state / "locks", choices.environment):
        for entry in till.settle_open(choices.environment):
            if entry.order.kind is Kind.EXTENSION and entry.order.target == block.id:
                return _already(entry)
        # The offerings of an extended block are new ones, so an offering does not tell that it is the same
        # command again; that nobody was told of its outcome does.
        untold = till.desk.journal.untold_extension(block.id)
        if untold is not None:
            purchase.release(till.desk, untold)
            return _already(untold)
        made = till.made(Command(Kind.EXTENSION, choices.environment, block.region, "", block.id))
        order = _extension_order(till, block, hours, choices)
        before = till.bought_before(order.command)
        if before is not None:
            purchase.release(till.desk, before)
            return _already(before)
        summarize(order)
        agree_to_fee(order, yes=choices.yes, max_fee=choices.max_fee)
        return _ended("bought", till.buy(order, made, []))


def _block_order(till: Till, offering_id: str, wanted: Wanted, choices: Choices) -> Order:
    offering = find_again(till.kit, offering_id, wanted)
    return order_of(offering, till.by, choices.environment, choices.settings)


def _extension_order(till: Till, block: Reservation, hours: int, choices: Choices) -> Order:
    check_extendable(block, till.kit.clock.now())
    return extension_order(till.kit, block, hours, till.by, choices.environment, choices.settings)


def _try_out(till: Till, order: Order) -> Outcome:
    summarize(order)
    calls.dry_run(till.kit.clients.ec2_purchases(order.region), order)
    say("EC2 would allow this purchase. Nothing was bought.")
    return Outcome("dry-run", order)


def _already(entry: Entry) -> Outcome:
    say(f"this command has bought {entry.order.offering_id} before; nothing was bought now")
    return _ended("already-bought", entry)


def _ended(kind: str, entry: Entry) -> Outcome:
    return Outcome(kind, entry.order, entry.reservation_ids, entry.tag)


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


def _check_environment(till: Till, order: Order, choices: Choices) -> list[Stored]:
    """Says what the purchase changes for the environment; returns its parameters as they are now.

    Failure when it uses another block that nobody has agreed to replace.
    """
    settings = choices.settings
    if settings is not None and settings.region != order.region:
        say(
            f"environment {order.environment!r} is set to {settings.region}: to use this block, set its "
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
        if choices.yes and not till.replace:
            raise Failure(
                f"environment {order.environment!r} uses {what}: nothing was bought. Give --replace to "
                f"put the new "
                f"block in its place, or --no-save to leave it."
            )
        say(f"environment {order.environment!r} uses {what}; the new block takes its place")
    return stored


def summarize(order: Order) -> None:
    """What is bought, on stderr, and what can't be undone."""
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
