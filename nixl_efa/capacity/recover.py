"""Settling what was left open, by this machine or by another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from nixl_efa.capacity.desk import Desk
from nixl_efa.capacity.evidence import LOOKS, look, look_until
from nixl_efa.capacity.journal import Entry, State
from nixl_efa.capacity.locks import SharedLock
from nixl_efa.capacity.purchase import LONGEST_PREPARATION_SECONDS, close_unbought, settle
from nixl_efa.failure import Failure


def settle_all(
    desk: Desk, environment: str | None, hand_over: Callable[[Entry], None] = lambda _: None
) -> list[Entry]:
    """Settles every open entry of this machine, of one environment or of all; returns them closed."""
    return [settle(desk, entry, hand_over) for entry in desk.journal.open_entries(environment)]


def declare_unbought(desk: Desk, tag: str) -> Entry:
    """Closes an open entry on a person's word that nothing was bought; looks once more before it believes it.

    Failure when there is no such open entry, or when the purchase is found after all.
    """
    entry = desk.journal.find(tag)
    if entry is None or not entry.is_open:
        known = "is closed already" if entry else "is not in this machine's journal"
        raise Failure(
            f"--not-bought {tag}: that purchase {known}; `nixl-efa capacity recover` lists open ones"
        )
    ec2 = desk.ec2_of(entry.order.region)
    found = look_until(
        lambda: look(ec2, entry, desk.clock.sleep), desk.clock, desk.clock.now(), desk.rule.pause_seconds
    )
    if found:
        raise Failure(
            f"--not-bought {tag}: it was bought, as {', '.join(found)}. Run `nixl-efa capacity recover --env "
            f"{entry.order.environment}`."
        )
    return close_unbought(desk, entry, f"closed by hand after {LOOKS} looks")


def settle_foreign(
    desk: Desk,
    lock: SharedLock,
    agree: Callable[[str], bool],
    hand_over: Callable[[Entry], None] = lambda _: None,
) -> Entry | None:
    """Clears an environment's lock that another machine left behind; returns what became of its order.

    None when there is no lock, or none of another machine. Failure while the order may still be going on, and
    when nobody agrees to clear a lock whose purchase was not found.
    """
    holder = lock.holder()
    if holder is None:
        return None
    known = desk.journal.find(holder.tag)
    if known is not None:
        if not known.is_open:
            lock.release(holder.tag)
        return None
    # The lock is written when the order is prepared; its call may have begun up to this much later.
    latest = replace(
        holder,
        state=State.CALLING,
        changed_at=holder.changed_at + timedelta(seconds=LONGEST_PREPARATION_SECONDS),
    )
    ec2 = desk.ec2_of(holder.order.region)
    desk.tell(f"{lock.name} is held by {holder.order.by} since {holder.changed_at:%Y-%m-%d %H:%M:%S} UTC")
    found = look_until(
        lambda: look(ec2, latest, desk.clock.sleep), desk.clock, desk.clock.now(), desk.rule.pause_seconds
    )
    if found:
        bought = replace(latest, state=State.BOUGHT, reservation_ids=found)
        # The machine that bought it may be gone for good.
        hand_over(bought)
        lock.release(holder.tag)
        return bought
    if desk.clock.now() < desk.rule.settled_at(latest):
        raise Failure(
            f"the purchase of {holder.order.by} is not to be found, but it may still be going on: try "
            f"again after "
            f"{desk.rule.settled_at(latest):%H:%M:%S} UTC"
        )
    if not agree(
        f"No reservation has the tag {holder.tag}, so {holder.order.by} bought nothing. Ask them whether "
        f"their "
        f"command has ended. Remove the lock?"
    ):
        raise Failure(f"{lock.name} was left as it is")
    lock.release(holder.tag)
    return replace(latest, state=State.NOT_BOUGHT)
