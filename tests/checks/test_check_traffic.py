"""What is in the way out although a route leads there: gateway, network ACL, Block Public Access, endpoints."""

import json
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from nixl_efa.checks.facts import Endpoint, Route, Rule, SecurityGroup
from nixl_efa.checks.network_facts import (
    ANSWERS,
    ANYWHERE,
    HTTPS,
    AclEntry,
    DhcpOptions,
    Exclusion,
    NetworkAcl,
    PublicAccess,
)
from nixl_efa.checks.rules import judge
from nixl_efa.checks.rules.endpoints import policy_allows
from nixl_efa.findings import Level
from tests.checks.in_order import ACCOUNT, BLOCK_FACTS, BLOCK_LAUNCH, BROKEN, DENIED, INTERNET, NOW, SUBNET
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding

PRIVATE: dict[str, Any] = {"elastic_ip": False}
INSTALLS = {"nixl_version": "1.5.0"}


def through(target: str) -> dict[str, Any]:
    """The facts with the subnet's default route to this target."""
    return {"route_tables": (replace(INTERNET, routes=(Route("0.0.0.0/0", target),)),)}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "igw-1 is attached to vpc-1"),
        ({}, {"internet_gateway": None}, FAIL, "Gateway.NotAttached"),
        ({}, {"internet_gateway": None}, FAIL, "Set elastic_ip = false"),
        (
            {},
            {"internet_gateway": None, **through("tgw-1")},
            FAIL,
            "Set elastic_ip = false: subnet-1 goes out through tgw-1",
        ),
        ({}, {"internet_gateway": DENIED}, SKIP, "ec2:Something"),
        ({}, {"internet_gateway": BROKEN}, FAIL, "InternalError"),
    ],
)
def test_elastic_ips_need_an_internet_gateway(
    launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "internet gateway", launch, facts), level, words)


def routed(*routes: Route) -> dict[str, Any]:
    """The facts with these routes beside the VPC's own."""
    return {"route_tables": (replace(INTERNET, routes=(Route("172.31.0.0/16", "local"), *routes)),)}


HALVES = (Route("0.0.0.0/1", "nat-1"), Route("128.0.0.0/1", "nat-1"))
SHARED = {"subnet": replace(SUBNET, owner="999999999999")}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        (PRIVATE, routed(*HALVES), PASS, "through the NAT gateway nat-1"),
        (PRIVATE, routed(HALVES[0]), WARN, "through nat-1, to which 0.0.0.0/1 is routed"),
        # Endpoints of a VPC that a whole organization uses, and a prefix list, which may hold everything.
        (PRIVATE, routed(Route("10.0.0.0/8", "tgw-1")), WARN, "through tgw-1, to which 10.0.0.0/8 is routed"),
        (PRIVATE, routed(Route("pl-1", "pcx-1")), WARN, "through pcx-1, to which pl-1 is routed"),
        ({}, routed(Route("10.0.0.0/8", "tgw-1")), WARN, "Set elastic_ip = false"),
        # Neither the route of a gateway endpoint nor one that is dead leads anywhere else.
        (PRIVATE, routed(Route("pl-s3", "vpce-1")), FAIL, "the nodes could not be reached"),
        (PRIVATE, routed(Route("10.0.0.0/8", "tgw-1", "blackhole")), FAIL, "the nodes could not be reached"),
        (PRIVATE, {**routed(), **SHARED}, WARN, "account 999999999999, which shares subnet-1"),
        (
            PRIVATE,
            {**routed(), "subnet": replace(SUBNET, owner=ACCOUNT)},
            FAIL,
            "the nodes could not be reached",
        ),
    ],
)
def test_ways_that_can_not_be_seen_are_no_fault(
    launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "way out", launch, facts), level, words)


UNSEEN_DHCP: dict[str, Any] = {"dhcp_options": ()}


@pytest.mark.parametrize(
    ("check", "facts", "level", "words"),
    [
        ("internet gateway", {**SHARED, "internet_gateway": None}, PASS, "igw-1 of account 999999999999"),
        (
            "internet gateway",
            {**SHARED, "internet_gateway": None, **through("tgw-1")},
            SKIP,
            "can't be seen from this account",
        ),
        ("public access", {**SHARED, "public_access": PublicAccess("block-ingress")}, SKIP, "999999999999"),
        ("vpc DNS", {**SHARED, **UNSEEN_DHCP}, SKIP, "can't be seen from this account"),
    ],
)
def test_of_a_shared_subnet_what_its_owner_alone_sees_is_not_looked_at(
    check: str, facts: dict[str, Any], level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, {}, facts), level, words)


def test_behind_a_transit_gateway_an_acl_for_private_addresses_is_no_fault() -> None:
    inside = replace(entry(100, "allow", cidr="10.0.0.0/8"), protocol="-1")
    acl = NetworkAcl("acl-1", (inside, replace(inside, egress=False)))
    facts = {**through("tgw-1"), "network_acl": acl}
    assert finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "network ACL", PRIVATE, facts).level is WARN
    shut = {**facts, "network_acl": NetworkAcl("acl-1", ())}
    assert finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "network ACL", PRIVATE, shut).level is FAIL


def entry(
    number: int, action: str, cidr: str = "0.0.0.0/0", ports: range | None = None, **changes: Any
) -> AclEntry:
    """A rule for TCP of what goes out."""
    given = {"egress": True, "protocol": "6", **changes}
    return AclEntry(number, allow=action == "allow", cidr=IPv4Network(cidr), ports=ports, **given)


@pytest.mark.parametrize(
    ("entries", "ports", "passage"),
    [
        ((), HTTPS, "closed"),
        ((entry(100, "allow"),), HTTPS, "open"),
        ((entry(100, "allow", protocol="-1"),), HTTPS, "open"),
        ((entry(100, "allow", protocol="17"),), HTTPS, "closed"),
        ((entry(100, "allow", egress=False),), HTTPS, "closed"),
        # The lowest number decides, in whatever order EC2 lists them.
        ((entry(200, "allow"), entry(100, "deny")), HTTPS, "closed"),
        ((entry(32767, "deny"), entry(100, "allow")), HTTPS, "open"),
        ((entry(100, "allow", ports=range(80, 81)),), HTTPS, "closed"),
        ((entry(100, "allow", ports=range(1024, 65536)),), ANSWERS, "open"),
        ((entry(100, "allow", ports=range(49152, 65536)),), ANSWERS, "partly"),
        # Private addresses are not the internet; a part of it is a part.
        ((entry(100, "allow", "10.0.0.0/8"),), HTTPS, "closed"),
        ((entry(100, "allow", "52.0.0.0/8"),), HTTPS, "partly"),
        ((entry(50, "deny", "203.0.113.0/24"), entry(100, "allow")), HTTPS, "open"),
    ],
)
def test_the_lowest_number_that_fits_decides(
    entries: tuple[AclEntry, ...], ports: range, passage: str
) -> None:
    assert NetworkAcl("acl-1", entries).tcp(egress=True, remote=ANYWHERE, ports=ports) == passage


def acl(out: AclEntry, answers: AclEntry) -> dict[str, Any]:
    """The facts with an ACL of one rule in each direction."""
    return {"network_acl": NetworkAcl("acl-1", (out, replace(answers, egress=False)))}


OPEN = entry(100, "allow")
IN_VPC = entry(100, "allow", "172.31.0.0/16")


def endpoint(service: str, **changes: Any) -> Endpoint:
    """A usable interface endpoint in another subnet."""
    name = f"com.amazonaws.us-east-2.{service}"
    plain = Endpoint(
        f"vpce-{service}",
        name,
        "vpc-1",
        "available",
        "Interface",
        private_dns=True,
        group_ids=("sg-e",),
        subnet_ids=("subnet-2",),
    )
    return replace(plain, **changes)


S3 = endpoint("s3", kind="Gateway", private_dns=False, group_ids=(), subnet_ids=(), table_ids=("rtb-1",))
HTTPS_IN = SecurityGroup("sg-e", "vpc-1", (Rule("tcp", 443, 443, cidrs=("172.31.0.0/16",)),), ())
BY_ENDPOINTS: dict[str, Any] = {
    **through("local"),
    "route_tables": (replace(INTERNET, routes=()),),
    "endpoints": (endpoint("ssm"), endpoint("ssmmessages"), S3),
    "endpoint_groups": (HTTPS_IN,),
}
SAME_SUBNET = {
    **BY_ENDPOINTS,
    "endpoints": tuple(replace(each, subnet_ids=("subnet-1",)) for each in BY_ENDPOINTS["endpoints"][:2]),
}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "lets subnet-1 out to port 443, and the answers in"),
        ({}, {"network_acl": DENIED}, SKIP, "ec2:Something"),
        ({}, acl(entry(100, "deny"), OPEN), FAIL, "acl-1 blocks subnet-1 from port 443"),
        (
            {},
            acl(OPEN, entry(100, "deny")),
            FAIL,
            "blocks the answers of the internet to subnet-1 (TCP 32768 to",
        ),
        ({}, acl(OPEN, entry(100, "allow", ports=range(49152, 65536))), WARN, "would sometimes fail"),
        ({}, acl(entry(100, "allow", "52.0.0.0/8"), OPEN), WARN, "some addresses only"),
        (INSTALLS, acl(entry(100, "allow", ports=HTTPS), OPEN), WARN, "port 80"),
        (INSTALLS, acl(OPEN, OPEN), PASS, "port 443"),
        (PRIVATE, {**BY_ENDPOINTS, **acl(IN_VPC, IN_VPC)}, PASS, "port 443"),
        (PRIVATE, {**BY_ENDPOINTS, **acl(entry(1, "deny"), OPEN)}, FAIL, "port 443 of the endpoints"),
        # Within a subnet no ACL is passed.
        (PRIVATE, {**SAME_SUBNET, **acl(entry(1, "deny"), OPEN)}, PASS, "are in subnet-1 itself"),
    ],
)
def test_the_network_acl(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "network ACL", launch, facts), level, words)


def blocked(mode: str, *exclusions: tuple[str, str]) -> dict[str, Any]:
    """The facts with Block Public Access in this mode."""
    return {
        "public_access": PublicAccess(f"block-{mode}"),
        "exclusions": tuple(Exclusion(*one) for one in exclusions),
    }


NAT = {**through("nat-1")}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "is off"),
        ({}, {"public_access": DENIED}, SKIP, "ec2:Something"),
        ({}, {**blocked("bidirectional"), "exclusions": DENIED}, SKIP, "ec2:Something"),
        ({}, blocked("bidirectional"), FAIL, "neither vpc-1 nor subnet-1 is excluded: nothing can get out"),
        ({}, blocked("ingress"), FAIL, "block-ingress"),
        ({}, blocked("ingress", ("vpc-1", "allow-egress")), FAIL, "block-ingress"),
        ({}, blocked("ingress", ("vpc-1", "allow-bidirectional")), PASS, "leaves vpc-1 out"),
        ({}, blocked("bidirectional", ("subnet-1", "allow-egress")), PASS, "leaves vpc-1 out"),
        ({}, blocked("bidirectional", ("vpc-2", "allow-bidirectional")), FAIL, "neither"),
        (PRIVATE, {**NAT, **blocked("ingress")}, PASS, "lets NAT gateways out"),
        (PRIVATE, {**NAT, **blocked("bidirectional")}, FAIL, "through the NAT gateway"),
        (PRIVATE, {**NAT, **blocked("bidirectional", ("vpc-1", "allow-egress"))}, PASS, "vpc-1"),
        (PRIVATE, {**NAT, **blocked("bidirectional", ("subnet-9", "allow-egress"))}, WARN, "NAT gateway"),
        (
            {},
            {**blocked("ingress"), "public_access": PublicAccess("block-ingress", "declarative-policy")},
            FAIL,
            "a declarative policy of the organization sets it",
        ),
    ],
)
def test_block_public_access(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "public access", launch, facts), level, words)


def document(*statements: dict[str, Any]) -> str:
    """An endpoint's policy."""
    return json.dumps({"Statement": list(statements)})


def statement(effect: str = "Allow", action: str = "*", **more: Any) -> dict[str, Any]:
    """A statement about everybody and everything."""
    return {"Effect": effect, "Principal": "*", "Action": action, "Resource": "*", **more}


CONDITION = {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("", True),
        (document(statement()), True),
        (document(statement(action="ssm:*")), True),
        (document(statement(action="s3:*")), False),
        (document(statement(), statement("Deny", "ssm:*")), False),
        (document(statement("Deny", "ssm:Put*"), statement()), True),
        (document(statement(Condition=CONDITION)), None),
        (document(statement("Deny", Condition=CONDITION), statement()), None),
        (document(statement(Resource="arn:aws:s3:::ours/*")), None),
        (document(statement(Principal={"AWS": "arn:aws:iam::123456789012:root"})), None),
        (document(statement(Principal={"AWS": "*"})), True),
        (document({"Effect": "Allow", "Principal": "*", "NotAction": "s3:*", "Resource": "*"}), None),
    ],
)
def test_an_endpoints_policy(policy: str, allowed: bool | None) -> None:
    assert policy_allows(policy, "ssm:UpdateInstanceInformation") is allowed


CLOSED = replace(HTTPS_IN, ingress=(Rule("tcp", 443, 443, cidrs=("10.0.0.0/8",)),))


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        (PRIVATE, BY_ENDPOINTS, PASS, "vpce-ssm, vpce-ssmmessages, vpce-s3 let the nodes in"),
        (
            PRIVATE,
            {**BY_ENDPOINTS, "endpoint_groups": (CLOSED,)},
            FAIL,
            "don't let 172.31.0.0/20 in to port 443",
        ),
        (PRIVATE, {**BY_ENDPOINTS, "endpoint_groups": DENIED}, SKIP, "ec2:Something"),
        # An endpoint takes the name over, also where there is a way to the internet.
        ({}, {**BY_ENDPOINTS, **through("igw-1"), "endpoint_groups": (CLOSED,)}, FAIL, "whose name"),
        (
            {**PRIVATE, "security_group_id": "sg-1"},
            {
                **BY_ENDPOINTS,
                "endpoint_groups": (replace(CLOSED, ingress=(Rule("-1", group_ids=("sg-1",)),)),),
            },
            PASS,
            "let the nodes in",
        ),
        (
            PRIVATE,
            {**BY_ENDPOINTS, "endpoints": (endpoint("ssm", policy=document()), endpoint("ssmmessages"), S3)},
            FAIL,
            "does not allow ssm:UpdateInstanceInformation",
        ),
        (
            PRIVATE,
            {
                **BY_ENDPOINTS,
                "endpoints": (
                    *BY_ENDPOINTS["endpoints"][:2],
                    replace(S3, policy=document(statement(Condition=CONDITION))),
                ),
            },
            WARN,
            "s3:GetObject under conditions",
        ),
        (PRIVATE, {**BY_ENDPOINTS, "endpoints": BY_ENDPOINTS["endpoints"][:2]}, WARN, "no endpoint for s3"),
        (
            PRIVATE,
            {
                **BY_ENDPOINTS,
                "endpoints": (*BY_ENDPOINTS["endpoints"][:2], replace(S3, table_ids=("rtb-9",))),
            },
            WARN,
            "no endpoint for s3",
        ),
    ],
)
def test_the_endpoints(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "endpoints", launch, facts), level, words)


def test_with_endpoints_alone_nixl_can_t_be_installed() -> None:
    launch = {**PRIVATE, **INSTALLS}
    found = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "installation", launch, BY_ENDPOINTS)
    assert_says(found, FAIL, "Set install_nixl = false")
    judged = judge(
        [(replace(BLOCK_LAUNCH, **launch, nixl_wheels="/opt/wheels"), replace(BLOCK_FACTS, **BY_ENDPOINTS))],
        NOW,
    )
    assert not [one for one in judged if one.check == "installation"]


@pytest.mark.parametrize(
    ("servers", "level", "words"),
    [
        (("AmazonProvidedDNS",), PASS, "has DNS resolution and DNS hostnames enabled"),
        (("10.0.0.2", "AmazonProvidedDNS"), PASS, "has DNS resolution and DNS hostnames enabled"),
        (("10.0.0.2",), WARN, "name 10.0.0.2 instead of Amazon's resolver"),
        ((), FAIL, "name no name server"),
    ],
)
def test_the_name_servers_of_the_vpc(servers: tuple[str, ...], level: Level, words: str) -> None:
    facts = {"dhcp_options": (DhcpOptions("dopt-1", servers), DhcpOptions("dopt-2", ("10.9.9.9",)))}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "vpc DNS", {}, facts), level, words)


def test_name_servers_that_may_not_be_seen_are_not_looked_at() -> None:
    facts = {"dhcp_options": DENIED}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "vpc DNS", {}, facts), SKIP, "ec2:Something")
