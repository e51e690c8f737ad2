"""The findings as lines of text and as plain values for JSON. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from nixl_efa.findings import Finding, Level
from nixl_efa.lines import folded, folded_command
from nixl_efa.settings import Settings

# As wide as the longest name of a check.
_NAME_WIDTH = 22
_INDENT = 6
_TO_DO = f"{'':{_INDENT}}to do:   "
_BY_HAND = f"{'':{_INDENT}}by hand: "


def lines(finding: Finding, width: int | None, shown: Callable[[str], str]) -> list[str]:
    """What is shown of a finding, its level first; below it what to do, and the command that shows the same by hand.

    width: of the terminal in characters, None without one. shown: a text as it is printed.
    """
    head = f"{finding.level.value}  {finding.check:{_NAME_WIDTH}}  "
    found = folded(shown(finding.message), width, head, _INDENT)
    return [*found, *below(finding, width, shown)]


def below(finding: Finding, width: int | None, shown: Callable[[str], str]) -> list[str]:
    """The lines below a finding: what to do, and the command that shows the same by hand."""
    found = folded(shown(finding.remedy), width, _TO_DO) if finding.remedy else []
    if finding.command:
        command = shown(f"by hand: {finding.command}").removeprefix("by hand: ")
        found += folded_command(command, width, _BY_HAND)
    return found


def summary(findings: Sequence[Finding]) -> str:
    """How many findings there are of each level: "24 checks: 1 FAIL, 23 PASS"."""
    counted = [f"{count} {level}" for level, count in counts(findings).items() if count]
    return f"{len(findings)} checks: {', '.join(counted)}"


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """The number of findings of each level, the worst first."""
    found = [finding.level for finding in findings]
    return {level.value: found.count(level) for level in Level}


def stops(findings: Iterable[Finding], *, strict: bool) -> bool:
    """Whether a deployment must not go on: on a FAIL, and with `strict` on a WARN."""
    bad = {Level.FAIL, Level.WARN} if strict else {Level.FAIL}
    return any(finding.level in bad for finding in findings)


def document(settings: Settings, findings: Sequence[Finding], *, strict: bool) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "environment": settings.name,
        "stack": settings.stack_name,
        "region": settings.region,
        "ok": not stops(findings, strict=strict),
        "counts": counts(findings),
        "findings": [{**asdict(finding), "level": finding.level.value} for finding in findings],
    }
