"""Which node goes into which reservation, where the entries of capacity leave it open."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nixl_efa.capacity.fill import Room, fill
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.failure import Failure

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def room(places: int, days: float | None, **changes: Any) -> Room:
    """A block that ends in so many days; a reservation without an end for None."""
    given: dict[str, Any] = {
        "id": "cr-1",
        "region": "us-east-2",
        "kind": "on-demand" if days is None else "capacity-block",
        "state": "active",
        "instance_type": "p5.48xlarge",
        "size": places,
        "free": places,
        "zone": "us-east-2a",
        "platform": "Linux/UNIX",
        "start": NOW - DAY,
        "end": None if days is None else NOW + days * DAY,
    }
    return Room(Reservation(**{**given, **changes}), places)


GONE = Room(None, 0)
P, C = [1], [1]


@pytest.mark.parametrize(
    ("counts", "rooms", "placed", "filled"),
    [
        # In the order of their ends, whatever their order in the list; one without an end comes last.
        ((1, 2), [room(2, 9), room(2, 1)], [], [([], [2]), ([1], [1])]),
        ((1, 1), [room(2, None), room(2, 9)], [], [([], []), ([1], [1])]),
        # One that is scheduled takes nodes, too.
        ((1, 1), [room(1, 1), room(1, 5, state="scheduled", start=NOW + DAY)], [], [([1], []), ([], [1])]),
        # What is placed stays, though an earlier end has room; a further node goes there.
        ((1, 2), [room(4, 9), room(4, 1)], [(P, C)], [([1], [1]), ([], [2])]),
        # A reservation that is over, or at its end, or not there any more: its nodes move, and no other.
        (
            (1, 3),
            [room(2, -1, state="expired"), room(4, 9)],
            [(P, C), ([], [2, 3])],
            [([], []), ([1], [1, 2, 3])],
        ),
        ((1, 1), [room(2, 0.01), room(2, 9)], [(P, C)], [([], []), ([1], [1])]),
        ((1, 1), [GONE, room(2, 9)], [(P, C)], [([], []), ([1], [1])]),
        # One that became smaller keeps the first ones.
        ((1, 2), [room(2, 1), room(3, 9)], [(P, [1, 2])], [([1], [1]), ([], [2])]),
        # Fewer nodes than before.
        ((1, 1), [room(3, 1), room(3, 9)], [(P, C), ([], [2, 3])], [([1], [1]), ([], [])]),
    ],
)
def test_what_is_placed_stays_and_the_rest_goes_where_time_ends_first(
    counts: tuple[int, int],
    rooms: list[Room],
    placed: list[tuple[list[int], list[int]]],
    filled: list[tuple[list[int], list[int]]],
) -> None:
    roles = ("producer", "consumer")
    found = fill(
        dict(zip(roles, counts, strict=True)),
        rooms,
        [dict(zip(roles, one, strict=True)) for one in placed],
        NOW,
    )
    assert [(one["producer"], one["consumer"]) for one in found] == filled


def test_too_little_room_is_told_with_both_numbers() -> None:
    with pytest.raises(Failure) as stopped:
        fill({"producer": 1, "consumer": 3}, [room(2, 1), room(1, 9), GONE], [], NOW)
    assert "4 nodes need a place, and the reservations that have not ended have 3" in stopped.value.message
