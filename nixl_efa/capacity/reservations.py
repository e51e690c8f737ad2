"""Looking at Capacity Reservations, of one region or of many side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import all_items, ask_all, patiently
from nixl_efa.aws_errors import error_code
from nixl_efa.capacity.reservation import Reservation, from_api
from nixl_efa.failure import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

Sleep = Callable[[float], None]


def reservations_in(ec2: EC2Client, region: str, sleep: Sleep) -> list[Reservation]:
    """Every reservation of a region, blocks and On-Demand ones."""
    items = all_items(ec2.describe_capacity_reservations, "CapacityReservations", sleep)
    return [from_api(payload, region) for payload in items]


def reservations_of(
    ec2_of: Callable[[str], EC2Client],
    regions: Sequence[str],
    sleep: Sleep,
    done: Callable[[str], None] = lambda _: None,
) -> tuple[list[Reservation], dict[str, Exception]]:
    """Every reservation of the regions, asked side by side, and the regions that failed with their errors."""
    answers, errors = ask_all(regions, lambda region: reservations_in(ec2_of(region), region, sleep), done)
    return [reservation for found in answers.values() for reservation in found], errors


def find_reservation(ec2: EC2Client, region: str, reservation_id: str, sleep: Sleep) -> Reservation | None:
    """The reservation with this id in this region; None when the region has none."""
    try:
        answer = patiently(
            lambda: ec2.describe_capacity_reservations(CapacityReservationIds=[reservation_id]), sleep
        )
    except Exception as error:
        if error_code(error) == "InvalidCapacityReservationId.NotFound":
            return None
        raise
    found = [from_api(payload, region) for payload in answer["CapacityReservations"]]
    return found[0] if found else None


def locate(
    ec2_of: Callable[[str], EC2Client], regions: Sequence[str], reservation_id: str, sleep: Sleep
) -> Reservation:
    """The reservation with this id in one of the regions. Failure when none of them has it."""
    answers, errors = ask_all(
        regions, lambda region: find_reservation(ec2_of(region), region, reservation_id, sleep)
    )
    for reservation in answers.values():
        if reservation is not None:
            return reservation
    for error in errors.values():
        raise error
    where = regions[0] if len(regions) == 1 else f"any of {len(regions)} regions"
    raise Failure(
        f"there is no reservation {reservation_id} in {where}. `nixl-efa capacity list --region all` "
        f"shows those "
        f"of this account."
    )
