"""What a node is told at its first boot: user data as a cloud-config document. Pure text."""

from nixl_efa.bootstrap.cloud_config import user_data
from nixl_efa.bootstrap.members import MEMBERS_KEY, members_json
from nixl_efa.bootstrap.model import USER_DATA_LIMIT_BYTES, Bootstrap, PeerNode, bootstrap_of, peers
from nixl_efa.bootstrap.terraform_text import plain, terraform_escape

__all__ = [
    "MEMBERS_KEY",
    "USER_DATA_LIMIT_BYTES",
    "Bootstrap",
    "PeerNode",
    "bootstrap_of",
    "members_json",
    "peers",
    "plain",
    "terraform_escape",
    "user_data",
]
