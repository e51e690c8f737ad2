"""The actions for Capacity Reservations: create, describe, modify, cancel."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.utils import random_id

from local_aws.ec2.api import Actions, idempotent, only_tags_for, refuse, tag_list
from local_aws.ec2.reservation import ON_DEMAND, Reservation
from local_aws.ec2.ultra_servers import MORE_TYPES
from local_aws.world import world

_ID = re.compile(r"cr-([0-9a-f]{8}|[0-9a-f]{17})")


def utc(moment: datetime) -> datetime:
    """A parsed time with its zone: moto hands out naive UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class ReservationActions(Actions):
    """Mixed into the EC2 response class."""

    @idempotent
    def create_capacity_reservation(self) -> ActionResult:
        """An On-Demand Capacity Reservation, active at once (or from StartDate on)."""
        backend = self.ec2_backend
        instance_type = self._get_param("InstanceType")
        known_type(instance_type)
        zone = _zone(backend, self._get_param("AvailabilityZone"), self._get_param("AvailabilityZoneId"))
        check_offered(backend, instance_type, zone.name)
        count = _at_least_one(int(self._get_param("InstanceCount")))
        end = _end(self._get_param("EndDateType"), self._get_param("EndDate"))
        tags = only_tags_for("capacity-reservation", self._get_param("TagSpecifications", []))
        self.error_on_dryrun()
        now = world().clock.now()
        start = self._get_param("StartDate")
        reservation = Reservation(
            id=random_id("cr"),
            kind=ON_DEMAND,
            instance_type=instance_type,
            platform=self._get_param("InstancePlatform"),
            zone=zone.name,
            zone_id=zone.zone_id,
            count=count,
            created=now,
            start=utc(start) if start else now,
            purchased_end=end,
            match=self._get_param("InstanceMatchCriteria", "open"),
            tenancy=self._get_param("Tenancy", "default"),
            ebs_optimized=bool(self._get_param("EbsOptimized")),
            hidden_reads=world().visible_after,
            hidden_until=now + world().visible_delay,
        )
        backend.add_reservation(reservation, tags)
        return ActionResult({"CapacityReservation": describe(backend, reservation)})

    def describe_capacity_reservations(self) -> ActionResult:
        """Reservations and blocks by id or filter. AWS has no filter for the reservation type."""
        backend = self.ec2_backend
        wanted = self._get_param("CapacityReservationIds", [])
        self.error_on_dryrun()
        now = world().clock.now()
        shown = visible(backend, wanted, now)
        values: Mapping[str, Callable[[Reservation], str]] = {
            "instance-type": lambda item: item.instance_type,
            "owner-id": lambda item: item.owner,
            "instance-platform": lambda item: item.platform,
            "availability-zone": lambda item: item.zone,
            "availability-zone-id": lambda item: item.zone_id,
            "tenancy": lambda item: item.tenancy,
            "state": lambda item: item.state(now),
            "instance-match-criteria": lambda item: item.match,
            "start-date": lambda item: _written(item.start),
            "end-date": lambda item: _written(item.end(now)),
            "end-date-type": lambda item: "limited" if item.end(now) else "unlimited",
        }
        found = self._matching(shown, values, lambda item: tags_of(backend, item))
        shown, token = self._page(found, 100)
        return ActionResult(
            {"CapacityReservations": [describe(backend, item) for item in shown], "NextToken": token}
        )

    def modify_capacity_reservation(self) -> ActionResult:
        """Change size, end or matching of an active On-Demand reservation."""
        reservation = find(
            self.ec2_backend, self._get_param("CapacityReservationId"), self.ec2_backend.capacity_reservations
        )
        _refuse_block(reservation, "modified")
        now = world().clock.now()
        if reservation.state(now) != "active":
            raise not_in_state(reservation, now)
        count = self._get_param("InstanceCount")
        kind = self._get_param("EndDateType")
        end = _end(kind, self._get_param("EndDate"))
        self.error_on_dryrun()
        if count is not None:
            reservation.count = _at_least_one(int(count))
        if kind:
            reservation.purchased_end = end
        reservation.match = self._get_param("InstanceMatchCriteria") or reservation.match
        return ActionResult({"Return": True})

    def cancel_capacity_reservation(self) -> ActionResult:
        """Cancel an On-Demand reservation. A block can't be cancelled (CancelCapacityReservation's API page)."""
        reservation = find(
            self.ec2_backend, self._get_param("CapacityReservationId"), self.ec2_backend.capacity_reservations
        )
        _refuse_block(reservation, "cancelled")
        now = world().clock.now()
        if reservation.state(now) not in ("active", "scheduled"):
            raise not_in_state(reservation, now)
        self.error_on_dryrun()
        reservation.cancelled = True
        return ActionResult({"Return": True})


def find(backend: Any, identifier: str, known: Mapping[str, Reservation] | None = None) -> Reservation:
    """A reservation by its id, refused with EC2's two codes."""
    if not _ID.fullmatch(identifier):
        raise refuse(
            "InvalidCapacityReservationId.Malformed",
            f'Invalid id: "{identifier}" (expecting "cr-...")',
            inferred="reservation-id-malformed",
        )
    reservation: Reservation | None = (backend.seen_reservations() if known is None else known).get(
        identifier
    )
    if reservation is None:
        raise refuse(
            "InvalidCapacityReservationId.NotFound",
            f"The capacity reservation ID '{identifier}' was not found",
        )
    return reservation


def visible(backend: Any, wanted: Sequence[str], now: datetime) -> list[Reservation]:
    """The reservations that EC2 shows: those with the wanted ids, or all."""
    shown = {one.id: one for one in backend.seen_reservations().values() if not one.is_hidden(now)}
    return [find(backend, name, shown) for name in wanted] or list(shown.values())


def not_in_state(reservation: Reservation, now: datetime) -> Exception:
    """The refusal for a reservation whose state does not allow what was asked."""
    return refuse(
        "InvalidCapacityReservationState",
        f"The Capacity Reservation '{reservation.id}' is in the state '{reservation.state(now)}'.",
        inferred="reservation-in-state",
    )


def tags_of(backend: Any, reservation: Reservation) -> dict[str, str]:
    """Its tags, those that AWS sets among them."""
    return {**backend.tags.get(reservation.id, {}), **reservation.hidden_tags()}


def describe(backend: Any, reservation: Reservation) -> dict[str, Any]:
    """A reservation as DescribeCapacityReservations shows it."""
    now = world().clock.now()
    used = backend.instances_in(reservation.id)
    end = reservation.end(now)
    answer: dict[str, Any] = {
        "CapacityReservationId": reservation.id,
        "OwnerId": reservation.owner,
        "CapacityReservationArn": (
            f"arn:{backend.partition}:ec2:{backend.region_name}:{reservation.owner}:"
            f"capacity-reservation/{reservation.id}"
        ),
        "AvailabilityZoneId": reservation.zone_id,
        "AvailabilityZone": reservation.zone,
        "InstanceType": reservation.instance_type,
        "InstancePlatform": reservation.platform,
        "Tenancy": reservation.tenancy,
        "TotalInstanceCount": reservation.total(now),
        "AvailableInstanceCount": reservation.free(now, used),
        "EbsOptimized": reservation.ebs_optimized,
        "EphemeralStorage": False,
        "State": reservation.state(now),
        "StartDate": reservation.start,
        "EndDateType": "limited" if end else "unlimited",
        "InstanceMatchCriteria": reservation.match,
        "CreateDate": reservation.created,
        "Tags": tag_list(tags_of(backend, reservation)),
        "CapacityAllocations": [{"AllocationType": "used", "Count": used}] if used else [],
    }
    if end:
        answer["EndDate"] = end
    if reservation.is_block:
        # AWS may leave ReservationType out of an On-Demand reservation (dstack, pull request 1977).
        answer.update(ReservationType=reservation.kind, CapacityBlockId=reservation.block_id)
    if reservation.is_interruptible:
        answer.update(
            Interruptible=True,
            InterruptionInfo={
                "SourceCapacityReservationId": reservation.source_id,
                "InterruptionType": "adhoc",
            },
        )
    if reservation.ultra_server:
        answer["LaunchStatus"] = reservation.launch_status(now, world().interconnect)
    return answer


def known_type(name: str) -> Mapping[str, Any]:
    """The type's data, or EC2's refusal."""
    found: Mapping[str, Any] | None = INSTANCE_TYPES.get(name) or MORE_TYPES.get(name)
    if found is None:
        raise refuse("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    return found


def check_offered(backend: Any, instance_type: str, zone: str) -> None:
    """Refuse a type that the zone does not offer, naming the zones that do."""
    zones = backend.zones_of(instance_type)
    if zone not in zones:
        choices = f" or choosing {', '.join(zones)}" if zones else ""
        raise refuse(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
            f"({zone}). Please retry your request by not specifying an Availability Zone{choices}.",
        )


def _written(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.000Z}" if moment else ""


def _refuse_block(reservation: Reservation, what: str) -> None:
    if reservation.is_block:
        raise refuse(
            "OperationNotPermitted",
            f"The Capacity Block '{reservation.id}' can't be {what}.",
            inferred="block-is-fixed",
        )


def _at_least_one(count: int) -> int:
    if count < 1:
        raise refuse(
            "InvalidParameterValue",
            f"Value ({count}) for parameter instanceCount is invalid.",
            inferred="reservation-request-refused",
        )
    return count


def _zone(backend: Any, name: str | None, identifier: str | None) -> Any:
    zones = backend.describe_availability_zones()
    for zone in zones:
        if zone.name == name or (name is None and zone.zone_id == identifier):
            return zone
    if name is None and identifier is None:
        raise refuse(
            "MissingParameter",
            "The request must contain AvailabilityZone or AvailabilityZoneId.",
            inferred="reservation-request-refused",
        )
    raise refuse("InvalidParameterValue", f"Invalid availability zone: [{name or identifier}]")


def _end(kind: str | None, end: datetime | None) -> datetime | None:
    if (kind == "limited") != (end is not None):
        raise refuse(
            "InvalidParameterCombination",
            "EndDate goes with the EndDateType limited, and with no other.",
            inferred="reservation-request-refused",
        )
    return None if end is None else utc(end)
