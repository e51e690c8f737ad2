"""More time for a Capacity Block: what AWS offers, what was bought, and whether it is paid.

Source: EC2 user guide, capacity-blocks-extend. The block is active or scheduled, no extension's payment is pending, and
it is at least 1 hour before its end; the id stays. An extension counts only when it is paid: its payment fails after 12
hours, or 35 minutes before the old end, and the block then ends at the old time. At most 182 days in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Sleep, all_items, ask_all
from nixl_efa.capacity.offering import Offering, extension_from_api, fee_of
from nixl_efa.capacity.reservation import PAYMENT_STATES, Reservation, amount_in, fee_tag
from nixl_efa.capacity.search import LONGEST_HOURS
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, Level
from nixl_efa.times import moment, utc
from nixl_efa.ultra_servers import is_ultra_server

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

CHECK = "extension"
LATEST = timedelta(hours=1)
# An unpaid extension fails this long after its purchase, and this long before the block's old end.
LONGEST_PAYMENT = timedelta(hours=12)
PAID_BEFORE_END = timedelta(minutes=35)

PENDING = "payment-pending"
FAILED = "payment-failed"
PAID = "payment-succeeded"


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension of a block, from DescribeCapacityBlockExtensionHistory.

    status: "payment-pending", "payment-succeeded" or "payment-failed". start: the block's old end. end: its new end.
    """

    offering_id: str
    reservation_id: str
    status: str
    purchased: datetime | None
    start: datetime
    end: datetime
    fee: Decimal
    currency: str

    @property
    def paid_until(self) -> datetime:
        """The latest time at which its payment can succeed."""
        before_end = self.start - PAID_BEFORE_END
        return before_end if self.purchased is None else min(self.purchased + LONGEST_PAYMENT, before_end)


def extensions_of(ec2: EC2Client, reservation_ids: Sequence[str], sleep: Sleep) -> list[Extension]:
    """Every extension of these blocks, whoever bought it, the oldest first."""
    if not reservation_ids:
        return []
    request = {"CapacityReservationIds": list(reservation_ids)}
    history = all_items(
        ec2.describe_capacity_block_extension_history, "CapacityBlockExtensions", sleep, request
    )
    return sorted((from_api(payload) for payload in history), key=lambda one: (one.start, one.end))


def extensions_everywhere(
    ec2_of: Callable[[str], EC2Client], found: Iterable[Reservation], sleep: Sleep
) -> tuple[dict[str, list[Extension]], dict[str, Exception]]:
    """Every extension of the blocks among the reservations, by region, asked in parallel; and the regions that failed,
    with their errors."""
    blocks: dict[str, list[str]] = {}
    for one in found:
        if one.is_block:
            blocks.setdefault(one.region, []).append(one.id)
    return ask_all(blocks, lambda region: extensions_of(ec2_of(region), blocks[region], sleep))


def from_api(payload: Mapping[str, Any]) -> Extension:
    """An extension from its payload."""
    offering_id = payload.get("CapacityBlockExtensionOfferingId", "")
    purchased = payload.get("CapacityBlockExtensionPurchaseDate")
    return Extension(
        offering_id=offering_id,
        reservation_id=payload.get("CapacityReservationId", ""),
        status=payload.get("CapacityBlockExtensionStatus", "unknown"),
        purchased=utc(purchased) if purchased else None,
        start=utc(payload["CapacityBlockExtensionStartDate"]),
        end=utc(payload["CapacityBlockExtensionEndDate"]),
        fee=fee_of(payload.get("UpfrontFee"), offering_id),
        currency=payload.get("CurrencyCode", "USD"),
    )


def newest(extensions: Iterable[Extension], reservation_id: str) -> Extension | None:
    """The extension of a block that was bought last; None without one."""
    mine = [one for one in extensions if one.reservation_id == reservation_id]
    return max(
        mine, key=lambda one: (one.start, one.purchased is not None, one.purchased or one.start), default=None
    )


@dataclass(frozen=True, slots=True)
class Payments:
    """What a block costs, with its extensions. Each is an amount with its currency ("3171.5712 USD"), empty for none.

    paid:       the block and its paid extensions; empty where the block's own fee is not known (bought by other means).
    extensions: its paid extensions alone. pending: extensions that are bought and not yet paid.
    """

    paid: str
    extensions: str
    pending: str


def payments(block: Reservation, extensions: Iterable[Extension]) -> Payments:
    """What was paid for a block, and what is still to be paid. A payment that failed is neither. Pure.

    extensions: of this block or of any; those of others are left out.
    """
    mine = [one for one in extensions if one.reservation_id == block.id]
    known = amount_in(block.fee)
    own = [known] if known else []
    added = [(one.fee, one.currency) for one in mine if one.status == PAID]
    open_ = [(one.fee, one.currency) for one in mine if one.status == PENDING]
    if block.state == PENDING:
        open_ = [*own, *open_]
    is_paid = bool(own) and block.state not in PAYMENT_STATES
    return Payments(_sum([*own, *added]) if is_paid else "", _sum(added), _sum(open_))


def _sum(fees: Iterable[tuple[Decimal, str]]) -> str:
    """The sum of amounts, for each currency by itself."""
    totals: dict[str, Decimal] = {}
    for fee, currency in fees:
        totals[currency] = totals.get(currency, Decimal(0)) + fee
    return " + ".join(fee_tag(total, currency) for currency, total in totals.items())


def offered(ec2: EC2Client, block: Reservation, hours: int, sleep: Sleep) -> list[Offering]:
    """AWS's offers to extend the block by `hours`, the cheapest first."""
    request = {"CapacityReservationId": block.id, "CapacityBlockExtensionDurationHours": hours}
    items = all_items(
        ec2.describe_capacity_block_extension_offerings, "CapacityBlockExtensionOfferings", sleep, request
    )
    found = (
        extension_from_api(payload, block.region, block.id, hours, whole_block(block)) for payload in items
    )
    return sorted(found, key=lambda one: one.fee)


def whole_block(reservation: Reservation) -> str:
    """The Capacity Block to which a reservation of UltraServers belongs and which is extended as a whole. Empty for any
    other reservation, which is a block by itself."""
    return reservation.block_id if is_ultra_server(reservation.instance_type) else ""


def check_extendable(block: Reservation, extensions: Sequence[Extension], hours: int, now: datetime) -> None:
    """Failure when AWS would not extend this reservation now, with the reason. Pure.

    How early a block can be extended is left to AWS's answer: two editions of its page differ about it by a day.
    """
    if not block.is_block or block.end is None:
        raise Failure(
            f"{block.id} is not a Capacity Block: an On-Demand Capacity Reservation lasts until it is cancelled"
        )
    if block.state not in ("active", "scheduled"):
        raise Failure(f"{block.id} is {block.state}: only a scheduled or active block can be extended")
    if now > block.end - LATEST:
        raise Failure(f"{block.id} ends at {moment(block.end)}: it can be extended until 1 hour before")
    last = newest(extensions, block.id)
    if last is not None and last.status == PENDING:
        raise Failure(
            f"an extension of {block.id} to {moment(last.end)} is bought and not yet paid: AWS sells no other one before that. "  # noqa: E501
            f"`nixl-efa capacity wait {block.id} --extension` waits for its payment."
        )
    if block.start is not None and block.end + timedelta(hours=hours) - block.start > timedelta(
        hours=LONGEST_HOURS
    ):
        raise Failure(
            f"{block.id} would last longer than {LONGEST_HOURS // 24} days with {hours} more hours: AWS does not sell that"  # noqa: E501
        )


def offer_findings(extension: Offering, now: datetime) -> list[Finding]:
    """What speaks against buying this extension now. Pure."""
    until = extension.start - PAID_BEFORE_END
    if now + LONGEST_PAYMENT <= until:
        return []
    return [
        Finding(
            Level.WARN,
            CHECK,
            f"It may not be paid in time: that takes up to 12 hours, and a payment that is open at {moment(until)} fails.",  # noqa: E501
            f"The block then ends at {moment(extension.start)}. Look at `nixl-efa capacity wait {extension.extends} --extension`.",  # noqa: E501
        )
    ]


def finding(extension: Extension | None) -> Finding | None:
    """The finding about what the last extension of a block means for its end; None without one. Pure."""
    if extension is None:
        return None
    block, old, new = extension.reservation_id, moment(extension.start), moment(extension.end)
    if extension.status == PENDING:
        return Finding(
            Level.WARN,
            CHECK,
            f"{block} is extended to {new}, and the payment is pending: it counts only when it is paid, at the latest at {moment(extension.paid_until)}. Until then the block ends at {old}.",  # noqa: E501
            f"`nixl-efa capacity wait {block} --extension` waits for the payment.",
        )
    if extension.status == FAILED:
        return Finding(
            Level.WARN,
            CHECK,
            f"The payment for the extension of {block} to {new} failed: the block ends at {old}.",
            "Check the account's payment method, and extend it again.",
        )
    return Finding(Level.PASS, CHECK, f"{block} was extended from {old} to {new}, and that is paid.")
