"""A Capacity Block that AWS offers, as DescribeCapacityBlockOfferings describes it.

The API's oddities end in this file. A payload as EC2 sends it (botocore has parsed the dates):

    {"CapacityBlockOfferingId": "cbr-0123456789abcdefg", "InstanceType": "p5.48xlarge",
     "AvailabilityZone": "us-east-1a", "InstanceCount": 2, "StartDate": 2026-12-01 04:55 UTC,
     "EndDate": 2026-12-02 11:30 UTC, "CapacityBlockDurationHours": 30, "CapacityBlockDurationMinutes": 35,
     "UpfrontFee": "1888.42", "CurrencyCode": "USD", "CapacityBlockOfferingSegments": [...]}

UpfrontFee is a string and the total for all instances and the whole time. Every block ends at 11:30 UTC, so
its length is ragged: minutes come in addition to hours (EC2 API reference, CapacityBlockOffering).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of an offering: instances in one zone for one stretch of time."""

    zone: str
    count: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Offering:
    """A Capacity Block that can be bought.

    count is in instances, fee is the total for all of them and the whole time, in `currency`.
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

    @property
    def length(self) -> timedelta:
        """From start to end."""
        return self.end - self.start

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
        return f"{len(self.segments)} segments, different times: a pair needs one block"


def hours_of(length: timedelta) -> Decimal:
    """A length of time in hours."""
    return Decimal(int(length.total_seconds())) / 3600


def fee_of(text: object) -> Decimal:
    """The fee that EC2 wrote as a string. ValueError when it is none: a price is never guessed."""
    try:
        fee = Decimal(str(text))
    except InvalidOperation:
        raise ValueError(f"EC2 sent a fee that is no number: {text!r}") from None
    if not fee.is_finite():
        raise ValueError(f"EC2 sent a fee that is no number: {text!r}")
    return fee


def utc(moment: datetime) -> datetime:
    """The same moment with UTC as its zone; a moment without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def from_api(payload: Mapping[str, Any], region: str, asked_hours: int) -> Offering:
    """An offering from its payload, the region that sent it and the hours that were asked for."""
    segments = tuple(_segment(part, payload) for part in payload.get("CapacityBlockOfferingSegments") or ())
    start = payload.get("StartDate") or min(segment.start for segment in segments)
    end = payload.get("EndDate") or _end(start, payload)
    zones = sorted({segment.zone for segment in segments})
    return Offering(
        id=payload["CapacityBlockOfferingId"],
        region=region,
        instance_type=payload.get("InstanceType", ""),
        count=payload.get("InstanceCount", 0) or max((segment.count for segment in segments), default=0),
        zone=payload.get("AvailabilityZone") or ", ".join(zones),
        start=utc(start),
        end=utc(end),
        fee=fee_of(payload.get("UpfrontFee")),
        currency=payload.get("CurrencyCode", "USD"),
        asked_hours=asked_hours,
        segments=segments,
    )


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
