"""The least IAM policy with which an environment's commands do their work."""

from nixl_efa.policy.actions import COMMANDS, Command
from nixl_efa.policy.document import LARGEST, document, size

__all__ = ["COMMANDS", "LARGEST", "Command", "document", "size"]
