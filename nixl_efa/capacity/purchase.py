"""Buying exactly once.

EC2's purchase calls take no client token, so a call that is repeated may buy twice, and a call whose answer is lost
may have bought. Therefore a purchase has these steps:

1. the order is written to this machine's journal on disk as PREPARED, with a tag that no other order has;
2. it takes the next number of the environment's shared journal, which locks the environment;
3. the machine's journal is set to CALLING;
4. the call is sent once, without retries, and carries the tag;
5. both journals are set to the outcome: NOT_BOUGHT or BOUGHT;
6. what was bought is saved and reported to the user, and both journals are set to DONE.

If this stops at any step, the next command finds the entry. PREPARED was not bought; a CALLING order is searched for by
its tag; a BOUGHT one is saved and reported. Until the entry is closed, nobody can buy for the environment.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nixl_efa.aws_calls import NoResultError
from nixl_efa.aws_errors import explain
from nixl_efa.capacity import environment, parameters
from nixl_efa.capacity.agreement import Proposal
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Holdings, Slot
from nixl_efa.capacity.journal import JournalFull
from nixl_efa.capacity.order import Entry, Order, State
from nixl_efa.capacity.purchase_calls import certainly_not_bought, extensions_bought, find_purchase, send
from nixl_efa.capacity.reservation import PURCHASE_TAG, UNKNOWN, Reservation
from nixl_efa.failure import Failure
from nixl_efa.reservation_source import ReservationSource

# A purchase counts as not made only after this many looks that found nothing.
TRIES = 3
# A process that was suspended before the call (a closed laptop, a disk that hangs) must not buy when it continues: by
# then somebody may have decided that its purchase was not made. If it is suspended after this limit was checked, its
# request is already signed, and AWS refuses a signature older than 5 minutes (IAM user guide, signing elements).
LONGEST_PREPARATION_SECONDS = 60.0


class Unclear(Failure):
    """Nobody knows yet whether the entry's order was bought. Nothing else is bought until it is known."""

    def __init__(self, entry: Entry, settled_at: datetime, exit_code: int = 1) -> None:
        super().__init__(
            f"whether {entry.order.offering.id} was bought is not known yet (tag {entry.tag}). "
            f"Run the same command again, or `nixl-efa capacity recover{entry.order.env_option}`: both look for the purchase and never buy it twice. "  # noqa: E501
            f"If it can't be found until {settled_at:%Y-%m-%d %H:%M:%S} UTC, it was not made.",
            exit_code,
        )
        self.entry = entry


class Interrupted(Failure):
    """The command was stopped between a purchase and the end of its work."""

    def __init__(self, order: Order, ids: tuple[str, ...]) -> None:
        super().__init__(
            f"interrupted: {', '.join(ids)} was bought for {order.whom}. "
            f"Run `nixl-efa capacity recover{order.env_option}`: it saves it.",
            exit_code=130,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a purchase ended.

    kind:    "bought", "already-bought" or "dry-run".
    entry:   the entry of the purchase. It is still open when there is a problem.
    slot:    as which block of the environment it is kept; None when it is not kept.
    problem: why it could not be saved, and what to do; empty when it was saved or need not be.
    """

    kind: str
    order: Order
    entry: Entry | None = None
    slot: Slot | None = None
    problem: str = ""


def buy_once(proposal: Proposal, buyer: Buyer) -> Entry:
    """Buys what was agreed to and returns its entry, which is BOUGHT. The caller must then save and report it.

    The caller holds this machine's lock of the environment and has settled its open entries. Failure when nothing was
    bought, Unclear when that isn't known.
    """
    order = proposal.order
    try:
        entry = buyer.journal.prepare(order)
    except JournalFull as full:
        raise Failure(f"nothing was bought: {full.message}") from full
    latest = entry.changed_at + timedelta(seconds=LONGEST_PREPARATION_SECONDS)
    try:
        entry = buyer.shared_journal_of(order).take(entry, proposal.number)
        _check_unchanged(proposal, buyer)
        entry = buyer.journal.write(buyer.journal.moved(entry, State.CALLING))
        if buyer.clock.now() > latest:
            raise Failure("the preparation took too long: nothing was bought. Run the same command again.")
    except (Exception, KeyboardInterrupt) as error:
        close_unbought(buyer, entry, f"stopped before the call: {error}")
        if isinstance(error, KeyboardInterrupt) or (
            isinstance(error, Failure) and not isinstance(error, JournalFull | NoResultError)
        ):
            raise
        raise Failure(f"nothing was bought: {explain(error)}") from error
    ids: tuple[str, ...] = ()
    try:
        ids = _send_and_find(buyer, entry)
        return record_bought(buyer, entry, ids)
    except KeyboardInterrupt:
        if ids:
            raise Interrupted(entry.order, ids) from None
        raise Unclear(entry, buyer.rule.settled_at(entry), exit_code=130) from None


def _check_unchanged(proposal: Proposal, buyer: Buyer) -> None:
    """Failure when something has changed since the user was asked. The shared journal is checked elsewhere (take)."""
    offering = proposal.order.offering
    if proposal.held is not None:
        ssm = buyer.clients.ssm(proposal.held.source.region)
        parameters.check_unchanged(ssm, proposal.held.stored.values())
    if proposal.order.is_extension:
        ec2 = buyer.clients.ec2(offering.region)
        if extensions_bought(ec2, offering.extends, buyer.clock.sleep) - proposal.extended:
            raise Failure(
                f"{offering.extends} was extended by somebody else just now: nothing was bought here. "
                "Run the command again if you want more time in addition."
            )


def _send_and_find(buyer: Buyer, entry: Entry) -> tuple[str, ...]:
    """Sends the purchase and returns the ids of its reservations. Searches for them when the answer names none."""
    try:
        ids = send(buyer.clients.ec2_once(entry.order.offering.region), entry)
        if ids:
            return ids
        buyer.talk.tell("EC2's answer names no reservation: looking for the purchase by its tag.")
    except Exception as error:
        if certainly_not_bought(error):
            close_unbought(buyer, entry, explain(error))
            raise Failure(f"nothing was bought: {explain(error)}") from error
        cause = " ".join(str(error).split())
        buyer.talk.tell(f"no clear answer to the purchase ({cause}): looking for it by its tag.")
    until = entry.changed_at + timedelta(seconds=buyer.rule.look_seconds)
    ids = _look_until(buyer, entry, until, whole=True)
    if not ids:
        raise Unclear(entry, buyer.rule.settled_at(entry))
    return ids


def _look_until(buyer: Buyer, entry: Entry, until: datetime, *, whole: bool = False) -> tuple[str, ...]:
    try:
        return find_until(buyer, entry, until, whole=whole)
    except Exception as error:
        buyer.talk.tell(f"could not look for it: {explain(error)}")
        raise Unclear(entry, buyer.rule.settled_at(entry)) from error


def find_until(buyer: Buyer, entry: Entry, until: datetime, *, whole: bool = False) -> tuple[str, ...]:
    """Looks repeatedly until the whole purchase is found, or until the time `until` has passed and at least TRIES looks
    were made.

    whole: a purchase that is found only in part is reported and counts as not found, so that reservations that EC2
    shows later are not left out.
    """
    ec2 = buyer.clients.ec2(entry.order.offering.region)
    tries = 0
    while True:
        # Taken before the call: a late answer shows the state at the time of the question.
        asked_at = buyer.clock.now()
        found = find_purchase(ec2, entry, buyer.clock.sleep)
        tries += 1
        if found:
            return found
        if tries >= TRIES and asked_at >= until:
            # A purchase of which a part is found was made.
            ultra = entry.order.offering.ultra_server
            part = find_purchase(ec2, entry, buyer.clock.sleep, partly=True) if ultra else ()
            if part:
                buyer.talk.tell(
                    f"WARN: EC2 shows only a part of the purchase, {', '.join(part)}. The rest was bought, too; "
                    "`nixl-efa capacity list` shows it as soon as EC2 does."
                )
            return () if whole else part
        buyer.clock.sleep(buyer.rule.pause_seconds)


def record_bought(buyer: Buyer, entry: Entry, ids: tuple[str, ...]) -> Entry:
    """Writes into both journals that the order is bought. A failure to write is shown to the user and not raised: the
    order is bought anyway, and the next command finds the purchase by its tag."""
    bought = buyer.journal.moved(entry, State.BOUGHT, reservation_ids=ids)
    buyer.record(bought, f"{', '.join(ids)} was bought, but ")
    return bought


def close_unbought(buyer: Buyer, entry: Entry, why: str) -> Entry:
    """Writes that nothing was bought. If the disk does not take it, the environment stays locked."""
    closed = buyer.journal.moved(entry, State.NOT_BOUGHT, note=why)
    return closed if buyer.record(closed) else entry


def finish(
    entry: Entry,
    buyer: Buyer,
    kind: str,
    *,
    held: Holdings | None = None,
    slot: Slot | None = None,
    replace_living: bool = False,
) -> Outcome:
    """Saves a BOUGHT entry's reservation, reports it to the user and closes the entry. If this is stopped, the entry
    stays BOUGHT, and the next command on this machine, or `recover` on any machine, finishes it.

    kind: "bought" or "already-bought". held, slot: what the environment had when the user agreed, and as which block
    the new one is kept; looked up when not given. Failure, with what was bought, when it is interrupted.
    """
    order, ids, problem = entry.order, ", ".join(entry.reservation_ids), ""
    try:
        if order.is_saved:
            first, *others = entry.reservation_ids
            if others:
                buyer.talk.tell(f"{ids} were bought together for {order.whom}; saving {first}, the largest.")
            else:
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
    """The slot in which the reservation is kept now; else why it could not be saved, and what to do."""
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
            tags = {PURCHASE_TAG: entry.tag}
            bought = replace(order.offering.reservation(), id=reservation_id, tags=tags)
            slot = slot_of_bought(bought, held, buyer.clock.now(), replace=replace_living)
        environment.save(buyer, held, slot, reservation_id, order.offering.zone)
    except Exception as error:
        return None, (
            f"{reservation_id} was bought, but not saved for {order.environment!r} ({explain(error)}). "
            f"Run `nixl-efa capacity save {reservation_id} --env {order.environment} --region {order.offering.region}`."
        )
    return slot, ""


def slot_of_bought(bought: Reservation, held: Holdings, now: datetime, *, replace: bool) -> Slot:
    """The slot for a reservation that is already bought. Failure when the environment has no place for it. Pure."""
    current, following = held.current, held.next
    if current is None or current.id == bought.id or not current.lives(now) or replace:
        return Slot.CURRENT
    if current.is_bought_with(bought):
        return Slot.CURRENT
    free = (
        following is None
        or following.id == bought.id
        or following.is_bought_with(bought)
        or not following.lives(now)
    )
    later = current.end is not None and bought.end is not None and bought.end > current.end
    if free and later:
        return Slot.NEXT
    known = "which EC2 does not show" if current.state == UNKNOWN else "which has not ended"
    raise Failure(
        f"{held.source.environment} uses {current.id!r}, {known}: `--replace` puts {bought.id} in its place"
    )


def settle_earlier(buyer: Buyer, lock_name: str) -> list[Entry]:
    """This machine's open orders for an environment that were in fact bought; they must still be finished."""
    settled = [settle(buyer, entry) for entry in buyer.journal.open_entries(lock_name)]
    return [entry for entry in settled if entry.state is State.BOUGHT]


def settle(buyer: Buyer, entry: Entry) -> Entry:
    """Finds out the outcome of an open entry. Returns it as BOUGHT (still to be reported and saved), NOT_BOUGHT, or
    DONE when another machine has reported and saved it.

    Looks as long as the waiting rule says. Interrupting it is safe: the entry stays as it is.
    """
    there = buyer.shared_journal_of(entry.order).find(entry.tag)
    if there is not None and there.reservation_ids:
        return buyer.journal.write(there)
    if entry.state is State.BOUGHT:
        return entry
    if entry.state is State.PREPARED:
        return close_unbought(buyer, entry, "stopped before the call")
    settled_at = buyer.rule.settled_at(entry)
    until = f", until {settled_at:%H:%M:%S} UTC" if settled_at > buyer.clock.now() else ""
    buyer.talk.tell(
        f"the outcome of an earlier purchase of {entry.order.offering.id} is not known: looking for its tag "
        f"{entry.tag}{until}. Ctrl-C is safe."
    )
    ids = _look_until(buyer, entry, settled_at)
    return record_bought(buyer, entry, ids) if ids else close_unbought(buyer, entry, "not found by its tag")
