"""Capacity Reservations of other accounts: those that RAM shares with this one, and who uses a reservation.

EC2 user guide, capacity-reservation-sharing; EC2 API, GetCapacityReservationUsage.
"""

from collections.abc import Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ram.models import ram_backends

from local_aws.ec2.api import Actions
from local_aws.ec2.reservation import Reservation
from local_aws.ec2.reservations import find
from local_aws.world import world


class SharingActions(Actions):
    """Mixed into the EC2 response class."""

    def get_capacity_reservation_usage(self) -> ActionResult:
        """How many instances of its owner, and of each account that it is shared with, run in a reservation."""
        backend, now = self.ec2_backend, world().clock.now()
        reservation = find(backend, self._get_param("CapacityReservationId"))
        self.error_on_dryrun()
        used = {each.account_id: each.instances_of(reservation.id) for each in accounts(backend.region_name)}
        usages = [
            {"AccountId": account, "UsedInstanceCount": count}
            for account, count in used.items()
            if count or account == reservation.owner
        ]
        return ActionResult(
            {
                "CapacityReservationId": reservation.id,
                "InstanceType": reservation.instance_type,
                "TotalInstanceCount": reservation.total(now),
                "AvailableInstanceCount": backend.free_in(reservation),
                "State": reservation.state(now),
                "Interruptible": reservation.is_interruptible,
                "InstanceUsages": usages,
            }
        )


def accounts(region: str) -> list[Any]:
    """The EC2 backends of every account in a region."""
    return [backends[region] for backends in list(ec2_backends.values()) if region in backends]


def shared_with(backend: Any) -> Iterator[Reservation]:
    """The reservations of other accounts that RAM shares with a backend's account."""
    for other in accounts(backend.region_name):
        if other.account_id == backend.account_id or other.account_id not in ram_backends:
            continue
        for share in ram_backends[other.account_id][backend.region_name].resource_shares:
            if share.status != "ACTIVE" or backend.account_id not in share.principals:
                continue
            for arn in share.resource_arns:
                if found := other.capacity_reservations.get(arn.rpartition("/")[2]):
                    yield found
