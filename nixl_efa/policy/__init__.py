"""The least IAM policy with which an environment's commands do their work."""

from nixl_efa.policy.document import LARGEST, document, size
from nixl_efa.policy.model import COMMANDS, Command

__all__ = ["COMMANDS", "LARGEST", "Command", "document", "size"]
