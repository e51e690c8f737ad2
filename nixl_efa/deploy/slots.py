"""Waiting until a reservation has room again for the nodes that are launched into it.

"It takes several minutes to clean up your instance before you can launch another instance to replace it" (EC2 user
guide, capacity-blocks-launch).
"""

from collections.abc import Callable
from datetime import timedelta

from nixl_efa.capacity.judge import is_at_end
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.clock import Clock, Waiting
from nixl_efa.failure import Failure
from nixl_efa.times import span

# AWS says "several minutes" and names no limit. If a slot is not free after this time, a person must look at it.
LIMIT = timedelta(minutes=30)
_BETWEEN_LOOKS_SECONDS = 15.0


def wait_for_slots(
    look: Callable[[], Reservation | None],
    needed: int,
    clock: Clock,
    say: Callable[[str], None],
    limit: timedelta = LIMIT,
) -> None:
    """Waits until `needed` instances can be launched into the reservation that `look` shows.

    Failure when the reservation is not active, after `limit`, and when EC2 begins to terminate its instances.
    """
    waiting, told = Waiting(clock), ""
    while True:
        found, now = look(), clock.now()
        if found is None or found.state != "active":
            raise Failure(f"the reservation is {found.state if found else 'not known to EC2'}, not active")
        if is_at_end(found, now):
            raise Failure(f"{found.id} is at its end: EC2 terminates what runs in it, and accepts no launch")
        if found.free >= needed:
            return
        waited = waiting.lasted
        if waited >= limit:
            raise Failure(
                f"{found.free} of the {needed} slots that are needed in {found.id} are free after {span(limit)}"
            )
        whole = timedelta(minutes=waited // timedelta(minutes=1))  # so that a line comes once a minute
        line = (
            f"Waiting for the slots of {found.id}: {found.free} of {needed} are free after {span(whole)}. AWS needs "
            f"several minutes; the limit is {span(limit)}. After Ctrl-C, the same command continues."
        )
        if line != told:
            say(line)
        told = line
        waiting.sleep(_BETWEEN_LOOKS_SECONDS)
