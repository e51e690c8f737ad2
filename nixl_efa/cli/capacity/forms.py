"""The JSON forms of what the commands print; docs/capacity.md describes each member."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from nixl_efa.account import Account
from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.extension import Extension, newest, payments
from nixl_efa.capacity.offering import Offering, hours_of
from nixl_efa.capacity.order import Entry, Order
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
        **_ultra_servers(offering),
        "start": offering.start,
        "end": offering.end,
        "hours": float(hours_of(offering.length)),
        "asked_hours": offering.asked_hours,
        "shorter_than_asked": offering.is_short,
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


def _ultra_servers(offering: Offering) -> dict[str, Any]:
    if not offering.ultra_server:
        return {}
    return {"ultraserver_type": offering.ultra_server, "ultraserver_count": offering.ultra_server_count}


def rate(value: Decimal) -> str:
    """An amount for an hour, to the hundredth of a cent."""
    return f"{value:.4f}"


def reservation_form(
    found: Reservation,
    users: Sequence[tuple[str, str]],
    extensions: Sequence[Extension] | None,
    now: datetime,
) -> dict[str, Any]:
    """A reservation, who uses it and as what, what was paid for it, and its last extension.

    extensions: None where they were not asked for: nothing is then said of payments.
    """
    left = found.time_left(now)
    extension = newest(extensions or (), found.id)
    costs = payments(found, extensions) if extensions is not None else None
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
        **(
            {
                "capacity_block_id": found.block_id,
                "launch_status": found.launch_status,
                "ultraservers": found.ultra_servers or None,
            }
            if found.launch_status
            else {}
        ),
        "start": found.start,
        "end": found.end,
        "terminates": terminates_at(found.end, found.instance_type) if found.is_block and found.end else None,
        "seconds_left": None if left is None else int(left.total_seconds()),
        "fee": found.fee or None,
        "paid": (costs.paid or None) if costs else None,
        "payment_pending": (costs.pending or None) if costs else None,
        "environments": [name for name, _ in users],
        "used_by": [{"environment": name, "as": kept} for name, kept in users],
        "extension": extension_form(extension) if extension else None,
        "tags": dict(found.tags),
    }


def extension_form(extension: Extension) -> dict[str, Any]:
    """An extension of a block: its old and its new end, and whether it is paid."""
    return {
        "offering_id": extension.offering_id,
        "status": extension.status,
        "old_end": extension.start,
        "new_end": extension.end,
        "paid_until": extension.paid_until,
        "fee": str(extension.fee),
        "currency": extension.currency,
    }


def account_form(account: Account) -> dict[str, Any]:
    """Who pays."""
    return {
        "account_id": account.id,
        "alias": account.alias or None,
        "arn": account.arn,
        "profile": account.profile or None,
    }


def purchase_form(
    order: Order, account: Account, outcome: str, kept_as: str, entry: Entry | None = None
) -> dict[str, Any]:
    """How an order ended; entry is None for a dry run."""
    return {
        "outcome": outcome,
        "reservation_ids": list(entry.reservation_ids) if entry else [],
        "tag": entry.tag if entry else None,
        "kept_as": kept_as or None,
        "account": account_form(account),
        "order": order_form(order),
    }


def order_form(order: Order) -> dict[str, Any]:
    """What is, or was to be, bought."""
    offering = order.offering
    return {
        "kind": "extension" if order.is_extension else "block",
        "environment": order.environment or None,
        "region": offering.region,
        "offering_id": offering.id,
        "instance_type": offering.instance_type,
        "instance_count": offering.count,
        **_ultra_servers(offering),
        "availability_zone": offering.zone,
        "start": iso(offering.start),
        "end": iso(offering.end),
        "fee": str(offering.fee),
        "currency": offering.currency,
        "lock_region": order.lock_region,
    }
