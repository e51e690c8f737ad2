"""The result of a check: its level, its subject, what was seen and what to do.

A check returns findings; it neither prints nor raises. Whoever called it decides what to do with them.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. The members are declared from the worst on; `rank` follows that order."""

    FAIL = "FAIL"
    WARN = "WARN"
    SKIP = "SKIP"
    PASS = "PASS"

    @property
    def rank(self) -> int:
        """0 for the worst level; higher for less severe levels."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw.

    level:   FAIL stops the run, WARN is shown and the run continues, SKIP could not be checked, PASS is in order.
    check: what was checked, in one or two words: a setting ("volume_size") or a subject ("quota").
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
    """The findings that are shown but do not stop."""
    return [finding for finding in findings if finding.level is Level.WARN]


def passed(check: str, message: str, command: str = "") -> Finding:
    """A finding for something that is in order."""
    return Finding(Level.PASS, check, message, "", command)


def warned(check: str, message: str, remedy: str, command: str = "") -> Finding:
    """A finding that does not stop, but shows a possible problem."""
    return Finding(Level.WARN, check, message, remedy, command)


def failed(check: str, message: str, remedy: str, command: str = "") -> Finding:
    """A finding that stops: the operation would fail."""
    return Finding(Level.FAIL, check, message, remedy, command)


def skipped(check: str, message: str, remedy: str = "", command: str = "") -> Finding:
    """A finding for something that could not be checked."""
    return Finding(Level.SKIP, check, message, remedy, command)


def listed(words: Iterable[str], limit: int = 6) -> str:
    """Words with commas between them; after the limit, the number of the rest. "none" for no words."""
    every = list(words)
    shown = ", ".join(every[:limit]) or "none"
    return f"{shown} and {len(every) - limit} more" if len(every) > limit else shown


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 instance", "2 instances", "3 addresses", "4 searches"."""
    plural = f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def aws_call(service: str, call: str, *words: str, region: str, profile: str = "") -> str:
    """An AWS CLI call for a shell, as a finding's command."""
    chosen = ["--profile", profile] if profile else []
    return shlex.join(["aws", service, call, "--region", region, *chosen, *words])
