"""Is the reservation there, and is it one for this launch: kind, type, platform, tenancy, zone, room."""

from __future__ import annotations

import re
from datetime import datetime

from nixl_efa.checks.facts import Elsewhere, Facts, Reservation, Unseen
from nixl_efa.checks.rules.common import (
    aws,
    counted,
    failed,
    listed,
    parameter_call,
    passed,
    unseen,
    warned,
)
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch

# 17 hexadecimal digits today; EC2's older resources have 8.
_WELL_FORMED = re.compile(r"cr-([0-9a-f]{8}|[0-9a-f]{17})")
_RUNNING_NOW = ("pending", "running")


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """Everything about the reservation but its state and its time (reservation_time)."""
    if not launch.reservation.is_named:
        return [_none_named(launch)]
    if isinstance(facts.reservation_id, Unseen):
        return [unseen("reservation", facts.reservation_id, _parameter_command(launch))]
    name = facts.reservation_id
    if name is None:
        return [_no_parameter(launch)]
    if not is_well_formed(name):
        return [_malformed(launch, name)]
    if isinstance(facts.reservations, Unseen):
        return [unseen("reservation", facts.reservations, command(launch, name))]
    found = of(facts)
    if found is None:
        return [_missing(launch, facts, name)]
    return [
        _exists(launch, facts, found),
        _kind(launch, found),
        _type(launch, found),
        _platform(launch, found),
        _tenancy(launch, found),
        _zone(launch, facts, found),
        _room(launch, facts, found),
        _others(launch, facts, found),
    ]


def of(facts: Facts) -> Reservation | None:
    """The launch's reservation among those seen in its region, None when it isn't there or wasn't seen."""
    if isinstance(facts.reservations, Unseen) or isinstance(facts.reservation_id, Unseen):
        return None
    return next((each for each in facts.reservations if each.id == facts.reservation_id), None)


def is_well_formed(reservation_id: str) -> bool:
    """Whether a text has the form of a reservation's id."""
    return _WELL_FORMED.fullmatch(reservation_id) is not None


def command(launch: Launch, name: str, region: str = "") -> str:
    """The AWS CLI call that shows a reservation."""
    return aws(
        launch, "ec2", "describe-capacity-reservations", "--capacity-reservation-ids", name, region=region
    )


def _parameter_command(launch: Launch) -> str:
    return parameter_call(launch, launch.reservation.id_parameter)


def _none_named(launch: Launch) -> Finding:
    if launch.market == "capacity-block":
        return failed(
            "reservation",
            "use_capacity_block is set, but no reservation is named; EC2 refuses such a launch.",
            "Set capacity_reservation_id, or capacity_reservation_parameter to the parameter that holds it; "
            "`nixl-efa capacity list` shows your blocks.",
            aws(launch, "ec2", "describe-capacity-reservations"),
        )
    word = "as Spot Instances" if launch.market == "spot" else "On-Demand"
    return passed("reservation", f"No reservation is named: the pair is launched {word}.")


def _no_parameter(launch: Launch) -> Finding:
    return failed(
        "reservation",
        f"The parameter {launch.reservation.id_parameter} (capacity_reservation_parameter) does not exist in "
        f"{launch.region}.",
        f"`nixl-efa capacity save ID --env {launch.environment}` writes it; or set capacity_reservation_id.",
        _parameter_command(launch),
    )


def _malformed(launch: Launch, name: str) -> Finding:
    source = (
        "capacity_reservation_id"
        if launch.reservation.id
        else f"the parameter {launch.reservation.id_parameter}"
    )
    return failed(
        "reservation",
        f"{name!r}, from {source}, is no reservation's id: that is cr- and 17 digits or letters a to f.",
        "Copy the whole id; `nixl-efa capacity list` shows your reservations.",
        aws(launch, "ec2", "describe-capacity-reservations"),
    )


def _missing(launch: Launch, facts: Facts, name: str) -> Finding:
    where = f"{name} is not in {launch.region}"
    elsewhere = facts.elsewhere
    if isinstance(elsewhere, Unseen):
        why = f"no permission: {elsewhere.permission}" if elsewhere.denied else elsewhere.reason
        return failed(
            "reservation",
            f"{where}; other regions could not be asked ({why}).",
            "Copy the id from the list of your reservations, and set the region that holds it.",
            command(launch, name),
        )
    if elsewhere is not None and elsewhere.found:
        there = elsewhere.found[0]
        return failed(
            "reservation",
            f"{where}; it is in {there.region} ({there.instance_type}, zone {there.zone}, {there.state}, "
            f"owner {there.owner}).",
            f"Set region = {there.region!r} and its zone and subnet, or name a reservation of "
            f"{launch.region}.",
            command(launch, name, there.region),
        )
    return _nowhere(launch, facts, where, elsewhere, name)


def _nowhere(launch: Launch, facts: Facts, where: str, elsewhere: Elsewhere | None, name: str) -> Finding:
    message = f"{where}"
    if elsewhere is not None:
        message += f", nor in any of the {counted(len(elsewhere.asked), 'other region')} that were asked"
        if elsewhere.not_asked:
            message += f" (no answer from {listed(elsewhere.not_asked)})"
    account = "" if isinstance(facts.account, Unseen) else f" {facts.account.account}"
    remedy = (
        f"Check the id and that account{account} is the right one. A reservation of another account "
        "is visible only while it is shared with yours (`aws ram get-resource-shares "
        "--resource-owner OTHER-ACCOUNTS`)."
    )
    if not isinstance(facts.reservations, Unseen):
        alike = [each.id for each in facts.reservations if each.instance_type == launch.instance_type]
        if alike:
            remedy += f" For {launch.instance_type} this region has {listed(alike)}."
    return failed("reservation", f"{message}.", remedy, command(launch, name))


def _exists(launch: Launch, facts: Facts, found: Reservation) -> Finding:
    message = f"{found.id} is in {launch.region}: {counted(found.size, 'instance')} of {found.instance_type}."
    if not isinstance(facts.account, Unseen) and found.owner and found.owner != facts.account.account:
        message += f" Account {found.owner} shares it with yours."
    return passed("reservation", message, command(launch, found.id))


def _kind(launch: Launch, found: Reservation) -> Finding:
    check, by_hand = "reservation kind", command(launch, found.id)
    if launch.market == "spot":
        return failed(
            check,
            "Spot Instances can't run in a reservation, and the settings ask for both.",
            "Set spot = false, or remove the reservation.",
            by_hand,
        )
    if launch.market == "capacity-block" and not found.is_block:
        return failed(
            check,
            f"{found.id} is an On-Demand Capacity Reservation, but use_capacity_block is set.",
            "Set use_capacity_block = false, or name a Capacity Block.",
            by_hand,
        )
    if found.is_block and launch.market != "capacity-block":
        return failed(
            check,
            f"{found.id} is a Capacity Block, but use_capacity_block is not set; EC2 lets nothing into a "
            "block "
            "without the market type capacity-block.",
            "Set use_capacity_block = true.",
            by_hand,
        )
    kind = "a Capacity Block" if found.is_block else "an On-Demand Capacity Reservation"
    return passed(check, f"{found.id} is {kind}, as the settings say.", by_hand)


def _type(launch: Launch, found: Reservation) -> Finding:
    if found.instance_type != launch.instance_type:
        return failed(
            "reservation type",
            f"{found.id} is for {found.instance_type}, but instance_type is {launch.instance_type}.",
            f"Set instance_type = {found.instance_type!r}, or name a reservation for {launch.instance_type}.",
            command(launch, found.id),
        )
    return passed("reservation type", f"It is for {found.instance_type}.", command(launch, found.id))


def _platform(launch: Launch, found: Reservation) -> Finding:
    if found.platform.startswith("Windows"):
        return failed(
            "reservation platform",
            f"{found.id} is for {found.platform}; the pair runs Linux.",
            "Name a reservation whose platform is Linux/UNIX.",
            command(launch, found.id),
        )
    return passed("reservation platform", f"Its platform is {found.platform}.", command(launch, found.id))


def _tenancy(launch: Launch, found: Reservation) -> Finding:
    if found.tenancy not in ("", "default"):
        return failed(
            "reservation tenancy",
            f"{found.id} has tenancy {found.tenancy}; the pair is launched with default tenancy.",
            "Name a reservation with default tenancy.",
            command(launch, found.id),
        )
    return passed("reservation tenancy", "Its tenancy is default.", command(launch, found.id))


def _zone(launch: Launch, facts: Facts, found: Reservation) -> Finding:
    by_hand = command(launch, found.id)
    wanted = "" if isinstance(facts.zone, Unseen) else facts.zone
    if wanted and wanted != found.zone:
        return failed(
            "reservation zone",
            f"{found.id} is in {found.zone}, but the wanted zone is {wanted}.",
            f"Set availability_zone = {found.zone!r} and a subnet there.",
            by_hand,
        )
    subnet = facts.subnet
    if subnet is not None and subnet.zone != found.zone:
        return failed(
            "reservation zone",
            f"{found.id} is in {found.zone}, but the subnet {subnet.id} is in {subnet.zone}.",
            f"Set availability_zone = {found.zone!r}, or subnet_id to a subnet of that zone.",
            by_hand,
        )
    return passed("reservation zone", f"It is in {found.zone}, as is the pair.", by_hand)


def _room(launch: Launch, facts: Facts, found: Reservation) -> Finding:
    by_hand = command(launch, found.id)
    running = () if isinstance(facts.running, Unseen) else facts.running
    inside = [each for each in running if each.reservation_id == found.id]
    mine = sum(each.own and each.state in _RUNNING_NOW for each in inside)
    free = found.free + mine if found.state == "active" else found.size
    if free >= launch.count:
        when = "free" if found.state == "active" else "in it once it is active"
        held = f", {mine} of them held by this stack" if mine else ""
        return passed(
            "reservation room", f"{free} of {counted(found.size, 'instance')} {when}{held}.", by_hand
        )
    leaving = [each.id for each in inside if each.state not in _RUNNING_NOW]
    remedy = "End other instances in it, or name a larger reservation."
    if leaving:
        remedy = f"{listed(leaving)} is ending; its place is free again some minutes later. " + remedy
    return failed(
        "reservation room",
        f"{free} of {counted(found.size, 'instance')} in {found.id} can be had; the pair takes "
        f"{launch.count}.",
        remedy,
        by_hand,
    )


def _others(launch: Launch, facts: Facts, found: Reservation) -> Finding:
    by_hand = aws(
        launch, "ec2", "describe-instances", "--filters", f"Name=capacity-reservation-id,Values={found.id}"
    )
    if isinstance(facts.running, Unseen):
        return unseen("reservation use", facts.running, by_hand)
    others = [each for each in facts.running if each.reservation_id == found.id and not each.own]
    if others:
        names = listed(f"{each.id} ({each.name})" if each.name else each.id for each in others)
        return warned(
            "reservation use",
            f"Others are already in {found.id}: {names}.",
            "Make sure that they are meant to share it with this pair.",
            by_hand,
        )
    return passed("reservation use", f"No other stack is in {found.id}.", by_hand)
