"""Terraform's built-in `terraform_data`: a value in the state, with a life of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdktf import Precondition, TerraformResource, TerraformResourceLifecycle
from constructs import Construct

from constructs_lib.naming import named


def terraform_data(
    scope: Construct,
    name: str,
    value: Mapping[str, object],
    *,
    triggers_replace: Mapping[str, str] | None = None,
    ignore_changes: Sequence[str] | None = None,
    preconditions: Sequence[Precondition] = (),
) -> str:
    """Add the resource; its address is returned, and `<address>.output` is its value.

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
