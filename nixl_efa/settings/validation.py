"""The model's errors about the values: one fault for each value that it refuses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.backend import BACKENDS, as_table
from nixl_efa.settings.credentials import AssumeRole
from nixl_efa.settings.model import Settings
from nixl_efa.settings.names import REGIONS
from nixl_efa.settings.parts import CONSUMER, PRODUCER, CapacityEntry, Group
from nixl_efa.settings.service import ServiceTable
from nixl_efa.settings.source import Given, Source, fault, given, shown, within
from nixl_efa.settings.values import allowed

# The settings that are a table or a list of tables; a backend's table depends on its type.
_TABLES: Mapping[str, type[BaseModel] | None] = {
    "backend": None,
    "assume_role": AssumeRole,
    PRODUCER: Group,
    CONSUMER: Group,
    "capacity": CapacityEntry,
    "service": ServiceTable,
}
# How pydantic marks an error of a table's key rather than of its value.
_KEY = "[key]"


def faults_of(error: ValidationError, settings: Mapping[str, Given], environment: str) -> Iterator[Finding]:
    """One fault for each of pydantic's errors, in the order of the model's settings."""
    order = list(Settings.model_fields)
    for detail in sorted(error.errors(include_url=False), key=lambda one: order.index(str(one["loc"][0]))):
        setting = str(detail["loc"][0])
        if setting in settings:
            yield _of_detail(detail, setting, settings[setting])
        else:
            yield _missing(setting, environment)


def _missing(setting: str, environment: str) -> Finding:
    ways = f"the environment's file or as {names.variable(setting, environment)}"
    return fault(
        setting, f"{environment}: {setting} is missing.", f"Set it in {ways}: {_allowed((setting,), None)}."
    )


def _of_detail(detail: ErrorDetails, setting: str, origin: Given) -> Finding:
    path = _path(detail["loc"])
    # The entries of `capacity` are counted from 1, as in every command.
    first = 1 if setting == "capacity" else 0
    name = "".join(f"[{part + first}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    source = within(origin.source, name.removeprefix(setting))
    value = detail["input"]
    of_key = detail["loc"][-1] == _KEY
    must_be = f"must be {_allowed(path, origin.value, of_key)}"
    match detail["type"]:
        case "missing":
            return fault(setting, f"{name} is missing ({source.label}).", f"It {must_be}.")
        case "extra_forbidden":
            known = _table_model(setting, origin.value)
            remedy = names.did_you_mean(str(path[-1]), known.model_fields if known else ())
            return fault(setting, f"{name} is not known ({source.label}).", remedy)
        case "union_tag_invalid" | "union_tag_not_found":
            return _of_backend_type(value, source)
        case "value_error":
            problem = str(detail["ctx"]["error"])
        case _:
            problem = must_be
    if of_key:
        return fault(setting, f"{setting} has the key {shown(value)} ({origin.source.label}): it {problem}.")
    if path == ("backend",) and isinstance(value, Mapping):
        return fault(setting, f"backend ({source.label}) {problem}.")
    return fault(setting, f"{given(name, value, source)} {problem}.", _nearest_choice(setting, value))


def _of_backend_type(value: object, source: Source) -> Finding:
    types = ", ".join(f'"{name}"' for name in BACKENDS)
    if not isinstance(value, Mapping) or "type" not in value:
        return fault("backend", f"backend.type is missing ({source.label}).", f"It must be one of {types}.")
    chosen = value["type"]
    near = names.nearest(chosen, BACKENDS) if isinstance(chosen, str) else ""
    return fault(
        "backend",
        f"{given('backend.type', chosen, within(source, '.type'))} must be one of {types}.",
        f'Did you mean "{near}"?' if near else "",
    )


def _nearest_choice(setting: str, value: object) -> str:
    """A sentence that offers the nearest valid word, for a setting with a fixed list of words."""
    choices: Sequence[str] = REGIONS
    if setting != "region":
        choices = [one for one in get_args(Settings.model_fields[setting].annotation) if isinstance(one, str)]
    near = names.nearest(value, choices) if isinstance(value, str) and choices else ""
    return f'Did you mean "{near}"?' if near else ""


def _path(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The setting and the part of it that an error is about."""
    path = tuple(part for part in loc if part != _KEY)
    # Between a backend and its field pydantic names the union's member.
    return (path[0], *path[2:]) if path[0] == "backend" else path


def _allowed(path: tuple[int | str, ...], value: object, of_key: bool = False) -> str:
    """The `Allowed` words for a setting, a part of one or a table's key."""
    field = Settings.model_fields[str(path[0])]
    within = [part for part in path[1:] if isinstance(part, str)]
    if path[0] in _TABLES and within:
        model = _table_model(str(path[0]), value)
        inner = model.model_fields.get(within[0]) if model else None
        if inner is None:
            return ""
        field = inner
    if path[0] == "tags" and len(path) > 1:
        return allowed(get_args(field.annotation)[0 if of_key else 1])
    if isinstance(path[-1], int) and (of_item := allowed(get_args(field.annotation)[0])):
        return of_item
    own = next((words for part in field.metadata if (words := getattr(part, "text", ""))), "")
    return own or allowed(field.annotation)


def _table_model(setting: str, value: object) -> type[BaseModel] | None:
    """The model of a setting that is a table; None when it is not known."""
    if model := _TABLES.get(setting):
        return model
    table = as_table(value)
    return BACKENDS.get(str(table.get("type"))) if isinstance(table, Mapping) else None
