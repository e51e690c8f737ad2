"""The findings as lines of text and as plain values for JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from nixl_efa.findings import Finding, Level
from nixl_efa.settings import Settings

# As wide as the longest name of a check.
_NAME_WIDTH = 22


def lines(findings: Iterable[Finding], *, brief: bool = False) -> list[tuple[Level | None, str]]:
    """What is shown, each line with the level that its first word stands for (None for the lines below it).

    A line for each finding; below it what to do, and the command that shows the same by hand. brief leaves out
    what is in order.
    """
    shown: list[tuple[Level | None, str]] = []
    for finding in findings:
        if brief and finding.level is Level.PASS:
            continue
        shown.append(
            (finding.level, f"{finding.level.value}  {finding.check:{_NAME_WIDTH}}  {finding.message}")
        )
        if finding.remedy:
            shown.append((None, f"      to do:   {finding.remedy}"))
        if finding.command:
            shown.append((None, f"      by hand: {finding.command}"))
    return shown


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
