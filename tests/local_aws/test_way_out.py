"""A node is managed only while a packet to Systems Manager gets through the VPC, by the pages that way_out.py names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import REGION, ZONE, MakeClient, Refused

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class Node:
    """A node with an Elastic IP in a VPC of its own, which has an internet gateway and a route to it."""

    def __init__(self, client: MakeClient, image: str) -> None:
        # AWS answers "available" where its model says "Available" (AWS CLI examples, describe-vpc-endpoints).
        self.ec2: EC2Client = client("ec2", checked=False)
        self._ssm = client("ssm")
        client("iam", checked=False).create_instance_profile(InstanceProfileName="node")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": True})
        self.subnet = self.new_subnet("10.1.0.0/24")
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        found = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        self.table = found["RouteTables"][0]["RouteTableId"]
        self.route(GatewayId=self.gateway)
        launched = self.ec2.run_instances(
            ImageId=image,
            InstanceType="g7e.8xlarge",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            IamInstanceProfile={"Name": "node"},
        )["Instances"][0]
        self.id = launched["InstanceId"]
        self.address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        self.ec2.associate_address(AllocationId=self.address, InstanceId=self.id)

    def new_subnet(self, cidr: str) -> str:
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=ZONE)
        return made["Subnet"]["SubnetId"]

    def route(self, **target: Any) -> None:
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", **target)

    def without_address(self) -> None:
        [found] = self.ec2.describe_addresses()["Addresses"]
        self.ec2.disassociate_address(AssociationId=found["AssociationId"])

    def new_acl(self, *rules: tuple[int, bool, str, tuple[int, int]]) -> None:
        """Another ACL for the subnet: number, egress, action, ports."""
        acl = self.ec2.create_network_acl(VpcId=self.vpc)["NetworkAcl"]["NetworkAclId"]
        for number, egress, action, (low, high) in rules:
            self.ec2.create_network_acl_entry(
                NetworkAclId=acl,
                RuleNumber=number,
                Egress=egress,
                RuleAction=action,  # type: ignore[arg-type]
                Protocol="6",
                CidrBlock="0.0.0.0/0",
                PortRange={"From": low, "To": high},
            )
        seen = self.ec2.describe_network_acls(
            Filters=[{"Name": "association.subnet-id", "Values": [self.subnet]}]
        )["NetworkAcls"][0]
        [link] = [each for each in seen["Associations"] if each["SubnetId"] == self.subnet]
        self.ec2.replace_network_acl_association(
            AssociationId=link["NetworkAclAssociationId"], NetworkAclId=acl
        )

    def block(self, mode: str) -> None:
        self.ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode=mode)  # type: ignore[arg-type]

    def exclude(self, mode: str) -> None:
        self.ec2.create_vpc_block_public_access_exclusion(
            VpcId=self.vpc,
            InternetGatewayExclusionMode=mode,  # type: ignore[arg-type]
        )

    def endpoints(self, cidr: str = "10.1.0.0/16", **more: Any) -> None:
        """Interface endpoints for ssm and ssmmessages in another subnet, open to a block of addresses."""
        group = self.ec2.create_security_group(GroupName="e", Description="e", VpcId=self.vpc)["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp=cidr
        )
        there = self.new_subnet("10.1.1.0/24")
        for service in ("ssm", "ssmmessages"):
            given = {"PrivateDnsEnabled": True, **more}
            self.ec2.create_vpc_endpoint(
                VpcId=self.vpc,
                ServiceName=f"com.amazonaws.{REGION}.{service}",
                VpcEndpointType="Interface",
                SubnetIds=[there],
                SecurityGroupIds=[group],
                **given,
            )

    def name_servers(self, *servers: str) -> None:
        options = [{"Key": "domain-name-servers", "Values": list(servers)}] if servers else []
        options.append({"Key": "domain-name", "Values": ["x"]})
        made = self.ec2.create_dhcp_options(DhcpConfigurations=options)["DhcpOptions"]  # type: ignore[arg-type]
        self.ec2.associate_dhcp_options(DhcpOptionsId=made["DhcpOptionsId"], VpcId=self.vpc)

    def nat(self) -> None:
        self.without_address()
        self.ec2.delete_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0")
        made = self.ec2.create_nat_gateway(SubnetId=self.new_subnet("10.1.2.0/24"), AllocationId=self.address)
        self.route(NatGatewayId=made["NatGateway"]["NatGatewayId"])

    def private(self) -> None:
        self.without_address()
        self.ec2.delete_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0")

    def group_lets_nothing_out(self) -> None:
        [group] = self.ec2.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
        self.ec2.revoke_security_group_egress(
            GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"]
        )

    @property
    def is_managed(self) -> bool:
        shown = self._ssm.describe_instance_information()["InstanceInformationList"]
        return [one["InstanceId"] for one in shown] == [self.id]


@pytest.fixture
def node(aws: LocalAws, client: MakeClient, image: str) -> Node:
    return Node(client, image)


ANY = (0, 65535)
ONLY_SSM = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ssm:*", "Resource": "*"}]}
)
Step = Callable[[Node], None]


def block(mode: str) -> Step:
    return lambda it: it.block(mode)


def exclude(mode: str) -> Step:
    return lambda it: it.exclude(mode)


def acl(*rules: tuple[int, bool, str, tuple[int, int]]) -> Step:
    return lambda it: it.new_acl(*rules)


def endpoints(cidr: str = "10.1.0.0/16", **more: Any) -> Step:
    return lambda it: it.endpoints(cidr, **more)


def name_servers(*servers: str) -> Step:
    return lambda it: it.name_servers(*servers)


CHANGES: dict[str, tuple[list[Step], bool]] = {
    "as it is": ([], True),
    "no public address": ([Node.without_address], False),
    "no route": ([Node.private], False),
    "through NAT": ([Node.nat], True),
    "an ACL of no rule": ([acl()], False),
    "an ACL without answers": ([acl((1, True, "allow", ANY))], False),
    "an ACL with answers": ([acl((1, True, "allow", (443, 443)), (1, False, "allow", (1024, 65535)))], True),
    "an ACL whose first rule denies": (
        [acl((2, True, "allow", ANY), (1, True, "deny", ANY), (1, False, "allow", ANY))],
        False,
    ),
    "both directions blocked": ([block("block-bidirectional")], False),
    "both blocked, egress excluded": ([block("block-bidirectional"), exclude("allow-egress")], True),
    "ingress blocked": ([block("block-ingress")], False),
    "ingress blocked, egress excluded": ([block("block-ingress"), exclude("allow-egress")], False),
    "ingress blocked, through NAT": ([Node.nat, block("block-ingress")], True),
    "both blocked, through NAT": ([Node.nat, block("block-bidirectional")], False),
    "endpoints alone": ([Node.private, endpoints()], True),
    "endpoints open to others": ([Node.private, endpoints("10.2.0.0/16")], False),
    "closed endpoints beside a way to the internet": ([endpoints("10.2.0.0/16")], False),
    "closed endpoints without private DNS": ([endpoints("10.2.0.0/16", PrivateDnsEnabled=False)], True),
    "endpoints without private DNS alone": ([Node.private, endpoints(PrivateDnsEnabled=False)], False),
    "endpoints for ssm alone": ([Node.private, endpoints(PolicyDocument=ONLY_SSM)], False),
    "endpoints and name servers of one's own": ([Node.private, endpoints(), name_servers("10.1.0.9")], False),
    "no name server": ([name_servers()], False),
    "a group that lets nothing out": ([Node.group_lets_nothing_out], False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_node_is_managed_while_its_packets_get_through(node: Node, change: str) -> None:
    steps, managed = CHANGES[change]
    for step in steps:
        step(node)
    assert node.is_managed is managed


def test_an_elastic_ip_needs_an_internet_gateway(node: Node, refused: Refused) -> None:
    node.private()
    node.ec2.detach_internet_gateway(InternetGatewayId=node.gateway, VpcId=node.vpc)
    with refused("Gateway.NotAttached", f"Network {node.vpc} is not attached to any internet gateway"):
        node.ec2.associate_address(AllocationId=node.address, InstanceId=node.id)
