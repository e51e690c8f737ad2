"""Checks a raw answer against botocore's model: no unknown members, enums' words only, required members there.

botocore's parser drops what it does not know and takes any string for an enum, so a parsed answer proves little.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

_NAMESPACE = re.compile(r"\{[^}]*\}")
_NOT_IN_THE_MODEL = {"requestId"}


def faults_of(operation: OperationModel, body: bytes) -> list[str]:
    """What is wrong with an answer, as sentences; empty when nothing is."""
    if operation.output_shape is None:
        return []
    if operation.service_model.metadata["protocol"] == "ec2":
        return list(_xml(operation.output_shape, ElementTree.fromstring(body), operation.name, top=True))
    return list(_json(operation.output_shape, json.loads(body), operation.name))


def _xml(shape: Shape, element: ElementTree.Element, path: str, top: bool = False) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        seen = set()
        for child in element:
            tag = _NAMESPACE.sub("", child.tag)
            if tag not in names:
                if not (top and tag in _NOT_IN_THE_MODEL):
                    yield f"{path}: unknown member {tag}"
                continue
            seen.add(names[tag])
            yield from _xml(shape.members[names[tag]], child, f"{path}.{names[tag]}")
        yield from (f"{path}: {name} is required" for name in shape.required_members if name not in seen)
    elif isinstance(shape, ListShape):
        wanted = shape.member.serialization.get("name", "member")
        for index, child in enumerate(element):
            if _NAMESPACE.sub("", child.tag) != wanted:
                yield f"{path}: a list of {wanted} holds a {child.tag}"
            yield from _xml(shape.member, child, f"{path}[{index}]")
    else:
        yield from _scalar(shape, element.text or "", path)


def _json(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no structure"
            return
        for name, member in value.items():
            if name not in shape.members:
                yield f"{path}: unknown member {name}"
            else:
                yield from _json(shape.members[name], member, f"{path}.{name}")
        yield from (f"{path}: {name} is required" for name in shape.required_members if name not in value)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from _json(shape.member, item, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _json(shape.value, item, f"{path}[{key}]")
    elif shape.type_name == "timestamp":
        if not isinstance(value, int | float):
            yield f"{path}: {value!r} is no time"
    else:
        yield from _scalar(shape, json.dumps(value) if isinstance(value, bool) else str(value), path)


_NUMBERS: dict[str, type] = {"integer": int, "long": int, "float": float, "double": float}


def _scalar(shape: Shape, text: str, path: str) -> Iterator[str]:
    if shape.type_name == "string":
        enum = getattr(shape, "enum", [])
        if enum and text not in enum:
            yield f"{path}: {text!r} is not one of {enum[:6]}"
    elif shape.type_name == "boolean":
        if text not in ("true", "false"):
            yield f"{path}: {text!r} is no boolean"
    else:
        convert: Any = (
            datetime.fromisoformat if shape.type_name == "timestamp" else _NUMBERS.get(shape.type_name, str)
        )
        try:
            convert(text)
        except ValueError:
            yield f"{path}: {text!r} is no {shape.type_name}"
