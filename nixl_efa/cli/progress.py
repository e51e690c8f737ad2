"""How far a copy is: bytes, rate and time left, in one line on a terminal, else a line each some seconds."""

import sys
import time
from collections.abc import Callable

from nixl_efa.cli import output
from nixl_efa.findings import counted

SAY_SECONDS, SHOW_SECONDS = 15.0, 0.2


class Progress:
    """What is copied, in words; total in bytes, 0 where it is not known."""

    def __init__(self, what: str, total: int, now: Callable[[], float] = time.monotonic) -> None:
        self._what, self._total, self._now = what, total, now
        self._begun = self._told = now()
        self._first: int | None = None
        self._count = 0
        self._is_terminal = sys.stderr.isatty()

    def add(self, more: int) -> None:
        """So many bytes more."""
        self.at(self._count + more)

    def at(self, count: int) -> None:
        """So many bytes in all. The first ones were there before: they don't count for the rate."""
        if self._first is None:
            self._first, self._begun = count, self._now()
        self._count = count
        if self._now() - self._told > (SHOW_SECONDS if self._is_terminal else SAY_SECONDS):
            self._told = self._now()
            if self._is_terminal:
                # A line that wraps would be left there by the next one.
                width = output.width_of(sys.stderr) or 0
                sys.stderr.write(f"\r{self.line()[: width - 1]}\x1b[K")
                sys.stderr.flush()
            else:
                output.say(self.line())

    def line(self) -> str:
        """The line of now."""
        of = f" of {size(self._total)}" if self._total else ""
        rate = (self._count - (self._first or 0)) / max(self._now() - self._begun, 0.001)
        pace = f", {size(int(rate))}/s" if rate >= 1 else ""
        left = f", {_time((self._total - self._count) / rate)} left" if pace and self._total else ""
        return f"{self._what}: {size(self._count)}{of}{pace}{left}"

    def clear(self) -> None:
        """Leaves the terminal's line empty."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")


def size(count: int) -> str:
    """In units of the power of ten that says it: 812 bytes, 4.2 MB, 140.0 GB."""
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return counted(count, "byte")


def _time(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60} min" if whole >= 120 else f"{whole} s"
