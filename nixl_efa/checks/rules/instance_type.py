"""The instance type: offered where it is wanted, with EFA, and sold in the way that the settings ask for."""

from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer, TypeInEc2
from nixl_efa.checks.network_facts import LocalZone
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.efa_layout import EFA_CARDS
from nixl_efa.findings import Finding, counted, failed, listed, passed, skipped, warned
from nixl_efa.launch import Launch

# The value in SupportedUsageClasses of DescribeInstanceTypes for each market.
_USAGE_CLASS = {"on-demand": "on-demand", "spot": "spot", "capacity-block": "capacity-block"}


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """Offered in the zone, EFA interfaces, NIXL's backend, and the usage class."""
    seen = facts.type_in_ec2
    if isinstance(seen, NoAnswer):
        return [_offered(launch, facts), no_answer("instance type", seen, command(launch))]
    if seen is None and _closed_zone(facts):
        return [_offered(launch, facts)]
    if seen is None:
        return [
            failed(
                "instance type",
                f"EC2 has no instance type {launch.instance_type} in {launch.region}.",
                "Set instance_type to a type of this region, or region to one that has it.",
                command(launch),
            )
        ]
    return [_offered(launch, facts), _efa(launch, seen), _nixl(launch), _usage(launch, seen)]


def command(launch: Launch) -> str:
    """The AWS CLI call that shows the type."""
    return aws(launch, "ec2", "describe-instance-types", "--instance-types", launch.instance_type)


def _closed_zone(facts: Facts) -> str:
    """The wanted Local Zone when the account has not opted in to it: EC2 then does not list it for the type."""
    zone = facts.local_zone
    return zone.name if isinstance(zone, LocalZone) and not zone.opted_in else ""


def _offered(launch: Launch, facts: Facts) -> Finding:
    check = "type offered"
    by_hand = aws(
        launch,
        "ec2",
        "describe-instance-type-offerings",
        "--location-type",
        "availability-zone",
        "--filters",
        f"Name=instance-type,Values={','.join(launch.instance_types)}",
    )
    if closed := _closed_zone(facts):
        return skipped(
            check, f"EC2 shows what {closed} offers after the opt-in to that Local Zone.", command=by_hand
        )
    zones = facts.offered_zones
    if isinstance(zones, NoAnswer):
        return no_answer(check, zones, by_hand)
    if not zones:
        return failed(
            check,
            f"No zone of {launch.region} offers {' and '.join(launch.instance_types)}.",
            "Set region to one that offers it, or another instance_type.",
            by_hand,
        )
    if isinstance(facts.zone, NoAnswer):
        return no_answer(check, facts.zone, by_hand)
    zone = facts.zone or (facts.subnet.zone if facts.subnet is not None else None)
    if zone is not None and zone not in zones:
        message = f"{launch.instance_type} is not offered in {zone}; it is offered in {listed(zones)}."
        if len(launch.instance_types) > 1:
            both = " and ".join(launch.instance_types)
            message = f"{zone} does not offer {both}, and all nodes are in one zone; {listed(zones)} does."
        return failed(
            check,
            message,
            "Set availability_zone to one of those, and a subnet there.",
            by_hand,
        )
    where = zone or f"{listed(zones)}"
    offered = " and ".join(launch.instance_types)
    are = "is" if len(launch.instance_types) == 1 else "are"
    return passed(check, f"{offered} {are} offered in {where}.", by_hand)


def _efa(launch: Launch, seen: TypeInEc2) -> Finding:
    check = "type EFA"
    planned = sum(each.interface_type != "interface" for each in launch.interfaces)
    if not seen.efa_interfaces:
        return warned(
            check,
            f"{launch.instance_type} has no EFA: NIXL will use TCP.",
            "Choose a larger size of the family, or another type; `nixl-efa instance-types` lists those "
            "with EFA.",
            command(launch),
        )
    cards = EFA_CARDS.get(launch.instance_type.partition(".")[0], ())
    if cards and planned == len(cards):
        return passed(
            check,
            f"{launch.instance_type} gets {counted(planned, 'EFA interface')}, on network cards "
            f"{', '.join(map(str, cards))}: "
            "its other cards share NICs or GPUs with these.",
            command(launch),
        )
    if planned != seen.efa_interfaces:
        return warned(
            check,
            f"EC2 gives {launch.instance_type} {counted(seen.efa_interfaces, 'EFA interface')}, but the "
            "stack "
            f"plans {planned} from the data in this repository.",
            f"Refresh the data with `nixl-efa instance-types refresh --region {launch.region}`.",
            command(launch),
        )
    return passed(
        check,
        f"{launch.instance_type} has {counted(seen.efa_interfaces, 'EFA interface')}, as planned.",
        command(launch),
    )


def _nixl(launch: Launch) -> Finding:
    check, backend = "NIXL backend", launch.nixl
    message = f"{backend}: {backend.why}."
    if (own := launch.own_nixl).name != backend.name:
        return warned(
            check,
            f"{message} Nodes of {launch.instance_type} alone would use {own}: both ends of a transfer need the same.",
            "Take types that both have GPUDirect RDMA, or let `nixl-efa verify` measure a transfer before you rely on"
            " it.",
            command(launch),
        )
    if not backend.is_sure:
        remedy = "After the deployment, let `nixl-efa verify` measure a transfer."
        return warned(check, message, remedy, command(launch))
    if backend.host_memory:
        message += " KV caches go through the host's memory."
    return passed(check, message, command(launch))


def _usage(launch: Launch, seen: TypeInEc2) -> Finding:
    check, wanted = "type market", _USAGE_CLASS[launch.market]
    if not seen.usage_classes:
        return warned(
            check,
            f"EC2 does not say how {launch.instance_type} is sold, so {wanted} may not work.",
            "The dry run below shows it.",
            command(launch),
        )
    if wanted not in seen.usage_classes:
        setting = {"spot": "spot = false", "capacity-block": "use_capacity_block = false"}.get(wanted, "")
        remedy = f"Set {setting}, or another instance_type." if setting else "Set use_capacity_block = true."
        return failed(
            check,
            f"{launch.instance_type} is not sold as {wanted}; EC2 sells it as {listed(seen.usage_classes)}.",
            remedy,
            command(launch),
        )
    return passed(check, f"{launch.instance_type} is sold as {wanted}.", command(launch))
