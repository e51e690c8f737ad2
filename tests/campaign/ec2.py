"""EC2 as far as Capacity Blocks go: what is offered, what was bought, when it is shown, when it is paid.

Written from the EC2 API reference, the user guide (capacity-blocks-*) and botocore's model.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.campaign.schedule import Schedule, moment, seconds_at
from tests.campaign.shapes import refusal

HOUR = 3600.0
DEAD = ("payment-failed", "expired", "cancelled", "failed")
REGIONS = ("us-east-1", "us-east-2", "us-west-2", "ap-south-1", "eu-north-1")


@dataclass(frozen=True, slots=True)
class Offer:
    """A block that can be bought. Times in seconds; the fee is for all."""

    id: str
    region: str
    zone: str
    instance_type: str
    count: int
    start: float
    end: float
    fee: str

    @property
    def hours(self) -> int:
        return round((self.end - self.start) / HOUR)


@dataclass(slots=True)
class Extension:
    """More hours for a reservation; pays is when its payment ends, and how."""

    offering: str
    hours: int
    start: float
    end: float
    bought_by: str
    bought_at: float
    visible_at: float
    pays_at: float
    fails: bool
    fee: str


@dataclass(slots=True)
class Block:
    """A reservation. bought_by is the command that bought it, empty for somebody else's."""

    id: str
    offer: Offer
    tags: dict[str, str]
    bought_by: str
    bought_at: float
    visible_at: float
    pays_at: float
    fails: bool
    # Read from one replica or the other while it is new: shown now, not shown a second later.
    flickers: bool = False
    extensions: list[Extension] = field(default_factory=list)

    def end(self, now: float) -> float:
        paid = [one.end for one in self.extensions if one.pays_at <= now and not one.fails]
        return max([self.offer.end, *paid])

    def state(self, now: float) -> str:
        if now >= self.pays_at and self.fails:
            return "payment-failed"
        if now >= self.end(now):
            return "expired"
        if now < self.pays_at:
            return "payment-pending"
        return "active" if now >= self.offer.start else "scheduled"

    def lives(self, now: float) -> bool:
        return self.state(now) not in DEAD


class Ec2:
    """One account's EC2 in every region. Each method is an operation: its region and its request to its answer."""

    def __init__(self, schedule: Schedule, rng: random.Random, account: str) -> None:
        self._schedule = schedule
        self._rng = rng
        self._account = account
        self.regions: tuple[str, ...] = REGIONS[:3]
        self.offers: dict[str, Offer] = {}
        self.blocks: dict[str, Block] = {}
        # The longest time that a new block stays invisible, and how many payments fail.
        self.hides_for = 0.0
        self.payment_fails = 0.0
        self.page = 1000

    def add(self, offer: Offer, tags: Mapping[str, str], by: str, visible_at: float | None = None) -> Block:
        """A new reservation, as a purchase makes it."""
        now = self._schedule.now
        hidden = self._rng.choice((0.0, self._rng.uniform(0, 5), self._rng.uniform(0, self.hides_for)))
        fails = self._rng.random() < self.payment_fails
        block = Block(
            id=f"cr-{len(self.blocks) + 1:x}{self._rng.getrandbits(60):016x}",
            offer=offer,
            tags=dict(tags),
            bought_by=by,
            bought_at=now,
            visible_at=now + min(hidden, self.hides_for) if visible_at is None else visible_at,
            pays_at=now + self._rng.uniform(300, 12 * HOUR if fails else HOUR),
            fails=fails,
            flickers=self._rng.random() < 0.3,
        )
        self.blocks[block.id] = block
        return block

    def describe_regions(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        names = request.get("RegionNames") or self.regions
        shown = [{"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com"} for name in names]
        return {"Regions": [{**one, "OptInStatus": "opt-in-not-required"} for one in shown]}

    def describe_capacity_block_offerings(
        self, region: str, request: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        now = self._schedule.now
        earliest = seconds_at(request["StartDateRange"]) if "StartDateRange" in request else now
        latest = seconds_at(request["EndDateRange"]) if "EndDateRange" in request else float("inf")
        return {
            "CapacityBlockOfferings": [
                {
                    "CapacityBlockOfferingId": one.id,
                    "InstanceType": one.instance_type,
                    "AvailabilityZone": one.zone,
                    "InstanceCount": one.count,
                    "StartDate": moment(one.start),
                    "EndDate": moment(one.end),
                    "CapacityBlockDurationHours": one.hours,
                    "UpfrontFee": one.fee,
                    "CurrencyCode": "USD",
                    "Tenancy": "default",
                }
                for one in self.offers.values()
                if one.region == region
                and (one.instance_type, one.count)
                == (request.get("InstanceType"), request.get("InstanceCount"))
                and one.hours == request["CapacityDurationHours"]
                and one.start >= max(earliest, now)
                and one.end <= latest
            ]
        }

    def purchase_capacity_block(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        operation = "PurchaseCapacityBlock"
        offer = self.offers.get(request["CapacityBlockOfferingId"])
        if offer is None or offer.region != region:
            raise refusal("InvalidCapacityBlockOfferingIdNotFound", operation)
        if offer.start <= self._schedule.now:
            raise refusal("InvalidCapacityBlockOfferingIdExpired", operation)
        if request.get("DryRun"):
            raise refusal("DryRunOperation", operation, 412)
        tags = {
            tag["Key"]: tag["Value"]
            for spec in request.get("TagSpecifications", ())
            for tag in spec.get("Tags", ())
        }
        block = self.add(offer, tags, by)
        payload = self._payload(block)
        return {"CapacityReservation": payload, "CapacityReservations": [payload]}

    def describe_capacity_reservations(
        self, region: str, request: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        now = self._schedule.now
        shown = {
            one.id: one
            for one in self.blocks.values()
            if one.offer.region == region and self._shows(one, now)
        }
        wanted = request.get("CapacityReservationIds")
        if wanted:
            if any(name not in shown for name in wanted):
                raise refusal("InvalidCapacityReservationId.NotFound", "DescribeCapacityReservations")
            shown = {name: shown[name] for name in wanted}
        for given in request.get("Filters", ()):
            if given["Name"] == "state":
                shown = {name: one for name, one in shown.items() if one.state(now) in given["Values"]}
        return self._paged("CapacityReservations", [self._payload(one) for one in shown.values()], request)

    def create_tags(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        for name in request["Resources"]:
            block = self.blocks.get(name)
            if block is None or block.offer.region != region or self._schedule.now < block.visible_at:
                raise refusal("InvalidCapacityReservationId.NotFound", "CreateTags")
            block.tags |= {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        return {}

    def describe_instances(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        return {"Reservations": []}

    def describe_subnets(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        """The default VPC has one in each zone."""
        zones = [f"{region}{letter}" for letter in "ab"]
        return {"Subnets": [{"SubnetId": f"subnet-{zone}", "AvailabilityZone": zone} for zone in zones]}

    def describe_capacity_block_extension_offerings(
        self, region: str, request: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        block = self._extendable(region, request, "DescribeCapacityBlockExtensionOfferings")
        hours, end = request["CapacityBlockExtensionDurationHours"], block.end(self._schedule.now)
        return {
            "CapacityBlockExtensionOfferings": [
                {
                    "CapacityBlockExtensionOfferingId": f"cbe-{block.id[3:]}-{hours}-{int(end)}",
                    "InstanceType": block.offer.instance_type,
                    "InstanceCount": block.offer.count,
                    "AvailabilityZone": block.offer.zone,
                    "StartDate": moment(block.offer.start),
                    "CapacityBlockExtensionStartDate": moment(end),
                    "CapacityBlockExtensionEndDate": moment(end + hours * HOUR),
                    "CapacityBlockExtensionDurationHours": hours,
                    "UpfrontFee": f"{hours * 10}.00",
                    "CurrencyCode": "USD",
                    "Tenancy": "default",
                }
            ]
        }

    def purchase_capacity_block_extension(
        self, region: str, request: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        operation = "PurchaseCapacityBlockExtension"
        block = self._extendable(region, request, operation)
        now = self._schedule.now
        _, hours, end = request["CapacityBlockExtensionOfferingId"].rsplit("-", 2)
        if int(end) != int(block.end(now)):
            raise refusal("InvalidCapacityBlockExtensionOfferingIdExpired", operation)
        if request.get("DryRun"):
            raise refusal("DryRunOperation", operation, 412)
        extension = Extension(
            offering=request["CapacityBlockExtensionOfferingId"],
            hours=int(hours),
            start=block.end(now),
            end=block.end(now) + int(hours) * HOUR,
            bought_by=by,
            bought_at=now,
            visible_at=now + self._rng.choice((0.0, self._rng.uniform(0, self.hides_for))),
            pays_at=now + self._rng.uniform(300, 12 * HOUR),
            fails=self._rng.random() < self.payment_fails,
            fee=f"{int(hours) * 10}.00",
        )
        block.extensions.append(extension)
        return {"CapacityBlockExtensions": [self._extension_payload(block, extension)]}

    def describe_capacity_block_extension_history(
        self, region: str, request: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        now, wanted = self._schedule.now, request.get("CapacityReservationIds")
        rows = [
            self._extension_payload(block, one)
            for block in self.blocks.values()
            if block.offer.region == region and (not wanted or block.id in wanted)
            for one in block.extensions
            if one.visible_at <= now
        ]
        return self._paged("CapacityBlockExtensions", rows, request)

    def _paged(self, key: str, rows: list[Any], request: Mapping[str, Any]) -> dict[str, Any]:
        first = int(request.get("NextToken") or 0)
        more = {"NextToken": str(first + self.page)} if first + self.page < len(rows) else {}
        return {key: rows[first : first + self.page], **more}

    def _shows(self, block: Block, now: float) -> bool:
        if now < block.visible_at:
            return False
        new = block.flickers and now < block.bought_at + self.hides_for
        return not new or self._rng.random() < 0.7

    def _extendable(self, region: str, request: Mapping[str, Any], operation: str) -> Block:
        now = self._schedule.now
        block = self.blocks.get(request["CapacityReservationId"])
        if block is None or block.offer.region != region or now < block.visible_at:
            raise refusal("InvalidCapacityReservationId.NotFound", operation)
        pending = any(one.pays_at > now for one in block.extensions)
        if block.state(now) not in ("active", "scheduled") or pending:
            raise refusal("InvalidCapacityReservationState", operation)
        return block

    def _payload(self, block: Block) -> dict[str, Any]:
        """A block before its start has counts of 0 and its size in a tag (shared facts; ParallelCluster)."""
        now, offer = self._schedule.now, block.offer
        state = block.state(now)
        count = offer.count if state == "active" else 0
        system = {
            "aws:ec2capacityreservation:capacityReservationType": "capacity-block",
            "aws:ec2capacityreservation:incrementalRequestedQuantity": str(offer.count),
        }
        return {
            "CapacityReservationId": block.id,
            "OwnerId": self._account,
            "InstanceType": offer.instance_type,
            "InstancePlatform": "Linux/UNIX",
            "AvailabilityZone": offer.zone,
            "Tenancy": "default",
            "TotalInstanceCount": count,
            "AvailableInstanceCount": count,
            "State": state,
            "StartDate": moment(offer.start),
            "EndDate": moment(block.end(now)),
            "EndDateType": "limited",
            "InstanceMatchCriteria": "targeted",
            "CreateDate": moment(block.bought_at),
            "ReservationType": "capacity-block",
            "Tags": [{"Key": key, "Value": value} for key, value in {**block.tags, **system}.items()],
        }

    def _extension_payload(self, block: Block, one: Extension) -> dict[str, Any]:
        paid = "payment-failed" if one.fails else "payment-succeeded"
        return {
            "CapacityReservationId": block.id,
            "InstanceType": block.offer.instance_type,
            "InstanceCount": block.offer.count,
            "AvailabilityZone": block.offer.zone,
            "CapacityBlockExtensionOfferingId": one.offering,
            "CapacityBlockExtensionDurationHours": one.hours,
            "CapacityBlockExtensionStatus": paid if one.pays_at <= self._schedule.now else "payment-pending",
            "CapacityBlockExtensionPurchaseDate": moment(one.bought_at),
            "CapacityBlockExtensionStartDate": moment(one.start),
            "CapacityBlockExtensionEndDate": moment(one.end),
            "UpfrontFee": one.fee,
            "CurrencyCode": "USD",
        }
