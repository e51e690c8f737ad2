"""Looking for a purchase whose answer was lost: by the tag among the reservations, by the offering among the
extensions.

The waiting rule. EC2 is eventually consistent: what was bought can stay invisible for some time, so one look
that finds nothing proves nothing (EC2 API reference, eventual-consistency). A purchase counts as not made
only when it was looked for in vain at least `LOOKS` times and the last look was `settle_seconds` or more
after the journal said that the call begins. Until then nothing else is bought for the environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import all_items
from nixl_efa.capacity.journal import Entry
from nixl_efa.capacity.order import Kind
from nixl_efa.capacity.reservation import PURCHASE_TAG
from nixl_efa.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# Looks that must find nothing before a purchase counts as not made.
LOOKS = 3


@dataclass(frozen=True, slots=True)
class WaitingRule:
    """How long to look, in seconds.

    look:   how long the command that lost an answer looks for the purchase before it gives up for now.
    settle: how old a call must be before not finding it means that it bought nothing. Far above the minute
            that the call itself may take and the seconds in which EC2 usually shows what was made.
    pause:  between two looks.
    """

    look_seconds: float = 60
    settle_seconds: float = 600
    pause_seconds: float = 5

    def settled_at(self, entry: Entry) -> datetime:
        """From when on not finding the entry's purchase means that there is none."""
        return entry.changed_at + timedelta(seconds=self.settle_seconds)


def pause_between(settle_seconds: float) -> float:
    """The seconds between two looks: 5, less when the whole wait is short."""
    return min(5.0, max(settle_seconds / 10, 0.05))


def look(ec2: EC2Client, entry: Entry, sleep: Callable[[float], None]) -> tuple[str, ...]:
    """The ids of the reservations that this entry's call has bought or extended, empty when none is
    visible."""
    if entry.order.kind is Kind.EXTENSION:
        return _extensions(ec2, entry, sleep)
    # DescribeCapacityReservations documents no filter for tags (EC2 API reference), so they are compared
    # here.
    reservations = all_items(ec2.describe_capacity_reservations, "CapacityReservations", sleep)
    return tuple(
        payload["CapacityReservationId"]
        for payload in reservations
        if {"Key": PURCHASE_TAG, "Value": entry.tag} in (payload.get("Tags") or ())
    )


def look_until(
    look_once: Callable[[], tuple[str, ...]], clock: Clock, until: datetime, pause_seconds: float
) -> tuple[str, ...]:
    """Looks again and again until something is found, or `until` has passed and it was looked LOOKS times."""
    looks = 0
    while True:
        found = look_once()
        looks += 1
        if found or (looks >= LOOKS and clock.now() >= until):
            return found
        clock.sleep(pause_seconds)


def extensions_of(ec2: EC2Client, block_id: str, sleep: Callable[[float], None]) -> set[str]:
    """The offerings by which this block was extended, by anybody."""
    history = all_items(
        ec2.describe_capacity_block_extension_history,
        "CapacityBlockExtensions",
        sleep,
        {"CapacityReservationIds": [block_id]},
    )
    return {extension.get("CapacityBlockExtensionOfferingId", "") for extension in history}


def _extensions(ec2: EC2Client, entry: Entry, sleep: Callable[[float], None]) -> tuple[str, ...]:
    """An extension takes no tags; its history names the offering that was bought, and an offering of an
    extension is made for one reservation."""
    bought = entry.order.offering_id in extensions_of(ec2, entry.order.target, sleep)
    return (entry.order.target,) if bought else ()
