"""The findings as lines of text and as plain values for JSON. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from nixl_efa.findings import Finding, Level
from nixl_efa.lines import folded, folded_command
from nixl_efa.settings import Settings

# As wide as the longest name of a check.
_NAME_WIDTH = 22
INDENT = 6


def lines(finding: Finding, width: int | None, shown: Callable[[str], str]) -> list[str]:
    """The lines of a finding: its level and message, then what to do, then the command to look at the same by hand.

    width: of the terminal in characters, None without a terminal. shown: changes a text for printing.
    """
    head = f"{finding.level.value}  {finding.check:{_NAME_WIDTH}}  "
    found = folded(shown(finding.message), width, head, INDENT)
    if finding.remedy:
        found += folded(shown(finding.remedy), width, f"{'':{INDENT}}to do:   ")
    return [*found, *by_hand(finding, width, shown)]


def by_hand(finding: Finding, width: int | None, shown: Callable[[str], str]) -> list[str]:
    """The command that shows the same, in one line, or in several on a narrow terminal; empty without a command."""
    if not finding.command:
        return []
    lead = "by hand: "
    command = shown(lead + finding.command).removeprefix(lead)
    return folded_command(command, width, " " * INDENT + lead)


def summary(findings: Sequence[Finding]) -> str:
    """How many findings there are of each level: "24 checks: 1 FAIL, 23 PASS"."""
    counted = [f"{count} {level}" for level, count in counts(findings).items() if count]
    return f"{len(findings)} checks: {', '.join(counted)}"


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """The number of findings of each level, the worst first."""
    found = [finding.level for finding in findings]
    return {level.value: found.count(level) for level in Level}


def stops(findings: Iterable[Finding], *, strict: bool) -> bool:
    """Whether a deployment must not continue: on a FAIL, and with `strict` on a WARN."""
    bad = {Level.FAIL, Level.WARN} if strict else {Level.FAIL}
    return any(finding.level in bad for finding in findings)


def document(settings: Settings, findings: Sequence[Finding], *, strict: bool) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "environment": settings.name,
        "stack": settings.stack_name,
        "region": settings.region,
        **plain(findings, strict=strict),
    }


def plain(findings: Sequence[Finding], *, strict: bool) -> dict[str, Any]:
    """The findings, how many there are, and whether they stop, as plain values."""
    return {
        "ok": not stops(findings, strict=strict),
        "counts": counts(findings),
        "findings": [{**asdict(finding), "level": finding.level.value} for finding in findings],
    }
