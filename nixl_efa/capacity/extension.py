"""More time for a Capacity Block: what AWS offers, and when it can be had.

Source: EC2 user guide, capacity-blocks-extend: the block is active or scheduled, no extension's payment is
pending, and it is between 56 days and 1 hour before its end; the reservation's id stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import all_items
from nixl_efa.capacity.offering import fee_of, utc
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.failure import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

EARLIEST = timedelta(days=56)
LATEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ExtensionOffering:
    """More hours for one block: from its present end to a later one, for a total fee in `currency`."""

    id: str
    reservation_id: str
    instance_type: str
    count: int
    zone: str
    start: datetime
    end: datetime
    fee: Decimal
    currency: str


def check_extendable(block: Reservation, now: datetime) -> None:
    """Failure when AWS would not extend this reservation now, with the reason and when it would."""
    if not block.is_block or block.end is None:
        raise Failure(
            f"{block.id} is no Capacity Block: an On-Demand Capacity Reservation lasts until it is cancelled"
        )
    if block.state not in ("active", "scheduled"):
        raise Failure(f"{block.id} is {block.state}: only a scheduled or active block can be extended")
    if now > block.end - LATEST:
        raise Failure(
            f"{block.id} ends at {block.end:%Y-%m-%d %H:%M} UTC: it can be extended until 1 hour before"
        )
    if now < block.end - EARLIEST:
        raise Failure(
            f"{block.id} can be extended from {block.end - EARLIEST:%Y-%m-%d %H:%M} UTC, 56 days before"
        )


def extension_offerings(
    ec2: EC2Client, block: Reservation, hours: int, sleep: Callable[[float], None]
) -> list[ExtensionOffering]:
    """What AWS offers to extend the block by so many hours, the cheapest first."""
    request = {"CapacityReservationId": block.id, "CapacityBlockExtensionDurationHours": hours}
    items = all_items(
        ec2.describe_capacity_block_extension_offerings, "CapacityBlockExtensionOfferings", sleep, request
    )
    return sorted((from_api(payload, block.id) for payload in items), key=lambda offering: offering.fee)


def from_api(payload: Mapping[str, Any], reservation_id: str) -> ExtensionOffering:
    """An offering from its payload and the reservation that it was asked for."""
    return ExtensionOffering(
        id=payload["CapacityBlockExtensionOfferingId"],
        reservation_id=reservation_id,
        instance_type=payload.get("InstanceType", ""),
        count=payload.get("InstanceCount", 0),
        zone=payload.get("AvailabilityZone", ""),
        start=utc(payload["CapacityBlockExtensionStartDate"]),
        end=utc(payload["CapacityBlockExtensionEndDate"]),
        fee=fee_of(payload.get("UpfrontFee")),
        currency=payload.get("CurrencyCode", "USD"),
    )
