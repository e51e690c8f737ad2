"""All sources together: every environment of a run, and all faults in them at the same time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from nixl_efa.findings import Finding, failures
from nixl_efa.settings.backend import LocalBackend
from nixl_efa.settings.between_environments import shared_places
from nixl_efa.settings.context import read_context
from nixl_efa.settings.files import read_file, select
from nixl_efa.settings.group_rules import GROUP_RULES
from nixl_efa.settings.model import Settings
from nixl_efa.settings.parts import DIVIDING
from nixl_efa.settings.precedence import resolve
from nixl_efa.settings.rule import Facts, apply
from nixl_efa.settings.rules import PART_RULES, RULES
from nixl_efa.settings.source import Given, GivenSettings, Source, fault, shown
from nixl_efa.settings.validation import faults_of
from nixl_efa.settings.variables import read_variables


@dataclass(frozen=True)
class Loaded:
    """environments: those without a fault, by name; findings: all faults and warnings, each once.

    faulty: environments whose values are valid, but break a rule.
    by_environment: the findings of each chosen environment. general: those of no environment (an unknown variable).
    """

    environments: tuple[Settings, ...]
    findings: tuple[Finding, ...]
    general: tuple[Finding, ...] = ()
    by_environment: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    faulty: tuple[Settings, ...] = ()


def load(
    directory: Path,
    environ: Mapping[str, str],
    context: Mapping[str, object],
    only: Sequence[str] = (),
    *,
    filled: bool = True,
) -> Loaded:
    """The environments that have a file in the directory: `only`, else NIXL_EFA_ENVIRONMENTS, else all of them.

    environ: the process's environment variables; context: cdktf's context. filled: see read_file.

    Raises nothing for what a user wrote in files, variables or the context: faults are in the findings. These have a
    fixed order: first those that belong to no environment, then by the environments' names; for each environment the
    faults of the file, then of the values, then of the rules.
    """
    selection = select(directory, environ, only)
    variables = read_variables(environ, selection.known, selection.chosen)
    contexts = read_context(context, selection.known, selection.chosen)
    general = [*selection.findings, *variables.findings, *contexts.findings]
    by_environment: dict[str, list[Finding]] = {}
    environments: list[Settings] = []
    for name in selection.chosen:
        given, findings = read_file(directory, name, filled=filled)
        by_environment[name] = findings
        findings += variables.findings_of_environment.get(name, [])
        findings += contexts.findings_of_environment.get(name, [])
        if given is None:
            continue
        layers: list[GivenSettings] = [
            variables.of_environment.get(name, {}),
            variables.of_all,
            contexts.of_environment.get(name, {}),
            contexts.of_all,
            given,
        ]
        if settings := _environment(name, layers, findings):
            environments.append(settings)
    for name, shared in shared_places(environments):
        by_environment[name].append(shared)
    for settings in environments:
        by_environment[settings.name] += _workspace(settings, environ)
    everything = [*general, *(one for findings in by_environment.values() for one in findings)]
    return Loaded(
        tuple(one for one in environments if not failures(by_environment[one.name])),
        tuple(dict.fromkeys(everything)),
        tuple(general),
        {name: tuple(findings) for name, findings in by_environment.items()},
        tuple(one for one in environments if failures(by_environment[one.name])),
    )


def _workspace(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """The fault of a workspace that is set for Terraform together with a local state. Terraform would keep the
    workspace's state in cdktf.out (Terraform documentation, Backend Type: local, workspace_dir), which a synthesis may
    empty and which no command reads.

    Another workspace_dir does not solve this: Terraform asks for -reconfigure or -migrate-state when a backend changes.
    """
    chosen = environ.get("TF_WORKSPACE", "")
    if chosen in ("", "default") or not isinstance(settings.backend, LocalBackend):
        return []
    return [
        fault(
            "backend",
            f"TF_WORKSPACE is {shown(chosen)}: Terraform would keep the state of {settings.stack_name} in cdktf.out, "
            f"and it would be lost ({settings.source('backend').label}: local).",
            "Unset TF_WORKSPACE. A second pair is an environment of its own: a file in environments/.",
        )
    ]


def _environment(name: str, layers: Sequence[GivenSettings], findings: list[Finding]) -> Settings | None:
    """The environment's settings, None when they have a fault; adds the faults to `findings`."""
    resolved = resolve(name, layers)
    findings += resolved.findings
    values = {setting: one.value for setting, one in resolved.values.items()}
    faulty: set[str] = set()
    try:
        settings = Settings.model_validate({"name": name, **values})
    except ValidationError as error:
        findings += faults_of(error, resolved.values, name)
        faulty = {str(detail["loc"][0]) for detail in error.errors()}
        settings = _without(faulty, name, values)
    settings = settings.from_sources(_sources(resolved.values))
    facts = Facts(settings, resolved.values, layers)
    findings += apply(RULES, facts, faulty)
    divided = apply(GROUP_RULES, facts, faulty)
    findings += divided
    # If a setting that divides the environment is faulty, it is not known which nodes have which settings.
    can_be_told = faulty.isdisjoint(DIVIDING) and not failures(divided)
    each = [facts.of(part) for part in settings.parts] if can_be_told else []
    findings += dict.fromkeys(one for part in each for one in apply(PART_RULES, part, faulty))
    return settings if not faulty else None


def _without(faulty: set[str], name: str, values: Mapping[str, object]) -> Settings:
    """The settings without the faulty ones, for the rules that read none of these."""
    sound = {setting: value for setting, value in values.items() if setting not in faulty}
    return Settings.model_validate({"name": name, "instance_type": "none.none", **sound})


def _sources(values: Mapping[str, Given]) -> dict[str, Source]:
    return {setting: one.source for setting, one in values.items()}
