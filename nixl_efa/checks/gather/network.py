"""VPC, subnets, routes, endpoints, security group, addresses. All are read with filters: if one is missing, the answer
is empty and not an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from nixl_efa.checks.facts import (
    Address,
    Endpoint,
    Route,
    RouteTable,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
)
from nixl_efa.checks.network_facts import (
    AclEntry,
    DhcpOptions,
    Exclusion,
    LocalZone,
    NetworkAcl,
    PublicAccess,
)
from nixl_efa.launch import Launch
from nixl_efa.settings.model import STACK_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef

# The members of EC2's Route that can name its target; each route has one of them.
_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "EgressOnlyInternetGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
)


def vpcs(ec2: EC2Client) -> tuple[Vpc, ...]:
    """All VPCs of the region: the VPC of the subnet is not known yet."""
    pages = ec2.get_paginator("describe_vpcs").paginate(PaginationConfig={"PageSize": 1000})
    return tuple(parsed_vpc(each) for page in pages for each in page["Vpcs"])


def parsed_vpc(payload: Mapping[str, Any]) -> Vpc:
    """A VPC from EC2's payload, without the blocks that were removed from it."""
    further = [
        each["CidrBlock"]
        for each in payload.get("CidrBlockAssociationSet", ())
        if each.get("CidrBlockState", {}).get("State") == "associated"
        and each["CidrBlock"] != payload.get("CidrBlock")
    ]
    first = payload.get("CidrBlock")
    return Vpc(
        id=payload["VpcId"],
        is_default=payload.get("IsDefault", False),
        tenancy=payload.get("InstanceTenancy", "default"),
        cidrs=(*([first] if first else []), *further),
        dhcp_options_id=payload.get("DhcpOptionsId", ""),
    )


def choose_vpc(vpcs: tuple[Vpc, ...], vpc_id: str) -> Vpc | None:
    """The VPC by its id, else the default one; None when it isn't there."""
    return next((each for each in vpcs if (each.id == vpc_id if vpc_id else each.is_default)), None)


def resolves_names(ec2: EC2Client, vpc_id: str) -> bool:
    """Whether a VPC resolves names through Amazon's resolver."""
    answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsSupport")
    return answer["EnableDnsSupport"].get("Value", False)


def gives_names(ec2: EC2Client, vpc_id: str) -> bool:
    """Whether a VPC gives names to its instances."""
    answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsHostnames")
    return answer["EnableDnsHostnames"].get("Value", False)


def subnets(ec2: EC2Client, subnet_id: str, vpc_id: str) -> tuple[Subnet, ...]:
    """The subnet by its id, else those of the VPC, else the default subnets; sorted by id."""
    if subnet_id:
        wanted = _is("subnet-id", subnet_id)
    elif vpc_id:
        wanted = _is("vpc-id", vpc_id)
    else:
        wanted = _is("default-for-az", "true")
    pages = ec2.get_paginator("describe_subnets").paginate(
        Filters=[wanted], PaginationConfig={"PageSize": 1000}
    )
    found = [
        Subnet(
            id=each["SubnetId"],
            vpc_id=each["VpcId"],
            zone=each["AvailabilityZone"],
            free_addresses=each["AvailableIpAddressCount"],
            auto_public=each.get("MapPublicIpOnLaunch", False),
            cidr=each.get("CidrBlock", ""),
            state=each.get("State", "available"),
            ipv6_only=each.get("Ipv6Native", False),
            owner=each.get("OwnerId", ""),
        )
        for page in pages
        for each in page["Subnets"]
    ]
    return tuple(sorted(found, key=lambda subnet: subnet.id))


def choose_subnet(
    launch: Launch, subnets: tuple[Subnet, ...], zone: str | None, offered: tuple[str, ...] | None
) -> Subnet | None:
    """The given subnet; else the first, by id, of those in the wanted zone; else of those in a zone that offers
    the type. This is what the stack's plan does on its first deployment.

    offered: the zones that offer the type; None when that is not known: then any zone is accepted.
    """
    ordered = sorted(subnets, key=lambda subnet: subnet.id)
    if launch.subnet_id:
        return next((each for each in ordered if each.id == launch.subnet_id), None)
    if zone:
        return next((each for each in ordered if each.zone == zone), None)
    return next((each for each in ordered if offered is None or each.zone in offered), None)


def route_tables(ec2: EC2Client, vpc_id: str) -> tuple[RouteTable, ...]:
    """The route tables of a VPC."""
    answer = ec2.describe_route_tables(Filters=[_is("vpc-id", vpc_id)])
    return tuple(parsed_table(each) for each in answer["RouteTables"])


def parsed_table(payload: Mapping[str, Any]) -> RouteTable:
    """A route table from EC2's payload."""
    links = payload.get("Associations", ())
    return RouteTable(
        id=payload["RouteTableId"],
        vpc_id=payload.get("VpcId", ""),
        main=any(link.get("Main") for link in links),
        subnet_ids=tuple(link["SubnetId"] for link in links if link.get("SubnetId")),
        routes=tuple(
            Route(
                destination=route.get("DestinationCidrBlock") or route.get("DestinationPrefixListId", ""),
                target=next((route[name] for name in _TARGETS if route.get(name)), ""),
                state=route.get("State", "active"),
            )
            for route in payload.get("Routes", ())
        ),
    )


def endpoints(ec2: EC2Client) -> tuple[Endpoint, ...]:
    """The region's VPC endpoints."""
    pages = ec2.get_paginator("describe_vpc_endpoints").paginate(PaginationConfig={"PageSize": 1000})
    return tuple(parsed_endpoint(each) for page in pages for each in page["VpcEndpoints"])


def parsed_endpoint(payload: Mapping[str, Any]) -> Endpoint:
    """An endpoint from EC2's payload."""
    return Endpoint(
        id=payload["VpcEndpointId"],
        service=payload.get("ServiceName", ""),
        vpc_id=payload["VpcId"],
        state=payload["State"],
        kind=payload["VpcEndpointType"],
        private_dns=payload.get("PrivateDnsEnabled", False),
        policy=payload.get("PolicyDocument", ""),
        group_ids=tuple(each["GroupId"] for each in payload.get("Groups", ())),
        subnet_ids=tuple(payload.get("SubnetIds", ())),
        table_ids=tuple(payload.get("RouteTableIds", ())),
    )


def internet_gateway(ec2: EC2Client, vpc_id: str) -> str | None:
    """The internet gateway of a VPC; a VPC has at most one."""
    answer = ec2.describe_internet_gateways(Filters=[_is("attachment.vpc-id", vpc_id)])
    return next((each["InternetGatewayId"] for each in answer["InternetGateways"]), None)


def network_acl(ec2: EC2Client, subnet_id: str) -> NetworkAcl | None:
    """The network ACL of a subnet, its rules for IPv4."""
    answer = ec2.describe_network_acls(Filters=[_is("association.subnet-id", subnet_id)])
    return next((parsed_acl(each) for each in answer["NetworkAcls"]), None)


def parsed_acl(payload: Mapping[str, Any]) -> NetworkAcl:
    """A network ACL from EC2's payload."""
    return NetworkAcl(
        id=payload["NetworkAclId"],
        entries=tuple(
            AclEntry(
                number=each["RuleNumber"],
                egress=each["Egress"],
                allow=each["RuleAction"] == "allow",
                protocol=each["Protocol"],
                cidr=IPv4Network(each["CidrBlock"]),
                ports=range(each["PortRange"]["From"], each["PortRange"]["To"] + 1)
                if each.get("PortRange")
                else None,
            )
            for each in payload.get("Entries", ())
            if each.get("CidrBlock")
        ),
    )


def public_access(ec2: EC2Client) -> PublicAccess:
    """The region's VPC Block Public Access."""
    answer: Mapping[str, Any] = ec2.describe_vpc_block_public_access_options()
    told = answer.get("VpcBlockPublicAccessOptions", {})
    return PublicAccess(
        mode=told.get("InternetGatewayBlockMode", "off"), managed_by=told.get("ManagedBy", "account")
    )


def exclusions(ec2: EC2Client) -> tuple[Exclusion, ...]:
    """The exclusions from Block Public Access that are in force."""
    answer = ec2.describe_vpc_block_public_access_exclusions(MaxResults=1000)
    return tuple(
        Exclusion(
            id=each.get("ResourceArn", "").rpartition("/")[2],
            mode=each.get("InternetGatewayExclusionMode", ""),
        )
        for each in answer["VpcBlockPublicAccessExclusions"]
        if each.get("State") in ("create-complete", "update-complete", "update-in-progress", "update-failed")
    )


def dhcp_options(ec2: EC2Client) -> tuple[DhcpOptions, ...]:
    """The region's sets of DHCP options."""
    pages = ec2.get_paginator("describe_dhcp_options").paginate(PaginationConfig={"PageSize": 1000})
    return tuple(
        DhcpOptions(
            id=each["DhcpOptionsId"],
            name_servers=tuple(
                value["Value"]
                for option in each.get("DhcpConfigurations", ())
                if option.get("Key") == "domain-name-servers"
                for value in option.get("Values", ())
            ),
        )
        for page in pages
        for each in page["DhcpOptions"]
    )


def security_group(ec2: EC2Client, group_id: str) -> SecurityGroup | None:
    """A security group by its id, None when it isn't there."""
    answer = ec2.describe_security_groups(Filters=[_is("group-id", group_id)])
    return next((parsed_group(each) for each in answer["SecurityGroups"]), None)


def security_groups(ec2: EC2Client, group_ids: Sequence[str]) -> tuple[SecurityGroup, ...]:
    """The security groups among these ids that exist."""
    answer = ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": list(group_ids)}])
    return tuple(parsed_group(each) for each in answer["SecurityGroups"])


def parsed_group(payload: Mapping[str, Any]) -> SecurityGroup:
    """A security group from EC2's payload."""
    return SecurityGroup(
        id=payload["GroupId"],
        vpc_id=payload.get("VpcId", ""),
        ingress=_rules(payload.get("IpPermissions", ())),
        egress=_rules(payload.get("IpPermissionsEgress", ())),
    )


def local_zone(ec2: EC2Client, name: str) -> LocalZone | None:
    """The zone, when it is a Local Zone; also one that the account has not opted in to."""
    answer = ec2.describe_availability_zones(ZoneNames=[name], AllAvailabilityZones=True)
    zone: Mapping[str, Any] = next(iter(answer["AvailabilityZones"]), {})
    if zone.get("ZoneType") != "local-zone":
        return None
    opted = zone.get("OptInStatus") == "opted-in"
    return LocalZone(name=name, group=zone.get("GroupName", ""), opted_in=opted)


def addresses(ec2: EC2Client) -> tuple[Address, ...]:
    """The region's Elastic IPs; `ownership` marks those of the stack."""
    return tuple(
        Address(
            allocation_id=each.get("AllocationId", ""),
            own=False,
            stack={tag["Key"]: tag["Value"] for tag in each.get("Tags", ())}.get(STACK_TAG, ""),
        )
        for each in ec2.describe_addresses()["Addresses"]
    )


def _rules(permissions: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            protocol=each.get("IpProtocol", ""),
            from_port=each.get("FromPort"),
            to_port=each.get("ToPort"),
            group_ids=tuple(pair.get("GroupId", "") for pair in each.get("UserIdGroupPairs", ())),
            cidrs=tuple(
                [part["CidrIp"] for part in each.get("IpRanges", ())]
                + [part["CidrIpv6"] for part in each.get("Ipv6Ranges", ())]
            ),
            prefix_lists=tuple(part["PrefixListId"] for part in each.get("PrefixListIds", ())),
        )
        for each in permissions
    )


def _is(name: str, value: str) -> FilterTypeDef:
    return {"Name": name, "Values": [value]}
