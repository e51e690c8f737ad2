"""Waiting until a reservation is in a state, or until an extension is paid."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from nixl_efa.capacity.extension import FAILED, PENDING, Extension, finding
from nixl_efa.capacity.reservation import DEAD_STATES, Reservation
from nixl_efa.clock import Clock, Waiting
from nixl_efa.failure import Failure
from nixl_efa.times import span

Result = TypeVar("Result")

# The states of a block in their order, if it is paid (EC2 user guide, capacity-blocks-view). An On-Demand reservation
# goes from pending to active.
WAY = ("payment-pending", "scheduled", "active", "expired")
POLL_SECONDS = 30.0
# A reservation that was just bought may not be visible yet (EC2 API reference, eventual-consistency).
UNSEEN_SECONDS = 120.0


class TimedOut(Failure):
    """What was waited for did not happen in time."""


def wait_for(
    wanted: str,
    look: Callable[[], Reservation | None],
    clock: Clock,
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    show: Callable[[Reservation], None] = lambda _: None,
) -> Reservation:
    """Looks repeatedly until the reservation is in the state `wanted`, or in a later one of WAY, and returns it.

    Failure at once for a state after which the wanted one can't come (payment-failed, expired, cancelled), and when the
    reservation is not visible for two minutes; TimedOut after `timeout_seconds`.
    """
    waiting = Waiting(clock)

    def check() -> tuple[Reservation | None, str]:
        found = look()
        if found is not None:
            show(found)
            if reached(found.state, wanted):
                return found, ""
            if found.state in DEAD_STATES:
                raise Failure(f"{found.id} is {found.state}: it will never be {wanted}")
        elif waiting.lasted >= timedelta(seconds=UNSEEN_SECONDS):
            raise Failure("there is no such reservation here: look at its id and --region")
        return None, f"still {found.state if found else 'not visible'}"

    return _repeat(check, waiting, wanted, timeout_seconds, poll_seconds)


def wait_for_payment(
    look: Callable[[], Extension | None],
    clock: Clock,
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> Extension:
    """Looks repeatedly until the payment of a block's last extension has succeeded, and returns the extension.

    Failure when it has failed, and when there is no extension; TimedOut after `timeout_seconds`.
    """

    def check() -> tuple[Extension | None, str]:
        found = look()
        if found is None:
            raise Failure("this block has no extension")
        if found.status == FAILED:
            told = finding(found)
            raise Failure(told.line() if told else "its payment failed")
        return (None, "still pending") if found.status == PENDING else (found, "")

    return _repeat(check, Waiting(clock), "paid", timeout_seconds, poll_seconds)


def reached(state: str, wanted: str) -> bool:
    """Whether a reservation in `state` is, or has been, `wanted`; one that has expired counts only as expired."""
    if state == wanted:
        return True
    if state not in WAY or wanted not in WAY or state == "expired":
        return False
    return WAY.index(state) > WAY.index(wanted)


def _repeat(
    check: Callable[[], tuple[Result | None, str]],
    waiting: Waiting,
    wanted: str,
    timeout_seconds: float | None,
    poll_seconds: float,
) -> Result:
    while True:
        found, state = check()
        if found is not None:
            return found
        pause = poll_seconds
        if timeout_seconds is not None:
            left = timeout_seconds - waiting.lasted.total_seconds()
            if left <= 0:
                raise TimedOut(f"{state} after {span(timedelta(seconds=timeout_seconds))}, and not {wanted}")
            pause = min(pause, left)
        waiting.sleep(pause)
