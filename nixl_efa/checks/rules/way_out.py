"""A way out of the subnet to Systems Manager, without which nobody can open a shell on a node.

Source: Systems Manager user guide, setup-create-vpc: the agent must reach ssm and ssmmessages, over the
internet or through interface endpoints.
"""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from nixl_efa.checks.facts import Endpoint, Facts, NoAnswer, Route, RouteTable, Subnet
from nixl_efa.checks.rules.common import aws, no_answer, shared_by
from nixl_efa.findings import Finding, Level, failed, listed, passed, skipped, warned
from nixl_efa.launch import Launch

Way = Literal["internet gateway", "NAT gateway", "other", "endpoints", "none"]
_CHECK, _GATEWAY, _INSTALLATION = "way out", "internet gateway", "installation"
_NEEDED = ("ssm", "ssmmessages")
_EVERYWHERE = "0.0.0.0/0"
_HALVES = ("0.0.0.0/1", "128.0.0.0/1")


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
    """The way by which the nodes' traffic leaves; None when that could not be seen."""
    if isinstance(facts.route_tables, NoAnswer):
        return None
    table = table_of(facts.route_tables, subnet)
    route = default_route(table)
    if route is not None and route.target.startswith("nat-"):
        return "NAT gateway"
    if route is not None and not route.target.startswith("igw-"):
        return "other"
    has_address = launch.elastic_ip or (subnet.auto_public and len(launch.interfaces) == 1)
    if route is not None and has_address:
        return "internet gateway"
    if isinstance(facts.endpoints, NoAnswer):
        return None
    if not missing_endpoints(facts.endpoints, subnet.vpc_id):
        return "endpoints"
    return "other" if _unseen(facts, subnet, table) else "none"


def table_of(tables: tuple[RouteTable, ...], subnet: Subnet) -> RouteTable | None:
    """The route table that serves a subnet: the one that names it, else its VPC's main one."""
    named = next((each for each in tables if subnet.id in each.subnet_ids), None)
    return named or next((each for each in tables if each.main and each.vpc_id == subnet.vpc_id), None)


def default_route(table: RouteTable | None) -> Route | None:
    """The IPv4 route to everywhere that works, None when there is none."""
    routes = [each for each in (table.routes if table is not None else ()) if each.state == "active"]
    halves = [each for each in routes if each.destination in _HALVES]
    whole = [each for each in routes if each.destination == _EVERYWHERE]
    return next(iter(whole or (halves if len(halves) == len(_HALVES) else [])), None)


def _unseen(facts: Facts, subnet: Subnet, table: RouteTable | None) -> str:
    """What may still lead to Systems Manager from a VPC that has no default route and not all endpoints, in a few
    words; "" for nothing. Endpoints may be in another VPC, with their names in private hosted zones (VPC user guide,
    privatelink, manage-dns-names; whitepaper Building a Scalable and Secure Multi-VPC AWS Network Infrastructure)."""
    if owner := shared_by(facts):
        return f"the endpoints of account {owner}, which shares {subnet.id}; only that account can see them"
    beyond = next((each for each in (table.routes if table is not None else ()) if _leads_out(each)), None)
    return f"{beyond.target}, to which {beyond.destination} is routed" if beyond is not None else ""


def _leads_out(route: Route) -> bool:
    """Whether a route leads to what can't be seen from this account; that of a gateway endpoint leads to its service alone."""  # noqa: E501
    return (
        route.state == "active"
        and bool(route.target)
        and route.destination != _EVERYWHERE
        and route.target != "local"
        and not route.target.startswith(("vpce-", "igw-", "eigw-"))
    )


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
        found = _endpoints(launch, facts, subnet, table)
        if found.level is not Level.WARN:
            return _useless_address(subnet, table, by_hand)
        return replace(found, remedy=f"Set elastic_ip = false: the Elastic IPs are useless. {found.remedy}")
    if route is not None and launch.elastic_ip:
        return warned(
            _CHECK,
            f"{subnet.id} goes out through {route.target}, so the Elastic IPs are useless, and can be created "
            "only with an internet gateway in the VPC.",
            "Set elastic_ip = false.",
            by_hand,
        )
    if route is not None and route.target.startswith("nat-"):
        return passed(_CHECK, f"{subnet.id} goes out through the NAT gateway {route.target}.", by_hand)
    if route is not None:
        return warned(
            _CHECK,
            f"{subnet.id} goes out through {route.target}; whether that leads to Systems Manager can't "
            "be checked.",
            "Make sure that it does, or make interface endpoints for ssm and ssmmessages.",
            by_hand,
        )
    return _endpoints(launch, facts, subnet, table)


def _internet_gateway(launch: Launch, facts: Facts, subnet: Subnet, route: Route, by_hand: str) -> Finding:
    if launch.elastic_ip:
        return passed(
            _CHECK, f"{subnet.id} goes out through {route.target}, each node with an Elastic IP.", by_hand
        )
    if subnet.auto_public and len(launch.interfaces) == 1:
        return passed(
            _CHECK, f"{subnet.id} goes out through {route.target} and gives public addresses.", by_hand
        )
    tables = () if isinstance(facts.route_tables, NoAnswer) else facts.route_tables
    found = _endpoints(launch, facts, subnet, table_of(tables, subnet))
    if found.level is not Level.FAIL:
        return found
    # EC2 user guide, using-instance-addressing: no automatic public address with more than one interface.
    why = (
        "EC2 gives no automatic public address to an instance with more than one interface"
        if subnet.auto_public
        else "the subnet gives no public addresses"
    )
    return failed(
        _CHECK,
        f"{subnet.id} goes out through {route.target}, but elastic_ip is false and {why}: the nodes could "
        "not be reached.",
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
    message = f"{subnet.id} has no route to the internet ({name}), so the Elastic IPs are useless."
    if dead:
        message = f"The route of {subnet.id} to the internet leads to {listed(dead)}, which is gone ({name})."
    return failed(
        _CHECK,
        message,
        "Take a subnet with a route to an internet gateway; or set elastic_ip = false with a NAT gateway or "
        "interface endpoints for ssm and ssmmessages.",
        by_hand,
    )


def _endpoints(launch: Launch, facts: Facts, subnet: Subnet, table: RouteTable | None) -> Finding:
    by_hand = aws(launch, "ec2", "describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={subnet.vpc_id}")
    if isinstance(facts.endpoints, NoAnswer):
        return no_answer(_CHECK, facts.endpoints, by_hand)
    missing = missing_endpoints(facts.endpoints, subnet.vpc_id)
    if missing and (unseen := _unseen(facts, subnet, table)):
        return warned(
            _CHECK,
            f"{subnet.id} has no route to the internet that its nodes could use, and {subnet.vpc_id} no interface "
            f"endpoint with private DNS for {listed(missing)} that can be seen; whether the nodes reach "
            "Systems Manager "
            f"through {unseen} can't be checked.",
            "Make sure that they do, or make interface endpoints for ssm and ssmmessages in the VPC.",
            by_hand,
        )
    if missing:
        return failed(
            _CHECK,
            f"{subnet.id} has no route to the internet, and {subnet.vpc_id} has no interface endpoint "
            "with private "
            f"DNS for {listed(missing)}: the nodes could not be reached.",
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
    if owner := shared_by(facts):
        if route is not None and route.target.startswith("igw-"):
            return [passed(_GATEWAY, f"{route.target} of account {owner} is the subnet's way out.", by_hand)]
        message = f"Not checked: {subnet.vpc_id} is of account {owner}, and its internet gateway can't be seen from this account."  # noqa: E501
        return [skipped(_GATEWAY, message, "Set elastic_ip = false if it has none.", by_hand)]
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
    """The first boot installs NIXL from PyPI and a package from the system's archive (bootstrap/install-nixl.sh). No
    endpoint leads to either of them, and neither does S3's."""
    if not launch.nixl_version or launch.nixl_wheels.startswith("/"):
        return []
    by_hand = aws(launch, "ec2", "describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={subnet.vpc_id}")
    way = way_of(launch, facts, subnet)
    if way == "endpoints":
        return [
            failed(
                _INSTALLATION,
                f"{subnet.id} goes out only through endpoints, and install_nixl is true: a node could reach neither "
                "PyPI nor its package archive, and would boot without NIXL.",
                "Set install_nixl = false and ami_id to an image that has NIXL, or nixl_wheels to a folder of one that "
                "has its wheels and libhwloc15; or take a subnet behind a NAT gateway.",
                by_hand,
            )
        ]
    return []
