"""One row of a table of rules: what is changed in a world in order, and the one finding that it must give."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from nixl_efa.checks.facts import Facts
from nixl_efa.checks.rules import judge
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import Launch

FAIL, WARN, SKIP, PASS = Level.FAIL, Level.WARN, Level.SKIP, Level.PASS


def finding(
    launch: Launch,
    facts: Facts,
    now: datetime,
    check: str,
    launch_changes: Mapping[str, Any],
    fact_changes: Mapping[str, Any],
) -> Finding:
    """The worst finding of a check after the changes."""
    found = judge([(replace(launch, **launch_changes), replace(facts, **fact_changes))], now)
    of_check = [each for each in found if each.check == check]
    assert of_check, f"no {check!r} among {sorted({each.check for each in found})}"
    return min(of_check, key=lambda each: each.level.rank)


def assert_says(found: Finding, level: Level, words: str) -> None:
    """The level, and the words in the message or the remedy; whoever is told of a fault is told what to do."""
    assert (found.level, words in found.line()) == (level, True), found
    if found.level in (FAIL, WARN):
        assert found.remedy
