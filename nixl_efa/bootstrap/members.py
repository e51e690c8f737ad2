"""Who is in an environment: an object in its scripts bucket, which Terraform writes and nodes read at each boot.

It is not in the user data: a node that joins later would not be in that of the nodes before it.
"""

from collections.abc import Iterable
from dataclasses import replace

from nixl_efa.bootstrap.files import with_nodes
from nixl_efa.bootstrap.model import PeerNode
from nixl_efa.bootstrap.terraform_text import Held, terraform_escape

MEMBERS_KEY = "members.json"
# read-members.sh takes no other.
MEMBERS_FORM = 1


def members_json(environment: str, nodes: Iterable[PeerNode]) -> str:
    """The object's text, ready to stand in Terraform: from "nodes" on, the very lines of every node's pair.json.

    Addresses may be opaque Terraform tokens, as in the user data.
    """
    held = Held()
    marked = [replace(node, address=held.mark(node.address)) for node in nodes]
    return held.fill(terraform_escape(with_nodes({"form": MEMBERS_FORM, "environment": environment}, marked)))
