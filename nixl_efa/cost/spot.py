"""Spot prices from their history, and how likely EC2 thinks a launch. Pure.

A row of DescribeSpotPriceHistory is a change of the price, which holds until the next one of its zone:

    {"AvailabilityZone": "us-east-2a", "InstanceType": "p5.48xlarge", "ProductDescription": "Linux/UNIX",
     "SpotPrice": "24.768000", "Timestamp": 2026-12-01 00:00 UTC}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from nixl_efa.capacity.offering import hours_of
from nixl_efa.cost.money import Amount, Price, Unknown
from nixl_efa.times import utc

PLATFORM = "Linux/UNIX"
# EC2 keeps no older prices (botocore, DescribeSpotPriceHistory).
KEPT = timedelta(days=90)
LOOKED_BACK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Change:
    """The price of an instance-hour in a zone, from a moment on."""

    zone: str
    at: datetime
    price: Decimal


@dataclass(frozen=True, slots=True)
class Score:
    """How likely EC2 thinks it that Spot has the instances, from 1 to 10. zone: its id ("use2-az1")."""

    zone: str
    score: int


def changes(payloads: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The changes, the oldest first. A row without a price that can be read is left out: it says nothing."""
    found = []
    for one in payloads:
        try:
            price = Decimal(one["SpotPrice"])
            if price > 0:
                found.append(Change(one["AvailabilityZone"], utc(one["Timestamp"]), price))
        except (KeyError, InvalidOperation, TypeError):
            continue
    return tuple(sorted(found, key=lambda one: (one.at, one.zone)))


def currency_of(region: str) -> str:
    """The currency of Spot prices: no answer contains it."""
    return "CNY" if region.startswith("cn-") else "USD"


def now_in(history: Iterable[Change], currency: str, zone: str = "") -> tuple[Price, str]:
    """What an instance-hour costs now, and in which zone: in the one that is named, else where it is lowest."""
    last = {one.zone: one.price for one in history if zone in ("", one.zone)}
    if not last:
        where = f" in {zone}" if zone else ""
        return Unknown(f"EC2 has no Spot price for the type{where}"), zone
    at = min(last, key=lambda name: (last[name], name))
    return Amount(last[at], currency), at


def span_in(history: Iterable[Change], zone: str, since: datetime) -> tuple[Decimal, Decimal] | None:
    """The lowest and the highest price that was in force in a zone since a moment; None without one."""
    mine = [one for one in history if one.zone == zone]
    before = [one.price for one in mine if one.at <= since]
    found = [*before[-1:], *(one.price for one in mine if one.at > since)]
    return (min(found), max(found)) if found else None


def paid(history: Iterable[Change], currency: str, zone: str, start: datetime, end: datetime) -> Price:
    """What one instance has cost in a zone from start to end, at the prices that were in force."""
    mine = [one for one in history if one.zone == zone and one.at < end]
    if not mine or mine[0].at > start:
        return Unknown(f"EC2 has no Spot prices in {zone} back to {start:%Y-%m-%d %H:%M} UTC")
    value = Decimal(0)
    for place, one in enumerate(mine):
        until = mine[place + 1].at if place + 1 < len(mine) else end
        inside = min(until, end) - max(one.at, start)
        if inside > timedelta(0):
            value += one.price * hours_of(inside)
    return Amount(value, currency)
