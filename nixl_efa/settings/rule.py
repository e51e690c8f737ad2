"""A rule: a check of an environment's settings and their sources, and the settings that it reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nixl_efa.findings import Finding
from nixl_efa.settings.model import Settings
from nixl_efa.settings.names import variable
from nixl_efa.settings.parts import RESERVATION, Part
from nixl_efa.settings.source import DEFAULT, Given, GivenSettings, Source, fault, given, warning


@dataclass(frozen=True, slots=True)
class Facts:
    """settings: the values; given: those that a source gave; layers: every source, the highest first.

    own: the settings that some nodes have in a table of their own (see Settings.parts); no variable overrides them.
    """

    settings: Settings
    given: Mapping[str, Given]
    layers: Sequence[GivenSettings]
    own: frozenset[str] = frozenset()

    def of(self, part: Part) -> Facts:
        """The facts for only the nodes of a part."""
        given = {name: one for name, one in self.given.items() if name not in part.values}
        given |= {name: Given(value, part.sources.get(name, DEFAULT)) for name, value in part.values.items()}
        return Facts(self.settings.of(part), given, self.layers, frozenset(part.sources))

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

    def set_to(self, setting: str, value: str) -> str:
        """How to give the setting this value over every other source: by its variable, if that is possible. In a table
        the setting must be removed, since a table has no other way to make it absent."""
        if setting not in self.own:
            return f"set {variable(setting, self.environment)}={value}"
        where = self.source(setting).label
        return f"leave out {where}" if value == "none" else f"set {where} = {value}"

    def reservation(self) -> str:
        """The setting that names the reservation; empty when none does."""
        return next((name for name in RESERVATION if getattr(self.settings, name) is not None), "")

    def fault(self, setting: str, message: str, remedy: str = "") -> Finding:
        """A fault of this environment."""
        return fault(setting, f"{self.environment}: {message}", remedy)

    def warning(self, setting: str, message: str, remedy: str = "") -> Finding:
        """A warning about this environment."""
        return warning(setting, f"{self.environment}: {message}", remedy)


@dataclass(frozen=True, slots=True)
class Rule:
    """reads: the settings that the check reads; the check is skipped when one of them has a fault."""

    check: Callable[[Facts], Iterator[Finding]]
    reads: frozenset[str]


def rule(check: Callable[[Facts], Iterator[Finding]], *reads: str) -> Rule:
    """The rule that this check makes of these settings."""
    return Rule(check, frozenset(reads))


def apply(rules: Iterable[Rule], facts: Facts, faulty: Collection[str]) -> list[Finding]:
    """What the rules find, in their order."""
    return [finding for one in rules if one.reads.isdisjoint(faulty) for finding in one.check(facts)]
