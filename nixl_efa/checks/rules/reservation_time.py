"""Whether the reservation can be used now, and for how long: its state and the time that is left."""

from __future__ import annotations

from datetime import datetime, timedelta

from nixl_efa.block_end import is_ultra_server, terminates_at
from nixl_efa.checks.facts import Facts, Reservation, Unseen
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import (
    aws,
    counted,
    failed,
    passed,
    skipped,
    unseen,
    warned,
)
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch
from nixl_efa.times import moment, span

# What DescribeCapacityReservations' states mean for a launch that are neither active nor still to come.
_GONE = {
    "expired": "its time is over",
    "cancelled": "it was cancelled",
    "cancelling": "it is being cancelled",
    "payment-failed": "its payment failed and AWS gave it up",
    "failed": "AWS could not provide it",
    "unsupported": "AWS can't provide it as asked",
    "unavailable": "its capacity can't be had at present",
}
_WAITING = {
    "payment-pending": "its payment is under way, which takes 5 minutes to 12 hours",
    "pending": "it is being made",
    "assessing": "AWS still decides whether it can provide it",
    "delayed": "AWS is late with its capacity",
}


def check(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """The reservation's state and time, and the health of an UltraServer's interconnect."""
    found = reservation.of(facts)
    if found is None:
        return []
    findings = [_state(launch, found, now)]
    if found.state not in _GONE and found.end is not None:
        findings.append(_time(launch, found, found.end, now))
    if found.is_block and is_ultra_server(found.instance_type):
        findings.append(_health(launch, facts, found))
    return findings


def ends_for_instances(found: Reservation, end: datetime) -> datetime:
    """When EC2 begins to terminate what runs in a reservation that ends. On-Demand Capacity Reservations
    terminate nothing: there it is the end itself."""
    return terminates_at(end, found.instance_type) if found.is_block else end


def _state(launch: Launch, found: Reservation, now: datetime) -> Finding:
    check, by_hand = "reservation state", reservation.command(launch, found.id)
    if found.state == "active":
        return passed(check, f"{found.id} is active.", by_hand)
    if found.state in _GONE:
        return failed(
            check,
            f"{found.id} is {found.state}: {_GONE[found.state]}.",
            "Name another reservation; `nixl-efa capacity search` finds blocks to buy.",
            by_hand,
        )
    if found.state == "scheduled":
        count = counted(found.size, "instance")
        starts = ""
        if found.start is not None:
            starts = f" It starts at {moment(found.start)}"
            starts += f", in {span(found.start - now)}." if found.start > now else "."
        message = f"{found.id} is scheduled, with {count}.{starts} EC2 refuses a launch before that."
    else:
        why = _WAITING.get(found.state, "EC2 lets nothing into it in this state")
        message = f"{found.id} is {found.state}: {why}."
    judged = failed if launch.at_once else warned
    return judged(check, message, f"`nixl-efa capacity wait {found.id}` waits until it is active.", by_hand)


def _time(launch: Launch, found: Reservation, end: datetime, now: datetime) -> Finding:
    check, by_hand = "reservation time", reservation.command(launch, found.id)
    stop = ends_for_instances(found, end)
    begins = max(now, found.start) if found.start is not None else now
    left = stop - begins
    ends = "EC2 begins to terminate its instances at" if found.is_block else "it ends at"
    when = f"{ends} {moment(stop)}" + (f" (the block ends at {moment(end)})" if found.is_block else "")
    if left <= timedelta(0):
        return failed(check, f"No time is left in {found.id}: {when}.", "Name another reservation.", by_hand)
    if left < timedelta(hours=launch.min_hours) and not found.is_block:
        return warned(
            check,
            f"{span(left)} are left in {found.id}: {when}. Its instances then run on as plain On-Demand "
            "ones.",
            "Give the reservation a later end.",
            by_hand,
        )
    if left < timedelta(hours=launch.min_hours):
        return failed(
            check,
            f"{span(left)} are left in {found.id}, less than the {launch.min_hours:g} h of min_hours: "
            f"{when}.",
            "Extend it (`nixl-efa capacity extend`, until one hour before its end), name another, or lower "
            "--min-hours.",
            by_hand,
        )
    return passed(check, f"{span(left)} of use are left: {when}.", by_hand)


def _health(launch: Launch, facts: Facts, found: Reservation) -> Finding:
    check, by_hand = "block health", aws(launch, "ec2", "describe-capacity-block-status")
    if isinstance(facts.block_health, Unseen):
        return unseen(check, facts.block_health, by_hand)
    health = next((each for each in facts.block_health if found.id in each.reservation_ids), None)
    if health is None:
        return skipped(
            check, f"The UltraServer of {found.id} has no status before it is active.", "", by_hand
        )
    if health.interconnect != "ok":
        return failed(
            check,
            f"The interconnect of {found.id}'s UltraServer is {health.interconnect}.",
            "Wait until it is ok, or ask AWS Support.",
            by_hand,
        )
    return passed(check, f"The interconnect of {found.id}'s UltraServer is ok.", by_hand)
