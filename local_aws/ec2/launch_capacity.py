"""Where a launch gets its capacity from: market type, reservation, placement group, quota; and each refusal.

Codes: EC2 API reference, errors-overview. EC2 user guide: capacity-blocks-launch, ec2-capacity-blocks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from local_aws.ec2 import placement_groups
from local_aws.ec2.api import refuse
from local_aws.ec2.reservation import BLOCK, INTERRUPTIBLE, ON_DEMAND, Reservation
from local_aws.ec2.reservations import find
from local_aws.world import world

PLATFORM = "Linux/UNIX"
_BAD_MARKET = "The market type (purchasing) option is not valid. Choose a different market type and try again"
_FULL = (
    "The requested reservation does not have sufficient compatible and available capacity for this request."
)


def market_of(request: Mapping[str, Any]) -> str:
    """spot, capacity-block, or empty for On-Demand."""
    return str(request.get("InstanceMarketOptions", {}).get("MarketType") or "")


def places_for(
    backend: Any, request: Mapping[str, Any], instance_type: Mapping[str, Any], subnet: Any, count: int
) -> list[Reservation]:
    """The reservation for each instance of the launch, in the order of the instances; refused as EC2 would refuse it.

    Instances for which no open reservation has a place are launched without one (CapacityReservationSpecification).
    """
    market, tenancy = market_of(request), tenancy_of(backend, request, subnet)
    wish = request.get("CapacityReservationSpecification", {})
    target = wish.get("CapacityReservationTarget", {}).get("CapacityReservationId")
    if wish.get("CapacityReservationPreference") and target:
        raise refuse(
            "InvalidParameterCombination",
            "The request can include either a CapacityReservationId or a CapacityReservationPreference but not both.",
        )
    usage = {"": "on-demand", "spot": "spot", INTERRUPTIBLE: "on-demand"}.get(market, market)
    if usage not in instance_type["SupportedUsageClasses"]:
        raise refuse("InvalidParameterValue", _BAD_MARKET)
    place = (instance_type["InstanceType"], subnet.availability_zone, tenancy)
    if target:
        reservation = find(backend, target)
        _check_target(backend, reservation, market, place, count)
        return [reservation] * count
    if market in (BLOCK, INTERRUPTIBLE):
        raise refuse(
            "MissingParameter",
            f"A launch as {market} needs a CapacityReservationTarget.",
            inferred="block-needs-target",
        )
    if market or wish.get("CapacityReservationPreference") == "none":
        return []
    return _open_places(backend, place, count)


def tenancy_of(backend: Any, request: Mapping[str, Any], subnet: Any) -> str:
    """The tenancy of the instances: all instances in a VPC of dedicated tenancy have it, too (EC2 API, CreateVpc)."""
    given = request.get("Placement", {}).get("Tenancy")
    if given:
        return str(given)
    return str(backend.get_vpc(subnet.vpc_id).instance_tenancy or "default")


def check_placement(
    backend: Any,
    request: Mapping[str, Any],
    instance_type: Mapping[str, Any],
    reservation: Reservation | None,
    zone: str,
) -> placement_groups.PlacementGroup | None:
    """The placement group of the launch, if any. No reservation here is created in a placement group, so a launch with
    a group gets no place in a reservation (terraform-aws-eks 3730)."""
    placement = request.get("Placement", {})
    group_name, group_id = placement.get("GroupName"), placement.get("GroupId")
    if not (group_name or group_id):
        return None
    group = placement_groups.find(backend, name=group_name or None, group_id=group_id or None)
    name = instance_type["InstanceType"]
    if group.strategy not in instance_type.get("PlacementGroupInfo", {}).get("SupportedStrategies", []):
        raise refuse(
            "InvalidParameterCombination",
            f"{group.strategy.capitalize()} placement groups are not supported by the '{name}' instance type. "
            "Specify a supported instance type or change the placement group strategy, and try again.",
        )
    if group.strategy == "cluster":
        zones = {instance.placement.zone for instance in backend.instances_of_group(group.name)}
        if zones - {zone}:
            raise refuse(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{group.name}' is in use in another availability zone: {min(zones - {zone})}",
            )
    if reservation is not None:
        raise refuse(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {name} capacity in the Availability Zone you requested ({zone}). Our "
            "system will be working on provisioning additional capacity.",
        )
    return group


def take_up_again(backend: Any, stopped: Sequence[Any]) -> None:
    """Stopped instances start in the reservation that they were launched into. If a targeted reservation has no room,
    none of them starts."""
    wanted: Counter[str] = Counter()
    for instance in stopped:
        target = instance.capacity_reservation_specification.get("CapacityReservationTarget", {})
        identifier = target.get("CapacityReservationId")
        tenancy = instance.placement.tenancy or "default"
        place = (instance.instance_type, instance.placement.zone, tenancy)
        if identifier:
            wanted[identifier] += 1
            reservation = find(backend, identifier)
            _check_target(backend, reservation, instance.lifecycle or "", place, wanted[identifier])
        elif instance.capacity_reservation_id:
            instance.capacity_reservation_id = None
            for found in _open_places(backend, place, 1):
                backend.assign(instance, found)


def _check_target(
    backend: Any, reservation: Reservation, market: str, place: tuple[str, str, str], count: int
) -> None:
    now, (instance_type, zone, tenancy) = world().clock.now(), place
    if (market == BLOCK) != reservation.is_block:
        raise refuse("InvalidParameterValue", _BAD_MARKET)
    if (market == INTERRUPTIBLE) != reservation.is_interruptible:
        raise refuse("InvalidParameterValue", _BAD_MARKET, inferred="interruptible-market")
    state = reservation.state(now)
    if state in ("scheduled", "payment-pending"):
        raise refuse(
            "InvalidCapacityReservationState.PendingActivation",
            f"The Capacity Reservation '{reservation.id}' is not active yet: it starts at "
            f"{reservation.start:%Y-%m-%dT%H:%M:%SZ}.",
            inferred="reservation-not-active",
        )
    if reservation.taken_back is not None:
        raise refuse(
            "InvalidCapacityReservationState.Unavailable",
            f"The owner of the Capacity Reservation '{reservation.id}' takes its capacity back.",
            inferred="interruptible-taken-back",
        )
    if state != "active":
        raise refuse(
            "InvalidCapacityReservationState",
            f"The Capacity Reservation '{reservation.id}' is {state}.",
            inferred="reservation-not-active",
        )
    if reservation.ultra_server and reservation.launch_status(now, world().interconnect) != "launchable":
        raise refuse(
            "ReservationCapacityExceeded",
            f"The Capacity Reservation '{reservation.id}' is unlaunchable.",
            inferred="launch-into-an-unlaunchable-reservation",
        )
    for name, wanted, got in (
        ("AvailabilityZone", reservation.zone, zone),
        ("InstancePlatform", reservation.platform, PLATFORM),
        ("Tenancy", reservation.tenancy, tenancy),
    ):
        if wanted != got:
            raise refuse(
                "InvalidParameterValue",
                "Capacity Reservation's attribute does not match with requested instance parameter. "
                f"Attribute: {name}",
                inferred="reservation-attribute-mismatch",
            )
    if reservation.instance_type != instance_type:
        raise refuse("ReservationCapacityExceeded", _FULL)
    if backend.free_in(reservation) < count:
        raise refuse("ReservationCapacityExceeded", _FULL)


def _open_places(backend: Any, place: tuple[str, str, str], count: int) -> list[Reservation]:
    """Places for up to `count` instances in On-Demand reservations that are open to any matching instance."""
    now = world().clock.now()
    places: list[Reservation] = []
    for reservation in backend.seen_reservations().values():
        if (
            reservation.kind == ON_DEMAND
            and reservation.match == "open"
            and reservation.state(now) == "active"
            and (reservation.instance_type, reservation.zone, reservation.tenancy) == place
            and reservation.platform == PLATFORM
        ):
            places += [reservation] * backend.free_in(reservation)
    return places[:count]
