"""The NIXL/EFA node pair: a producer and a consumer of KV caches, side by side, joined by EFA."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from cdktf import TerraformStack
from constructs import Construct

from constructs_lib.access import NodeAccess
from constructs_lib.capacity import Capacity, Placement
from constructs_lib.efa_interfaces import EfaInterfaces
from constructs_lib.network import Network
from constructs_lib.node import Image, Node, Shared
from constructs_lib.scripts_bucket import ScriptsBucket
from constructs_lib.security_group import PairSecurityGroup
from constructs_lib.terraform import kept_in_number, terraform_data
from nixl_efa.bootstrap import bootstrap_of, user_data
from nixl_efa.launch import Launch
from nixl_efa.launch import Node as NodeOfLaunch
from nixl_efa.settings import Settings

# Stacks that hold a pair, with its path in the construct tree.
_PAIRS: WeakKeyDictionary[TerraformStack, str] = WeakKeyDictionary()


class NodePair(Construct):
    """Everything that one environment has in AWS. `nodes` and `interfaces` are by the launch's node names.

    A stack holds one: ValueError for a second. Their resources have the same names in Terraform, so that cdktf would
    make one instance of both.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, launch: Launch) -> None:
        stack = TerraformStack.of(scope)
        if other := _PAIRS.get(stack):
            raise ValueError(
                f"NodePair {id!r}: the stack holds a pair already ({other}). Give each pair a stack of its own."
            )
        super().__init__(scope, id)
        _PAIRS[stack] = self.node.path
        self._launch = launch
        self.network = Network(self, "network", launch=launch)
        self.security_group = PairSecurityGroup(self, "security_group", launch=launch, network=self.network)
        self.bucket = ScriptsBucket(self, "scripts_bucket", launch=launch)
        self.capacity = Capacity(self, "capacity", launch=launch)
        self.placement = Placement(self, "placement", launch=launch)
        access = NodeAccess(self, "access", settings=settings, launch=launch, bucket=self.bucket)
        shared = Shared(
            launch=launch,
            capacity=self.capacity,
            placement=self.placement,
            access=access,
            image=Image(self, "image", launch=launch),
            launched_anew_by=[self._launched_anew_by(), self.placement.launched_anew_by],
            before=[*self.security_group.rules, *access.policies],
        )
        # Every node's user data names every node, so all interfaces come before the first node.
        self.interfaces = {node.name: self._interfaces(node) for node in launch.nodes}
        addresses = {name: interfaces.address for name, interfaces in self.interfaces.items()}
        self.nodes = {
            node.name: Node(
                self,
                node.name,
                shared=shared,
                interfaces=self.interfaces[node.name],
                user_data=user_data(
                    bootstrap_of(launch, node.name, addresses=addresses, scripts_bucket=self.bucket.name)
                ),
                tags=launch.tags_of(node),
            )
            for node in launch.nodes
        }
        # The first of each role is always there.
        beyond_a_pair = [node.name for node in launch.nodes if node.name != node.role]
        kept_in_number(self, "nodes_beyond_a_pair", beyond_a_pair, protected=launch.protect_nodes)

    def _launched_anew_by(self) -> str:
        """What the user chose that a node is launched from: a change replaces the nodes.

        The provider plans nothing when the market changes (hashicorp/terraform-provider-aws, issue 38141), would
        stop and start a node for another type, and a node ignores its template and user data (see Node).

        The conditions are checked here, before the nodes are destroyed that are to be launched anew.
        """
        # An address, not a token: cdktf would write one as an expression, which Terraform refuses here.
        return terraform_data(
            self,
            "launch",
            {
                "market": self.capacity.market,
                "capacity_reservation_id": self.capacity.reservation_id,
                "interfaces": [
                    f"{interface.network_card_index}/{interface.device_index} {interface.interface_type}"
                    for interface in self._launch.interfaces
                ],
                "instance_type": self._launch.instance_type,
                "nixl_version": self._launch.nixl_version,
                "security_group_id": self.security_group.security_group_id,
                "subnet_id": self.network.subnet_id,
            },
            # The interfaces follow from the type. A newer layout of ours is no reason to launch a node anew, and
            # NIXL can be installed on a running one. They stay members, for a member that goes is a change, too.
            ignore_changes=["input.interfaces", "input.nixl_version"],
            preconditions=[
                *self.capacity.preconditions,
                *self.network.preconditions,
                *self.security_group.preconditions,
            ],
        )

    def _interfaces(self, node: NodeOfLaunch) -> EfaInterfaces:
        return EfaInterfaces(
            self,
            f"{node.name}_interfaces",
            node=node.name,
            interfaces=self._launch.interfaces,
            subnet_id=self.network.subnet_id,
            security_group_id=self.security_group.security_group_id,
            elastic_ip=self._launch.elastic_ip,
            network_border_group=self.network.border_group,
            tags=self._launch.tags_of(node),
        )
