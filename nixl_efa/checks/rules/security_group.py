"""A given security group: it must let the pair talk EFA, and let the nodes reach Systems Manager.

Source: EC2 user guide, efa-start: all traffic from and to the group itself, in both directions. EFA's
addresses are neither IPv4 nor IPv6, so a rule for 0.0.0.0/0 does not cover it.
"""

from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer, Rule, SecurityGroup
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, failed, passed, warned
from nixl_efa.launch import Launch

_CHECK = "security group"
_HTTPS = 443


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """Findings on the given group; none when the stack creates its own group with the right rules."""
    if not launch.security_group_id:
        return []
    by_hand = aws(launch, "ec2", "describe-security-groups", "--group-ids", launch.security_group_id)
    group = facts.security_group
    if isinstance(group, NoAnswer):
        return [no_answer(_CHECK, group, by_hand)]
    if group is None:
        return [
            failed(
                _CHECK,
                f"The security group {launch.security_group_id} (security_group_id) is not in "
                f"{launch.region}.",
                "Set security_group_id to one of the subnet's VPC, or remove it: the stack then makes "
                "its own.",
                by_hand,
            )
        ]
    findings = [_itself(launch, group, by_hand), _https(launch, group, by_hand)]
    if facts.subnet is not None and facts.subnet.vpc_id != group.vpc_id:
        findings.insert(
            0,
            failed(
                _CHECK,
                f"{group.id} belongs to {group.vpc_id}, but the subnet {facts.subnet.id} to "
                f"{facts.subnet.vpc_id}.",
                "Set security_group_id to a group of the subnet's VPC, or remove it.",
                by_hand,
            ),
        )
    return findings


def open_to_itself(group: SecurityGroup, rules: tuple[Rule, ...]) -> bool:
    """Whether one of the rules lets every protocol through between the group's own members."""
    return any(rule.protocol == "-1" and group.id in rule.group_ids for rule in rules)


def _itself(launch: Launch, group: SecurityGroup, by_hand: str) -> Finding:
    missing = [
        (direction, call)
        for direction, call, rules in (
            ("ingress", "authorize-security-group-ingress", group.ingress),
            ("egress", "authorize-security-group-egress", group.egress),
        )
        if not open_to_itself(group, rules)
    ]
    if not missing:
        return passed(_CHECK, f"{group.id} is open to itself in both directions, all protocols.", by_hand)
    mend = "; ".join(
        aws(
            launch,
            "ec2",
            call,
            "--group-id",
            group.id,
            "--ip-permissions",
            f"IpProtocol=-1,UserIdGroupPairs=[{{GroupId={group.id}}}]",
        )
        for _, call in missing
    )
    directions = " and ".join(direction for direction, _ in missing)
    message = f"{group.id} is not open to itself for all protocols: {directions} is missing."
    has_efa = any(each.interface_type != "interface" for each in launch.interfaces)
    if has_efa:
        return failed(
            _CHECK, f"{message} EFA would not work: 0.0.0.0/0 does not cover it.", f"Run: {mend}", by_hand
        )
    return warned(
        _CHECK,
        f"{message} The nodes can reach each other only as its other rules allow.",
        f"Run: {mend}",
        by_hand,
    )


def _https(_launch: Launch, group: SecurityGroup, by_hand: str) -> Finding:
    check = "security group egress"
    for rule in group.egress:
        elsewhere = rule.cidrs or rule.prefix_lists or any(other != group.id for other in rule.group_ids)
        if elsewhere and covers_https(rule):
            return passed(
                check, f"{group.id} allows its members outgoing connections to port {_HTTPS}.", by_hand
            )
    return failed(
        check,
        f"{group.id} allows no outgoing connections to port {_HTTPS}: the nodes could not reach Systems "
        "Manager, and you could not reach "
        "the nodes.",
        f"Add egress for TCP {_HTTPS}, to 0.0.0.0/0 or to the endpoints' group.",
        by_hand,
    )


def covers_https(rule: Rule) -> bool:
    """Whether a rule is about TCP port 443."""
    if rule.protocol == "-1":
        return True
    if rule.protocol not in ("tcp", "6") or rule.from_port is None or rule.to_port is None:
        return False
    return rule.from_port <= _HTTPS <= rule.to_port
