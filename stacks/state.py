"""Where a stack's Terraform state lives: on this machine, in S3 or in Terraform Cloud."""

from __future__ import annotations

from cdktf import (
    CloudBackend,
    LocalBackend,
    NamedCloudWorkspace,
    S3Backend,
    TaggedCloudWorkspaces,
    TerraformStack,
)

from nixl_efa.settings import Settings
from nixl_efa.settings import backend as choice


def keep_state(stack: TerraformStack, settings: Settings) -> None:
    """Give the stack the backend that its settings choose."""
    chosen = settings.backend
    if isinstance(chosen, choice.S3Backend):
        S3Backend(
            stack,
            bucket=chosen.bucket,
            key=settings.state_key,
            region=chosen.region or settings.region,
            encrypt=chosen.encrypt,
            dynamodb_table=chosen.dynamodb_table,
        )
        if chosen.use_lockfile:
            # cdktf 0.21 has no argument for it.
            stack.add_override("terraform.backend.s3.use_lockfile", True)
    elif isinstance(chosen, choice.CloudBackend):
        CloudBackend(
            stack,
            hostname=chosen.hostname,
            organization=chosen.organization,
            workspaces=_workspaces(chosen, settings),
        )
    else:
        # Relative to the stack's folder in cdktf.out, and outside of it: `cdktf.out` may be deleted, state may not.
        LocalBackend(stack, path=f"../../../state/{settings.stack_name}.tfstate")


def _workspaces(
    chosen: choice.CloudBackend, settings: Settings
) -> NamedCloudWorkspace | TaggedCloudWorkspaces:
    if chosen.tags:
        return TaggedCloudWorkspaces(list(chosen.tags), project=chosen.project)
    return NamedCloudWorkspace(settings.cloud_workspace, project=chosen.project)
