"""The endpoints that the nodes use: their security groups, their policies, and the endpoint for S3.

An interface endpoint with private DNS replaces its service's public name in the whole VPC. A closed one therefore also
stops nodes that have a way to the internet (VPC user guide, privatelink, manage-dns-names).
"""

import json
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from typing import Any

from nixl_efa.checks.facts import Endpoint, Facts, NoAnswer, SecurityGroup, Subnet
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.checks.rules.security_group import covers_https
from nixl_efa.checks.rules.way_out import table_of, way_of
from nixl_efa.findings import Finding, failed, listed, passed, warned
from nixl_efa.launch import Launch

_CHECK = "endpoints"
# For each service a call that a node needs (SSM Agent; the scripts bucket).
_CALLS = {
    "ssm": "ssm:UpdateInstanceInformation",
    "ssmmessages": "ssmmessages:CreateControlChannel",
    "s3": "s3:GetObject",
}


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """What is wrong with the endpoints that serve the nodes, else one finding that they are in order; none when no
    endpoint serves the nodes."""
    subnet = facts.subnet
    if subnet is None:
        return []
    by_hand = aws(launch, "ec2", "describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={subnet.vpc_id}")
    if isinstance(facts.endpoints, NoAnswer):
        return [no_answer(_CHECK, facts.endpoints, by_hand)]
    used = [each for each in facts.endpoints if _serves(each, facts, subnet)]
    findings = [*_groups(launch, facts, subnet, used, by_hand), *_policies(used, by_hand)]
    if way_of(launch, facts, subnet) == "endpoints" and not any(each.serves == "s3" for each in used):
        message = f"{subnet.vpc_id} has no endpoint for s3 that {subnet.id} could use: the nodes would not reach the scripts bucket."  # noqa: E501
        remedy = "Make a gateway endpoint for s3 in the subnet's route table; it costs nothing."
        findings.append(warned(_CHECK, message, remedy, by_hand))
    if used and not findings:
        findings.append(passed(_CHECK, f"{listed(each.id for each in used)} let the nodes in.", by_hand))
    return findings


def policy_allows(document: str, action: str) -> bool | None:
    """Whether an endpoint's policy lets everybody do an action on every resource; None when that depends on the caller
    or the resource. An empty policy allows all (VPC user guide, privatelink, vpc-endpoints-access)."""
    if not document:
        return True
    statements = _list(json.loads(document).get("Statement", []))
    fitting = [each for each in statements if _is_about(each, action)]
    whole = {each["Effect"] for each in fitting if _is_whole(each)}
    partly = {each["Effect"] for each in fitting if not _is_whole(each)}
    if "Deny" in whole:
        return False
    if "Allow" in whole:
        return None if "Deny" in partly else True
    return None if "Allow" in partly else False


def _is_about(statement: Mapping[str, Any], action: str) -> bool:
    named = _list(statement.get("Action", "*"))
    return any(fnmatchcase(action.lower(), each.lower()) for each in named)


def _is_whole(statement: Mapping[str, Any]) -> bool:
    """Whether a statement is for every principal and every resource, without a condition."""
    if statement.get("Condition") or {"NotAction", "NotPrincipal", "NotResource"} & set(statement):
        return False
    return "*" in _list(statement.get("Resource")) and _is_anybody(statement)


def _is_anybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    return principal == "*" or (isinstance(principal, Mapping) and "*" in _list(principal.get("AWS")))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _serves(endpoint: Endpoint, facts: Facts, subnet: Subnet) -> bool:
    if endpoint.vpc_id != subnet.vpc_id or endpoint.serves not in _CALLS or not endpoint.is_usable:
        return False
    if endpoint.kind != "Gateway" or isinstance(facts.route_tables, NoAnswer):
        return True
    table = table_of(facts.route_tables, subnet)
    return table is not None and table.id in endpoint.table_ids


def _groups(
    launch: Launch, facts: Facts, subnet: Subnet, used: list[Endpoint], by_hand: str
) -> list[Finding]:
    interfaces = [each for each in used if each.kind == "Interface"]
    if not interfaces:
        return []
    if isinstance(facts.endpoint_groups, NoAnswer):
        return [no_answer(_CHECK, facts.endpoint_groups, by_hand)]
    by_id = {each.id: each for each in facts.endpoint_groups}
    return [
        failed(
            _CHECK,
            f"The security groups of {each.id} ({each.service}) don't let {subnet.cidr} in to port 443: the nodes "
            f"could not reach {each.serves}, whose name resolves to the endpoint.",
            f"Allow TCP 443 from {subnet.cidr} in {listed(each.group_ids)}.",
            by_hand,
        )
        for each in interfaces
        if not _lets_in([by_id[one] for one in each.group_ids if one in by_id], launch, subnet)
    ]


def _lets_in(groups: list[SecurityGroup], launch: Launch, subnet: Subnet) -> bool:
    """Whether one of the groups lets in the subnet, or the security group that the settings name. The stack's own group
    does not exist yet, so no rule can name it. Prefix lists are not read and count as open."""
    for rule in (rule for group in groups for rule in group.ingress):
        if not covers_https(rule):
            continue
        if launch.security_group_id in rule.group_ids or rule.prefix_lists:
            return True
        if not subnet.cidr or any(
            IPv4Network(cidr).overlaps(IPv4Network(subnet.cidr)) for cidr in rule.cidrs if ":" not in cidr
        ):
            return True
    return False


def _policies(used: list[Endpoint], by_hand: str) -> list[Finding]:
    findings = []
    for each in used:
        call = _CALLS[each.serves]
        allowed = policy_allows(each.policy, call)
        if allowed is False:
            message = f"The policy of {each.id} ({each.service}) does not allow {call}: the nodes would not get through it."  # noqa: E501
            findings.append(
                failed(_CHECK, message, f"Allow {each.serves}:* in the endpoint's policy.", by_hand)
            )
        elif allowed is None:
            message = f"The policy of {each.id} ({each.service}) allows {call} under conditions; whether the nodes meet them can't be seen."  # noqa: E501
            remedy = "Compare them with the nodes' role, and the scripts bucket's name."
            findings.append(warned(_CHECK, message, remedy, by_hand))
    return findings
