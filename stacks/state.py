"""Where a stack's Terraform state lives: on this machine, in S3 or in Terraform Cloud."""

from cdktf import (
    LocalBackend,
    S3Backend,
    TerraformStack,
)

from nixl_efa.settings import Settings
from nixl_efa.state import STATE_FOLDER, backend_block


def keep_state(stack: TerraformStack, settings: Settings) -> None:
    """Give the stack the backend that its settings choose."""
    # The path is relative to the stack's folder in cdktf.out and leads out of it: a user may delete `cdktf.out`, but
    # not the state.
    block = backend_block(settings, local_path=f"../../../{STATE_FOLDER}/{settings.stack_name}.tfstate")
    if "cloud" in block:
        # cdktf's CloudBackend runs Terraform to ask for its version, and fails without Terraform. cdktf's default, a
        # local backend, is left out of a stack that has a cloud block.
        stack.add_override("terraform.cloud", block["cloud"])
        stack.add_override("terraform.backend", None)
        return
    [(kind, values)] = block["backend"].items()
    # cdktf 0.21 has no arguments for these two.
    others = {name: values.pop(name) for name in ("use_lockfile", "assume_role") if name in values}
    {"s3": S3Backend, "local": LocalBackend}[kind](stack, **values)
    for name, value in others.items():
        stack.add_override(f"terraform.backend.s3.{name}", value)
