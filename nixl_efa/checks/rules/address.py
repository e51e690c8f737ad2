"""The Elastic IPs: does the region's quota leave room for one a node."""

from __future__ import annotations

from datetime import datetime

from nixl_efa.checks.facts import Facts, Unseen
from nixl_efa.checks.quota_codes import ELASTIC_IPS
from nixl_efa.checks.rules.common import aws, unseen
from nixl_efa.findings import Finding, counted, failed, passed, skipped
from nixl_efa.launch import Launch

_CHECK = "elastic IPs"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding; none when the stack makes no Elastic IP."""
    return [_addresses(launch, facts)] if launch.elastic_ip else []


def _addresses(launch: Launch, facts: Facts) -> Finding:
    by_hand = aws(launch, "ec2", "describe-addresses")
    quota_by_hand = aws(
        launch, "service-quotas", "get-service-quota", "--service-code", "ec2", "--quota-code", ELASTIC_IPS
    )
    if isinstance(facts.addresses, Unseen):
        return unseen(_CHECK, facts.addresses, by_hand)
    if isinstance(facts.address_quota, Unseen):
        return unseen(_CHECK, facts.address_quota, quota_by_hand)
    used = sum(not each.own for each in facts.addresses)
    if facts.address_quota is None:
        return skipped(
            _CHECK,
            f"{counted(used, 'Elastic IP')} in use in {launch.region}; the quota ({ELASTIC_IPS}) is not "
            "known.",
            "",
            quota_by_hand,
        )
    limit = int(facts.address_quota.value)
    seen = f"{used} of {counted(limit, 'Elastic IP')} in {launch.region} in use ({ELASTIC_IPS})"
    if used + launch.count > limit:
        return failed(
            _CHECK,
            f"{seen}; the pair takes {launch.count}.",
            "Release some, ask for more in Service Quotas, or set elastic_ip = false with another way out.",
            by_hand,
        )
    return passed(_CHECK, f"{seen}; the pair takes {launch.count}.", by_hand)
