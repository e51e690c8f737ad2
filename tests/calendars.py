"""A calendar that has one of everything, for tests of its model, its text and its page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nixl_efa.account import Account
from nixl_efa.capacity.calendar.model import Calendar, Owned, Wanted, ends_findings
from nixl_efa.capacity.extension import PENDING, Extension
from nixl_efa.capacity.history import Look, look
from nixl_efa.capacity.offering import Offering, Segment
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.search import Found, Request
from nixl_efa.findings import failed
from tests.capacity.fake_aws import refusal

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
END = datetime(2026, 12, 3, 11, 30, tzinfo=UTC)
REGIONS = ("eu-north-1", "us-east-1", "us-east-2", "us-west-2")
# What a reservation's tags hold may be written by anybody who may tag.
FOREIGN = "<script>alert(1)</script>\"'&amp;"


def block(number: int, **changes: object) -> Reservation:
    """A Capacity Block, active until END."""
    given: dict[str, object] = {
        "id": f"cr-{number:017x}", "region": "us-east-2", "kind": "capacity-block", "state": "active",
        "instance_type": "p5.48xlarge", "size": 2, "free": 0, "zone": "us-east-2a", "platform": "Linux/UNIX",
        "start": NOW - DAY, "end": END,
    }  # fmt: skip
    return Reservation(**{**given, **changes})  # type: ignore[arg-type]


CURRENT = Owned(block(1), (("prod", "current"),), paid="3024.5000 USD")
NEXT = Owned(
    block(2, state="scheduled", start=END + DAY, end=END + 3 * DAY, zone="us-east-2b"),
    (("prod", "next"),),
    pending="3500.2500 USD",
)
EXTENDED = Owned(
    block(3, end=END + 4 * DAY),
    (("dev", "current"),),
    Extension("cbe-1", "cr-3", PENDING, NOW, END + 4 * DAY, END + 8 * DAY, Decimal(6000), "USD"),
    "9000 USD",
    "6000 USD",
)
NOT_SAVED = Owned(block(4, end=END + 120 * DAY), ((FOREIGN, "not saved"),))
ON_DEMAND = Owned(
    block(5, kind="on-demand", instance_type="g7e.8xlarge", end=None, size=1), (("lab", "current"),)
)


def offer(number: int, days: int = 1, **changes: object) -> Offering:
    """A block of so many days from the day after END on, at 30 USD for an instance-hour."""
    given: dict[str, object] = {
        "id": f"cb-{number:017x}", "region": "us-east-2", "instance_type": "p5.48xlarge", "count": 2,
        "zone": "us-east-2a", "start": END + DAY, "end": END + (days + 1) * DAY, "fee": Decimal(1440 * days),
        "currency": "USD", "asked_hours": 24 * days,
    }  # fmt: skip
    return Offering(**{**given, **changes})  # type: ignore[arg-type]


OFFERS = (
    *(offer(number, days) for number, days in enumerate((1, 2, 7, 14), 1)),
    offer(10, 2, region="us-west-2", zone="us-west-2d", fee=Decimal("2400.96")),
    offer(11, 2, region="us-west-2", zone="us-west-2d", start=END + 20 * DAY, end=END + 202 * DAY, fee=Decimal(200000)),
    replace(
        offer(12, 1, fee=Decimal(1000)),
        segments=tuple(Segment(f"us-east-2{one}", 2, END + DAY, END + 2 * DAY) for one in "ab"),
    ),
    offer(13, 1, zone="us-east-2b", start=END - timedelta(hours=47), end=END - DAY, fee=Decimal(1300)),
)  # fmt: skip
REQUEST = Request("p5.48xlarge", 2, (24, 48, 168, 336), NOW)
FOUND = Found(
    OFFERS,
    {"eu-north-1": refusal("UnauthorizedOperation", "DescribeCapacityBlockOfferings")},
    True,
    ("us-east-1",),
)


def looks() -> tuple[Look, ...]:
    """Three searches: a day ago one offer was dearer and another one was there, half a day ago nothing was."""
    before = (
        replace(OFFERS[0], fee=Decimal(1600)),
        *OFFERS[1:4],
        offer(20, 1, zone="us-east-2c", fee=Decimal(1200)),
    )
    return (
        look(REQUEST, REGIONS, replace(FOUND, offerings=before), NOW - DAY, ""),
        look(REQUEST, REGIONS, replace(FOUND, offerings=()), NOW - DAY / 2, ""),
        look(REQUEST, REGIONS, FOUND, NOW, ""),
    )


def calendar(*, empty: bool = False) -> Calendar:
    """With one of everything, or with nothing."""
    account = Account("123456789012", "arn:aws:sts::123456789012:user/ada", alias="team & co")
    if empty:
        return Calendar(NOW, account, ("us-east-2",), (), (), ())
    full = Calendar(
        now=NOW,
        account=account,
        regions=REGIONS,
        targets=("dev", "empty", "lab", "prod"),
        owned=(CURRENT, NEXT, EXTENDED, NOT_SAVED, ON_DEMAND),
        wanted=(Wanted(REQUEST, FOUND, ("prod",), ("us-east-2",), 8, looks()),),
        not_asked=(
            ("eu-north-1", "no permission: ec2:DescribeCapacityBlockOfferings is missing. Ask `iam` & <co>."),
        ),
        lost=2,
    )
    misfit = failed("misfit", "prod: it is in us-east-2a, and the subnet in us-east-2b.", "Set `subnet_id`.")
    return replace(full, warnings=(misfit, *ends_findings(full)))
