"""What a Capacity Block costs: one that was bought, or the cheapest on offer. Pure.

The fee is paid up front for all instances and the whole time, used or not (EC2 user guide, capacity-blocks-pricing);
the hours of its instances cost nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from nixl_efa.block_end import terminates_at
from nixl_efa.capacity.extension import PAID, PENDING, Extension
from nixl_efa.capacity.offering import Offering, hours_of
from nixl_efa.capacity.reservation import (
    FEE_TAG,
    PAYMENT_FAILED,
    PAYMENT_STATES,
    PURCHASE_TAG,
    Reservation,
    amount_in,
)
from nixl_efa.cost.money import Amount, Price, Sum, Unknown, added
from nixl_efa.ultra_servers import ULTRA_SERVERS

# Of UltraServers, in a tag: anybody can change it.
_COUNT = re.compile(r"[1-9]\d?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Block:
    """A Capacity Block with its price.

    id: of the reservation, or of the offering. bought: True if it was bought, False if it is on offer.
    instances: for which the fee is: of UltraServers, all reservations of the purchase together. size: its own.
    end:       with the paid extensions.
    fee:       of the block itself; Unknown where it was not bought by this project. extensions: those that are paid.
    pending: what was bought but is not yet paid; None without.
    purchase:  what all reservations that one fee paid for have in common; empty for an offer.
    """

    id: str
    bought: bool
    state: str
    instance_type: str
    zone: str
    instances: int
    size: int
    start: datetime
    end: datetime
    fee: Price
    extensions: tuple[Amount, ...] = ()
    pending: Sum | None = None
    purchase: str = ""

    @property
    def price(self) -> Price:
        """The fee with its paid extensions."""
        if isinstance(self.fee, Unknown):
            return self.fee
        whole = added([("fee", self.fee), *(("extension", one) for one in self.extensions)]).whole
        return whole or Unknown("its fee and those of its extensions are in different currencies")

    @property
    def length(self) -> timedelta:
        """From its start to its end."""
        return self.end - self.start

    @property
    def usable(self) -> timedelta:
        """From its start until EC2 begins to terminate what runs in it."""
        return terminates_at(self.end, self.instance_type) - self.start

    @property
    def instance_hours(self) -> Decimal:
        """What the fee is for."""
        return self.instances * hours_of(self.length)

    @property
    def instance_hour(self) -> Price:
        """The fee for one instance and one hour of the block, used or not."""
        price = self.price
        return (
            price if isinstance(price, Unknown) else Amount(price.value / self.instance_hours, price.currency)
        )


def of_reservation(
    reservation: Reservation, extensions: Iterable[Extension], account: str
) -> Block | Unknown:
    """A block that was bought. account: the caller's. Unknown if it is not a block, has no start or end, or was never
    paid for."""
    start, end = reservation.start, reservation.end
    if not reservation.is_block or start is None or end is None or end <= start:
        return Unknown(f"{reservation.id} is not a Capacity Block with a start and an end")
    if reservation.state == PAYMENT_FAILED:
        return Unknown(f"the payment for {reservation.id} failed: there is no block, and no fee", "none")
    if not reservation.size:
        return Unknown(f"EC2 does not say how many instances {reservation.id} has")
    mine = [one for one in extensions if one.reservation_id == reservation.id]
    open_ = [Amount(one.fee, one.currency) for one in mine if one.status == PENDING]
    recorded = amount_in(reservation.fee)
    fee = Amount(*recorded) if recorded else _not_told(reservation, account)
    owed: list[Price] = [*open_]
    if reservation.state in PAYMENT_STATES:
        owed.append(fee)
    return Block(
        id=reservation.id,
        bought=True,
        state=reservation.state,
        instance_type=reservation.instance_type,
        zone=reservation.zone,
        instances=_paid_for(reservation),
        size=reservation.size,
        start=start,
        end=end,
        fee=fee,
        extensions=tuple(Amount(one.fee, one.currency) for one in mine if one.status == PAID),
        pending=added((reservation.id, one) for one in owed) if owed else None,
        purchase=reservation.tags.get(PURCHASE_TAG) or reservation.block_id or reservation.id,
    )


def of_offering(offering: Offering) -> Block:
    """A block that can be bought."""
    return Block(
        id=offering.id,
        bought=False,
        state="offered",
        instance_type=offering.instance_type,
        zone=offering.zone,
        instances=offering.count,
        size=offering.count,
        start=offering.start,
        end=offering.end,
        fee=Amount(offering.fee, offering.currency),
    )


def _not_told(reservation: Reservation, account: str) -> Unknown:
    if text := reservation.tags.get(FEE_TAG):
        return Unknown(f"its tag {FEE_TAG} is {text!r}, which is not an amount")
    if reservation.owner not in ("", account):
        return Unknown(
            f"{reservation.id} was bought by account {reservation.owner}, and only that account knows its fee"
        )
    return Unknown(
        f"{reservation.id} was not bought with this project, and EC2 shows no fee after the purchase: see its invoice"
    )


def _paid_for(reservation: Reservation) -> int:
    """The instances that the recorded fee of a reservation is for."""
    count, _, name = reservation.ultra_servers.partition(" x ")
    known = ULTRA_SERVERS.get(name)
    return int(count) * known.instances if known and _COUNT.fullmatch(count) else reservation.size
