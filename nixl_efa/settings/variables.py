"""Settings from environment variables: NIXL_EFA_<SETTING> and NIXL_EFA_<ENVIRONMENT>_<SETTING>."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.model import SETTING_NAMES
from nixl_efa.settings.source import Given, Layer, Source, fault, shown


@dataclass(slots=True)
class Variables:
    """of_all: settings for every environment. of_environment: settings by its name. The findings are divided in the
    same way."""

    of_all: dict[str, Given] = field(default_factory=dict)
    of_environment: dict[str, dict[str, Given]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    findings_of_environment: dict[str, list[Finding]] = field(default_factory=dict)


def read_variables(environ: Mapping[str, str], known: Collection[str], chosen: Collection[str]) -> Variables:
    """The settings in the variables. An empty variable counts as one that is not set.

    A variable for an environment that is known but not chosen is ignored, whatever it holds.
    """
    targets = _targets(known)
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
            _unknown(result, name, text, _environment_of(name, known), chosen, targets)
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


def _unknown(
    result: Variables,
    name: str,
    text: str,
    environment: str,
    chosen: Collection[str],
    targets: Collection[str],
) -> None:
    if environment and environment not in chosen:
        return
    near = names.nearest_variable(name, (*targets, *names.OTHER_VARIABLES))
    found = fault(
        name,
        f"The variable {name} = {shown(text)} names no setting.",
        f"Did you mean {near}?" if near else "docs/settings.md lists the settings.",
    )
    owner = result.findings_of_environment.setdefault(environment, []) if environment else result.findings
    owner.append(found)


def _environment_of(name: str, known: Collection[str]) -> str:
    """The environment to which a variable with this name belongs: the one with the longest name that fits; empty when
    there is none."""
    return next(
        (one for one in sorted(known, key=len, reverse=True) if name.startswith(names.variable("", one))), ""
    )


def _targets(environments: Collection[str]) -> dict[str, tuple[str, str]]:
    """Every valid variable's environment (empty for all) and setting.

    If two environments could have the same variable, it belongs to the longer name; a setting for all environments
    comes before both.
    """
    targets: dict[str, tuple[str, str]] = {}
    for environment in (*sorted(environments, key=len), ""):
        for setting in SETTING_NAMES:
            targets[names.variable(setting, environment)] = (environment, setting)
    return targets
