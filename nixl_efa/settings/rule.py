"""What a rule is: a check over settings, and which settings it reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from nixl_efa.findings import Finding
from nixl_efa.settings.facts import Facts


@dataclass(frozen=True, slots=True)
class Rule:
    """reads: the settings that the check looks at; it is left out when one of them is faulty by itself."""

    check: Callable[[Facts], Iterator[Finding]]
    reads: frozenset[str]


def rule(check: Callable[[Facts], Iterator[Finding]], *reads: str) -> Rule:
    """The rule that this check makes of these settings."""
    return Rule(check, frozenset(reads))


def apply(rules: Iterable[Rule], facts: Facts, faulty: Collection[str]) -> list[Finding]:
    """What the rules find, in their order."""
    return [finding for one in rules if one.reads.isdisjoint(faulty) for finding in one.check(facts)]
