"""The clock of the local AWS, which can be set, moved, stopped and made to run faster."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SPEED_LIMIT = 1_000_000  # simulated seconds per real second: about eleven days
_YEARS = range(2000, 2200)  # calculations from these years stay valid dates


class Clock:
    """Simulated UTC time. It follows the machine's clock until it is set."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._restart(datetime.now(UTC), 1.0)

    def now(self) -> datetime:
        """The simulated time, with UTC as its zone."""
        with self._lock:
            return self._now()

    def set(self, moment: datetime) -> None:
        """Stop the clock at `moment` (a time without a zone is taken as UTC). ValueError outside 2000 to 2199."""
        with self._lock:
            self._restart(_known(moment), 0.0)

    def advance(self, delta: timedelta) -> None:
        """Move the clock by `delta`; a stopped clock stays stopped, a running one continues. ValueError as in `set`."""
        with self._lock:
            self._restart(_known(self._now() + delta), self._speed)

    def run(self, speed: float = 1.0) -> None:
        """Let the clock run: `speed` simulated seconds in each second of this machine, 0 stops it."""
        if not 0 <= speed <= SPEED_LIMIT:
            raise ValueError(f"the clock's speed is from 0 to {SPEED_LIMIT}, not {speed}")
        with self._lock:
            self._restart(self._now(), speed)

    def reset(self) -> None:
        """Follow the machine's clock again."""
        with self._lock:
            self._restart(datetime.now(UTC), 1.0)

    @property
    def speed(self) -> float:
        """Simulated seconds in each second of this machine."""
        return self._speed

    def _now(self) -> datetime:
        return self._base + timedelta(seconds=(self._monotonic() - self._since) * self._speed)

    def _restart(self, moment: datetime, speed: float) -> None:
        self._base = moment.astimezone(UTC)
        self._since = self._monotonic()
        self._speed = speed


def _known(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError(
            f"the clock goes from {_YEARS.start} to {_YEARS.stop - 1}, not to {moment.isoformat()}"
        )
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
