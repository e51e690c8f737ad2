"""What follows a purchase: it is saved, the user is told, and then its entry is closed.

Whatever stops this leaves the entry BOUGHT, so that the next command on this machine, or `recover` on any, does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nixl_efa.aws_errors import explain
from nixl_efa.capacity import environment
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Holdings, Slot
from nixl_efa.capacity.order import Entry, Order, State
from nixl_efa.capacity.purchase import Interrupted
from nixl_efa.capacity.reservation import UNKNOWN, Reservation
from nixl_efa.failure import Failure
from nixl_efa.launch import ReservationSource


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a purchase ended.

    kind:    "bought", "already-bought" or "dry-run".
    entry:   of what is bought. It is open still where there is a problem.
    slot:    as what it is kept; None when it is not.
    problem: why it could not be saved, with what to do; empty when all is well.
    """

    kind: str
    order: Order
    entry: Entry | None = None
    slot: Slot | None = None
    problem: str = ""


def finish(
    entry: Entry,
    buyer: Buyer,
    kind: str,
    *,
    held: Holdings | None = None,
    slot: Slot | None = None,
    replace_living: bool = False,
) -> Outcome:
    """Saves a BOUGHT entry's reservation, tells the user and closes it.

    kind: "bought" or "already-bought". held, slot: what the environment had when the user agreed, and as what it is
    kept; looked up without. Failure, with what was bought, when it is interrupted.
    """
    order, ids, problem = entry.order, ", ".join(entry.reservation_ids), ""
    try:
        if order.is_saved:
            buyer.talk.tell(f"{ids} was bought for {order.whom}; saving it.")
            slot, problem = _save(entry, buyer, held, slot, replace_living)
        else:
            slot = None
        buyer.talk.report(entry, kind, slot.value if slot else "")
        if not problem:
            entry = buyer.journal.moved(entry, State.DONE)
            buyer.record(entry, f"{ids} was bought, but ")
        return Outcome(kind, order, entry, slot, problem)
    except KeyboardInterrupt:
        raise Interrupted(entry.order, entry.reservation_ids) from None


def _save(
    entry: Entry, buyer: Buyer, held: Holdings | None, slot: Slot | None, replace_living: bool
) -> tuple[Slot | None, str]:
    """As what the reservation is kept now; else why it could not be saved, and what to do."""
    order, reservation_id = entry.order, entry.reservation_ids[0]
    try:
        if held is None or slot is None:
            source = ReservationSource(
                environment=order.environment,
                region=order.offering.region,
                id_parameter=order.id_parameter,
                zone_parameter=order.zone_parameter,
                reads_id=True,
                reads_zone=True,
            )
            held = environment.holdings(buyer, source, [entry], regions=[source.region])
            bought = replace(order.offering.reservation(), id=reservation_id)
            slot = slot_of_bought(bought, held, buyer, replace_living=replace_living)
        environment.save(buyer, held, slot, reservation_id, order.offering.zone)
    except Exception as error:
        return None, (
            f"{reservation_id} was bought, but not saved for {order.environment!r} ({explain(error)}). "
            f"Run: nixl-efa capacity save {reservation_id} --env {order.environment} --region {order.offering.region}"
        )
    return slot, ""


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
