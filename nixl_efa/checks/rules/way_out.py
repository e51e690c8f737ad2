"""A way out of the subnet to Systems Manager, without which nobody gets onto a node.

Source: Systems Manager user guide, setup-create-vpc: the agent must reach ssm and ssmmessages, over the
internet or through interface endpoints.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from nixl_efa.checks.facts import Endpoint, Facts, NoAnswer, Route, RouteTable, Subnet
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, failed, listed, passed, warned
from nixl_efa.launch import Launch

Way = Literal["internet gateway", "NAT gateway", "other", "endpoints", "none"]
_CHECK, _GATEWAY, _INSTALLATION = "way out", "internet gateway", "installation"
_NEEDED = ("ssm", "ssmmessages")
_EVERYWHERE = "0.0.0.0/0"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The internet gateway that Elastic IPs need, the way out, and what installs NIXL; none without a subnet."""
    if facts.subnet is None:
        return []
    return [
        *_gateway(launch, facts, facts.subnet),
        _way_out(launch, facts, facts.subnet),
        *_installation(launch, facts, facts.subnet),
    ]


def way_of(launch: Launch, facts: Facts, subnet: Subnet) -> Way | None:
    """By which way the nodes go out; None when that could not be seen."""
    if isinstance(facts.route_tables, NoAnswer):
        return None
    route = default_route(table_of(facts.route_tables, subnet))
    if route is not None and route.target.startswith("nat-"):
        return "NAT gateway"
    if route is not None and not route.target.startswith("igw-"):
        return "other"
    has_address = launch.elastic_ip or (subnet.auto_public and len(launch.interfaces) == 1)
    if route is not None and has_address:
        return "internet gateway"
    if isinstance(facts.endpoints, NoAnswer):
        return None
    return "none" if missing_endpoints(facts.endpoints, subnet.vpc_id) else "endpoints"


def table_of(tables: tuple[RouteTable, ...], subnet: Subnet) -> RouteTable | None:
    """The route table that serves a subnet: the one that names it, else its VPC's main one."""
    named = next((each for each in tables if subnet.id in each.subnet_ids), None)
    return named or next((each for each in tables if each.main and each.vpc_id == subnet.vpc_id), None)


def default_route(table: RouteTable | None) -> Route | None:
    """The IPv4 route to everywhere that works, None when there is none."""
    routes = table.routes if table is not None else ()
    return next((each for each in routes if each.destination == _EVERYWHERE and each.state == "active"), None)


def missing_endpoints(endpoints: tuple[Endpoint, ...], vpc_id: str) -> tuple[str, ...]:
    """The services that Session Manager needs and that no usable endpoint of the VPC serves. Without private
    DNS the agent, which knows only the public names, does not find an endpoint."""
    served = {
        each.serves
        for each in endpoints
        if each.vpc_id == vpc_id and each.kind == "Interface" and each.is_usable
    }
    return tuple(service for service in _NEEDED if service not in served)


def _way_out(launch: Launch, facts: Facts, subnet: Subnet) -> Finding:
    by_hand = aws(launch, "ec2", "describe-route-tables", "--filters", f"Name=vpc-id,Values={subnet.vpc_id}")
    if isinstance(facts.route_tables, NoAnswer):
        return no_answer(_CHECK, facts.route_tables, by_hand)
    table = table_of(facts.route_tables, subnet)
    route = default_route(table)
    if route is not None and route.target.startswith("igw-"):
        return _internet_gateway(launch, facts, subnet, route, by_hand)
    if launch.elastic_ip and route is None:
        return _useless_address(subnet, table, by_hand)
    if route is not None and launch.elastic_ip:
        return warned(
            _CHECK,
            f"{subnet.id} goes out through {route.target}, so the Elastic IPs are of no use; they need an "
            "internet gateway in the VPC to be made at all.",
            "Set elastic_ip = false.",
            by_hand,
        )
    if route is not None and route.target.startswith("nat-"):
        return passed(_CHECK, f"{subnet.id} goes out through the NAT gateway {route.target}.", by_hand)
    if route is not None:
        return warned(
            _CHECK,
            f"{subnet.id} goes out through {route.target}; whether that leads to Systems Manager can't be "
            "seen "
            "from here.",
            "Make sure that it does, or make interface endpoints for ssm and ssmmessages.",
            by_hand,
        )
    return _endpoints(launch, facts, subnet)


def _internet_gateway(launch: Launch, facts: Facts, subnet: Subnet, route: Route, by_hand: str) -> Finding:
    if launch.elastic_ip:
        return passed(
            _CHECK, f"{subnet.id} goes out through {route.target}, each node with an Elastic IP.", by_hand
        )
    if subnet.auto_public and len(launch.interfaces) == 1:
        return passed(
            _CHECK, f"{subnet.id} goes out through {route.target} and gives public addresses.", by_hand
        )
    found = _endpoints(launch, facts, subnet)
    if not found.remedy:
        return found
    # EC2 user guide, using-instance-addressing: no automatic public address with more than one interface.
    why = (
        "EC2 gives no automatic public address to an instance with more than one interface"
        if subnet.auto_public
        else "the subnet gives no public addresses"
    )
    return failed(
        _CHECK,
        f"{subnet.id} goes out through {route.target}, but elastic_ip is false and {why}: nobody would "
        "reach the "
        "nodes.",
        "Set elastic_ip = true, or take a subnet behind a NAT gateway.",
        by_hand,
    )


def _useless_address(subnet: Subnet, table: RouteTable | None, by_hand: str) -> Finding:
    name = table.id if table is not None else "its route table"
    dead = [
        each.target
        for each in (table.routes if table is not None else ())
        if each.destination == _EVERYWHERE and each.state != "active"
    ]
    message = f"{subnet.id} has no route to the internet ({name}), so the Elastic IPs lead nowhere."
    if dead:
        message = f"The route of {subnet.id} to the internet leads to {listed(dead)}, which is gone ({name})."
    return failed(
        _CHECK,
        message,
        "Take a subnet with a route to an internet gateway; or set elastic_ip = false with a NAT gateway or "
        "interface endpoints for ssm and ssmmessages.",
        by_hand,
    )


def _endpoints(launch: Launch, facts: Facts, subnet: Subnet) -> Finding:
    by_hand = aws(launch, "ec2", "describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={subnet.vpc_id}")
    if isinstance(facts.endpoints, NoAnswer):
        return no_answer(_CHECK, facts.endpoints, by_hand)
    missing = missing_endpoints(facts.endpoints, subnet.vpc_id)
    if missing:
        return failed(
            _CHECK,
            f"{subnet.id} has no route to the internet, and {subnet.vpc_id} has no interface endpoint "
            "with private "
            f"DNS for {listed(missing)}: nobody would reach the nodes.",
            "Take a subnet with an internet gateway and elastic_ip = true, one behind a NAT gateway, or "
            "make those "
            "endpoints.",
            by_hand,
        )
    return passed(_CHECK, f"{subnet.vpc_id} has endpoints for {listed(_NEEDED)}.", by_hand)


def _gateway(launch: Launch, facts: Facts, subnet: Subnet) -> list[Finding]:
    """Elastic IPs need an internet gateway at the VPC, whatever the routes say: AssociateAddress is refused
    (hashicorp/terraform-provider-aws, pull request 2181: Gateway.NotAttached)."""
    if not launch.elastic_ip:
        return []
    by_hand = aws(
        launch,
        "ec2",
        "describe-internet-gateways",
        "--filters",
        f"Name=attachment.vpc-id,Values={subnet.vpc_id}",
    )
    if isinstance(facts.internet_gateway, NoAnswer):
        return [no_answer(_GATEWAY, facts.internet_gateway, by_hand)]
    if facts.internet_gateway is not None:
        return [passed(_GATEWAY, f"{facts.internet_gateway} is attached to {subnet.vpc_id}.", by_hand)]
    tables = () if isinstance(facts.route_tables, NoAnswer) else facts.route_tables
    route = default_route(table_of(tables, subnet))
    remedy = (
        f"Set elastic_ip = false: {subnet.id} goes out through {route.target}."
        if route is not None
        else "Set elastic_ip = false, with a NAT gateway, a transit gateway or interface endpoints as the way out; or "
        "attach an internet gateway."
    )
    return [
        failed(
            _GATEWAY,
            f"{subnet.vpc_id} has no internet gateway attached: EC2 makes the Elastic IPs (elastic_ip = true), but "
            "refuses to give them to the nodes (Gateway.NotAttached).",
            remedy,
            by_hand,
        )
    ]


def _installation(launch: Launch, facts: Facts, subnet: Subnet) -> list[Finding]:
    """A first boot takes NIXL from PyPI and a package of the system's archive (bootstrap/install-nixl.sh), which no
    endpoint serves; S3's alone leads to neither."""
    if not launch.nixl_version:
        return []
    by_hand = aws(launch, "ec2", "describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={subnet.vpc_id}")
    way = way_of(launch, facts, subnet)
    if way == "endpoints":
        return [
            failed(
                _INSTALLATION,
                f"{subnet.id} goes out through endpoints alone, and install_nixl is true: a node would find neither "
                "PyPI nor its package archive, and would boot without NIXL.",
                "Set install_nixl = false and ami_id to an image that has NIXL; or take a subnet behind a NAT gateway.",
                by_hand,
            )
        ]
    return []
