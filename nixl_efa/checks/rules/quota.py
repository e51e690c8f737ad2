"""The quotas of vCPUs and of Elastic IPs: whether there is room for the pair in addition to what is in use."""

from datetime import datetime

from nixl_efa import instance_types
from nixl_efa.capacity.judge import LINUX
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks.facts import Facts, NoAnswer, Quota, Running
from nixl_efa.checks.quota_codes import ELASTIC_IPS, counted_by, vcpu_quotas
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import aws, no_answer, takes, tenancy
from nixl_efa.findings import Finding, counted, failed, listed, passed, skipped
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Launch

_CHECK, _ADDRESSES = "quota", "elastic IPs"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding: the vCPUs that the pair needs, that are in use, and that are allowed."""
    return [_quota(launch, facts)]


def _quota(launch: Launch, facts: Facts) -> Finding:
    if launch.market == "capacity-block":
        return passed(_CHECK, "Instances in a Capacity Block count against no quota of vCPUs.")
    codes = vcpu_quotas(launch.instance_type, launch.market)
    if not codes:
        return skipped(_CHECK, f"It is not known which quota {launch.instance_type} counts against.")
    by_hand = _command(launch, codes[0])
    if held := _held_by_reservation(facts):
        return passed(_CHECK, held, by_hand)
    if isinstance(facts.quotas, NoAnswer):
        return no_answer(_CHECK, facts.quotas, by_hand)
    quota = counted_by(facts.quotas, launch.instance_type, launch.market)
    if quota is None:
        return _not_told(launch, facts.quotas, codes, by_hand)
    by_hand = _command(launch, quota.code)
    each = _vcpu(launch, facts)
    if each is None:
        return skipped(_CHECK, f"The number of vCPUs of {launch.instance_type} is not known.", "", by_hand)
    beside = _taken_beside(launch, quota)
    needed, limit = each * launch.count + beside, int(quota.value)
    name = f"{quota.name} ({quota.code})"
    for answer in (facts.running, facts.reservations):
        if isinstance(answer, NoAnswer):
            if needed > limit:
                return _too_small(launch, name, limit, needed, None, "", by_hand)
            return no_answer(_CHECK, answer, by_hand)
    used, reserved, taken, hint = _counted(launch, facts, quota, each)
    needed = taken + beside
    if needed + used > limit:
        return _too_small(launch, name, limit, needed, used, hint, by_hand)
    if unknown := _of_unknown_size(launch, facts, quota):
        ids, types = listed(one.id for one in unknown), listed(sorted({one.instance_type for one in unknown}))
        return skipped(
            _CHECK,
            f"{name}: {limit} vCPUs, {used} in use, {takes(launch)} {needed}; those of {ids} count as well, and the "
            f"number of vCPUs of {types} is not known here.",
            "Add them by hand.",
            by_hand,
        )
    held = f" ({reserved} of them held by reservations)" if reserved else ""
    return passed(_CHECK, f"{name}: {limit} vCPUs, {used} in use{held}; {takes(launch)} {needed}.", by_hand)


def _taken_beside(launch: Launch, quota: Quota) -> int:
    """vCPUs of the environment's other requests that count against the same quota. A launch into a reservation adds
    nothing (see _held_by_reservation)."""
    return sum(
        one.count * (one.type_facts.vcpu if one.type_facts else 0)
        for one in launch.beside
        if one.nodes != launch.nodes
        and not one.reservation.is_named
        and counted_by((quota,), one.instance_type, one.market)
    )


def _counted(launch: Launch, facts: Facts, quota: Quota, each: int) -> tuple[int, int, int, str]:
    """Returns the vCPUs that count against the quota without the launch; those among them for unused places in
    reservations; those of the launch; and what to do about reservations that the launch can't use.

    The whole size of a reservation counts against its owner's quota, whoever uses it. Instances in a reservation of
    another account don't count against the user's quota (EC2 user guide, ec2-on-demand-instances, "even if they are
    unused", and capacity-reservation-sharing, "Instance limits"). The same is true for interruptible reservations; the
    reservation that they come from has lost their places (interruptible-capacity-reservations). Places that the launch
    will use are not counted twice.

    each: vCPUs of an instance of the launch.
    """
    running: tuple[Running, ...] = () if isinstance(facts.running, NoAnswer) else facts.running
    found, own_account = _active_on_demand(launch, facts), _account(facts)
    counted = [
        one
        for one in running
        if one.state in RUNNING
        and one.market == launch.market
        and counted_by((quota,), one.instance_type, launch.market)
        and not one.own
    ]
    mine = [
        one
        for one in found
        if one.owner == own_account and counted_by((quota,), one.instance_type, launch.market)
    ]
    mine_ids, ids = {one.id for one in mine}, {one.id for one in found}
    outside = sum(one.vcpu for one in counted if one.reservation_id not in ids)
    inside = sum(one.vcpu for one in counted if one.reservation_id in mine_ids)
    free = {one.id: _free_for(one, running) for one in found if _takes_up(launch, facts, one)}
    taken_up = min(launch.count, sum(places for name, places in free.items() if name in mine_ids))
    elsewhere = min(
        launch.count - taken_up, sum(places for name, places in free.items() if name not in mine_ids)
    )
    reserved = sum(one.size * _vcpu_of(one.instance_type, launch, each) for one in mine) - taken_up * each
    targeted = [one.id for one in found if one.match == "targeted" and _fits(launch, facts, one)]
    hint = (
        f" An untargeted launch can't use {listed(targeted)}: name it (capacity_reservation_id) to launch into it."
        if targeted
        else ""
    )
    return outside + reserved, reserved - inside, (launch.count - elsewhere) * each, hint


def _of_unknown_size(launch: Launch, facts: Facts, quota: Quota) -> list[Reservation]:
    """The account's reservations that count against the quota and whose type is not in the data file."""
    return [
        one
        for one in _active_on_demand(launch, facts)
        if one.owner == _account(facts)
        and one.size
        and counted_by((quota,), one.instance_type, launch.market)
        and one.instance_type != launch.instance_type
        and instance_types.find(one.instance_type) is None
    ]


def _active_on_demand(launch: Launch, facts: Facts) -> list[Reservation]:
    if launch.market != "on-demand" or isinstance(facts.reservations, NoAnswer):
        return []
    return [one for one in facts.reservations if one.state == "active" and not one.is_block]


def _fits(launch: Launch, facts: Facts, found: Reservation) -> bool:
    """Whether the reservation is for instances like the launch's, and not only for kinds that this project can't
    launch."""
    zone = facts.subnet.zone if facts.subnet is not None else None
    return (
        (found.instance_type, found.zone, found.platform) == (launch.instance_type, zone, LINUX)
        and found.tenancy == tenancy(facts)
        and not (found.interruptible or found.placement_group_arn)
    )


def _takes_up(launch: Launch, facts: Facts, found: Reservation) -> bool:
    """Whether EC2 puts a launch without a target into it, also when it belongs to another account (EC2 user guide,
    sharing-cr)."""
    return found.match == "open" and _fits(launch, facts, found)


def _free_for(found: Reservation, running: tuple[Running, ...]) -> int:
    """Places for the launch, also those of this stack's own nodes, which end before new ones start."""
    return found.free + sum(
        one.own and one.state in RUNNING and one.reservation_id == found.id for one in running
    )


def _vcpu_of(instance_type: str, launch: Launch, vcpu: int) -> int:
    if instance_type == launch.instance_type:
        return vcpu
    known = instance_types.find(instance_type)
    return known.vcpu if known else 0


def _held_by_reservation(facts: Facts) -> str:
    """The sentence that a launch into a reservation adds nothing to the quota: the reservation counts against its
    owner's quota from its creation on (see _counted)."""
    found = reservation.of(facts)
    if found is None or found.is_block or not _account(facts):
        return ""
    if found.owner != _account(facts):
        return f"{found.id} counts against the quota of its owner, account {found.owner}, and so does a launch into it."
    return f"{found.id} already counts against the quota; a launch into it adds nothing."


def _account(facts: Facts) -> str:
    return "" if isinstance(facts.account, NoAnswer) else facts.account.id


def _not_told(launch: Launch, seen: tuple[Quota, ...], codes: tuple[str, ...], by_hand: str) -> Finding:
    if not seen:
        return skipped(
            _CHECK, f"Service Quotas knows no quota {listed(codes)} in {launch.region}.", "", by_hand
        )
    names = listed(f"{each.name!r} ({each.code}, {int(each.value)} vCPUs)" for each in seen)
    return skipped(
        _CHECK,
        f"It is not known which quota {launch.instance_type} counts against as {launch.market}: {names} does not name"
        " it.",
        f"Ask AWS Support, or launch On-Demand (spot = false). The pair must fit: {launch.count} instances.",
        by_hand,
    )


def _command(launch: Launch, code: str) -> str:
    words = ("--service-code", "ec2", "--quota-code", code)
    return aws(launch, "service-quotas", "get-service-quota", *words)


def _vcpu(launch: Launch, facts: Facts) -> int | None:
    if not isinstance(facts.type_in_ec2, NoAnswer) and facts.type_in_ec2 is not None:
        return facts.type_in_ec2.vcpu
    return launch.type_facts.vcpu if launch.type_facts is not None else None


def _too_small(
    launch: Launch, name: str, limit: int, needed: int, used: int | None, hint: str, by_hand: str
) -> Finding:
    beside = "" if used is None else f", of which {used} are in use"
    message = f"{name} allows {limit} vCPUs{beside}; {takes(launch)} {needed}."
    want = needed + (used or 0)
    remedy = (
        f"Ask for at least {want} in Service Quotas ({launch.region}), or end instances that run there.{hint}"
    )
    return failed(_CHECK, message, remedy, by_hand)


def check_addresses(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding on the region's Elastic IPs; none when the stack creates none."""
    return [_addresses(launch, facts)] if launch.elastic_ip else []


def _addresses(launch: Launch, facts: Facts) -> Finding:
    by_hand = aws(launch, "ec2", "describe-addresses")
    quota_by_hand = _command(launch, ELASTIC_IPS)
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
    count = len(launch.every_node)
    if used + count > limit:
        return failed(
            _ADDRESSES,
            f"{seen}; {takes(launch)} {count}.",
            "Release some, ask for more in Service Quotas, or set elastic_ip = false with another way out.",
            by_hand,
        )
    return passed(_ADDRESSES, f"{seen}; {takes(launch)} {count}.", by_hand)
