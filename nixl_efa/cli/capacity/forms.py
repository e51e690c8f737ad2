"""The JSON forms of what the commands print; docs/capacity.md describes each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from nixl_efa.aws_errors import explain
from nixl_efa.capacity.offering import Offering, hours_of
from nixl_efa.capacity.order import Order
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.cli.output import iso


def offering_form(offering: Offering, accelerators: int, now: datetime) -> dict[str, Any]:
    """An offering; amounts are strings, so that no digit is lost."""
    per_accelerator = offering.fee_per_accelerator_hour(accelerators)
    return {
        "offering_id": offering.id,
        "region": offering.region,
        "availability_zone": offering.zone,
        "instance_type": offering.instance_type,
        "instance_count": offering.count,
        "start": offering.start,
        "end": offering.end,
        "hours": float(hours_of(offering.length)),
        "asked_hours": offering.asked_hours,
        "starts_in_seconds": int((offering.start - now).total_seconds()),
        "fee": str(offering.fee),
        "currency": offering.currency,
        "fee_per_instance_hour": rate(offering.fee_per_instance_hour),
        "fee_per_accelerator_hour": None if per_accelerator is None else rate(per_accelerator),
        "usable": not offering.unusable,
        "unusable_because": offering.unusable or None,
        "segments": [
            {
                "availability_zone": segment.zone,
                "instance_count": segment.count,
                "start": segment.start,
                "end": segment.end,
            }
            for segment in offering.segments
        ],
    }


def rate(value: Decimal) -> str:
    """An amount for an hour, to the hundredth of a cent."""
    return f"{value:.4f}"


def failed_form(failed: Mapping[str, Exception]) -> list[dict[str, str]]:
    """The regions that could not be asked."""
    return [{"region": region, "error": explain(error)} for region, error in failed.items()]


def reservation_form(found: Reservation, environments: Sequence[str], now: datetime) -> dict[str, Any]:
    """A reservation and who uses it."""
    left = found.time_left(now)
    return {
        "reservation_id": found.id,
        "region": found.region,
        "availability_zone": found.zone,
        "kind": found.kind,
        "state": found.state,
        "instance_type": found.instance_type,
        "platform": found.platform,
        "instance_count": found.size,
        "free_count": found.free,
        "start": found.start,
        "end": found.end,
        "seconds_left": None if left is None else int(left.total_seconds()),
        "fee": found.fee or None,
        "environments": list(environments),
        "tags": dict(found.tags),
    }


def order_form(order: Order) -> dict[str, Any]:
    """What is, or was to be, bought."""
    return {
        "kind": order.kind.value,
        "environment": order.environment,
        "region": order.region,
        "offering_id": order.offering_id,
        "instance_type": order.instance_type,
        "instance_count": order.count,
        "availability_zone": order.zone,
        "start": iso(order.start),
        "end": iso(order.end),
        "fee": str(order.fee),
        "currency": order.currency,
    }
