"""The time that is left in the Capacity Block that the pair runs in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nixl_efa.aws import error_code
from nixl_efa.aws_errors import missing_permission
from nixl_efa.capacity.reservation import Reservation, from_api
from nixl_efa.findings import Finding, Level

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

CHECK = "capacity"
# EC2 begins to terminate a block's instances so long before its end (EC2 user guide, capacity-blocks-monitor).
LEAD = timedelta(minutes=30)
ULTRA_SERVER_LEAD = timedelta(minutes=60)
# The families that come in UltraServers (EC2 user guide, ec2-ultraserver).
ULTRA_SERVER_FAMILIES = ("p6e-", "trn2u.")
WARN_BELOW = timedelta(hours=2)


def read(ec2: EC2Client, reservation_id: str, region: str) -> Reservation | Finding | None:
    """The reservation; None when no id is given; a finding when it can't be looked at."""
    if not reservation_id:
        return None
    command = f"aws ec2 describe-capacity-reservations --capacity-reservation-ids {reservation_id}"
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


def usable_until(reservation: Reservation) -> datetime | None:
    """The moment at which EC2 begins to terminate a block's instances; None for a block without an end."""
    if reservation.end is None:
        return None
    ultra = reservation.instance_type.startswith(ULTRA_SERVER_FAMILIES)
    return reservation.end - (ULTRA_SERVER_LEAD if ultra else LEAD)


def finding(reservation: Reservation | Finding | None, now: datetime) -> Finding:
    """The reservation's state and the time that is left. WARN under two hours, FAIL when it is over."""
    if isinstance(reservation, Finding):
        return reservation
    if reservation is None:
        return Finding(Level.PASS, CHECK, "no reservation: nothing ends by itself.")
    command = f"aws ec2 describe-capacity-reservations --capacity-reservation-ids {reservation.id}"
    return replace(
        _of_block(reservation, now) if reservation.is_block else _on_demand(reservation), command=command
    )


def _of_block(block: Reservation, now: datetime) -> Finding:
    name = f"Capacity Block {block.id}"
    if block.state != "active":
        remedy = (
            "Buy another (`nixl-efa capacity`) and deploy into it."
            if block.is_dead
            else "Wait until it is active."
        )
        return Finding(Level.FAIL, CHECK, f"{name} is {block.state}.", remedy)
    until = usable_until(block)
    if until is None or block.end is None:
        return Finding(Level.SKIP, CHECK, f"{name} is active, and EC2 names no end.")
    left = until - now
    if left <= timedelta(0):
        message = f"{name}: EC2 begins to terminate at {_utc(until)}, {duration(-left)} ago."
        return Finding(Level.FAIL, CHECK, message, "Save what you need now.")
    message = (
        f"{name} is active; EC2 begins to terminate at {_utc(until)}, in {duration(left)}. "
        f"The block ends at {_utc(block.end)}."
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
        f"{name} is active and ends at {_utc(reservation.end)}; its instances go on after that.",
    )


def duration(span: timedelta) -> str:
    """A span in words: "2 d 3 h", "1 h 05 min", "12 min". Seconds are cut off."""
    minutes = int(span.total_seconds() // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
