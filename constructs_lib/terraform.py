"""Terraform's own parts: the names of elements in its state and plans, `terraform_data`, and values frozen in one."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from cdktf import Precondition, TerraformElement, TerraformResource, TerraformResourceLifecycle
from constructs import Construct

Element = TypeVar("Element", bound=TerraformElement)

# AWS can't rename these resources: a new name means a new resource. So each keeps its name. Otherwise a new
# project_prefix would replace every resource around a running pair, and the pair too.
NAME_STAYS = TerraformResourceLifecycle(ignore_changes=["name"])


def named(element: Element, name: str) -> Element:
    """Give an element a readable name in Terraform: "aws_instance.producer" instead of a path and a hash."""
    element.override_logical_id(name.replace("-", "_"))
    return element


def part_name(name: str, part: str) -> str:
    """The name of something that each part of an environment has; without a suffix for the first or only part."""
    return f"{name}_{part}" if part else name


def reference(kind: str, name: str, attribute: str) -> str:
    """A Terraform expression, without its braces, for an attribute of an element that `named` has named."""
    return f"{kind}.{name.replace('-', '_')}.{attribute}"


def token(kind: str, name: str, attribute: str) -> str:
    """The same as a token, a text that can be part of any argument.

    It equals the element's own property, but needs no call to jsii's process.
    """
    return f"${{{reference(kind, name, attribute)}}}"


def terraform_data(
    scope: Construct,
    name: str,
    value: Mapping[str, object],
    *,
    triggers_replace: Mapping[str, str] | None = None,
    ignore_changes: Sequence[str] | None = None,
    preconditions: Sequence[Precondition] = (),
) -> str:
    """Add the resource and return its address; `<address>.output` is its value.

    cdktf's own DataResource runs `terraform version` for each of them at synthesis (cdktf, validate-binary-version):
    45 ms each, and synthesis should need no Terraform. `nixl-efa check` looks at Terraform's version (1.4 or newer).
    """
    lifecycle = TerraformResourceLifecycle(
        ignore_changes=list(ignore_changes) if ignore_changes else None,
        precondition=list(preconditions) or None,
    )
    resource = TerraformResource(
        scope,
        f"{name}_data",
        terraform_resource_type="terraform_data",
        lifecycle=lifecycle if ignore_changes or preconditions else None,
    )
    resource.add_override("input", dict(value))
    if triggers_replace:
        resource.add_override("triggers_replace", dict(triggers_replace))
    named(resource, name)
    return f"terraform_data.{name}"


def kept_in_number(scope: Construct, name: str, members: Iterable[str], *, protected: bool) -> None:
    """Add a `terraform_data` for each member. If `protected`, a plan that leaves a member out fails and names it.

    A resource's own prevent_destroy is removed together with its block, so it does not protect a node that the settings
    leave out. This block stays, and has no instances when there are no members (Terraform's documentation,
    prevent_destroy; tests/terraform/test_many_nodes.py tests it for a member that is left out).
    """
    resource = TerraformResource(
        scope,
        f"{name}_data",
        terraform_resource_type="terraform_data",
        lifecycle=TerraformResourceLifecycle(prevent_destroy=True) if protected else None,
    )
    resource.add_override("for_each", f"${{toset({json.dumps(list(members))})}}")
    named(resource, name)


def frozen(
    scope: Construct,
    name: str,
    value: str,
    *,
    until: Mapping[str, str],
    kept: Collection[str] = (),
    preconditions: Sequence[Precondition] = (),
) -> str:
    """A token for `value` as it was at creation; the value is read again only when an entry of `until` changes.

    For values that change without the user (the newest image, the first zone) and that Terraform reads again at each
    plan. Without this, a plan that should only change a tag would replace all running nodes because of a newer image,
    in a Capacity Block that cost tens of thousands of dollars.

    until: what the value depends on.
    kept:  the entries of `until` whose change does not renew the value; they stay as they were as long as the value.
    preconditions: checked at every plan, before the value is used.
    """
    address = terraform_data(
        scope,
        name,
        {"value": value},
        triggers_replace=until,
        ignore_changes=["input", *(f"triggers_replace.{entry}" for entry in kept)],
        preconditions=preconditions,
    )
    return f"${{{address}.output.value}}"
