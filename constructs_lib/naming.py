"""Names in Terraform's state and plans."""

from __future__ import annotations

from typing import TypeVar

from cdktf import TerraformElement

Element = TypeVar("Element", bound=TerraformElement)


def named(element: Element, name: str) -> Element:
    """Give an element a readable name in Terraform: "aws_instance.producer", not a path and a hash."""
    element.override_logical_id(name.replace("-", "_"))
    return element


def reference(kind: str, name: str, attribute: str) -> str:
    """A Terraform expression, without its braces, for an attribute of an element that `named` has named."""
    return f"{kind}.{name.replace('-', '_')}.{attribute}"


def token(kind: str, name: str, attribute: str) -> str:
    """The same as text that may stand in any argument.

    Equal to the element's own property, without the question to jsii's process that each such property is.
    """
    return f"${{{reference(kind, name, attribute)}}}"
