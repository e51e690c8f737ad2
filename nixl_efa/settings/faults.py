"""The findings about settings: how a fault is worded, and pydantic's errors in those words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nixl_efa.findings import Finding, Level
from nixl_efa.settings import names
from nixl_efa.settings.backend import BACKENDS
from nixl_efa.settings.model import Settings
from nixl_efa.settings.source import Given, Layer, Source
from nixl_efa.settings.values import allowed

SHOWN_CHARACTERS = 100


def fault(check: str, message: str, remedy: str = "") -> Finding:
    """A fault: it ends the run of its environment."""
    return Finding(Level.FAIL, check, message, remedy)


def warning(check: str, message: str, remedy: str = "") -> Finding:
    """A warning: shown, and the run goes on."""
    return Finding(Level.WARN, check, message, remedy)


def shown(value: object) -> str:
    """A value as a message shows it: as TOML and JSON write it, on one line, cut when it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def given(setting: str, value: object, source: Source) -> str:
    """A setting, its value and where it came from: `spot = true (environments/dev.toml: spot)`."""
    return f"{setting} = {shown(value)} ({source.label})"


def of_validation(
    error: ValidationError, settings: Mapping[str, Given], environment: str
) -> Iterator[Finding]:
    """One fault for each of pydantic's errors, in the order of the model's fields."""
    order = list(Settings.model_fields)
    for detail in sorted(error.errors(include_url=False), key=lambda one: order.index(str(one["loc"][0]))):
        setting = str(detail["loc"][0])
        if setting in settings:
            yield _of_detail(detail, setting, settings[setting])
        else:
            yield _missing(setting, environment)


def _missing(setting: str, environment: str) -> Finding:
    return fault(
        setting,
        f"{environment}: {setting} is missing.",
        f"Set it in the environment's file or as {names.variable(setting, environment)}: "
        f"{allowed_for((setting,), {})}.",
    )


def _of_detail(detail: ErrorDetails, setting: str, origin: Given) -> Finding:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if setting == "backend" and len(path) > 1:
        path = (setting, *path[2:])  # pydantic puts the union's chosen member second
    name = _dotted(path)
    source = _within(origin.source, name.removeprefix(setting))
    words = allowed_for(path, origin.value)
    kind = detail["type"]
    remedy = ""
    if kind == "missing":
        return fault(setting, f"{name} is missing ({source.label}).", f"It must be {words}.")
    value = detail["input"]
    if kind == "extra_forbidden":
        return fault(
            setting,
            f"{name} is not known ({source.label}).",
            names.did_you_mean(str(path[-1]), _backend_fields(origin.value)),
        )
    if kind == "value_error":
        problem = str(detail["ctx"]["error"])
        if name == "backend":
            return fault(setting, f"backend ({source.label}) {problem}.")
        return fault(setting, f"{given(name, value, source)} {problem}.")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _backend_type(value, kind, source)
    choices = _choices(setting)
    if choices and isinstance(value, str) and (near := names.nearest(value, choices)):
        remedy = f'Did you mean "{near}"?'
    return fault(setting, f"{given(name, value, source)} must be {words}.", remedy)


def _backend_type(value: object, kind: str, source: Source) -> Finding:
    words = ", ".join(f'"{name}"' for name in BACKENDS)
    if kind == "union_tag_not_found":
        return fault("backend", f"backend.type is missing ({source.label}).", f"It must be one of {words}.")
    chosen = value.get("type") if isinstance(value, Mapping) else value
    near = names.nearest(chosen, BACKENDS) if isinstance(chosen, str) else ""
    return fault(
        "backend",
        f"{given('backend.type', chosen, _within(source, '.type'))} must be one of {words}.",
        f'Did you mean "{near}"?' if near else "",
    )


def allowed_for(path: tuple[object, ...], value: object) -> str:
    """The words for what a setting, or a part of one, may be."""
    setting = str(path[0])
    if setting == "backend" and len(path) > 1:
        model = _backend_model(value)
        field = model.model_fields.get(str(path[1])) if model else None
    else:
        field = Settings.model_fields[setting]
    if field is None:
        return ""
    if setting == "tags" and len(path) > 1:
        return allowed(get_args(field.annotation)[1])
    if len(path) > 1 and isinstance(path[-1], int):
        return allowed(get_args(field.annotation)[0])
    own = next((words for part in field.metadata if (words := getattr(part, "text", ""))), "")
    return own or allowed(field.annotation)


def _choices(setting: str) -> tuple[str, ...]:
    members = get_args(Settings.model_fields[setting].annotation)
    return tuple(member for member in members if isinstance(member, str))


def _backend_model(value: object) -> type[BaseModel] | None:
    return BACKENDS.get(str(value.get("type"))) if isinstance(value, Mapping) else None


def _backend_fields(value: object) -> list[str]:
    model = _backend_model(value)
    return list(model.model_fields) if model else []


def _dotted(path: tuple[object, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _within(source: Source, rest: str) -> Source:
    """The place of a part of a value: only a variable has no name for it."""
    if source.layer in (Layer.VARIABLE_OF_ENVIRONMENT, Layer.VARIABLE_OF_ALL):
        return source
    return Source(source.layer, source.label + rest)
