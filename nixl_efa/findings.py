"""What a check says: how bad it is, which subject it is about, what was seen and what to do.

A check returns findings; it neither prints nor raises. Whoever called it decides what to do with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. Members are declared worst first; `rank` follows that order."""

    FAIL = "FAIL"
    WARN = "WARN"
    SKIP = "SKIP"
    PASS = "PASS"

    @property
    def rank(self) -> int:
        """0 for the worst level, rising as findings get more harmless."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw.

    level:   FAIL stops, WARN is shown and goes on, SKIP could not be looked at, PASS is in order.
    check:   what was looked at, in one or two words: a setting ("volume_size") or a subject ("quota").
    message: what was seen, as a sentence, with the value.
    remedy:  what to do about it, as a sentence; empty when there is nothing to do.
    command: a shell command that shows the same by hand; empty when there is none.
    """

    level: Level
    check: str
    message: str
    remedy: str = ""
    command: str = ""

    def line(self) -> str:
        """The message and the remedy as one line of text."""
        return f"{self.message} {self.remedy}".strip()


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of their level, the worst first; the given order within a level."""
    return sorted(findings, key=lambda finding: finding.level.rank)


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that stop."""
    return [finding for finding in findings if finding.level is Level.FAIL]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that are shown and go on."""
    return [finding for finding in findings if finding.level is Level.WARN]
