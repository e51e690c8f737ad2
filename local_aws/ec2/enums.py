"""Refuses words that the API does not have: botocore sends any string for an enum, and moto keeps it."""

from __future__ import annotations

from typing import Any

from botocore.model import ListShape, Shape, StructureShape

from local_aws.ec2.errors import refuse

# A type that botocore does not know is refused with EC2's own words, where it is used.
_CHECKED_ELSEWHERE = {"InstanceType"}


def check_enums(shape: Shape | None, value: Any, name: str = "") -> None:
    """Refuse a request in which a member holds a word that its enum lacks."""
    if isinstance(shape, StructureShape):
        for member, given in value.items():
            if member in shape.members:
                check_enums(shape.members[member], given, f"{name}.{member}".removeprefix("."))
    elif isinstance(shape, ListShape):
        for given in value:
            check_enums(shape.member, given, name)
    elif shape is not None and shape.name not in _CHECKED_ELSEWHERE:
        words = getattr(shape, "enum", [])
        if words and value not in words:
            raise refuse("InvalidParameterValue", f"Invalid value '{value}' for {name}.")
