"""VPC, subnet, addresses, the way out, Elastic IPs and a given security group."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.checks.facts import (
    Address,
    Endpoint,
    Quota,
    Route,
    RouteTable,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
)
from nixl_efa.checks.gather.network import choose_subnet
from nixl_efa.checks.network_facts import LocalZone
from nixl_efa.checks.rules.network import addresses_needed
from nixl_efa.checks.rules.way_out import default_route, table_of
from nixl_efa.efa_layout import Interface
from nixl_efa.findings import Level
from nixl_efa.launch import Launch
from tests.checks.in_order import (
    BLOCK_FACTS,
    BLOCK_LAUNCH,
    BROKEN,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    IN_BLOCK,
    INTERNET,
    NOW,
    SUBNET,
    instance,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding


def subnet(**changes: Any) -> dict[str, Any]:
    """The facts with a changed subnet."""
    changed = replace(SUBNET, **changes)
    return {"subnet": changed, "subnets": (changed,)}


BY_ZONE_PARAMETER = replace(IN_BLOCK, reads_zone=True)
NO_SUBNET: dict[str, Any] = {"subnet": None}
DALLAS = LocalZone("us-east-1-dfw-2a", "us-east-1-dfw-2", opted_in=True)
ELSEWHERE = Subnet("subnet-2", "vpc-1", "us-east-2b", 10)


@pytest.mark.parametrize(
    ("launch", "facts", "check", "level", "words"),
    [
        ({}, {"vpc": None}, "vpc", FAIL, "us-east-2 has no default VPC, and vpc_id is not set"),
        ({"vpc_id": "vpc-9"}, {"vpc": None}, "vpc", FAIL, "The VPC vpc-9 (vpc_id) is not in us-east-2"),
        ({"subnet_id": "subnet-1"}, {"vpc": None}, "vpc", PASS, "subnet_id says which one"),
        ({}, {"vpc": Vpc("vpc-7", is_default=False)}, "vpc", PASS, "The VPC vpc-7"),
        ({}, {"vpc": DENIED}, "vpc", SKIP, "ec2:Something"),
        ({}, {"tenancy": "dedicated"}, "vpc tenancy", WARN, "at the price of Dedicated Instances"),
        (
            {},
            {"tenancy": "dedicated"},
            "vpc tenancy",
            WARN,
            "modify-vpc-tenancy --region us-east-2 --vpc-id vpc-1",
        ),
        ({}, {"resolves_names": False}, "vpc DNS", FAIL, "enableDnsSupport is off"),
        ({}, {"gives_names": False}, "vpc DNS", WARN, "enableDnsHostnames is off"),
        ({}, {"resolves_names": DENIED}, "vpc DNS", SKIP, "ec2:Something"),
        (
            {"reservation": BY_ZONE_PARAMETER},
            {},
            "zone",
            FAIL,
            "/z (availability_zone_parameter) does not exist",
        ),
        ({"reservation": BY_ZONE_PARAMETER}, {"zone": DENIED}, "zone", SKIP, "ec2:Something"),
        ({"subnet_id": "subnet-9"}, NO_SUBNET, "subnet", FAIL, "subnet-9 (subnet_id) is not in us-east-2"),
        ({}, {**NO_SUBNET, "subnets": ()}, "subnet", FAIL, "the default VPC has no subnet"),
        (
            {"reservation": replace(IN_BLOCK, zone="us-east-2c")},
            {**NO_SUBNET, "zone": "us-east-2c", "subnets": (ELSEWHERE,)},
            "subnet",
            FAIL,
            "no subnet in us-east-2c; it has subnets in us-east-2b",
        ),
        (
            {},
            {**NO_SUBNET, "subnets": (ELSEWHERE,)},
            "subnet",
            FAIL,
            "no subnet in a zone that offers p5.48xlarge",
        ),
        ({}, {**NO_SUBNET, "subnets": DENIED}, "subnet", SKIP, "ec2:Something"),
        (
            {},
            {"zone": "us-east-2c"},
            "subnet",
            FAIL,
            "subnet-1 is in us-east-2a, but the wanted zone is us-east-2c",
        ),
        ({"vpc_id": "vpc-9"}, {}, "subnet", WARN, "belongs to vpc-1, but vpc_id is vpc-9"),
        # 33 interfaces a node, one of them with an address.
        ({}, subnet(free_addresses=2), "subnet addresses", PASS, "2 free addresses; the pair takes 2"),
        ({}, subnet(free_addresses=1), "subnet addresses", FAIL, "1 free address; the pair takes 2"),
        ({}, {"local_zone": DALLAS}, "local zone", PASS, "the account has opted in to it"),
        (
            {},
            {"local_zone": replace(DALLAS, opted_in=False)},
            "local zone",
            FAIL,
            "the account has not opted in to it: nothing can be launched there",
        ),
        ({}, {"local_zone": DENIED}, "local zone", SKIP, "ec2:Something"),
        (
            {},
            {"local_zone": replace(DALLAS, opted_in=False), "zone": DALLAS.name},
            "type offered",
            SKIP,
            "after the opt-in",
        ),
        (
            {"reservation": replace(BLOCK_LAUNCH.reservation, reads_zone=True, zone_parameter="/zone")},
            {"zone": "use2-az1"},
            "zone",
            FAIL,
            "holds 'use2-az1', which is no zone's name",
        ),
        (
            {},
            {**subnet(free_addresses=1), "running": (instance(own=True),)},
            "subnet addresses",
            PASS,
            "1 free",
        ),
    ],
)
def test_each_fault_of_the_network(
    launch: dict[str, Any], facts: dict[str, Any], check: str, level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, launch, facts), level, words)


def test_how_to_opt_in_to_a_local_zone_is_told() -> None:
    facts = {"local_zone": replace(DALLAS, opted_in=False)}
    told = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "local zone", {}, facts).remedy
    assert "--group-name us-east-1-dfw-2 --opt-in-status opted-in" in told


def test_only_interfaces_with_an_address_take_one() -> None:
    efa = (Interface(0, 0, "efa"), Interface(1, 0, "efa"), Interface(2, 0, "efa-only"))
    assert addresses_needed(BLOCK_LAUNCH) == 2
    assert addresses_needed(replace(BLOCK_LAUNCH, interfaces=efa)) == 4


def through(*routes: Route) -> dict[str, Any]:
    """The facts with the subnet's routes changed."""
    return {"route_tables": (replace(INTERNET, routes=routes),)}


def endpoint(service: str, **changes: Any) -> Endpoint:
    """A usable interface endpoint."""
    name = f"com.amazonaws.us-east-2.{service}"
    return replace(Endpoint("vpce-1", name, "vpc-1", "available", "Interface", private_dns=True), **changes)


def by_endpoints(*endpoints: Endpoint) -> dict[str, Any]:
    """The facts with these endpoints and no route."""
    return {**through(), "endpoints": endpoints}


BOTH = (endpoint("ssm"), endpoint("ssmmessages"))
PRIVATE: dict[str, Any] = {"elastic_ip": False}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "igw-1, each node with an Elastic IP"),
        ({}, {"route_tables": DENIED}, SKIP, "ec2:Something"),
        ({}, through(), FAIL, "no route to the internet (rtb-1), so the Elastic IPs are useless"),
        ({}, through(Route("0.0.0.0/0", "igw-1", "blackhole")), FAIL, "leads to igw-1, which is gone"),
        ({}, through(Route("10.0.0.0/8", "igw-1")), FAIL, "no route to the internet"),
        ({}, through(Route("0.0.0.0/0", "nat-1")), WARN, "the Elastic IPs are useless"),
        (PRIVATE, through(Route("0.0.0.0/0", "nat-1")), PASS, "through the NAT gateway nat-1"),
        (PRIVATE, through(Route("0.0.0.0/0", "tgw-1")), WARN, "through tgw-1; whether that leads"),
        (PRIVATE, {}, FAIL, "elastic_ip is false and the subnet gives no public addresses"),
        # With several interfaces EC2 gives no automatic public address.
        (PRIVATE, subnet(auto_public=True), FAIL, "more than one interface"),
        (
            {**PRIVATE, "interfaces": (Interface(0, 0, "interface"),)},
            subnet(auto_public=True),
            PASS,
            "gives public addresses",
        ),
        (PRIVATE, by_endpoints(*BOTH), PASS, "endpoints for ssm, ssmmessages"),
        (PRIVATE, {"endpoints": BOTH}, PASS, "endpoints for ssm, ssmmessages"),
        (PRIVATE, by_endpoints(BOTH[0]), FAIL, "no interface endpoint with private DNS for ssmmessages"),
        (PRIVATE, by_endpoints(), FAIL, "for ssm, ssmmessages"),
        (PRIVATE, by_endpoints(BOTH[0], endpoint("ssmmessages", private_dns=False)), FAIL, "ssmmessages"),
        (PRIVATE, by_endpoints(BOTH[0], endpoint("ssmmessages", state="pending")), FAIL, "ssmmessages"),
        (PRIVATE, by_endpoints(BOTH[0], endpoint("ssmmessages", vpc_id="vpc-2")), FAIL, "ssmmessages"),
        (PRIVATE, {**through(), "endpoints": DENIED}, SKIP, "ec2:Something"),
    ],
)
def test_the_way_out(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "way out", launch, facts), level, words)


def test_a_subnet_has_its_own_route_table_else_its_vpcs_main_one() -> None:
    main = RouteTable("rtb-main", "vpc-1", main=True, subnet_ids=(), routes=())
    other = RouteTable("rtb-other", "vpc-2", main=True, subnet_ids=(), routes=())
    own = RouteTable("rtb-own", "vpc-1", main=False, subnet_ids=("subnet-1",), routes=())
    assert table_of((other, main, own), SUBNET) == own
    assert table_of((other, main), SUBNET) == main
    assert table_of((other,), SUBNET) is None
    assert default_route(None) is None


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        ({}, PASS, "1 of 5 Elastic IPs in us-east-2 in use (L-0263D0A3); the pair takes 2"),
        ({"addresses": (Address("a", own=False),) * 4}, FAIL, "4 of 5 Elastic IPs"),
        ({"addresses": (Address("a", own=False),) * 3 + (Address("b", own=True),) * 2}, PASS, "3 of 5"),
        ({"address_quota": Quota("L-0263D0A3", "", 2.0)}, FAIL, "1 of 2"),
        ({"address_quota": None}, SKIP, "is not known"),
        ({"address_quota": DENIED}, SKIP, "ec2:Something"),
        ({"addresses": BROKEN}, FAIL, "InternalError"),
    ],
)
def test_the_elastic_ips(facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "elastic IPs", {}, facts), level, words)


ALL_TO_SELF = Rule("-1", group_ids=("sg-1",))
ANYWHERE = Rule("-1", cidrs=("0.0.0.0/0",))
HTTPS = Rule("tcp", 443, 443, cidrs=("10.0.0.0/8",))


def group(ingress: tuple[Rule, ...], egress: tuple[Rule, ...], vpc_id: str = "vpc-1") -> dict[str, Any]:
    """The facts with this given group."""
    return {"security_group": SecurityGroup("sg-1", vpc_id, ingress, egress)}


def admitting(rule: Rule) -> dict[str, Any]:
    """The facts with a given group that lets everything out, and in what this rule says."""
    return group((rule,), (ALL_TO_SELF, ANYWHERE))


OPEN = admitting(ALL_TO_SELF)


@pytest.mark.parametrize(
    ("facts", "check", "level", "words"),
    [
        (OPEN, "security group", PASS, "open to itself in both directions"),
        (group((), (ALL_TO_SELF, ANYWHERE)), "security group", FAIL, "protocols: ingress is missing"),
        # 0.0.0.0/0 does not cover EFA, whose addresses are neither IPv4 nor IPv6.
        (group((ALL_TO_SELF,), (ANYWHERE,)), "security group", FAIL, "protocols: egress is missing"),
        (group((), (ANYWHERE,)), "security group", FAIL, "ingress and egress is missing"),
        (
            group((), (ANYWHERE,)),
            "security group",
            FAIL,
            "authorize-security-group-egress --region us-east-2",
        ),
        (admitting(Rule("tcp", 0, 65535, group_ids=("sg-1",))), "security group", FAIL, "ingress is missing"),
        (admitting(Rule("-1", group_ids=("sg-2",))), "security group", FAIL, "ingress is missing"),
        (admitting(Rule("-1", group_ids=("sg-2", "sg-1"))), "security group", PASS, "sg-1"),
        (group((ALL_TO_SELF,), (ALL_TO_SELF, ANYWHERE), "vpc-2"), "security group", FAIL, "belongs to vpc-2"),
        ({"security_group": None}, "security group", FAIL, "sg-1 (security_group_id) is not in us-east-2"),
        ({"security_group": DENIED}, "security group", SKIP, "ec2:Something"),
        (OPEN, "security group egress", PASS, "port 443"),
        (
            group((ALL_TO_SELF,), (ALL_TO_SELF,)),
            "security group egress",
            FAIL,
            "allows no outgoing connections to port 443",
        ),
        (group((ALL_TO_SELF,), (ALL_TO_SELF, HTTPS)), "security group egress", PASS, "port 443"),
        (
            group((ALL_TO_SELF,), (ALL_TO_SELF, replace(HTTPS, from_port=80, to_port=80))),
            "security group egress",
            FAIL,
            "allows no outgoing connections",
        ),
    ],
)
def test_a_given_security_group(facts: dict[str, Any], check: str, level: Level, words: str) -> None:
    launch = {"security_group_id": "sg-1"}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, launch, facts), level, words)


def test_without_efa_a_closed_group_is_a_warning_only() -> None:
    launch = {"security_group_id": "sg-1", "interfaces": (Interface(0, 0, "interface"),)}
    facts = group((), (ANYWHERE,))
    found = finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "security group", launch, facts)
    assert_says(found, WARN, "only as its other rules allow")


SUBNETS = tuple(Subnet(f"subnet-{zone}", "vpc-1", f"us-east-2{zone}", 9) for zone in "cab")


@pytest.mark.parametrize(
    ("changes", "zone", "offered", "chosen"),
    [
        ({}, None, ("us-east-2b", "us-east-2c"), "subnet-b"),
        ({}, "us-east-2c", ("us-east-2b",), "subnet-c"),
        ({}, "us-east-2d", ("us-east-2b",), None),
        ({}, None, (), None),
        ({}, None, None, "subnet-a"),
        ({"subnet_id": "subnet-c"}, "us-east-2a", (), "subnet-c"),
        ({"subnet_id": "subnet-x"}, None, None, None),
    ],
)
def test_the_subnet_is_chosen_as_the_stack_chooses_it(
    changes: dict[str, Any], zone: str | None, offered: tuple[str, ...] | None, chosen: str | None
) -> None:
    launch: Launch = replace(BLOCK_LAUNCH, **changes)
    found = choose_subnet(launch, SUBNETS, zone, offered)
    assert (found.id if found else None) == chosen
