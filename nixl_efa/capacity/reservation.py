"""A Capacity Reservation (a Capacity Block or an On-Demand one), and the calls that read them.

The special forms of the API are handled in this file only. A Capacity Block while it is scheduled (EC2 user guide,
capacity-blocks-view): the counts are 0 and the size is in a tag; when ReservationType is absent, the type is in a tag
too:

    {"CapacityReservationId": "cr-0a1b", "InstanceType": "p5.48xlarge", "State": "scheduled",
     "TotalInstanceCount": 0, "AvailableInstanceCount": 0, "EndDateType": "limited", ...,
     "Tags": [{"Key": "aws:ec2capacityreservation:capacityReservationType", "Value": "capacity-block"},
              {"Key": "aws:ec2capacityreservation:incrementalRequestedQuantity", "Value": "2"}]}

An On-Demand one: EndDate is absent, and ReservationType can be absent:

    {"CapacityReservationId": "cr-0c2d", "InstanceType": "g7e.8xlarge", "State": "active",
     "TotalInstanceCount": 2, "AvailableInstanceCount": 1, "EndDateType": "unlimited", "Tags": []}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import NoResultError, Sleep, all_items, ask_all
from nixl_efa.aws_errors import error_code
from nixl_efa.failure import Failure
from nixl_efa.times import utc

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

TYPE_TAG = "aws:ec2capacityreservation:capacityReservationType"
SIZE_TAG = "aws:ec2capacityreservation:incrementalRequestedQuantity"
# Tags that a purchase by this project puts on the reservation. EC2 does not show the fee after the purchase, so it is
# kept in a tag, where everybody who can see the reservation can see it too.
PURCHASE_TAG = "nixl-efa:purchase"
ENVIRONMENT_TAG = "nixl-efa:environment"
FEE_TAG = "nixl-efa:upfront-fee"
# Python's Decimal accepts more than digits and a point (1_600, -5, NaN, digits of other scripts), and figures that no
# calculation with cents can hold.
AMOUNT = re.compile(r"\d{1,12}(\.\d{1,10})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
# "1 x u-p6e-gb200x72": the fee is for these, and for all reservations of the purchase together.
ULTRA_SERVERS_TAG = "nixl-efa:ultraservers"

CAPACITY_BLOCK = "capacity-block"
ON_DEMAND = "on-demand"
# How instances in an interruptible reservation are launched (botocore, MarketType and InstanceLifecycleType).
INTERRUPTIBLE = "interruptible-capacity-reservation"

# States that EC2 does not have.
OFFERED = "offered"
UNKNOWN = "unknown"
# States that only blocks have (EC2 user guide, capacity-blocks-view); ReservationType and tags may be absent in them.
PAYMENT_FAILED = "payment-failed"
PAYMENT_STATES = frozenset({"payment-pending", PAYMENT_FAILED})
# States that never become active again, or that ended (botocore, CapacityReservationState).
DEAD_STATES = frozenset({"expired", "cancelled", "cancelling", "failed", PAYMENT_FAILED, "unsupported"})


@dataclass(frozen=True, slots=True)
class Reservation:
    """A Capacity Reservation.

    kind:  "capacity-block" or "on-demand"; empty when EC2 does not know the reservation.
    state: EC2's state; OFFERED for an offering, UNKNOWN for an id that EC2 does not know (yet, or any more).
    size:  how many instances it is for, also before it has started. free: how many can be launched now.
    start, end: None when EC2 names none (an On-Demand reservation without an end).
    owner: the account that it belongs to; another one may share it.
    fee:   what the block itself cost up front and in which currency ("1888.42 USD"), known only for purchases of this
           project; empty otherwise. Extensions are not in it (extension.payments).
    match: "open": EC2 puts every instance of its type, platform, zone and tenancy into it; "targeted": only instances
           whose launch names it.
    interruptible: its owner can take the capacity back: its instances are then terminated, with two minutes' notice
           (EC2 user guide, interruptible-capacity-reservations).
    block_id: the Capacity Block that it belongs to; a block of UltraServers can have several reservations.
    launch_status: "launchable" or "unlaunchable"; empty when it is not of UltraServers (botocore, LaunchStatus).
    """

    id: str
    region: str
    kind: str
    state: str
    instance_type: str
    size: int
    free: int
    zone: str
    platform: str
    start: datetime | None
    end: datetime | None
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    tenancy: str = "default"
    placement_group_arn: str = ""
    match: str = "open"
    interruptible: bool = False
    block_id: str = ""
    launch_status: str = ""

    @property
    def is_block(self) -> bool:
        """Whether it is a Capacity Block."""
        return self.kind == CAPACITY_BLOCK

    @property
    def is_dead(self) -> bool:
        """Whether it can't be used any more, now or later."""
        return self.state in DEAD_STATES

    @property
    def fee(self) -> str:
        """What was paid up front, with its currency; empty when no tag has it. Anybody can change a tag."""
        text = self.tags.get(FEE_TAG, "")
        return text if amount_in(text) else ""

    @property
    def ultra_servers(self) -> str:
        """The UltraServers that were bought with it; empty for other reservations, and when no tag has them."""
        return self.tags.get(ULTRA_SERVERS_TAG, "")

    def is_bought_with(self, other: Reservation) -> bool:
        """Whether both are of one purchase: a purchase of UltraServers can give several reservations with one fee."""
        tag, block = self.tags.get(PURCHASE_TAG), self.block_id
        return bool((tag and tag == other.tags.get(PURCHASE_TAG)) or (block and block == other.block_id))

    def lives(self, now: datetime) -> bool:
        """Whether it can still be used, now or later. One that EC2 does not know counts as living until its end,
        if that is known, is over: EC2 shows a new one only after some time (EC2 API reference,
        eventual-consistency)."""
        return not self.is_dead and (self.end is None or now < self.end)

    def time_left(self, now: datetime) -> timedelta | None:
        """From now to the end, not below zero; None for a reservation without an end."""
        return None if self.end is None else max(self.end - now, timedelta(0))


def unknown(reservation_id: str, region: str) -> Reservation:
    """The reservation for an id that EC2 does not know in a region (yet, or any more): only the id is certain."""
    return Reservation(
        id=reservation_id,
        region=region,
        kind="",
        state=UNKNOWN,
        instance_type="",
        size=0,
        free=0,
        zone="",
        platform="",
        start=None,
        end=None,
    )


def from_api(payload: Mapping[str, Any], region: str) -> Reservation:
    """A reservation from its payload and the region that sent it."""
    tags = {tag["Key"]: tag["Value"] for tag in payload.get("Tags") or ()}
    kind = payload.get("ReservationType") or tags.get(TYPE_TAG) or ON_DEMAND
    is_block = kind == CAPACITY_BLOCK or payload.get("State") in PAYMENT_STATES
    start, end = payload.get("StartDate"), payload.get("EndDate")
    return Reservation(
        id=payload["CapacityReservationId"],
        region=region,
        kind=CAPACITY_BLOCK if is_block else ON_DEMAND,
        state=payload.get("State", UNKNOWN),
        instance_type=payload.get("InstanceType", ""),
        size=payload.get("TotalInstanceCount", 0) or _size_tag(tags),
        free=payload.get("AvailableInstanceCount", 0),
        zone=payload.get("AvailabilityZone", ""),
        platform=payload.get("InstancePlatform", ""),
        start=utc(start) if start else None,
        end=utc(end) if end else None,
        tags=tags,
        owner=payload.get("OwnerId", ""),
        tenancy=payload.get("Tenancy", "default"),
        placement_group_arn=payload.get("PlacementGroupArn", ""),
        match=payload.get("InstanceMatchCriteria", "targeted"),
        interruptible=payload.get("Interruptible", False),
        block_id=payload.get("CapacityBlockId", ""),
        launch_status=payload.get("LaunchStatus", ""),
    )


def _size_tag(tags: Mapping[str, str]) -> int:
    text = tags.get(SIZE_TAG, "")
    return int(text) if text.isdecimal() else 0


def fee_tag(fee: Decimal, currency: str) -> str:
    """The fee as the tag holds it: "1888.42 USD"."""
    return f"{fee} {currency}"


def amount_in(text: str) -> tuple[Decimal, str] | None:
    """The fee and its currency in such a tag. None for any other text."""
    number, _, currency = text.partition(" ")
    if not AMOUNT.fullmatch(number) or not _CURRENCY.fullmatch(currency):
        return None
    return Decimal(number), currency


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
    """Every reservation of the regions, asked in parallel, and the regions that failed, with their errors."""
    answers, errors = ask_all(regions, lambda region: reservations_in(ec2_of(region), region, sleep), done)
    return [reservation for found in answers.values() for reservation in found], errors


def find_reservation(ec2: EC2Client, region: str, reservation_id: str, sleep: Sleep) -> Reservation | None:
    """The reservation with this id in this region; None when EC2 says that there is none. NoResultError for an answer
    that says neither."""
    request = {"CapacityReservationIds": [reservation_id]}
    try:
        found = list(all_items(ec2.describe_capacity_reservations, "CapacityReservations", sleep, request))
    except Exception as error:
        if error_code(error) == "InvalidCapacityReservationId.NotFound":
            return None
        raise
    if not found:
        raise NoResultError(
            f"EC2 was asked for {reservation_id} and answered without any: nothing can be concluded from that."
        )
    return from_api(found[0], region)


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
        f"there is no reservation {reservation_id} in {where}. "
        "`nixl-efa capacity list --region all` shows those of this account."
    )
