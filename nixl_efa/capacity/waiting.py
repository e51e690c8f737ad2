"""Waiting until a reservation is in a state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from nixl_efa.capacity.reservation import DEAD_STATES, Reservation
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure

# The way of a block that is paid for (EC2 user guide, capacity-blocks-view). An On-Demand reservation goes
# from pending to active.
WAY = ("payment-pending", "scheduled", "active", "expired")
POLL_SECONDS = 30.0
# A reservation that was just bought may not be visible yet (EC2 API reference, eventual-consistency).
UNSEEN_SECONDS = 120.0


class TimedOut(Failure):
    """The state was not reached in time."""


def wait_for(
    wanted: str,
    look: Callable[[], Reservation | None],
    clock: Clock,
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    show: Callable[[Reservation], None] = lambda _: None,
) -> Reservation:
    """Looks until the reservation is in the state `wanted`, or past it on the way of a block, and returns it.

    Failure at once for a state from which there is no way to the wanted one (payment-failed, expired,
    cancelled), and when it is not to be seen for two minutes; TimedOut after `timeout_seconds`.
    """
    began = clock.now()
    deadline = None if timeout_seconds is None else began + timedelta(seconds=timeout_seconds)
    while True:
        found = look()
        now = clock.now()
        if found is not None:
            show(found)
            if reached(found.state, wanted):
                return found
            if found.state in DEAD_STATES:
                raise Failure(f"{found.id} is {found.state}: it will never be {wanted}")
        elif now - began >= timedelta(seconds=UNSEEN_SECONDS):
            raise Failure("there is no such reservation")
        if deadline is not None and now >= deadline:
            state = found.state if found else "not to be seen"
            raise TimedOut(f"still {state} after {timeout_seconds:.0f} seconds, not {wanted}")
        pause = poll_seconds if deadline is None else min(poll_seconds, (deadline - now).total_seconds())
        clock.sleep(max(pause, 0.0))


def reached(state: str, wanted: str) -> bool:
    """Whether a reservation in `state` is, or has been, `wanted`; one that has expired counts only as
    expired."""
    if state == wanted:
        return True
    if state not in WAY or wanted not in WAY or state == "expired":
        return False
    return WAY.index(state) > WAY.index(wanted)
