"""Whether a reservation fits a launch. All of buy, save, load, list, check, status and deploy use this judge. Pure.

Sources, where no other is named: EC2 user guide, capacity-blocks-launch (what must match), capacity-blocks-view
and EC2 API reference, CapacityReservation (the states).
"""

import re
from dataclasses import replace
from datetime import datetime, timedelta

from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.reservation import INTERRUPTIBLE, OFFERED, UNKNOWN, Reservation
from nixl_efa.capacity.room import Use, room_findings
from nixl_efa.findings import Finding, aws_call, counted, failed, passed, skipped, warned
from nixl_efa.image import image_parameter
from nixl_efa.launch import Launch
from nixl_efa.settings.values import RESERVATION_ID
from nixl_efa.times import moment, span

LINUX = "Linux/UNIX"
# Part of the ARN of a group of reservations (EC2 API, CapacityReservationTarget, CapacityReservationResourceGroupArn).
GROUP = ":resource-groups:"
# LaunchStatus of an UltraServer's reservation (botocore, CapacityReservationLaunchStatus).
UNLAUNCHABLE = "unlaunchable"
# What each state of botocore's CapacityReservationState means for a launch. In "active" instances can be launched, in
# reservation.DEAD_STATES they never can again, and every other state may still become active.
#
# AWS does not describe "unavailable". The nearest description is "capacity that is unavailable for use due to a system
# status check failure" (EC2 API reference, CapacityBlockStatus): nothing can be launched now, but nothing says that
# the block is lost. So it counts as living and not usable yet: a block that was paid for must not be given up, or
# bought again, because of a guess.
MEANINGS = {
    "active": "its capacity can be used",
    "scheduled": "it has not started yet",
    "payment-pending": "its payment is under way, which takes 5 minutes to 12 hours",
    "pending": "its capacity is still being provided",
    "assessing": "AWS still decides whether it can provide it",
    "delayed": "AWS is late with its capacity",
    "unavailable": "its capacity can't be used at present, for reasons of AWS's",
    "expired": "its time is over",
    "cancelled": "it was cancelled",
    "cancelling": "it is being cancelled",
    "payment-failed": "its payment failed and AWS gave it up",
    "failed": "AWS could not provide it",
    "unsupported": "AWS can't provide it as asked",
}


def judge(
    reservation: Reservation,
    launch: Launch,
    now: datetime,
    *,
    zone: str = "",
    subnet_id: str = "",
    subnet_zone: str = "",
    tenancy: str = "default",
    account: str = "",
    use: Use | None = None,
) -> list[Finding]:
    """What speaks for and against launching into a reservation, or into an offering before it is bought (OFFERED).

    zone:      the zone that is stored beside the reservation's id.
    subnet_id, subnet_zone: the nodes' subnet, where it is known.
    tenancy:   the tenancy of instances in the nodes' VPC, where it is known.
    account:   the account of the credentials.
    use:       what runs in the reservation; None when that was not looked up.
    """
    offered = reservation.state == OFFERED
    if not offered and not is_well_formed(reservation.id):
        return [_malformed(launch, repr(reservation.id))]
    findings = []
    if reservation.state != UNKNOWN:
        findings += [
            _place(reservation, launch, account or launch.account_id),
            _kind(reservation, launch),
            _type(reservation, launch),
            _platform(reservation, launch),
            _tenancy(reservation, tenancy),
            _zone(reservation, launch, zone, subnet_id, subnet_zone),
            _placement(reservation, launch),
        ]
    if reservation.state != UNKNOWN and not reservation.is_dead:
        findings += [
            *_room(reservation, launch, use, now),
            *_time(reservation, launch, now),
        ]
    findings.append(state_finding(reservation, now, must_be_active=launch.must_be_active))
    # EC2 has no call that shows an offering by its id.
    by_hand = "" if offered else command(reservation.id, reservation.region, launch.profile)
    return [each if each.command else replace(each, command=by_hand) for each in findings]


def is_well_formed(reservation_id: str) -> bool:
    """Whether a text has the form of a reservation's id."""
    return re.fullmatch(RESERVATION_ID, reservation_id) is not None


def command(reservation_id: str, region: str, profile: str = "") -> str:
    """The AWS CLI call that shows a reservation."""
    words = ("--capacity-reservation-ids", reservation_id)
    return aws_call("ec2", "describe-capacity-reservations", *words, region=region, profile=profile)


def id_finding(launch: Launch, reservation_id: str) -> Finding | None:
    """The finding when there is no reservation to look up; None when there is one.

    reservation_id: from the settings, or from the parameter that they name; empty when that holds none.
    """
    source = launch.reservation
    if not source.is_named and launch.market == "capacity-block":
        return failed(
            "reservation",
            "use_capacity_block is set, but no reservation is named; EC2 refuses such a launch.",
            "Set capacity_reservation_id, or capacity_reservation_parameter to the parameter that holds it;"
            " `nixl-efa capacity list` shows your blocks.",
            aws_call("ec2", "describe-capacity-reservations", region=launch.region, profile=launch.profile),
        )
    if not source.is_named:
        word = "as Spot Instances" if launch.market == "spot" else "On-Demand"
        return passed("reservation", f"No reservation is named: the nodes are launched {word}.")
    if not reservation_id:
        return failed(
            "reservation",
            f"The parameter {source.id_parameter} (capacity_reservation_parameter) does not exist in {launch.region}.",
            f"`nixl-efa capacity save ID --env {launch.reservation.target}` writes it; or set capacity_reservation_id.",
            parameter_command(launch),
        )
    if is_well_formed(reservation_id):
        return None
    where = (
        source.set_by or "capacity_reservation_id" if source.id else f"the parameter {source.id_parameter}"
    )
    return _malformed(launch, f"{reservation_id!r}, from {where},")


def parameter_command(launch: Launch) -> str:
    """The AWS CLI call that shows the parameter that holds the reservation's id."""
    name = launch.reservation.id_parameter
    return aws_call("ssm", "get-parameter", "--name", name, region=launch.region, profile=launch.profile)


def state_finding(reservation: Reservation, now: datetime, *, must_be_active: bool) -> Finding:
    """Whether instances can be launched into it, by its state alone.

    must_be_active: a state that may still become active is a FAIL if this is true, else a WARN.
    """
    check, name, state = "reservation state", reservation.id, reservation.state
    starts = ""
    if reservation.start is not None and reservation.start > now:
        starts = f" It starts at {moment(reservation.start)}, in {span(reservation.start - now)}."
    if state == "active" and reservation.launch_status == UNLAUNCHABLE:
        return failed(
            check,
            f"{name} is active, but EC2 launches nothing into it at present (LaunchStatus {UNLAUNCHABLE}).",
            "Look again in some minutes; if it stays so, ask AWS Support: the UltraServer may be impaired.",
        )
    if state == "active":
        return passed(check, f"{name} is active.")
    if state == OFFERED:
        return passed(check, f"{name} is offered.{starts or ' It starts when it is bought.'}")
    if state == UNKNOWN:
        return failed(
            check,
            f"EC2 does not know {name} in {reservation.region} (yet).",
            "EC2 shows a new reservation only after some minutes: look again if it was bought just now."
            " Else compare the id and the region with `nixl-efa capacity list`.",
        )
    message = f"{name} is {state}: {MEANINGS.get(state, 'EC2 lets nothing into it in this state')}."
    if reservation.is_dead:
        remedy = "Take another reservation; `nixl-efa capacity search` finds blocks to buy."
        return failed(check, message, remedy)
    if starts:
        message += f"{starts} EC2 refuses a launch before that."
    judged = failed if must_be_active else warned
    return judged(check, message, f"`nixl-efa capacity wait {name}` waits until it is active.")


def stops_at(reservation: Reservation) -> datetime | None:
    """When EC2 begins to terminate the instances in a block. For an On-Demand reservation, which terminates nothing:
    its end."""
    if reservation.end is None or not reservation.is_block:
        return reservation.end
    return terminates_at(reservation.end, reservation.instance_type)


def is_at_end(found: Reservation, now: datetime) -> bool:
    """Whether EC2 has begun to terminate the instances in a block; nothing can be launched into it then."""
    stop = stops_at(found)
    return found.is_block and stop is not None and stop <= now


def _place(found: Reservation, launch: Launch, account: str) -> Finding:
    if found.region != launch.region:
        owner = f", owner {found.owner}" if found.owner else ""
        return failed(
            "reservation",
            f"{found.id} is not in {launch.region}; it is in {found.region}"
            f" ({found.instance_type}, zone {found.zone}, {found.state}{owner}).",
            f"Set region = {found.region!r} and its zone and subnet, or take one of {launch.region}.",
        )
    shared = (
        f" Account {found.owner} shares it with yours."
        if account and found.owner not in ("", account)
        else ""
    )
    message = f"{found.id} is in {found.region}: {counted(found.size, 'instance')} of {found.instance_type}.{shared}"
    return passed("reservation", message)


def _kind(found: Reservation, launch: Launch) -> Finding:
    check = "reservation kind"
    if launch.market == "spot":
        return failed(
            check,
            "Spot Instances can't run in a reservation, and the settings ask for both.",
            "Set spot = false, or remove the reservation.",
        )
    if launch.market == "capacity-block" and not found.is_block:
        return failed(
            check,
            f"{found.id} is an On-Demand Capacity Reservation, but use_capacity_block is set.",
            "Set use_capacity_block = false, or name a Capacity Block.",
        )
    if found.is_block and launch.market != "capacity-block":
        return failed(
            check,
            f"{found.id} is a Capacity Block, but use_capacity_block is not set;"
            " EC2 lets nothing into a block without the market type capacity-block.",
            "Set use_capacity_block = true.",
        )
    if found.interruptible:
        # EC2 user guide, capacity-consumer-procedures. AWS provider 5.100 does not support that market type.
        return failed(
            check,
            f"{found.id} is interruptible: its owner can take the capacity back at any time, and EC2 then terminates"
            f" the nodes, with two minutes' notice. It accepts only the market type {INTERRUPTIBLE},"
            " which this project does not use.",
            "Take a reservation that is not interruptible, or launch without one.",
        )
    kind = "a Capacity Block" if found.is_block else "an On-Demand Capacity Reservation"
    return passed(check, f"{found.id} is {kind}, as the settings say.")


def _type(found: Reservation, launch: Launch) -> Finding:
    if found.instance_type != launch.instance_type:
        return failed(
            "reservation type",
            f"{found.id} is for {found.instance_type}, but instance_type is {launch.instance_type}.",
            f"Set instance_type = {found.instance_type!r}, or take one for {launch.instance_type}.",
        )
    return passed("reservation type", f"It is for {found.instance_type}.")


def _platform(found: Reservation, launch: Launch) -> Finding:
    """An image that the user chose can have another platform than Linux/UNIX; only its description in EC2 shows it."""
    check = "reservation platform"
    if not found.platform:
        return skipped(check, f"EC2 names no platform of {found.id}.")
    own_image = launch.image_id or launch.image_parameter != image_parameter(launch.type_facts)
    if found.platform.startswith("Windows") or (found.platform != LINUX and not own_image):
        return failed(
            check,
            f"{found.id} is for {found.platform}; the nodes run {LINUX}.",
            f"Take one whose platform is {LINUX}.",
        )
    return passed(check, f"Its platform is {found.platform}.")


def _tenancy(found: Reservation, wanted: str) -> Finding:
    """Only instances of the reservation's tenancy can be launched into it, and a dedicated VPC makes all its instances
    dedicated: a launch can't choose "default" there (EC2 API, CapacityReservation and CreateVpc)."""
    check, has = "reservation tenancy", found.tenancy or "default"
    if has == wanted:
        return passed(check, f"Its tenancy is {has}.")
    message = f"{found.id} has tenancy {has}; the nodes are launched with {wanted} tenancy."
    if wanted != "default":
        message = f"{found.id} has tenancy {has}, and all that is launched into the VPC has tenancy {wanted}."
        return failed(
            check,
            message,
            "Take a subnet of a VPC with default tenancy (vpc_id, subnet_id), or change the VPC's.",
        )
    return failed(check, message, "Take one with default tenancy.")


def _zone(found: Reservation, launch: Launch, stored: str, subnet_id: str, subnet_zone: str) -> Finding:
    check = "reservation zone"
    source = launch.reservation
    wanted = source.zone or stored
    if wanted and wanted != found.zone:
        where = "availability_zone" if source.zone else f"the parameter {source.zone_parameter}"
        remedy = f"Set availability_zone = {found.zone!r} and a subnet there."
        if not source.zone:
            remedy = (
                f"`nixl-efa capacity save {found.id} --env {launch.reservation.target}` stores its zone, too."
            )
        message = f"{found.id} is in {found.zone}, but the wanted zone is {wanted} ({where})."
        return failed(check, message, remedy)
    if subnet_zone and subnet_zone != found.zone:
        return failed(
            check,
            f"{found.id} is in {found.zone}, but the subnet {subnet_id} is in {subnet_zone}.",
            f"Set availability_zone = {found.zone!r}, or subnet_id to a subnet of that zone.",
        )
    return passed(check, f"It is in {found.zone}{', as are the nodes' if wanted or subnet_zone else ''}.")


def _placement(found: Reservation, launch: Launch) -> Finding:
    """A launch with another placement group than the reservation's gets no place, or places for only some of its nodes
    (terraform-aws-eks 3730; eksctl 7949)."""
    check = "reservation placement"
    if found.placement_group_arn:
        group = found.placement_group_arn.rsplit("/", 1)[-1]
        if launch.placement_group and group == launch.name_of("pair"):
            return passed(check, f"It belongs to the stack's own placement group {group}.")
        return failed(
            check,
            f"{found.id} belongs to the placement group {group}; only instances of that group get into it,"
            " and the stack launches none there.",
            "Take one without a placement group.",
        )
    if launch.placement_group:
        return warned(
            check,
            f"The stack's own placement group and {found.id} may not agree:"
            " EC2 can find no place for the nodes together although the reservation has room.",
            'Set placement_group = "auto"; it makes no group for a reservation.',
        )
    return passed(check, "It belongs to no placement group.")


def _room(found: Reservation, launch: Launch, use: Use | None, now: datetime) -> list[Finding]:
    if is_at_end(found, now):
        return [skipped("reservation room", f"Not checked: {found.id} is at its end.")]
    return room_findings(found, launch, use)


def _time(found: Reservation, launch: Launch, now: datetime) -> list[Finding]:
    """Findings about the time from now, or from the reservation's start, until EC2 begins to terminate instances."""
    check, stop = "reservation time", stops_at(found)
    if found.end is None or stop is None:
        return [skipped(check, f"EC2 names no end of {found.id}.")] if found.is_block else []
    left = stop - (max(now, found.start) if found.start is not None else now)
    when = f"it ends at {moment(stop)}"
    if found.is_block:
        when = (
            f"EC2 begins to terminate its instances at {moment(stop)} (the block ends at {moment(found.end)})"
        )
    if left <= timedelta(0):
        remedy = "`nixl-efa capacity search` finds another block." if found.is_block else "Take another one."
        return [failed(check, f"No time is left in {found.id}: {when}.", remedy)]
    if left >= timedelta(hours=launch.min_hours):
        return [passed(check, f"{span(left)} of use are left: {when}.")]
    if not found.is_block:
        message = (
            f"{span(left)} are left in {found.id}: {when}. Its instances then keep running as On-Demand ones."
        )
        return [warned(check, message, "Give the reservation a later end.")]
    remedy = "Take a longer one, or lower --min-hours."
    if found.state != OFFERED:
        remedy = (
            "Extend it (`nixl-efa capacity extend`, until one hour before its end), or lower --min-hours."
        )
    message = (
        f"{span(left)} are left in {found.id}, less than the {launch.min_hours:g} h of min_hours: {when}."
    )
    return [failed(check, message, remedy)]


def _malformed(launch: Launch, subject: str) -> Finding:
    if GROUP in subject:
        return failed(
            "reservation",
            f"{subject} is a group of Capacity Reservations; the nodes are launched into one reservation, which is"
            " named by its id.",
            "Name one of its reservations; the command lists them.",
            aws_call(
                "resource-groups",
                "list-group-resources",
                "--group",
                subject.split("'")[1],
                region=launch.region,
                profile=launch.profile,
            ),
        )
    return failed(
        "reservation",
        f"{subject} is not a reservation's id: that is cr- and 8 or 17 hexadecimal digits.",
        "Copy the whole id; `nixl-efa capacity list` shows your reservations.",
        aws_call("ec2", "describe-capacity-reservations", region=launch.region, profile=launch.profile),
    )
