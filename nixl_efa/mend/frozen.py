"""Puts frozen values (see constructs_lib.terraform.frozen) back into a state that has lost them. The values are those
of the running nodes, so that a newer image or another first subnet does not replace these nodes. Pure.

Terraform can't import a `terraform_data` with its value, but accepts it in a pushed state.
"""

import re
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from nixl_efa.mend.parts import Part
from nixl_efa.state import State

Json = Any
_TYPE = "terraform_data"


def lost(parts: Sequence[Part], state: State, present: Collection[str]) -> list[Part]:
    """The frozen values that are missing in the state, although it has, or will have, resources that were made with
    them.

    present: the addresses that are in the state or will be added.
    """
    return [
        part
        for part in _frozen(parts)
        if part.address not in state.resources and _is_used(part, parts, present)
    ]


def unused(parts: Sequence[Part], state: State, imported: Collection[str]) -> list[Part]:
    """The frozen values in the state that none of its resources was made with, although resources that are imported
    will use them. A deployment without the nodes in its state chose them anew, and failed before it created a node."""
    return [
        part
        for part in _frozen(parts)
        if part.address in state.resources
        and not _is_used(part, parts, state.resources)
        and _is_used(part, parts, imported)
    ]


def _frozen(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        if part.type == _TYPE and "input" in (part.body.get("lifecycle") or {}).get("ignore_changes", ()):
            yield part


def _is_used(part: Part, parts: Sequence[Part], present: Collection[str]) -> bool:
    return any(
        other.address in present and any(True for _ in _references(other.body, part.name)) for other in parts
    )


def in_use(part: Part, parts: Sequence[Part], state: State) -> dict[str, Json]:
    """The members of the frozen value, read from the resources that were made with them. A member is left out when the
    resources differ, or when no argument has it as its whole value."""
    found: dict[str, list[Json]] = {}
    for other in parts:
        resource = state.resources.get(other.address)
        if resource is None:
            continue
        for path, member in _references(other.body, part.name):
            value = _at(resource.attributes, path)
            if value not in (None, ""):
                found.setdefault(member, []).append(value)
    return {member: values[0] for member, values in found.items() if all(one == values[0] for one in values)}


def with_frozen(
    document: Mapping[str, Json],
    frozen: Mapping[str, Mapping[str, Json]],
    planned: Sequence[Mapping[str, Json]],
) -> dict[str, Json]:
    """The state with the frozen values added. Values with other members that Terraform does not know yet are left out.

    document: the stored state. frozen: the results of in_use, by address. planned: `resource_changes` of a plan that
    would create them.
    """
    by_address = {one["address"]: one["change"] for one in planned}
    added = []
    for address, values in frozen.items():
        change = by_address.get(address, {})
        unknown, after = change.get("after_unknown") or {}, change.get("after") or {}
        if change.get("actions") != ["create"] or unknown.get("triggers_replace") is True:
            continue
        value = {**(after.get("input") or {}), **values}
        added.append(_resource(address.partition(".")[2], value, after.get("triggers_replace")))
    return {
        **document,
        "serial": document["serial"] + 1,
        "resources": [*document.get("resources", ()), *added],
    }


def _resource(name: str, value: Json, triggers: Json) -> dict[str, Json]:
    """A terraform_data as Terraform 1.11 stores it: a value and its type for each of its members of any type."""
    attributes = {
        "id": str(uuid.uuid4()),
        "input": _typed(value),
        "output": _typed(value),
        "triggers_replace": None if triggers is None else _typed(triggers),
    }
    return {
        "mode": "managed",
        "type": _TYPE,
        "name": name,
        "provider": 'provider["terraform.io/builtin/terraform"]',
        "instances": [{"schema_version": 0, "attributes": attributes, "sensitive_attributes": []}],
    }


def _typed(value: Json) -> dict[str, Json]:
    return {"value": value, "type": _type_of(value)}


def _type_of(value: Json) -> Json:
    """Terraform's type of a JSON value."""
    if isinstance(value, Mapping):
        return ["object", {name: _type_of(one) for name, one in value.items()}]
    if isinstance(value, list):
        return ["tuple", [_type_of(one) for one in value]]
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "string"


def _references(
    body: Json, name: str, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The arguments of a resource that are exactly one member of the frozen value: path and member of each."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            yield from _references(value, name, (*path, key))
    elif isinstance(body, list):
        for position, value in enumerate(body):
            yield from _references(value, name, (*path, position))
    elif isinstance(body, str):
        whole = re.fullmatch(rf"\$\{{{_TYPE}\.{re.escape(name)}\.output\.(\w+)\}}", body)
        if whole:
            yield path, whole.group(1)


def _at(attributes: Json, path: Sequence[str | int]) -> Json:
    """The value at a path. A block that is one object in the arguments is a list with one member in the state."""
    for step in path:
        if isinstance(attributes, list) and isinstance(step, str):
            attributes = attributes[0] if attributes else None
        try:
            attributes = attributes[step]
        except (KeyError, IndexError, TypeError):
            return None
    return attributes
