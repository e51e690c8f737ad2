"""What is bought, for which environment and from which account: everything that a purchase is looked for
by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What an order buys."""

    BLOCK = "block"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class Place:
    """Where money would be spent. Journals of different places have nothing to do with each other: the
    purchase of one account can't be found in another, nor that of a rehearsal at AWS.

    endpoint: AWS_ENDPOINT_URL, empty for AWS itself.
    """

    account: str
    endpoint: str = ""


class Command(NamedTuple):
    """What makes two runs the same command: then they are about one purchase, not about two."""

    kind: Kind
    environment: str
    region: str
    offering_id: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to buy. fee is the total in `currency`; target is the reservation that an extension
    extends."""

    kind: Kind
    environment: str
    region: str
    offering_id: str
    instance_type: str
    count: int
    zone: str
    start: datetime
    end: datetime
    fee: Decimal
    currency: str
    by: str
    lock_region: str
    target: str = ""

    @property
    def command(self) -> Command:
        """The command that gives this order."""
        return Command(self.kind, self.environment, self.region, self.offering_id, self.target)

    def text(self) -> str:
        """The order in a few words."""
        what = f"{self.count} x {self.instance_type} in {self.zone}"
        until = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return f"{what}, {until}, {self.fee} {self.currency}"
