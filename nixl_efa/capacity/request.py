"""What is searched for, refused before any call when AWS can't sell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from nixl_efa.capacity.durations import (
    ALLOWED_HOURS_TEXT,
    HORIZON_DAYS,
    LARGEST_COUNT,
    is_allowed,
    nearest_allowed,
)
from nixl_efa.failure import BadInput
from nixl_efa.instance_types import capacity_block_types, find, nearest


@dataclass(frozen=True, slots=True)
class Request:
    """A search: how many instances of a type, for which lengths (hours), starting from and ending by when.

    latest_end None is as late as AWS sells: a start 8 weeks after `earliest_start` and the whole length.
    """

    instance_type: str
    count: int
    hours: tuple[int, ...]
    earliest_start: datetime
    latest_end: datetime | None = None

    def end_for(self, hours: int) -> datetime:
        """The latest end to ask for with a length of `hours`. A day more than the length, since every block
        ends at 11:30 UTC and so may be longer than was asked for."""
        if self.latest_end is not None:
            return self.latest_end
        return self.earliest_start + timedelta(days=HORIZON_DAYS + 1, hours=hours)


def checked(request: Request) -> Request:
    """The request as it is. BadInput when AWS sells nothing like it, with what it does sell."""
    _check_type(request.instance_type)
    check_count(request.count)
    for hours in request.hours:
        check_hours(hours)
    if request.latest_end is not None:
        if request.latest_end <= request.earliest_start:
            raise BadInput(
                f"--to {request.latest_end:%Y-%m-%d %H:%M} UTC is not after --from "
                f"{request.earliest_start:%Y-%m-%d %H:%M} UTC: give a later --to"
            )
        window = request.latest_end - request.earliest_start
        if all(timedelta(hours=hours) > window + timedelta(days=1) for hours in request.hours):
            raise BadInput(
                f"no block of {min(request.hours)} hours fits between --from and --to "
                f"({window.total_seconds() / 3600:.0f} hours): give a later --to"
            )
    return request


def check_hours(hours: int, option: str = "HOURS") -> None:
    """BadInput when AWS sells no block of this length."""
    if not is_allowed(hours):
        near = " or ".join(str(allowed) for allowed in nearest_allowed(hours))
        raise BadInput(f"{option} {hours}: AWS sells {ALLOWED_HOURS_TEXT}. The nearest: {near}")


def check_count(count: int) -> None:
    """BadInput when a block can't have this many instances."""
    if not 1 <= count <= LARGEST_COUNT:
        raise BadInput(f"COUNT {count}: a Capacity Block has 1 to {LARGEST_COUNT} instances")


def _check_type(name: str) -> None:
    sold = capacity_block_types()
    if name in sold:
        return
    if find(name) is not None:
        problem = f"TYPE {name}: AWS sells no Capacity Blocks of it (On-Demand and Spot only)"
    else:
        similar = [other for other in nearest(name) if other in sold]
        hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        problem = f"TYPE {name}: there is no such instance type{hint}"
    raise BadInput(f"{problem}. Types with blocks: {', '.join(sold)}")
