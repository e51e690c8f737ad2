"""The clock that is handed to everything which asks for the time or waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time in UTC and waits."""

    def now(self) -> datetime:
        """The time, with UTC as its zone."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


class SystemClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """The time, with UTC as its zone."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        time.sleep(seconds)
