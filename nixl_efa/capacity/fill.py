"""Which node goes into which reservation, where the entries of `capacity` don't say it: `nixl-efa capacity fill`. Pure.

A node that runs in a reservation, or was placed in one, stays there as long as the reservation lives. The other nodes
are placed in order into free places, first in the reservation that ends first: its time is paid for and runs out.
Reservations that end later keep their free places for the nodes that lose theirs at that end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nixl_efa.capacity.judge import is_at_end
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.failure import Failure
from nixl_efa.findings import counted
from nixl_efa.settings.parts import ROLES

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Room:
    """The reservation of an entry (None where none is stored or EC2 does not show it), and how many nodes of the
    environment it can take: its free places and those that these nodes have already."""

    reservation: Reservation | None
    places: int

    def lives(self, now: datetime) -> bool:
        """Whether nodes can be launched into it, now or when it starts."""
        found = self.reservation
        return found is not None and found.lives(now) and not is_at_end(found, now)


def fill(
    counts: Mapping[str, int],
    rooms: Sequence[Room],
    placed: Sequence[Mapping[str, Sequence[int]]],
    now: datetime,
) -> list[dict[str, list[int]]]:
    """The numbers of the nodes of each role in each entry.

    counts: the number of nodes by role. placed: the present result, for the entries that were filled before. Failure
    where there is not room for all.
    """
    nodes = [(role, number) for role in ROLES for number in range(1, counts[role] + 1)]
    at = {
        (role, number): position
        for position, shares in enumerate(placed[: len(rooms)])
        for role, numbers in shares.items()
        for number in numbers
    }
    free = [room.places if room.lives(now) else 0 for room in rooms]
    chosen: dict[tuple[str, int], int] = {}
    for node in nodes:
        position = at.get(node, -1)
        if position >= 0 and free[position] > 0:
            chosen[node] = position
            free[position] -= 1
    by_end = sorted(range(len(rooms)), key=lambda one: (_end(rooms[one]), one))
    left = [node for node in nodes if node not in chosen]
    for node in left:
        position = next((one for one in by_end if free[one]), -1)
        if position < 0:
            total = sum(room.places for room in rooms if room.lives(now))
            raise Failure(
                f"{counted(len(nodes), 'node')} need a place, and the reservations that have not ended have "
                f"{total}: buy or save "
                "one more, or take fewer nodes"
            )
        chosen[node] = position
        free[position] -= 1
    return [
        {
            role: [number for one, number in nodes if one == role and chosen[one, number] == entry]
            for role in ROLES
        }
        for entry in range(len(rooms))
    ]


def _end(room: Room) -> datetime:
    return room.reservation.end if room.reservation is not None and room.reservation.end else _NEVER
