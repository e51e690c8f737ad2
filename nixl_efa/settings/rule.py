"""What a rule is: a check over an environment's settings and where each came from, and which settings it reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nixl_efa.findings import Finding
from nixl_efa.settings.model import Settings
from nixl_efa.settings.names import variable
from nixl_efa.settings.source import DEFAULT, Given, GivenSettings, Source, fault, given, warning


@dataclass(frozen=True, slots=True)
class Facts:
    """settings: the values; given: those that a source gave; layers: every source, the highest first."""

    settings: Settings
    given: Mapping[str, Given]
    layers: Sequence[GivenSettings]

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.settings.name

    def source(self, setting: str) -> Source:
        """Where a setting's value came from."""
        one = self.given.get(setting)
        return one.source if one is not None else DEFAULT

    def shown(self, setting: str) -> str:
        """The setting, its value and where it came from, for a message."""
        return given(setting, getattr(self.settings, setting), self.source(setting))

    def variable(self, setting: str) -> str:
        """The variable that overrides every other source of the setting."""
        return variable(setting, self.environment)

    def reservation(self) -> str:
        """The setting that names the reservation; empty when none does."""
        names = ("capacity_reservation_id", "capacity_reservation_parameter")
        return next((name for name in names if getattr(self.settings, name) is not None), "")

    def fault(self, setting: str, message: str, remedy: str = "") -> Finding:
        """A fault of this environment."""
        return fault(setting, f"{self.environment}: {message}", remedy)

    def warning(self, setting: str, message: str, remedy: str = "") -> Finding:
        """A warning about this environment."""
        return warning(setting, f"{self.environment}: {message}", remedy)


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
