"""What a rule may look at: an environment's settings together with where each came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nixl_efa.findings import Finding
from nixl_efa.settings.faults import fault, given, warning
from nixl_efa.settings.model import Settings
from nixl_efa.settings.names import variable
from nixl_efa.settings.source import DEFAULT, Given, GivenSettings, Source


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
