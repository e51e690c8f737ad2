"""The NIXL/EFA node pair: a producer and a consumer of KV caches, side by side, joined by EFA."""

from __future__ import annotations

from constructs import Construct

from constructs_lib.access import NodeAccess
from constructs_lib.bootstrap import node_user_data
from constructs_lib.capacity import Capacity
from constructs_lib.efa_interfaces import EfaInterfaces
from constructs_lib.image import Image
from constructs_lib.naming import resource_name
from constructs_lib.network import Network
from constructs_lib.node import Node, Shared
from constructs_lib.placement import Placement
from constructs_lib.scripts_bucket import ScriptsBucket
from constructs_lib.security_group import PairSecurityGroup
from constructs_lib.terraform_data import terraform_data
from nixl_efa.plan import NodePlan, PairPlan
from nixl_efa.settings import Settings


class NodePair(Construct):
    """Everything that one environment has in AWS. `nodes` and `interfaces` are by the plan's node names."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, plan: PairPlan) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._plan = plan
        self.network = Network(self, "network", settings=settings)
        self.security_group = PairSecurityGroup(
            self, "security_group", settings=settings, network=self.network
        )
        self.bucket = ScriptsBucket(self, "scripts_bucket", settings=settings)
        self.capacity = Capacity(self, "capacity", settings=settings, plan=plan)
        self.placement = Placement(self, "placement", settings=settings, plan=plan)
        access = NodeAccess(self, "access", settings=settings, bucket=self.bucket)
        shared = Shared(
            settings=settings,
            plan=plan,
            capacity=self.capacity,
            placement=self.placement,
            access=access,
            image=Image(self, "image", settings=settings, plan=plan),
            launch=self._launch(),
            before=[*self.security_group.rules, *access.policies],
        )
        # Every node's user data names every node, so all interfaces come before the first node.
        self.interfaces = {node.name: self._interfaces(node) for node in plan.nodes}
        addresses = {name: interfaces.address for name, interfaces in self.interfaces.items()}
        self.nodes = {
            node.name: Node(
                self,
                node.name,
                shared=shared,
                interfaces=self.interfaces[node.name],
                user_data=node_user_data(
                    node.name,
                    settings=settings,
                    plan=plan,
                    addresses=addresses,
                    scripts_bucket=self.bucket.name,
                ),
                tags=self._tags(node),
            )
            for node in plan.nodes
        }

    def _launch(self) -> str:
        """What a node is launched from; a node is replaced when, and only when, one of these changes.

        The provider plans nothing when the market changes (hashicorp/terraform-provider-aws, issue 38141), would
        stop and start a node for another type, and a node ignores its template and user data (see Node).
        """
        nixl = self._settings.nixl_version if self._settings.install_nixl else ""
        # An address, not a token: cdktf would write one as an expression, which Terraform refuses here.
        return terraform_data(
            self,
            "launch",
            {
                "market": self.capacity.market,
                "capacity_reservation_id": self.capacity.reservation_id,
                "interfaces": [
                    f"{interface.network_card_index}/{interface.device_index} {interface.interface_type}"
                    for interface in self._plan.interfaces
                ],
                "instance_type": self._settings.instance_type,
                "nixl_version": nixl,
                "security_group_id": self.security_group.security_group_id,
                "subnet_id": self.network.subnet_id,
            },
        )

    def _interfaces(self, node: NodePlan) -> EfaInterfaces:
        return EfaInterfaces(
            self,
            f"{node.name}_interfaces",
            node=node.name,
            interfaces=self._plan.interfaces,
            subnet_id=self.network.subnet_id,
            security_group_id=self.security_group.security_group_id,
            elastic_ip=self._settings.elastic_ip,
            tags=self._tags(node),
        )

    def _tags(self, node: NodePlan) -> dict[str, str]:
        return {
            **stack_tags(self._settings),
            "Name": resource_name(self._settings, node.name),
            "Role": node.role,
        }


def stack_tags(settings: Settings) -> dict[str, str]:
    """The tags of everything in the stack; the user's own win over ours."""
    owner = {"Owner": settings.owner} if settings.owner else {}
    return {
        "Project": settings.project_prefix,
        "Environment": settings.name,
        "ManagedBy": "cdktf",
        **owner,
        **settings.tags,
    }
