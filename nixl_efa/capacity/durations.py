"""The lengths and sizes of Capacity Blocks that AWS sells.

Source: EC2 user guide, capacity-blocks-purchase: 1-day steps up to 14 days, then 7-day steps up to 182
days; 1 to 64 instances.
"""

from __future__ import annotations

DAY_HOURS = 24
WEEK_HOURS = 168
LONGEST_BY_DAYS_HOURS = 336
LONGEST_HOURS = 4368
LARGEST_COUNT = 64
# The farthest ahead that a block can start, in days (same source: 8 weeks).
HORIZON_DAYS = 56

ALLOWED_HOURS = (
    *range(DAY_HOURS, LONGEST_BY_DAYS_HOURS + 1, DAY_HOURS),
    *range(LONGEST_BY_DAYS_HOURS + WEEK_HOURS, LONGEST_HOURS + 1, WEEK_HOURS),
)
ALLOWED_HOURS_TEXT = (
    f"{DAY_HOURS}-hour steps from {DAY_HOURS} to {LONGEST_BY_DAYS_HOURS}, then {WEEK_HOURS}-hour steps "
    f"to {LONGEST_HOURS}"
)


def is_allowed(hours: int) -> bool:
    """Whether AWS sells blocks of this many hours."""
    return hours in ALLOWED_HOURS


def nearest_allowed(hours: int) -> tuple[int, ...]:
    """The lengths in hours that AWS sells just below and just above `hours`; one where there is only one."""
    below = [allowed for allowed in ALLOWED_HOURS if allowed < hours]
    above = [allowed for allowed in ALLOWED_HOURS if allowed > hours]
    return (*below[-1:], *above[:1])
