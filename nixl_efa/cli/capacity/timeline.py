"""Offers drawn as bars on one line of days, so that their overlaps can be seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from nixl_efa.capacity.offering import Offering

MOST_ROWS = 20
_LABEL_WIDTH = 24
# A date and the space to the next one.
_TICK_WIDTH = 8


def timeline(offerings: Sequence[Offering], now: datetime, width: int) -> list[str]:
    """A line for each offering, the earliest first, below a ruler of dates; `width` in characters, all of it.

    A bar is at least one character long, so a day among weeks is still seen. `x` marks what a pair can't use.
    """
    if not offerings:
        return []
    shown = sorted(offerings, key=lambda offering: (offering.start, offering.end))[:MOST_ROWS]
    end = max(offering.end for offering in shown)
    columns = max(width - _LABEL_WIDTH, 20)
    scale = (end - now) / columns
    lines = [" " * _LABEL_WIDTH + _ruler(now, end, columns)]
    for offering in shown:
        first = min(_column(offering.start, now, scale), columns - 1)
        last = max(min(_column(offering.end, now, scale), columns), first + 1)
        mark = "x" if offering.unusable else "█"
        bar = " " * first + mark * (last - first)
        lines.append(f"{_label(offering):<{_LABEL_WIDTH}}{bar}".rstrip())
    if len(offerings) > len(shown):
        lines.append(f"and {len(offerings) - len(shown)} more")
    return lines


def _label(offering: Offering) -> str:
    zone = offering.region if len(offering.segments) > 1 else offering.zone
    return f"{zone[:15]} {offering.fee:.0f}"[: _LABEL_WIDTH - 1]


def _column(moment: datetime, now: datetime, scale: timedelta) -> int:
    return max(int((moment - now) / scale), 0)


def _ruler(now: datetime, end: datetime, columns: int) -> str:
    """The dates that begin along the line (UTC), as many as fit without touching."""
    scale = (end - now) / columns
    days = max(math.ceil(_TICK_WIDTH * scale / timedelta(days=1)), 1)
    text = f"{now:%m-%d}"
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while midnight < end:
        column = _column(midnight, now, scale)
        label = f"{midnight:%m-%d}"
        if column >= len(text) + 2 and column + len(label) <= columns:
            text = text.ljust(column) + label
        midnight += timedelta(days=days)
    return text
