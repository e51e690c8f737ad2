"""Which node goes into which reservation, where the entries of `capacity` don't say it: `nixl-efa capacity fill`. Pure.

What runs, or is placed, stays where it is for as long as its reservation lives. The others go in order into what is
free, the reservation that ends first before the others: its time is paid for and runs out. What ends later keeps its
free places for the nodes that then lose theirs.
"""

from __future__ import annotations

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
    """The reservation of an entry, None where none is stored or EC2 does not show it, and how many nodes of the
    environment it can take: what is free, and what they hold already."""

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

    counts: nodes by role. placed: the same as it is now, for as many entries as were filled. Failure where there is not
    room for all.
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
                f"{counted(len(nodes), 'node')} need a place, and the living reservations have {total}: buy or save "
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
