"""The quotas of vCPUs and of Elastic IPs: is there room for the pair beside what is in use already."""

from __future__ import annotations

from datetime import datetime

from nixl_efa import instance_types
from nixl_efa.checks.facts import Facts, NoAnswer, Running
from nixl_efa.checks.quota_codes import ELASTIC_IPS, quota_class, vcpu_quota
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, counted, failed, passed, skipped
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Launch

_CHECK, _ADDRESSES = "quota", "elastic IPs"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding: vCPUs that the pair takes, that are in use, and that are allowed."""
    return [_quota(launch, facts)]


def _quota(launch: Launch, facts: Facts) -> Finding:
    if launch.market == "capacity-block":
        return passed(_CHECK, "Instances in a Capacity Block count against no quota of vCPUs.")
    code = vcpu_quota(launch.instance_type, launch.market)
    if not code:
        return skipped(_CHECK, f"It is not known which quota {launch.instance_type} counts against.")
    by_hand = aws(
        launch, "service-quotas", "get-service-quota", "--service-code", "ec2", "--quota-code", code
    )
    held = _held_by_reservation(facts)
    if held:
        return passed(_CHECK, held, by_hand)
    if isinstance(facts.quota, NoAnswer):
        return no_answer(_CHECK, facts.quota, by_hand)
    if facts.quota is None:
        return skipped(_CHECK, f"Service Quotas knows no quota {code} in {launch.region}.", "", by_hand)
    each = _vcpu(launch, facts)
    if each is None:
        return skipped(_CHECK, f"The number of vCPUs of {launch.instance_type} is not known.", "", by_hand)
    needed, limit = each * launch.count, int(facts.quota.value)
    name = f"{facts.quota.name} ({code})"
    if isinstance(facts.running, NoAnswer):
        if needed > limit:
            return _too_small(launch, name, needed, limit, None, by_hand)
        return no_answer(_CHECK, facts.running, by_hand)
    unused = in_unused_reservations(launch, facts, each)
    used = in_use(launch, facts.running) + unused
    if needed + used > limit:
        return _too_small(launch, name, needed, limit, used, by_hand)
    held = f" ({unused} of them by unused reservations)" if unused else ""
    return passed(_CHECK, f"{name}: {limit} vCPUs, {used} in use{held}; the pair takes {needed}.", by_hand)


def in_use(launch: Launch, running: tuple[Running, ...]) -> int:
    """vCPUs of the same market and quota class that run, without this stack's own instances, which end
    before their successors start. Blocks count against nothing; stopped instances neither."""
    kind = quota_class(launch.instance_type)
    return sum(
        each.vcpu
        for each in running
        if each.state in RUNNING
        and each.market == launch.market
        and quota_class(each.instance_type) == kind
        and not each.own
    )


def in_unused_reservations(launch: Launch, facts: Facts, vcpu: int) -> int:
    """vCPUs of the account's On-Demand reservations that nothing runs in: they count like instances (EC2 user
    guide, capacity-reservations-limits). Those of the launch's own type and zone it may take up itself.

    vcpu: of the launch's type.
    """
    if launch.market != "on-demand" or isinstance(facts.reservations, NoAnswer):
        return 0
    kind = quota_class(launch.instance_type)
    zone = facts.subnet.zone if facts.subnet is not None else None
    owner = None if isinstance(facts.account, NoAnswer) else facts.account.id
    return sum(
        each.free * _vcpu_of(each.instance_type, launch, vcpu)
        for each in facts.reservations
        if each.state == "active"
        and not each.is_block
        and each.owner == owner
        and quota_class(each.instance_type) == kind
        and (each.instance_type, each.zone) != (launch.instance_type, zone)
    )


def _vcpu_of(instance_type: str, launch: Launch, vcpu: int) -> int:
    if instance_type == launch.instance_type:
        return vcpu
    known = instance_types.find(instance_type)
    return known.vcpu if known else 0


def _held_by_reservation(facts: Facts) -> str:
    # EC2 user guide, ec2-capacity-reservations: a reservation counts against its owner's quota from the day
    # it is made, used or not, so a launch into it takes nothing more.
    found = reservation.of(facts)
    if found is None or found.is_block or isinstance(facts.account, NoAnswer):
        return ""
    if found.owner != facts.account.id:
        return ""
    return f"{found.id} counts against the quota already; a launch into it takes nothing more."


def _vcpu(launch: Launch, facts: Facts) -> int | None:
    if not isinstance(facts.type_in_ec2, NoAnswer) and facts.type_in_ec2 is not None:
        return facts.type_in_ec2.vcpu
    return launch.type_facts.vcpu if launch.type_facts is not None else None


def _too_small(launch: Launch, name: str, needed: int, limit: int, used: int | None, by_hand: str) -> Finding:
    beside = "" if used is None else f", of which {used} are in use"
    message = f"{name} allows {limit} vCPUs{beside}; the pair takes {needed}."
    want = needed + (used or 0)
    remedy = f"Ask for at least {want} in Service Quotas ({launch.region}), or end instances that run there."
    return failed(_CHECK, message, remedy, by_hand)


def check_addresses(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding on the region's Elastic IPs; none when the stack makes none."""
    return [_addresses(launch, facts)] if launch.elastic_ip else []


def _addresses(launch: Launch, facts: Facts) -> Finding:
    by_hand = aws(launch, "ec2", "describe-addresses")
    quota_by_hand = aws(
        launch, "service-quotas", "get-service-quota", "--service-code", "ec2", "--quota-code", ELASTIC_IPS
    )
    if isinstance(facts.addresses, NoAnswer):
        return no_answer(_ADDRESSES, facts.addresses, by_hand)
    if isinstance(facts.address_quota, NoAnswer):
        return no_answer(_ADDRESSES, facts.address_quota, quota_by_hand)
    used = sum(not each.own for each in facts.addresses)
    if facts.address_quota is None:
        return skipped(
            _ADDRESSES,
            f"{counted(used, 'Elastic IP')} in use in {launch.region}; the quota ({ELASTIC_IPS}) is not "
            "known.",
            "",
            quota_by_hand,
        )
    limit = int(facts.address_quota.value)
    seen = f"{used} of {counted(limit, 'Elastic IP')} in {launch.region} in use ({ELASTIC_IPS})"
    if used + launch.count > limit:
        return failed(
            _ADDRESSES,
            f"{seen}; the pair takes {launch.count}.",
            "Release some, ask for more in Service Quotas, or set elastic_ip = false with another way out.",
            by_hand,
        )
    return passed(_ADDRESSES, f"{seen}; the pair takes {launch.count}.", by_hand)
