"""The nodes' user data, with their addresses as Terraform tokens."""

from __future__ import annotations

from collections.abc import Mapping

from nixl_efa.bootstrap import Bootstrap, PeerNode, user_data
from nixl_efa.plan import PairPlan
from nixl_efa.settings import Settings


def node_user_data(
    node: str, *, settings: Settings, plan: PairPlan, addresses: Mapping[str, str], scripts_bucket: str
) -> str:
    """The cloud-config of one node. `addresses` are by node name; they and the bucket's name are tokens."""
    facts = plan.instance_type
    return user_data(
        Bootstrap(
            environment=settings.name,
            node=node,
            nodes=tuple(PeerNode(peer.name, peer.role, addresses[peer.name]) for peer in plan.nodes),
            region=settings.region,
            instance_type=settings.instance_type,
            efa_interfaces=plan.efa_interfaces,
            accelerators=facts.accelerator_count if facts else 0,
            accelerator_kind=facts.accelerator_kind if facts else "none",
            install_nixl=settings.install_nixl,
            nixl_version=settings.nixl_version,
            scripts_bucket=scripts_bucket,
            service_ports=settings.service_ports,
        )
    )
