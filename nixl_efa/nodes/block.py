"""The time that is left in the Capacity Block that the pair runs in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nixl_efa.aws_errors import error_code, missing_permission
from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.reservation import Reservation, from_api
from nixl_efa.findings import Finding, Level
from nixl_efa.times import moment, span

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

CHECK = "capacity"
WARN_BELOW = timedelta(hours=2)


def read(ec2: EC2Client, reservation_id: str, region: str) -> Reservation | Finding | None:
    """The reservation; None when no id is given; a finding when it can't be looked at."""
    if not reservation_id:
        return None
    command = _command(reservation_id, region)
    try:
        answer = ec2.describe_capacity_reservations(CapacityReservationIds=[reservation_id])
    except Exception as error:
        if permission := missing_permission(error):
            return Finding(Level.SKIP, CHECK, f"no permission to look: {permission}.", command=command)
        if error_code(error).startswith("InvalidCapacityReservationId"):
            return Finding(
                Level.FAIL, CHECK, f"{reservation_id} does not exist in {region}.", command=command
            )
        raise
    found = answer.get("CapacityReservations", [])
    if not found:
        return Finding(Level.FAIL, CHECK, f"{reservation_id} does not exist in {region}.", command=command)
    return from_api(found[0], region)


def finding(reservation: Reservation | Finding | None, now: datetime) -> Finding:
    """The reservation's state and the time that is left. WARN under two hours, FAIL when it is over."""
    if isinstance(reservation, Finding):
        return reservation
    if reservation is None:
        return Finding(Level.PASS, CHECK, "no reservation: nothing ends by itself.")
    command = _command(reservation.id, reservation.region)
    return replace(
        _of_block(reservation, now) if reservation.is_block else _on_demand(reservation), command=command
    )


def _command(reservation_id: str, region: str) -> str:
    return f"aws ec2 describe-capacity-reservations --region {region} --capacity-reservation-ids {reservation_id}"


def _of_block(block: Reservation, now: datetime) -> Finding:
    name = f"Capacity Block {block.id}"
    if block.state != "active":
        remedy = (
            "Buy another (`nixl-efa capacity`) and deploy into it."
            if block.is_dead
            else "Wait until it is active."
        )
        return Finding(Level.FAIL, CHECK, f"{name} is {block.state}.", remedy)
    if block.end is None:
        return Finding(Level.SKIP, CHECK, f"{name} is active, and EC2 names no end.")
    until = terminates_at(block.end, block.instance_type)
    left = until - now
    if left <= timedelta(0):
        message = f"{name}: EC2 begins to terminate at {moment(until)}, {span(-left)} ago."
        return Finding(Level.FAIL, CHECK, message, "Save what you need now.")
    message = (
        f"{name} is active; EC2 begins to terminate at {moment(until)}, in {span(left)}. "
        f"The block ends at {moment(block.end)}."
    )
    if left < WARN_BELOW:
        remedy = (
            "Save your work, or extend the block (`nixl-efa capacity extend`) up to one hour before its end."
        )
        return Finding(Level.WARN, CHECK, message, remedy)
    return Finding(Level.PASS, CHECK, message)


def _on_demand(reservation: Reservation) -> Finding:
    """Its end terminates nothing: instances go on outside of it (EC2 user guide, capacity-reservations-using)."""
    name = f"On-Demand reservation {reservation.id}"
    if reservation.state != "active":
        message = f"{name} is {reservation.state}: the pair goes on without reserved capacity."
        return Finding(
            Level.WARN, CHECK, message, "A stopped node may not come back: make another reservation."
        )
    if reservation.end is None:
        return Finding(Level.PASS, CHECK, f"{name} is active and has no end.")
    return Finding(
        Level.PASS,
        CHECK,
        f"{name} is active and ends at {moment(reservation.end)}; its instances go on after that.",
    )
