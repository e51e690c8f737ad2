"""Buying exactly once.

EC2's purchase calls take no client token, so a call that is repeated may buy twice, and a call whose answer
is lost may have bought. Hence the order of things here:

1. the order is in the journal on disk, PREPARED, with a tag that no other order has;
2. the environment's lock in Parameter Store is taken for it;
3. the journal says CALLING;
4. the call is sent once, without retries, and carries the tag;
5. the journal says what became of it, the outcome is handed on, the lock is released.

Wherever this stops, the next command finds the entry: PREPARED is not bought, CALLING is looked for by its
tag (nixl_efa.capacity.evidence has the rule for how long), and until that is settled nothing is bought for
the environment, by anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from nixl_efa.aws_errors import explain
from nixl_efa.capacity.desk import Desk, Unclear
from nixl_efa.capacity.evidence import look, look_until
from nixl_efa.capacity.journal import Entry, JournalFull, State
from nixl_efa.capacity.order import Order
from nixl_efa.capacity.verdict import certainly_not_bought
from nixl_efa.failure import Failure

# A process that slept before the call (a closed laptop, a disk that hangs) must not wake up and buy: by then
# somebody may have decided that its purchase was never made. One that sleeps after this was looked at has
# signed its request, and AWS refuses a signature older than 5 minutes (IAM user guide, signing elements).
LONGEST_PREPARATION_SECONDS = 60.0

Call = Callable[[Entry], tuple[str, ...]]


def buy_once(
    order: Order,
    desk: Desk,
    call: Call,
    *,
    guard: Callable[[], None] = lambda: None,
    hand_over: Callable[[Entry], None] = lambda _: None,
) -> Entry:
    """Buys the order and returns its closed entry.

    call:      sends the purchase, once, with the entry's tag, and returns the reservations' ids.
    guard:     looks, under the lock, whether something has changed since the user agreed; raises Failure.
    hand_over: is told of the purchase before the lock is released, so that the next one sees it.

    The caller holds the environment's lock of this machine and has settled its open entries. Raises Failure
    when nothing was bought, Unclear when that isn't known.
    """
    entry = desk.journal.prepare(order)
    latest = entry.changed_at + timedelta(seconds=LONGEST_PREPARATION_SECONDS)
    try:
        take_lock(desk, entry)
        guard()
        entry = desk.journal.move(entry, State.CALLING)
        if desk.clock.now() > latest:
            raise Failure("the preparation took too long: nothing was bought, run the same command again")
    except (Exception, KeyboardInterrupt) as error:
        close_unbought(desk, entry, f"stopped before the call: {error}")
        raise
    return _finished(desk, entry, _send(desk, entry, call), hand_over)


def _send(desk: Desk, entry: Entry, call: Call) -> tuple[str, ...]:
    try:
        ids = call(entry)
        if ids:
            return ids
        desk.tell("EC2's answer names no reservation; looking for the purchase by its tag")
    except KeyboardInterrupt:
        raise Unclear(entry, desk.rule, exit_code=130) from None
    except Exception as error:
        if certainly_not_bought(error):
            close_unbought(desk, entry, explain(error))
            raise Failure(f"nothing was bought: {explain(error)}") from error
        cause = " ".join(str(error).split())
        desk.tell(f"no clear answer to the purchase ({cause}): looking for it by its tag")
    until = entry.changed_at + timedelta(seconds=desk.rule.look_seconds)
    ids = _look_until(desk, entry, until)
    if not ids:
        raise Unclear(entry, desk.rule)
    return ids


def settle(desk: Desk, entry: Entry, hand_over: Callable[[Entry], None] = lambda _: None) -> Entry:
    """Finds out what became of an open entry and closes it: BOUGHT or NOT_BOUGHT.

    Looks as long as the waiting rule says. Interrupting it is safe: the entry stays open.
    """
    if entry.state is State.PREPARED:
        return close_unbought(desk, entry, "stopped before the call")
    settled_at = desk.rule.settled_at(entry)
    wait = (settled_at - desk.clock.now()).total_seconds()
    until = f", until {settled_at:%H:%M:%S} UTC" if wait > 0 else ""
    desk.tell(
        f"the outcome of an earlier purchase of {entry.order.offering_id} is not known: looking for its tag "
        f"{entry.tag}{until}. Ctrl-C is safe."
    )
    ids = _look_until(desk, entry, settled_at)
    if ids:
        return _finished(desk, entry, ids, hand_over)
    return close_unbought(desk, entry, "not found by its tag")


def _look_until(desk: Desk, entry: Entry, until: datetime) -> tuple[str, ...]:
    ec2 = desk.ec2_of(entry.order.region)
    try:
        return look_until(
            lambda: look(ec2, entry, desk.clock.sleep), desk.clock, until, desk.rule.pause_seconds
        )
    except Exception as error:
        desk.tell(f"could not look for it: {explain(error)}")
        raise Unclear(entry, desk.rule) from error


def take_lock(desk: Desk, entry: Entry) -> None:
    """Takes the environment's lock. A lock that a closed entry of this journal left behind, because its
    process died after the outcome was written, is cleared first."""
    lock = desk.lock_of(entry)
    holder = lock.holder()
    if holder is not None:
        known = desk.journal.find(holder.tag)
        if known is not None and not known.is_open:
            lock.release(holder.tag)
    lock.acquire(entry)


def _finished(desk: Desk, entry: Entry, ids: tuple[str, ...], hand_over: Callable[[Entry], None]) -> Entry:
    try:
        entry = desk.journal.move(entry, State.BOUGHT, reservation_ids=ids)
    except JournalFull as full:
        # It is bought all the same, and this command goes on with that. On disk the entry stays CALLING, and
        # the next command finds the purchase by its tag.
        desk.tell(f"bought {', '.join(ids)}, but {full.message}")
        entry = replace(entry, state=State.BOUGHT, reservation_ids=ids)
    hand_over(entry)
    release(desk, entry)
    return entry


def close_unbought(desk: Desk, entry: Entry, why: str) -> Entry:
    """Writes that nothing was bought, then releases the lock. Where that can't be written, the lock stays."""
    try:
        closed = desk.journal.move(entry, State.NOT_BOUGHT, note=why)
    except JournalFull as full:
        desk.tell(full.message)
        return entry
    release(desk, closed)
    return closed


def release(desk: Desk, entry: Entry) -> None:
    """Removes the lock if this entry holds it. That it can't be removed is said, and stops nothing."""
    lock = desk.lock_of(entry)
    try:
        lock.release(entry.tag)
    except Exception as error:
        desk.tell(
            f"{lock.name} could not be removed ({explain(error)}): `nixl-efa capacity recover --env "
            f"{entry.order.environment}` removes it"
        )
