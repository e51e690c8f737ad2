"""The position of a moment on a time line, and the days that are named on it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# Days between two names on a line: a week and its multiples keep the day of the week.
_STEPS = (1, 2, 7, 14, 28, 56)


@dataclass(frozen=True, slots=True)
class Scale:
    """A time line from `start` to `end`."""

    start: datetime
    end: datetime

    def at(self, moment: datetime | None) -> float:
        """The position of a moment, from 0 at the start to 1 at the end. A moment outside is put at the nearer end, and
        None at the end."""
        if moment is None:
            return 1.0
        return min(max((moment - self.start) / (self.end - self.start), 0.0), 1.0)

    def days(self, most: int) -> list[datetime]:
        """Midnights (UTC) along the line at equal distances, at most `most` of them."""
        length = self.end - self.start
        step = timedelta(
            days=next((one for one in _STEPS if length / timedelta(days=one) <= most), _STEPS[-1])
        )
        day = self.start.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        found = []
        while day < self.end:
            found.append(day)
            day += step
        return found
