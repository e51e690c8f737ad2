"""What is searched for: refused before any call when AWS can't sell it.

Source of the limits: EC2 user guide, capacity-blocks-purchase: 1-day steps up to 14 days, then 7-day steps up to 182
days; 1 to 64 instances a block; a start at most 8 weeks ahead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nixl_efa.failure import BadInput
from nixl_efa.instance_types import capacity_block_types, find, nearest

DAY_HOURS = 24
WEEK_HOURS = 168
LONGEST_BY_DAYS_HOURS = 336
LONGEST_HOURS = 4368
LARGEST_COUNT = 64
HORIZON_DAYS = 56

ALLOWED_HOURS = (
    *range(DAY_HOURS, LONGEST_BY_DAYS_HOURS + 1, DAY_HOURS),
    *range(LONGEST_BY_DAYS_HOURS + WEEK_HOURS, LONGEST_HOURS + 1, WEEK_HOURS),
)
ALLOWED_HOURS_TEXT = (
    f"{DAY_HOURS}-hour steps from {DAY_HOURS} to {LONGEST_BY_DAYS_HOURS}, then {WEEK_HOURS}-hour steps "
    f"to {LONGEST_HOURS}"
)

_AHEAD = re.compile(r"\+(\d{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_FORMS = "a date (2026-12-01), a time (2026-12-01T09:30, with Z or +02:00 if it isn't UTC) or +12h, +7d, +2w"


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


def nearest_allowed(hours: int) -> tuple[int, ...]:
    """The lengths in hours that AWS sells just below and just above `hours`; one where there is only one."""
    below = [allowed for allowed in ALLOWED_HOURS if allowed < hours]
    above = [allowed for allowed in ALLOWED_HOURS if allowed > hours]
    return (*below[-1:], *above[:1])


def check_hours(hours: int, option: str = "HOURS") -> None:
    """BadInput when AWS sells no block of this length."""
    if hours not in ALLOWED_HOURS:
        near = " or ".join(str(allowed) for allowed in nearest_allowed(hours))
        raise BadInput(f"{option} {hours}: AWS sells {ALLOWED_HOURS_TEXT}. The nearest: {near}")


def check_count(count: int) -> None:
    """BadInput when a block can't have this many instances."""
    if not 1 <= count <= LARGEST_COUNT:
        raise BadInput(f"COUNT {count}: a Capacity Block has 1 to {LARGEST_COUNT} instances")


def earliest_start(text: str | None, now: datetime) -> datetime:
    """The earliest start to ask for: `text`, but not before now, since AWS refuses a start in the past."""
    return now if text is None else max(moment(text, "--from", now), now)


def latest_end(text: str | None, now: datetime) -> datetime | None:
    """The latest end to ask for; None when none was given. A date means the end of that day."""
    if text is None:
        return None
    end = moment(text, "--to", now)
    return end + timedelta(days=1) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else end


def moment(text: str, option: str, now: datetime) -> datetime:
    """The moment that `text` means, in UTC: a date (its midnight), a time, or a distance from `now`.

    A time without a zone is UTC, as everything this command prints. BadInput names `option`.
    """
    if text == "now":
        return now
    ahead = _AHEAD.fullmatch(text)
    if ahead:
        return now + int(ahead[1]) * _UNITS[ahead[2]]
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text!r}: give {_FORMS}") from None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


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
