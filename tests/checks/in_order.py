"""Two launches, into a Capacity Block and On-Demand, and all that is seen when they would work."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

from nixl_efa import instance_types
from nixl_efa.account import Account
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks.facts import (
    Address,
    DryRun,
    Facts,
    Image,
    NoAnswer,
    Quota,
    Route,
    RouteTable,
    Running,
    Simulated,
    Subnet,
    TypeInEc2,
    VolumeKey,
    Vpc,
)
from nixl_efa.checks.machine_facts import Machine, Tool
from nixl_efa.checks.network_facts import AclEntry, DhcpOptions, NetworkAcl, PublicAccess
from nixl_efa.efa_layout import layout
from nixl_efa.instance_types import InstanceType
from nixl_efa.launch import Launch, Volume
from nixl_efa.node_names import nodes_of
from nixl_efa.provider_lock import Seen
from nixl_efa.provider_version import DEFAULT
from nixl_efa.reservation_source import ReservationSource

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
BLOCK_ID = "cr-0123456789abcdef0"
ACCOUNT = "123456789012"
DENIED = NoAnswer("ec2:Something", "no permission: ec2:Something is not allowed.", denied=True)
BROKEN = NoAnswer("ec2:Something", "Something was refused: InternalError: try later")


def known(name: str) -> InstanceType:
    """A type of the data."""
    found = instance_types.find(name)
    assert found is not None
    return found


def type_in_ec2(name: str) -> TypeInEc2:
    """A type as EC2 shows it, in agreement with the data."""
    found = known(name)
    return TypeInEc2(
        name=name,
        vcpu=found.vcpu,
        efa_interfaces=found.efa_interfaces,
        usage_classes=found.usage_classes,
        placement_strategies=found.placement_strategies,
        architectures=found.architectures,
        boot_modes=("legacy-bios", "uefi"),
    )


# Where the reservation is read from: nowhere, an id, or a parameter.
UNRESERVED = ReservationSource(environment="prod", region="us-east-2", id_parameter="/r", zone_parameter="/z")
IN_BLOCK = replace(UNRESERVED, id=BLOCK_ID)
BY_PARAMETER = replace(UNRESERVED, reads_id=True)

BLOCK_LAUNCH = Launch(
    environment="prod",
    stack_name="nixl-efa-prod",
    prefix="nixl-efa-prod",
    region="us-east-2",
    instance_type="p5.48xlarge",
    type_facts=known("p5.48xlarge"),
    interfaces=layout(known("p5.48xlarge")),
    market="capacity-block",
    volume=Volume(1000),
    nodes=nodes_of("nixl-efa-prod", 1, 1),
    reservation=IN_BLOCK,
    image_parameter="/aws/image",
)
BLOCK = Reservation(
    id=BLOCK_ID,
    region="us-east-2",
    owner=ACCOUNT,
    kind="capacity-block",
    instance_type="p5.48xlarge",
    platform="Linux/UNIX",
    tenancy="default",
    zone="us-east-2a",
    state="active",
    size=2,
    free=2,
    start=NOW - timedelta(hours=1),
    end=datetime(2026, 12, 2, 11, 30, tzinfo=UTC),
)
ON_DEMAND_RESERVATION = replace(BLOCK, kind="on-demand", instance_type="g7e.8xlarge", end=None)
IMAGE = Image(
    id="ami-1",
    name="Deep Learning",
    state="available",
    architecture="x86_64",
    platform="Linux/UNIX",
    root_device="/dev/sda1",
    root_device_type="ebs",
    root_gib=75,
    ena=True,
)
SUBNET = Subnet(id="subnet-1", vpc_id="vpc-1", zone="us-east-2a", free_addresses=4091, cidr="172.31.0.0/20")
OPEN_ACL = NetworkAcl(
    "acl-1", tuple(AclEntry(100, egress, True, "-1", IPv4Network("0.0.0.0/0")) for egress in (True, False))
)
INTERNET = RouteTable(
    id="rtb-1",
    vpc_id="vpc-1",
    main=True,
    subnet_ids=(),
    routes=(Route("172.31.0.0/16", "local"), Route("0.0.0.0/0", "igw-1")),
)
MACHINE = Machine(
    cdk=Tool("cdktf", "0.21.0", "/project/node_modules/.bin/cdktf"),
    node=Tool("node", "20.20.2", "/usr/bin/node"),
    terraform=Tool("terraform", "1.11.4", "/usr/bin/terraform"),
    library="0.21.0",
)
BLOCK_FACTS = Facts(
    account=Account(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann"),
    reservation_id=BLOCK_ID,
    reservations=(BLOCK,),
    offered_zones=("us-east-2a", "us-east-2c"),
    type_in_ec2=type_in_ec2("p5.48xlarge"),
    vpc=Vpc("vpc-1", is_default=True),
    own_vpc=Vpc("vpc-1", is_default=True, cidrs=("172.31.0.0/16",), dhcp_options_id="dopt-1"),
    internet_gateway="igw-1",
    network_acl=OPEN_ACL,
    public_access=PublicAccess("off"),
    dhcp_options=(DhcpOptions("dopt-1", ("AmazonProvidedDNS",)),),
    volume_key=VolumeKey("alias/aws/ebs"),
    volume_quota=Quota("L-7A658B76", "Storage for General Purpose SSD (gp3) volumes, in TiB", 50.0),
    permissions=(Simulated("iam:PassRole", "arn:aws:iam::123456789012:role/r", "allowed"),),
    resolves_names=True,
    gives_names=True,
    subnets=(SUBNET,),
    subnet=SUBNET,
    route_tables=(INTERNET,),
    addresses=(Address("eipalloc-1", own=False),),
    address_quota=Quota("L-0263D0A3", "EC2-VPC Elastic IPs", 5.0),
    image_id="ami-1",
    image=IMAGE,
    dry_run=DryRun("DryRunOperation", "Request would have succeeded, but DryRun flag is set."),
    machine=MACHINE,
    provider=Seen(DEFAULT),
)
DEMAND_LAUNCH = replace(
    BLOCK_LAUNCH,
    instance_type="g7e.8xlarge",
    type_facts=known("g7e.8xlarge"),
    interfaces=layout(known("g7e.8xlarge")),
    market="on-demand",
    volume=Volume(300),
    reservation=UNRESERVED,
    placement_group=True,
)
DEMAND_FACTS = replace(
    BLOCK_FACTS,
    reservation_id=None,
    reservations=(),
    type_in_ec2=type_in_ec2("g7e.8xlarge"),
    quotas=(Quota("L-DB2E81BA", "Running On-Demand G and VT instances", 64.0),),
)


def instance(**changes: object) -> Running:
    """A running g7e.8xlarge of somebody else."""
    plain = Running("i-1", "g7e.8xlarge", "on-demand", "running", "", "theirs", own=False, vcpu=32)
    return replace(plain, **changes)  # type: ignore[arg-type]
