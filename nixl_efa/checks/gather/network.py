"""VPC, subnets, routes, endpoints, security group, addresses. Asked by filter, so that absence is no error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nixl_efa.checks.facts import (
    Address,
    Endpoint,
    LocalZone,
    Route,
    RouteTable,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
)
from nixl_efa.launch import Launch
from nixl_efa.settings.model import STACK_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef

# The members of EC2's Route that name a target, of which a route has one.
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
)


def vpc(ec2: EC2Client, vpc_id: str) -> Vpc | None:
    """The VPC by its id, else the default one; None when it isn't there."""
    answer = ec2.describe_vpcs(Filters=[_is("vpc-id", vpc_id) if vpc_id else _is("is-default", "true")])
    return next(
        (
            Vpc(
                id=each["VpcId"],
                is_default=each.get("IsDefault", False),
                tenancy=each.get("InstanceTenancy", "default"),
            )
            for each in answer["Vpcs"]
        ),
        None,
    )


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

    offered: None when it could not be looked at; any zone then does.
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


def endpoints(ec2: EC2Client, vpc_id: str) -> tuple[Endpoint, ...]:
    """The endpoints of a VPC."""
    answer = ec2.describe_vpc_endpoints(Filters=[_is("vpc-id", vpc_id)])
    return tuple(
        Endpoint(
            id=each["VpcEndpointId"],
            service=each["ServiceName"],
            vpc_id=each["VpcId"],
            state=each["State"],
            kind=each["VpcEndpointType"],
            private_dns=each.get("PrivateDnsEnabled", False),
        )
        for each in answer["VpcEndpoints"]
    )


def security_group(ec2: EC2Client, group_id: str) -> SecurityGroup | None:
    """A security group by its id, None when it isn't there."""
    answer = ec2.describe_security_groups(Filters=[_is("group-id", group_id)])
    return next((parsed_group(each) for each in answer["SecurityGroups"]), None)


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
    """The region's Elastic IPs; whose they are, `ownership` says."""
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
