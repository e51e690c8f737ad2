"""The NIXL/EFA node pair: a producer and a consumer of KV caches, connected by EFA."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from cdktf import Precondition, TerraformStack
from constructs import Construct

from constructs_lib.access import NodeAccess
from constructs_lib.capacity import Placement, Reservation, market
from constructs_lib.efa_interfaces import EfaInterfaces
from constructs_lib.network import Network
from constructs_lib.node import Image, Node, Shared, image_part
from constructs_lib.scripts_bucket import ScriptsBucket
from constructs_lib.security_group import PairSecurityGroup
from constructs_lib.terraform import kept_in_number, part_name, terraform_data
from nixl_efa.bootstrap import bootstrap_of, members_json, peers, user_data
from nixl_efa.launch import Launch
from nixl_efa.node_names import Node as NodeOfLaunch
from nixl_efa.settings import Settings

# The stacks that hold a pair, each with the pair's path in the construct tree.
_PAIRS: WeakKeyDictionary[TerraformStack, str] = WeakKeyDictionary()


class NodePair(Construct):
    """Everything that one environment has in AWS. `nodes` and `interfaces` have the launch's node names as keys.

    A stack can hold only one pair; ValueError for a second one. Both would have the same resource names in Terraform,
    and cdktf would merge their nodes into one.
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
        self.reservations = {
            source: Reservation(self, part_name("capacity", source.part), source=source)
            for source in dict.fromkeys(request.reservation for request in launch.requests)
        }
        self.placement = Placement(self, "placement", launch=launch)
        access = NodeAccess(self, "access", settings=settings, launch=launch, bucket=self.bucket)
        images = {
            part: Image(self, part_name("image", part), launch=request, part=part)
            for part, request in {image_part(request): request for request in launch.requests}.items()
        }
        conditions = [
            *(one for reservation in self.reservations.values() for one in reservation.preconditions),
            *self.network.preconditions,
            *self.security_group.preconditions,
        ]
        # When the nodes are launched in different ways, a change of one must not replace the others. Then there is no
        # resource for all nodes: it would hold the value of some nodes, and would replace the others as soon as all are
        # launched alike again.
        of_all = (
            [] if launch.parts else [self._launched_anew_by(conditions), *self.placement.launched_anew_by]
        )
        self.interfaces = {
            node.name: self._interfaces(request, node)
            for request in launch.requests
            for node in request.nodes
        }
        addresses = {name: interfaces.address for name, interfaces in self.interfaces.items()}
        # A node reads the list at boot. A node that is added later changes the list in place, and no other node.
        members = self.bucket.members(members_json(launch.environment, peers(launch, addresses)))
        self.nodes: dict[str, Node] = {}
        for request in launch.requests:
            shared = Shared(
                launch=request,
                reservation=self.reservations[request.reservation],
                group_name=self.placement.group_name if request.placement_group else None,
                access=access,
                image=images[image_part(request)],
                before=[*self.security_group.rules, *access.policies, members],
            )
            for node in request.nodes:
                boot = bootstrap_of(request, node.name, addresses=addresses, scripts_bucket=self.bucket.name)
                checked = conditions if launch.parts and not self.nodes else []
                own = self._launched_anew_by_its_own(request, node, checked)
                self.nodes[node.name] = Node(
                    self,
                    node.name,
                    shared=shared,
                    interfaces=self.interfaces[node.name],
                    user_data=user_data(boot),
                    launched_anew_by=[*of_all, own],
                    tags=request.tags_of(node),
                )
        # The first node of each role always exists.
        beyond_a_pair = [node.name for node in launch.nodes if node.name != node.role]
        kept_in_number(self, "nodes_beyond_a_pair", beyond_a_pair, protected=launch.protect_nodes)

    def _launched_anew_by(self, conditions: Sequence[Precondition]) -> str:
        """Adds a resource with the user's choices for the launch, in an environment whose nodes are all launched alike.
        A change of it replaces the nodes. Returns its address.

        It is needed because the provider plans nothing when the market changes (hashicorp/terraform-provider-aws,
        issue 38141), would stop and start a node for another type, and because a node ignores its template and user
        data (see Node).

        The conditions are checked here, before the old nodes are destroyed.
        """
        # An address, not a token: cdktf would write a token as an expression, which Terraform refuses here.
        return terraform_data(
            self,
            "launch",
            {
                "market": market(self._launch),
                "capacity_reservation_id": self.reservations[self._launch.reservation].id,
                "interfaces": [
                    f"{interface.network_card_index}/{interface.device_index} {interface.interface_type}"
                    for interface in self._launch.interfaces
                ],
                "instance_type": self._launch.instance_type,
                "nixl_version": self._launch.nixl_version,
                "security_group_id": self.security_group.security_group_id,
                "subnet_id": self.network.subnet_id,
            },
            # The interfaces follow from the type. A new layout in a newer version of this project must not replace a
            # node, and NIXL can be installed on a running node. Both stay members, since removing a member would also
            # be a change.
            ignore_changes=["input.interfaces", "input.nixl_version"],
            preconditions=conditions,
        )

    def _launched_anew_by_its_own(
        self, request: Launch, node: NodeOfLaunch, conditions: Sequence[Precondition]
    ) -> str:
        """Like _launched_anew_by, but for one node. Every node has this resource from its creation on, so that a change
        of its own type or reservation replaces it: Terraform replaces nothing when such a resource is only added."""
        return terraform_data(
            self,
            f"launch_{node.name.replace('-', '_')}",
            {
                "market": market(request),
                "capacity_reservation_id": self.reservations[request.reservation].id,
                "instance_type": request.instance_type,
                "group": request.placement_group,
                "security_group_id": self.security_group.security_group_id,
                "subnet_id": self.network.subnet_id,
            },
            preconditions=conditions,
        )

    def _interfaces(self, request: Launch, node: NodeOfLaunch) -> EfaInterfaces:
        return EfaInterfaces(
            self,
            f"{node.name}_interfaces",
            node=node.name,
            interfaces=request.interfaces,
            subnet_id=self.network.subnet_id,
            security_group_id=self.security_group.security_group_id,
            elastic_ip=request.elastic_ip,
            network_border_group=self.network.border_group,
            tags=request.tags_of(node),
        )
