"""What AWS offers to sell: a Capacity Block, or more time for one.

The special forms of the API are handled in this file only. A payload of DescribeCapacityBlockOfferings as EC2 sends it
(botocore has parsed the dates):

    {"CapacityBlockOfferingId": "cb-0123456789abcdefg", "InstanceType": "p5.48xlarge",
     "AvailabilityZone": "us-east-1a", "InstanceCount": 2, "StartDate": 2026-12-01 04:55 UTC,
     "EndDate": 2026-12-02 11:30 UTC, "CapacityBlockDurationHours": 30, "CapacityBlockDurationMinutes": 35,
     "UpfrontFee": "1888.42", "CurrencyCode": "USD", "CapacityBlockOfferingSegments": [...]}

UpfrontFee is a string: the total for all instances and the whole time. Blocks start at any minute and end at 11:30 UTC,
so their length is not a whole number of days and can be shorter or longer than what was asked for (EC2 user guide,
capacity-blocks-purchase). CapacityBlockDurationHours is rounded down, so the length is computed from the dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.reservation import AMOUNT, CAPACITY_BLOCK, OFFERED, Reservation
from nixl_efa.failure import Failure
from nixl_efa.times import utc
from nixl_efa.ultra_servers import ULTRA_SERVERS

# cb-, or cbr- and the like, then letters and digits (EC2 API reference, PurchaseCapacityBlock and its extension).
_ID = re.compile(r"cb[a-z]*-[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of an offering: instances in one zone for one stretch of time."""

    zone: str
    count: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Offering:
    """A Capacity Block that can be bought, or more time for one.

    count:       the number of instances.
    fee:         the total for all of them and the whole time, in `currency`.
    asked_hours: the length that was asked for.
    extends:     for an extension, the reservation that becomes longer; empty for a new block.
    ultra_server, ultra_server_count: the kind and number of UltraServers that hold the instances; empty and 0 for
                 instances that are sold singly.
    block_id:    for an extension of UltraServers, the Capacity Block to which the reservation `extends` belongs.
    """

    id: str
    region: str
    instance_type: str
    count: int
    zone: str
    start: datetime
    end: datetime
    fee: Decimal
    currency: str
    asked_hours: int
    segments: tuple[Segment, ...] = ()
    extends: str = ""
    ultra_server: str = ""
    ultra_server_count: int = 0
    block_id: str = ""

    @property
    def what(self) -> str:
        """The count and the type, in words."""
        named = f" ({self.ultra_servers})" if self.ultra_server else ""
        return f"{self.count} x {self.instance_type}{named}"

    @property
    def ultra_servers(self) -> str:
        """Its UltraServers, in words; empty when it has none."""
        return f"{self.ultra_server_count} x {self.ultra_server}" if self.ultra_server else ""

    @property
    def length(self) -> timedelta:
        """From start to end."""
        return self.end - self.start

    @property
    def is_short(self) -> bool:
        """Whether it is shorter than what was asked for."""
        return self.length < timedelta(hours=self.asked_hours)

    @property
    def usable(self) -> timedelta:
        """The time from its start until EC2 begins to terminate its instances."""
        return terminates_at(self.end, self.instance_type) - self.start

    @property
    def fee_per_instance_hour(self) -> Decimal:
        """The fee for one instance and one hour, in `currency` (EC2 user guide, capacity-blocks-pricing)."""
        return self.fee / (self.count * hours_of(self.length))

    def fee_per_accelerator_hour(self, accelerators: int) -> Decimal | None:
        """The fee for one accelerator and one hour; None for a type without accelerators."""
        return self.fee_per_instance_hour / accelerators if accelerators else None

    @property
    def unusable(self) -> str:
        """Why a pair of nodes can't use this offering; empty when it can.

        The nodes talk over EFA, which does not leave an Availability Zone (EC2 user guide, efa), so the block
        must be one piece in one zone.
        """
        if len(self.segments) < 2:
            return ""
        zones = sorted({segment.zone for segment in self.segments})
        if len(zones) > 1:
            return f"{len(self.segments)} segments, zones {', '.join(zones)}: EFA needs one zone"
        times = {(segment.start, segment.end) for segment in self.segments}
        when = ", different times" if len(times) > 1 else ""
        return f"{len(self.segments)} segments{when}: a pair needs one block"

    @property
    def block(self) -> tuple[object, ...]:
        """What identifies the block, independent of its id and fee."""
        return (
            self.instance_type,
            self.count,
            self.ultra_server,
            self.zone,
            self.start,
            self.end,
            self.segments,
        )

    def is_same_block(self, other: Offering) -> bool:
        """Whether both have the same instances, zones and times, in the same segments; their ids may differ."""
        return self.block == other.block

    def reservation(self) -> Reservation:
        """The reservation that buying it would give."""
        return Reservation(
            id=self.id,
            region=self.region,
            kind=CAPACITY_BLOCK,
            state=OFFERED,
            instance_type=self.instance_type,
            size=self.count,
            free=0,
            zone=self.zone,
            platform="Linux/UNIX",
            start=self.start,
            end=self.end,
        )

    def text(self) -> str:
        """The offering in a few words."""
        what = f"{self.what} in {self.zone}"
        until = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return f"{what}, {until}, {self.fee} {self.currency}"


def is_offering_id(text: str) -> bool:
    """Whether a text has the form of an offering's id."""
    return _ID.fullmatch(text) is not None


def hours_of(length: timedelta) -> Decimal:
    """A length of time in hours."""
    return Decimal(int(length.total_seconds())) / 3600


def fee_of(text: object, offering_id: str) -> Decimal:
    """The fee that EC2 sends as a string. Failure when it is not an amount or is negative: a price is never guessed."""
    if not AMOUNT.fullmatch(str(text)):
        raise Failure(
            f"EC2 sent {text!r} as the fee of {offering_id}, which is not an amount: nothing is bought at it."
        )
    return Decimal(str(text))


def from_api(payload: Mapping[str, Any], region: str, asked_hours: int) -> Offering:
    """An offering from its payload, the region that sent it and the hours that were asked for. Failure when it has no
    id, or when its fee is not an amount."""
    offering_id = _checked_id(payload.get("CapacityBlockOfferingId"))
    segments = tuple(_segment(part, payload) for part in payload.get("CapacityBlockOfferingSegments") or ())
    start = payload.get("StartDate") or min((segment.start for segment in segments), default=None)
    if start is None:
        raise Failure(f"EC2 sent {offering_id} without a start: nothing is bought.")
    end = payload.get("EndDate") or _end(start, payload)
    zones = sorted({segment.zone for segment in segments})
    name, number = payload.get("UltraserverType") or "", payload.get("UltraserverCount") or 0
    known = ULTRA_SERVERS.get(name)
    # An offering of UltraServers may leave out the instance type and count.
    instances = known.instances * number if known else 0
    # So may an offering in segments: each segment has them.
    types = sorted(
        {part.get("InstanceType", "") for part in payload.get("CapacityBlockOfferingSegments") or ()}
    )
    offered = Offering(
        id=offering_id,
        region=region,
        instance_type=payload.get("InstanceType") or (known.instance_type if known else ", ".join(types)),
        count=payload.get("InstanceCount")
        or instances
        or max((segment.count for segment in segments), default=0),
        zone=payload.get("AvailabilityZone") or ", ".join(zones),
        start=utc(start),
        end=utc(end),
        fee=fee_of(payload.get("UpfrontFee"), offering_id),
        currency=payload.get("CurrencyCode", "USD"),
        asked_hours=asked_hours,
        segments=segments,
        ultra_server=name,
        ultra_server_count=number,
    )
    return _checked(offered)


def extension_from_api(
    payload: Mapping[str, Any], region: str, reservation_id: str, hours: int, block_id: str = ""
) -> Offering:
    """An extension from a payload of DescribeCapacityBlockExtensionOfferings, the reservation and the hours that were
    asked for, and the block where that has several reservations. Failure for a fee that is not an amount."""
    offering_id = _checked_id(payload.get("CapacityBlockExtensionOfferingId"))
    return Offering(
        id=offering_id,
        region=region,
        instance_type=payload.get("InstanceType", ""),
        count=payload.get("InstanceCount", 0),
        zone=payload.get("AvailabilityZone", ""),
        start=utc(payload["CapacityBlockExtensionStartDate"]),
        end=utc(payload["CapacityBlockExtensionEndDate"]),
        fee=fee_of(payload.get("UpfrontFee"), offering_id),
        currency=payload.get("CurrencyCode", "USD"),
        asked_hours=hours,
        extends=reservation_id,
        block_id=block_id,
    )


def _checked(offering: Offering) -> Offering:
    """The offering. Failure for one without instances or time: its rate would be a division by zero."""
    if offering.count < 1 or offering.length <= timedelta(0):
        raise Failure(f"EC2 sent {offering.id} without instances or without time: nothing is bought.")
    return offering


def _checked_id(text: object) -> str:
    if not isinstance(text, str) or not is_offering_id(text):
        raise Failure(f"EC2 sent an offering with the id {text!r}, which is none: nothing is bought.")
    return text


def to_json(offering: Offering) -> dict[str, Any]:
    """The offering as a file holds it.

    Members that only some offerings have are written only for those: earlier versions of this project read the shared
    journal too.
    """
    document = {**asdict(offering), "fee": str(offering.fee)}
    document["segments"] = [{**one, **_written(one)} for one in document["segments"]]
    for name in ("segments", "ultra_server", "ultra_server_count", "block_id"):
        if not document[name]:
            del document[name]
    return {**document, **_written(document)}


def from_json(document: Mapping[str, Any]) -> Offering:
    """The offering from a file. KeyError, TypeError or ValueError when the document is not an offering."""
    try:
        fee = Decimal(document["fee"])
    except InvalidOperation as error:
        raise ValueError(f"no amount: {document['fee']!r}") from error
    segments = tuple(Segment(**{**one, **_read(one)}) for one in document.get("segments", ()))
    return Offering(**{**document, **_read(document), "fee": fee, "segments": segments})


def _written(times: Mapping[str, Any]) -> dict[str, str]:
    return {name: times[name].isoformat() for name in ("start", "end")}


def _read(times: Mapping[str, Any]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(times[name]) for name in ("start", "end")}


def _segment(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Segment:
    start = part.get("StartDate") or whole["StartDate"]
    return Segment(
        zone=part.get("AvailabilityZone") or whole.get("AvailabilityZone", ""),
        count=part.get("InstanceCount") or whole.get("InstanceCount", 0),
        start=utc(start),
        end=utc(part.get("EndDate") or _end(start, part)),
    )


def _end(start: datetime, payload: Mapping[str, Any]) -> datetime:
    return start + timedelta(
        hours=payload.get("CapacityBlockDurationHours", 0),
        minutes=payload.get("CapacityBlockDurationMinutes", 0),
    )
