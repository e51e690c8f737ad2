"""What AWS and this machine answered. Plain values only.

The gatherers fill these in; the rules read them. Every figure carries its unit in its name or here: sizes in
GiB, moments in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, Union

from nixl_efa.account import Account
from nixl_efa.capacity.extension import Extension
from nixl_efa.capacity.order import Entry
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks.machine_facts import Machine
from nixl_efa.checks.network_facts import DhcpOptions, Exclusion, LocalZone, NetworkAcl, PublicAccess
from nixl_efa.cost.compare import Rates
from nixl_efa.launch import Market
from nixl_efa.mend.compare import Difference
from nixl_efa.nodes.topology import NetworkNodes
from nixl_efa.provider_lock import Seen
from nixl_efa.state import State


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A question that got no answer.

    permission: the IAM action that the question needs ("ec2:DescribeSubnets").
    reason:     one line that says why, and what to do.
    denied:     whether AWS denied the permission; false for any other error.
    told_elsewhere: another finding reports why it could not be answered.
    cause, remedy: what denied it and what to do, when AWS says more than that the permission is missing.
    """

    permission: str
    reason: str
    denied: bool = False
    told_elsewhere: bool = False
    cause: str = ""
    remedy: str = ""


T = TypeVar("T")
Answer = Union[T, NoAnswer]  # noqa: UP007


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The search in other regions for a reservation that isn't in the wanted region."""

    found: tuple[Reservation, ...]
    asked: tuple[str, ...]
    not_asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeInEc2:
    """An instance type in the region, from DescribeInstanceTypes."""

    name: str
    vcpu: int
    efa_interfaces: int
    usage_classes: tuple[str, ...]
    placement_strategies: tuple[str, ...]
    architectures: tuple[str, ...]
    boot_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """An instance that takes up capacity. `vcpu` is the size that a quota counts; `stack` is its tag STACK_TAG.

    reservation_id: the reservation that it runs in. reservation_target: the one that its launch named. EC2 puts an
    instance whose launch names none into an open reservation. node: the node's name in the stack's state; empty when
    the state does not have it.
    """

    id: str
    instance_type: str
    market: Market
    state: str
    reservation_id: str
    name: str
    own: bool
    vcpu: int
    stack: str = ""
    reservation_target: str = ""
    image_id: str = ""
    key_name: str = ""
    subnet_id: str = ""
    vpc_id: str = ""
    zone: str = ""
    group_ids: tuple[str, ...] = ()
    placement_group: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of Service Quotas: vCPUs for instances, a number for addresses."""

    code: str
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC; settings that name none use the default one. `tenancy` is that of every instance that is launched into it.
    `cidrs` are its IPv4 blocks, the primary one first."""

    id: str
    is_default: bool
    tenancy: str = "default"
    cidrs: tuple[str, ...] = ()
    dhcp_options_id: str = ""


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet. auto_public: its own setting for public addresses at launch. ipv6_only: it has no IPv4. owner: the
    account that owns it, which may share it."""

    id: str
    vpc_id: str
    zone: str
    free_addresses: int
    auto_public: bool = False
    cidr: str = ""
    state: str = "available"
    ipv6_only: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A route: destination CIDR or prefix list, the id of its target, and active or blackhole."""

    destination: str
    target: str
    state: str = "active"


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A route table of a VPC; `main` serves every subnet that no other table names."""

    id: str
    vpc_id: str
    main: bool
    subnet_ids: tuple[str, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A VPC endpoint: an interface in subnets with security groups, or a gateway in route tables.

    policy: its JSON document; empty: everything is allowed.
    """

    id: str
    service: str
    vpc_id: str
    state: str
    kind: str
    private_dns: bool
    policy: str = ""
    group_ids: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()
    table_ids: tuple[str, ...] = ()

    @property
    def serves(self) -> str:
        """The short name of the service, as in its host name ("ssm", "s3")."""
        return self.service.rsplit(".", 1)[-1]

    @property
    def is_usable(self) -> bool:
        """Whether a node that knows only the service's public name reaches the service through it."""
        if self.state.lower() != "available":
            return False
        return self.kind == "Gateway" or (self.kind == "Interface" and self.private_dns)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a security group. Protocol "-1" is every protocol; ports are None with it."""

    protocol: str
    from_port: int | None = None
    to_port: int | None = None
    group_ids: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    prefix_lists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group and its rules in both directions."""

    id: str
    vpc_id: str
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """An Elastic IP of the region. own: whether it is one of this stack. stack: its tag STACK_TAG."""

    allocation_id: str
    own: bool
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A resource that has one of the stack's names. kind: its type in Terraform. vpc_id: only for a security group."""

    kind: str
    name: str
    vpc_id: str = ""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An EC2 key pair: "rsa" or "ed25519"."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image. platform: EC2's PlatformDetails ("Linux/UNIX"). root_gib: the least size of its root volume.
    allowed: ImageAllowed, None when Allowed AMIs is disabled in the account."""

    id: str
    name: str
    state: str
    architecture: str
    platform: str
    root_device: str
    root_device_type: str
    root_gib: int
    ena: bool
    boot_mode: str = ""
    virtualization: str = "hvm"
    deprecated_at: datetime | None = None
    allowed: bool | None = None


@dataclass(frozen=True, slots=True)
class VolumeKey:
    """The KMS key of the nodes' volumes.

    owner: its account; empty for AWS's own key, alias/aws/ebs. state: KMS's KeyState; empty without the permission to
    read it; "gone" for a key that does not exist, "no key for EBS (...)" for an asymmetric one.
    """

    id: str
    owner: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """An instance profile of the user. role_arn: empty when it has no role. for_ec2: EC2 may assume the role."""

    name: str
    role_arn: str = ""
    for_ec2: bool = True


@dataclass(frozen=True, slots=True)
class Simulated:
    """The result of IAM's simulation for an action on a resource: "allowed", "implicitDeny" or "explicitDeny".

    missing: context keys that the policies need and whose values are not known here.
    """

    action: str
    resource: str
    decision: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DryRun:
    """EC2's answer to a RunInstances DryRun; "DryRunOperation" means that the launch would be accepted."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BlockHealth:
    """The state of an UltraServer block's interconnect in DescribeCapacityBlockStatus ("ok", "impaired")."""

    reservation_ids: tuple[str, ...]
    interconnect: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was seen. Each part is a value, or NoAnswer, or None when there was no reason to ask.

    Parts that the settings may leave open are read or chosen as the stack does it: `zone` and `reservation_id` from
    Parameter Store, `subnet` by the stack's rule, `image` from its public parameter. `own_vpc` is the subnet's VPC.

    used_by: the accounts that run instances in the launch's reservation, and how many.
    network_nodes: the network nodes of the environment's reservations, by id, when it has several.
    state:   the stack's Terraform state. provider: the version of the AWS provider that the next run uses.
    rates:   the prices of a launch On-Demand or on Spot.
    ec2_names, iam_names: resources with the stack's names (Launch.unique_names), whoever owns them.
    """

    account: Answer[Account]
    zone: Answer[str | None] = None
    reservation_id: Answer[str | None] = None
    reservations: Answer[tuple[Reservation, ...]] = ()
    elsewhere: Answer[Elsewhere | None] = None
    used_by: Answer[tuple[tuple[str, int], ...]] = ()
    block_health: Answer[tuple[BlockHealth, ...]] = ()
    network_nodes: Answer[Mapping[str, NetworkNodes]] = field(default_factory=dict)
    next_id: Answer[str | None] = None
    extension: Answer[Extension | None] = None
    purchases: Answer[tuple[Entry, ...]] = ()
    offered_zones: Answer[tuple[str, ...]] = ()
    type_in_ec2: Answer[TypeInEc2 | None] = None
    tenancy: Answer[str | None] = None
    running: Answer[tuple[Running, ...]] = ()
    quotas: Answer[tuple[Quota, ...]] = ()
    vpc: Answer[Vpc | None] = None
    resolves_names: Answer[bool | None] = None
    gives_names: Answer[bool | None] = None
    subnets: Answer[tuple[Subnet, ...]] = ()
    subnet: Subnet | None = None
    local_zone: Answer[LocalZone | None] = None
    route_tables: Answer[tuple[RouteTable, ...]] = ()
    endpoints: Answer[tuple[Endpoint, ...]] = ()
    endpoint_groups: Answer[tuple[SecurityGroup, ...]] = ()
    own_vpc: Vpc | None = None
    internet_gateway: Answer[str | None] = None
    network_acl: Answer[NetworkAcl | None] = None
    public_access: Answer[PublicAccess | None] = None
    exclusions: Answer[tuple[Exclusion, ...]] = ()
    dhcp_options: Answer[tuple[DhcpOptions, ...]] = ()
    security_group: Answer[SecurityGroup | None] = None
    addresses: Answer[tuple[Address, ...]] = ()
    address_quota: Answer[Quota | None] = None
    key_pair: Answer[KeyPair | None] = None
    image_id: Answer[str | None] = None
    image: Answer[Image | None] = None
    allowed_images: Answer[str] = "disabled"
    volume_key: Answer[VolumeKey | None] = None
    volume_quota: Answer[Quota | None] = None
    volumes_gib: Answer[int] = 0
    spot_role: Answer[bool | None] = None
    permissions: Answer[tuple[Simulated, ...]] = ()
    profile: Answer[Profile | None] = None
    profile_permissions: Answer[tuple[Simulated, ...]] = ()
    dry_run: Answer[DryRun | None] = None
    rates: Answer[Rates | None] = None
    machine: Machine | None = None
    ec2_names: Answer[tuple[Named, ...]] = ()
    iam_names: Answer[tuple[Named, ...]] = ()
    state: Answer[State | None] = None
    provider: Seen | None = None
    differences: Answer[tuple[Difference, ...] | None] = None
