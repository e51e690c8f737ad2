"""A Capacity Reservation, On-Demand or of a Capacity Block, and its life along the clock: pure.

Sources: EC2 user guide, ec2-capacity-blocks, capacity-blocks-view, capacity-blocks-monitor, capacity-blocks-extend;
the tags of a scheduled block: ParallelCluster, aws_resources.py (CapacityReservationInfo).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

BLOCK = "capacity-block"
ON_DEMAND = "default"
INTERRUPTIBLE = "interruptible-capacity-reservation"  # a market type (botocore, MarketType)
# EC2 begins to terminate a block's instances this long before its end (capacity-blocks-monitor).
TERMINATION_LEAD = timedelta(minutes=30)
ULTRASERVER_TERMINATION_LEAD = timedelta(minutes=60)
# A payment that takes longer has failed (capacity-blocks-view). The payment of an extension has also failed if it is
# not complete this long before the current end of the block (capacity-blocks-extend).
LONGEST_PAYMENT = timedelta(hours=12)
EXTENSION_PAYMENT_LEAD = timedelta(minutes=35)
LONGEST_BLOCK = timedelta(days=182)  # with all its extensions
SIZE_TAG = "aws:ec2capacityreservation:incrementalRequestedQuantity"
TYPE_TAG = "aws:ec2capacityreservation:capacityReservationType"


@dataclass(slots=True)
class Extension:
    """A purchased extension of a block. `start` is the block's end before the extension; `paid` is when its payment
    would be complete."""

    offering_id: str
    hours: int
    purchased: datetime
    start: datetime
    end: datetime
    fee: str
    paid: datetime
    fails: bool = False

    def status(self, now: datetime) -> str:
        """payment-pending, payment-failed or payment-succeeded."""
        last = min(self.purchased + LONGEST_PAYMENT, self.start - EXTENSION_PAYMENT_LEAD)
        if now < min(self.paid, last):
            return "payment-pending"
        return "payment-failed" if self.fails or self.paid > last else "payment-succeeded"


@dataclass(slots=True)
class Reservation:
    """`kind` is BLOCK or ON_DEMAND; `returning` holds the times at which slots of ended instances are free again.

    owner: the account that it belongs to.
    source_id: of an interruptible one, the reservation that its places were taken from; empty for others.
    taken_back: of an interruptible one, when EC2 ends what runs in places that its owner takes back.
    hidden_reads, hidden_until: EC2 does not show it for that many more reads, nor before that moment.
    """

    id: str
    kind: str
    instance_type: str
    platform: str
    zone: str
    zone_id: str
    count: int
    created: datetime
    start: datetime
    purchased_end: datetime | None = None
    paid: datetime | None = None
    fails: bool = False
    match: str = "open"
    tenancy: str = "default"
    owner: str = ""
    source_id: str = ""
    taken_back: datetime | None = None
    ebs_optimized: bool = False
    fee: str = ""
    block_id: str = ""
    ultra_server: str = ""
    cancelled: bool = False
    hidden_reads: int = 0
    hidden_until: datetime | None = None
    returning: list[datetime] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)

    @property
    def is_interruptible(self) -> bool:
        """Whether its owner may take its places back."""
        return bool(self.source_id)

    @property
    def is_block(self) -> bool:
        """Whether this is a Capacity Block's."""
        return self.kind == BLOCK

    def end(self, now: datetime) -> datetime | None:
        """When it ends, paid extensions included; None for one without an end."""
        paid = [
            extension.end for extension in self.extensions if extension.status(now) == "payment-succeeded"
        ]
        return max(paid, default=self.purchased_end)

    def state(self, now: datetime) -> str:
        """The state in the API's words."""
        if self.cancelled or (self.is_interruptible and not self.count):
            return "cancelled"
        if self.paid is not None:
            last = self.created + LONGEST_PAYMENT
            if now < min(self.paid, last):
                return "payment-pending"
            if self.fails or self.paid > last:
                return "payment-failed"
        end = self.end(now)
        if end is not None and now >= end:
            return "expired"
        return "scheduled" if now < self.start else "active"

    def terminates_at(self, now: datetime) -> datetime | None:
        """When EC2 begins to terminate the instances of a block, or of an interruptible reservation that is taken back;
        None for other On-Demand reservations."""
        if self.taken_back is not None:
            return self.taken_back
        end = self.end(now)
        if not self.is_block or end is None:
            return None
        ultraserver = self.instance_type.partition(".")[0].endswith(("u", "gb200", "gb300"))
        return end - (ULTRASERVER_TERMINATION_LEAD if ultraserver else TERMINATION_LEAD)

    def launch_status(self, now: datetime, interconnect: str) -> str:
        """LaunchStatus, which only UltraServers have: nothing is launched before it is active, nor (an assumption) into
        an impaired one."""
        able = self.state(now) == "active" and interconnect != "impaired"
        return "launchable" if able else "unlaunchable"

    def total(self, now: datetime) -> int:
        """TotalInstanceCount: 0 unless active, which hides the size of a block that is only scheduled."""
        return self.count if self.state(now) == "active" else 0

    def free(self, now: datetime, used: int) -> int:
        """AvailableInstanceCount, with `used` instances running in it."""
        self.returning = [moment for moment in self.returning if moment > now]
        return max(0, self.total(now) - used - len(self.returning))

    def is_hidden(self, now: datetime) -> bool:
        """Whether EC2 does not show it yet in this call: each call counts."""
        if self.hidden_reads > 0:
            self.hidden_reads -= 1
            return True
        return self.hidden_until is not None and now < self.hidden_until

    def hidden_tags(self) -> dict[str, str]:
        """The tags in which AWS keeps a block's size and type, also while it is scheduled."""
        return {SIZE_TAG: str(self.count), TYPE_TAG: BLOCK} if self.is_block else {}


def most_at_once(blocks: Iterable[Reservation], start: datetime, end: datetime, now: datetime) -> int:
    """The most instances that paid or pending blocks have at one time between `start` and `end`."""
    spans = [
        (block.start, last, block.count)
        for block in blocks
        if block.is_block
        and block.state(now) in ("payment-pending", "scheduled", "active")
        and (last := block.end(now))
    ]
    moments = [start, *(first for first, _, _ in spans if start < first < end)]
    return max(sum(count for first, last, count in spans if first <= moment < last) for moment in moments)
