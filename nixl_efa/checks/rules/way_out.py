"""A way out of the subnet to Systems Manager, without which nobody gets onto a node.

Source: Systems Manager user guide, setup-create-vpc: the agent must reach ssm and ssmmessages, over the
internet or through interface endpoints.
"""

from __future__ import annotations

from datetime import datetime

from nixl_efa.checks.facts import Endpoint, Facts, NoAnswer, Route, RouteTable, Subnet
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, failed, listed, passed, warned
from nixl_efa.launch import Launch

_CHECK = "way out"
_NEEDED = ("ssm", "ssmmessages")
_EVERYWHERE = "0.0.0.0/0"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding on the way out; none without a subnet."""
    return [_way_out(launch, facts, facts.subnet)] if facts.subnet is not None else []


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
        each.service.rsplit(".", 1)[-1]
        for each in endpoints
        if each.vpc_id == vpc_id
        and each.kind == "Interface"
        and each.state.lower() == "available"
        and each.private_dns
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
    if route is not None and route.target.startswith("nat-"):
        if launch.elastic_ip:
            return warned(
                _CHECK,
                f"{subnet.id} goes out through {route.target}, so the Elastic IPs are of no use; they "
                "need an "
                "internet gateway in the VPC to be made at all.",
                "Set elastic_ip = false.",
                by_hand,
            )
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
