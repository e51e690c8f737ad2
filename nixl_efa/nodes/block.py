"""The reservation that the pair runs in: its state, and in a Capacity Block the time that is left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import result
from nixl_efa.aws_errors import error_code, missing_permission
from nixl_efa.capacity import extension, parameters
from nixl_efa.capacity.environment import next_finding
from nixl_efa.capacity.judge import command, state_finding, stops_at
from nixl_efa.capacity.reservation import ON_DEMAND, Reservation, from_api, unknown
from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, Level, failed, passed, skipped, warned
from nixl_efa.launch import Launch
from nixl_efa.nodes.causes import is_interruptible
from nixl_efa.times import moment, span

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

CHECK = "capacity"
WARN_BELOW = timedelta(hours=2)
SPOT = "spot"


def read(ec2: EC2Client, reservation_id: str, region: str) -> Reservation | Finding | None:
    """The reservation, unknown where EC2 does not know it; None without an id; a finding when looking is denied."""
    if not reservation_id:
        return None
    try:
        answer = ec2.describe_capacity_reservations(CapacityReservationIds=[reservation_id])
    except Exception as error:
        if permission := missing_permission(error):
            return skipped(
                CHECK, f"no permission to look: {permission}.", command=command(reservation_id, region)
            )
        if error_code(error).startswith("InvalidCapacityReservationId"):
            return unknown(reservation_id, region)
        raise
    found = result(answer, "CapacityReservations")
    return from_api(found[0], region) if found else unknown(reservation_id, region)


def read_more(
    ec2: EC2Client, ssm: SSMClient, reservation: Reservation | Finding | None, launch: Launch, clock: Clock
) -> tuple[Finding, ...]:
    """What else is to be known of a Capacity Block: its extension, and the block that follows it. What may not be
    looked at is said."""
    if not isinstance(reservation, Reservation) or not reservation.is_block:
        return ()
    source, found = launch.reservation, []
    try:
        last = extension.newest(extension.extensions_of(ec2, [reservation.id], clock.sleep), reservation.id)
        found.append(extension.finding(last))
        next_id = parameters.read(ssm, source.next_id_parameter).value
        if next_id and next_id != reservation.id:
            following = read(ec2, next_id, launch.region)
            if isinstance(following, Reservation):
                found.append(next_finding(following, launch, clock.now(), reservation))
    except parameters.SecretParameter as error:
        found.append(warned(CHECK, f"The next block is not known. {error.message}.", ""))
    except Exception as error:
        permission = missing_permission(error)
        if not permission:
            raise
        found.append(skipped(CHECK, f"no permission to look: {permission}."))
    return tuple(one for one in found if one is not None)


def findings(
    reservation: Reservation | Finding | None,
    now: datetime,
    more: tuple[Finding, ...] = (),
    markets: Collection[str] = (ON_DEMAND,),
) -> tuple[Finding, ...]:
    """What ends the pair, and when, as one finding; then what else is known of the block.

    markets: of the nodes that run (InstanceLifecycle); none when no node runs.
    """
    if reservation is None and SPOT in markets:
        # EC2 user guide, spot-instance-termination-notices.
        found = passed(
            CHECK,
            "Spot Instances: EC2 can take them back at any time, with two minutes' notice"
            " (on the node: spot/instance-action of the instance metadata).",
        )
    elif reservation is None:
        found = passed(CHECK, "no reservation: nothing ends by itself.")
    elif isinstance(reservation, Finding):
        found = reservation
    else:
        by_hand = command(reservation.id, reservation.region)
        found = replace(_of_reservation(reservation, now, markets), check=CHECK, command=by_hand)
    return (found, *more)


def _of_reservation(reservation: Reservation, now: datetime, markets: Collection[str]) -> Finding:
    """What the reservation means for nodes that run in it. As for a launch at once, its state must be active; but
    the end of an On-Demand one terminates nothing (EC2 user guide, capacity-reservations-using)."""
    if markets and any(is_interruptible(market, reservation) for market in markets):
        return warned(
            CHECK,
            f"{reservation.id} is interruptible: its owner can take the capacity back at any time, and EC2 then"
            " terminates the nodes, with two minutes' notice.",
            "Keep on the nodes only what may be lost.",
        )
    state = state_finding(reservation, now, must_be_active=True)
    if reservation.kind == ON_DEMAND and state.level is Level.FAIL:
        remedy = "A stopped node may not come back: make another reservation."
        return warned(CHECK, f"{state.message} The pair goes on without reserved capacity.", remedy)
    if state.level is Level.FAIL:
        return state
    until = stops_at(reservation)
    if not reservation.is_block:
        ends = f"ends at {moment(until)}; its instances go on after that" if until else "has no end"
        return passed(CHECK, f"On-Demand reservation {reservation.id} is active and {ends}.")
    name = f"Capacity Block {reservation.id}"
    if until is None or reservation.end is None:
        return skipped(CHECK, f"{name} is active, and EC2 names no end.")
    left = until - now
    if left <= timedelta(0):
        message = f"{name} is at its end: EC2 began to terminate at {moment(until)}, {span(-left)} ago."
        save = "Save what you need now. " if markets else ""
        return failed(CHECK, message, f"{save}`nixl-efa capacity search` finds another block.")
    message = (
        f"{name} is active; EC2 begins to terminate at {moment(until)}, in {span(left)}."
        f" The block ends at {moment(reservation.end)}."
    )
    if left < WARN_BELOW:
        remedy = (
            "Save your work, or extend the block (`nixl-efa capacity extend`) up to one hour before its end."
        )
        return warned(CHECK, message, remedy)
    return passed(CHECK, message)
