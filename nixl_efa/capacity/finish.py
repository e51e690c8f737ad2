"""What follows a purchase: it is saved, the user is told, and then its entry is closed.

Whatever stops this leaves the entry BOUGHT, so that the next command on this machine, or `recover` on any, does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nixl_efa.aws_errors import explain
from nixl_efa.capacity import environment
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Holdings, Slot
from nixl_efa.capacity.order import Entry, State
from nixl_efa.capacity.purchase import Interrupted, settle, write_both
from nixl_efa.capacity.reservation import UNKNOWN, Reservation
from nixl_efa.failure import Failure
from nixl_efa.launch import ReservationSource


@dataclass(frozen=True, slots=True)
class Finished:
    """An entry after its end. problem: why it could not be saved, with what to do; empty when all is well. The entry
    is open still then. slot: as what it is kept; None when it is not."""

    entry: Entry
    problem: str = ""
    slot: Slot | None = None


def finish(
    entry: Entry,
    buyer: Buyer,
    outcome: str,
    *,
    held: Holdings | None = None,
    slot: Slot | None = None,
    replace_living: bool = False,
) -> Finished:
    """Saves a BOUGHT entry's reservation, tells the user and closes it.

    held, slot: what the environment had when the user agreed, and as what it is kept; looked up without. Failure, with
    what was bought, when it is interrupted.
    """
    ids = ", ".join(entry.reservation_ids)
    try:
        finished = Finished(entry)
        if entry.order.is_saved:
            buyer.talk.tell(f"{ids} was bought for {entry.order.whom}; saving it.")
            finished = _saved(entry, buyer, held, slot, replace_living)
        buyer.talk.report(entry, outcome, finished.slot.value if finished.slot else "")
        if finished.problem:
            return finished
        done = buyer.journal.moved(entry, State.DONE)
        write_both(buyer, done, f"{ids} was bought, but ")
        return replace(finished, entry=done)
    except KeyboardInterrupt:
        raise Interrupted(entry.order, entry.reservation_ids) from None


def settle_earlier(buyer: Buyer, lock_name: str) -> list[Entry]:
    """What this machine's open orders for an environment turn out to have bought: still to be finished."""
    settled = [settle(buyer, entry) for entry in buyer.journal.open_entries(lock_name)]
    return [entry for entry in settled if entry.state is State.BOUGHT]


def finish_others(others: list[Entry], buyer: Buyer) -> None:
    """Finishes what was bought earlier, then stops: whoever asks for another purchase should know of the first.
    Failure when there was any."""
    if not others:
        return
    told = [finish(entry, buyer, "bought") for entry in others]
    for one in told:
        if one.problem:
            buyer.talk.tell(one.problem)
    first = told[0].entry
    raise Failure(
        f"an earlier purchase for {first.order.whom} was made after all: {', '.join(first.reservation_ids)} ({first.order.offering.text()}). "  # noqa: E501
        "Nothing was bought now. Run the command again if you want another one."
    )


def source_of(entry: Entry) -> ReservationSource:
    """Where the entry's environment reads its reservation from, as it was when it was bought."""
    order = entry.order
    return ReservationSource(
        environment=order.environment,
        region=order.offering.region,
        id_parameter=order.id_parameter,
        zone_parameter=order.zone_parameter,
        reads_id=True,
        reads_zone=True,
    )


def slot_of_bought(bought: Reservation, held: Holdings, buyer: Buyer, *, replace_living: bool) -> Slot:
    """As what a reservation that is already bought is kept. Failure when the environment has no place for it."""
    now = buyer.clock.now()
    current, following = held.current, held.next
    if current is None or current.id == bought.id or not current.lives(now) or replace_living:
        return Slot.CURRENT
    free = following is None or following.id == bought.id or not following.lives(now)
    later = current.end is not None and bought.end is not None and bought.end > current.end
    if free and later:
        return Slot.NEXT
    known = "which EC2 does not show" if current.state == UNKNOWN else "which lives"
    raise Failure(
        f"{held.source.environment} uses {current.id!r}, {known}: `--replace` puts {bought.id} in its place"
    )


def _saved(
    entry: Entry, buyer: Buyer, held: Holdings | None, slot: Slot | None, replace_living: bool
) -> Finished:
    order, reservation_id = entry.order, entry.reservation_ids[0]
    try:
        if held is None or slot is None:
            held = environment.holdings(buyer, source_of(entry), [entry], regions=[order.offering.region])
            bought = replace(order.offering.reservation(), id=reservation_id)
            slot = slot_of_bought(bought, held, buyer, replace_living=replace_living)
        environment.save(buyer, held, slot, reservation_id, order.offering.zone)
    except Exception as error:
        return Finished(
            entry,
            f"{reservation_id} was bought, but not saved for {order.environment!r} ({explain(error)}). "
            f"Run: nixl-efa capacity save {reservation_id} --env {order.environment} --region {order.offering.region}",
        )
    return Finished(entry, slot=slot)
