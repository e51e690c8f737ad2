"""Which of the given values is used: that of the highest source; of two alternative settings, only one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nixl_efa.findings import Finding
from nixl_efa.settings.parts import RESERVATION
from nixl_efa.settings.source import Given, GivenSettings, fault, given, warning
from nixl_efa.settings.text import clears, from_text

# Settings that are two ways to say the same thing. If two sources give them, that of the higher source is used.
ALTERNATIVES = (
    RESERVATION,
    ("availability_zone", "availability_zone_parameter"),
    ("ami_id", "ami_parameter"),
)


@dataclass(slots=True)
class Resolved:
    """The values that are used, with the types of their settings; None for a setting that a source made absent."""

    values: dict[str, Given] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def holds(self, setting: str) -> Given | None:
        """The setting's value; None when no source gives one, or when a source made it absent."""
        value = self.values.get(setting)
        return value if value is not None and value.value is not None else None


def resolve(environment: str, layers: Sequence[GivenSettings]) -> Resolved:
    """The values that are used. layers: the sources, the highest first."""
    typed = [{setting: _typed(setting, one) for setting, one in layer.items()} for layer in layers]
    result = Resolved()
    for layer in typed:
        for setting, one in layer.items():
            result.values.setdefault(setting, one)
    for first, second in ALTERNATIVES:
        _keep_one(result, environment, first, second)
    _drop_zone_of_another_reservation(result, environment)
    return result


def _typed(setting: str, one: Given) -> Given:
    if clears(setting, one.value, one.is_text):
        return Given(None, one.source)
    return Given(from_text(setting, one.value), one.source) if one.is_text else one


def _keep_one(result: Resolved, environment: str, first: str, second: str) -> None:
    one, other = result.holds(first), result.holds(second)
    if one is None or other is None:
        return
    if one.source.layer == other.source.layer:
        both = f"{given(first, one.value, one.source)} and {given(second, other.value, other.source)}"
        message = f"{environment}: {both} exclude each other."
        result.findings.append(fault(first, message, "Keep one of them."))
        return
    del result.values[second if one.source.layer < other.source.layer else first]


def _drop_zone_of_another_reservation(result: Resolved, environment: str) -> None:
    """Drops the parameter of a zone that belongs to another reservation's id, when a higher source names the
    reservation."""
    zone = result.holds("availability_zone_parameter")
    spoken_of = [one for setting in RESERVATION if (one := result.values.get(setting)) is not None]
    held = [one for one in spoken_of if one.value is not None]
    decisive = min(held or spoken_of, key=lambda one: one.source.layer, default=None)
    if zone is None or decisive is None or decisive.source.layer >= zone.source.layer:
        return
    del result.values["availability_zone_parameter"]
    zone_shown = given("availability_zone_parameter", zone.value, zone.source)
    if held:
        why = "it belongs to another reservation than that of"
        remedy = "Set availability_zone to that reservation's zone."
    else:
        why = "its reservation is unset by"
        remedy = "Set availability_zone if the zone matters."
    message = f"{environment}: {zone_shown} is ignored: {why} {decisive.source.label}."
    result.findings.append(warning("availability_zone_parameter", message, remedy))
