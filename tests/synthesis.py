"""Synthesis for tests: from settings, given as a user gives them, to the parsed JSON of a stack."""

import json
from pathlib import Path
from typing import Any

from cdktf import Testing

from nixl_efa.findings import Finding
from nixl_efa.launch import launch_of
from nixl_efa.settings import Loaded, Settings, load
from stacks.pair_stack import PairStack

ENVIRONMENTS = Path(__file__).resolve().parent.parent / "environments"
Json = dict[str, Any]


def load_environment(name: str, **settings: object) -> Loaded:
    """The environment of the repository, with settings put over it as NIXL_EFA_<NAME>_<SETTING>."""
    environ = {f"NIXL_EFA_{name}_{key}".upper(): _text(value) for key, value in settings.items()}
    return load(ENVIRONMENTS, {**environ, "NIXL_EFA_ENVIRONMENTS": name}, {})


def settings_of(name: str, **settings: object) -> Settings:
    """The environment's settings; fails with the findings when they are faulty."""
    loaded = load_environment(name, **settings)
    assert loaded.environments, loaded.findings
    return loaded.environments[0]


def findings_of(name: str, **settings: object) -> tuple[Finding, ...]:
    """All that is found wrong with the environment's settings."""
    return load_environment(name, **settings).findings


def synthesize(name: str, **settings: object) -> Json:
    """The stack's Terraform JSON, parsed."""
    return synthesize_settings(settings_of(name, **settings))


def synthesize_settings(settings: Settings) -> Json:
    """The same for settings that are loaded."""
    stack = PairStack(Testing.app(), settings=settings, launch=launch_of(settings))
    parsed: Json = json.loads(Testing.synth(stack))
    return parsed


def resources(stack: Json, kind: str) -> Json:
    """The stack's resources of one kind by name; empty when it has none."""
    found: Json = stack["resource"].get(kind, {})
    return found


def without_metadata(node: Any) -> Any:
    """The JSON without cdktf's own notes (construct paths, its version), which Terraform doesn't read."""
    if isinstance(node, dict):
        return {key: without_metadata(value) for key, value in node.items() if key != "//"}
    if isinstance(node, list):
        return [without_metadata(value) for value in node]
    return node


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
