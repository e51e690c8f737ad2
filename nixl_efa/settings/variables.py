"""Settings from environment variables: NIXL_EFA_<SETTING> and NIXL_EFA_<ENVIRONMENT>_<SETTING>."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.faults import fault, shown
from nixl_efa.settings.model import SETTING_NAMES
from nixl_efa.settings.source import Given, Layer, Source


@dataclass(slots=True)
class Variables:
    """of_all: for every environment; of_environment: by its name."""

    of_all: dict[str, Given] = field(default_factory=dict)
    of_environment: dict[str, dict[str, Given]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read_variables(environ: Mapping[str, str], environments: Iterable[str]) -> Variables:
    """The settings in the variables, for these environments. An empty variable counts as not set."""
    targets = _targets(environments)
    result = Variables()
    for name in sorted(environ):
        text = environ[name]
        if (
            not name.upper().startswith(names.VARIABLE_PREFIX)
            or name in names.OTHER_VARIABLES
            or not text.strip()
        ):
            continue
        if name not in targets:
            valid = [*targets, *names.OTHER_VARIABLES]
            near = names.nearest(name, valid)
            remedy = f"Did you mean {near}?" if near else "docs/settings.md lists the settings."
            message = f"The variable {name} = {shown(text)} names no setting of an environment."
            result.findings.append(fault(name, message, remedy))
            continue
        environment, setting = targets[name]
        if environment:
            source = Source(Layer.VARIABLE_OF_ENVIRONMENT, f"variable {name}")
            result.of_environment.setdefault(environment, {})[setting] = Given(text, source, is_text=True)
        else:
            result.of_all[setting] = Given(
                text, Source(Layer.VARIABLE_OF_ALL, f"variable {name}"), is_text=True
            )
    return result


def _targets(environments: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Every valid variable's environment (empty for all) and setting.

    Where two environments would share a variable, the longer name has it, and a setting of all before both.
    """
    targets: dict[str, tuple[str, str]] = {}
    for environment in (*sorted(environments, key=len), ""):
        for setting in SETTING_NAMES:
            targets[names.variable(setting, environment)] = (environment, setting)
    return targets
