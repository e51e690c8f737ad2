"""Interruptible Capacity Reservations: places of a reservation that its owner lends and can take back.

EC2 user guide, interruptible-capacity-reservations, capacity-owner-procedures, capacity-consumer-procedures; the API's
actions CreateInterruptibleCapacityReservationAllocation and UpdateInterruptibleCapacityReservationAllocation.
"""

from dataclasses import replace
from datetime import timedelta

from moto.core.responses import ActionResult
from moto.ec2.utils import random_id

from local_aws.ec2.api import Actions, idempotent, only_tags_for, refuse
from local_aws.ec2.reservations import find, not_in_state
from local_aws.world import world

NOTICE = timedelta(minutes=2)


class InterruptibleActions(Actions):
    """Mixed into the EC2 response class."""

    @idempotent
    def create_interruptible_capacity_reservation_allocation(self) -> ActionResult:
        """Lend unused places: they move into a new, targeted reservation."""
        backend, now = self.ec2_backend, world().clock.now()
        source = find(backend, self._get_param("CapacityReservationId"))
        count = int(self._get_param("InstanceCount"))
        tags = only_tags_for("capacity-reservation", self._get_param("TagSpecifications", []))
        if source.is_block or source.state(now) != "active" or source.end(now):
            raise not_in_state(source, now)
        if not 1 <= count <= backend.free_in(source):
            raise refuse(
                "InvalidParameterValue",
                f"Value ({count}) for parameter instanceCount is invalid.",
                inferred="interruptible-count",
            )
        self.error_on_dryrun()
        source.count -= count
        lent = replace(
            source,
            id=random_id("cr"),
            count=count,
            created=now,
            start=now,
            match="targeted",
            source_id=source.id,
            returning=[],
            extensions=[],
        )
        backend.add_reservation(lent, tags)
        return ActionResult(
            {
                "SourceCapacityReservationId": source.id,
                "TargetInstanceCount": count,
                "Status": "active",
                "InterruptionType": "adhoc",
            }
        )

    def update_interruptible_capacity_reservation_allocation(self) -> ActionResult:
        """Take places back: instances of others end two minutes later. If no place is left, the lent reservation is
        cancelled."""
        backend, now = self.ec2_backend, world().clock.now()
        source = find(backend, self._get_param("CapacityReservationId"))
        target = int(self._get_param("TargetInstanceCount"))
        lent = next(
            (each for each in backend.capacity_reservations.values() if each.source_id == source.id), None
        )
        if lent is None or not 0 <= target <= lent.count:
            raise refuse(
                "InvalidParameterValue",
                f"Value ({target}) for parameter targetInstanceCount is invalid.",
                inferred="interruptible-count",
            )
        self.error_on_dryrun()
        before = lent.count
        source.count += before - target
        lent.count = target
        lent.taken_back = now + NOTICE
        return ActionResult(
            {
                "InterruptibleCapacityReservationId": lent.id,
                "SourceCapacityReservationId": source.id,
                "InstanceCount": before,
                "TargetInstanceCount": target,
                "Status": "updating",
                "InterruptionType": "adhoc",
            }
        )
