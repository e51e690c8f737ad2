"""Spot's history: what an hour costs, and what has been paid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from nixl_efa.cost.money import Amount, Unknown
from nixl_efa.cost.spot import Change, changes, currency_of, now_in, paid, span_in

DAY = datetime(2026, 12, 1, tzinfo=UTC)
HISTORY = (
    Change("a", DAY - timedelta(days=2), Decimal(10)),
    Change("b", DAY - timedelta(days=2), Decimal(8)),
    Change("a", DAY, Decimal(20)),
    Change("b", DAY + timedelta(hours=6), Decimal(30)),
)


def test_rows_become_changes_in_their_order_and_a_row_without_a_price_says_nothing() -> None:
    row = {"AvailabilityZone": "a", "Timestamp": DAY, "SpotPrice": "0.087000"}
    earlier = row | {"Timestamp": DAY - timedelta(days=1), "SpotPrice": "0.08"}
    found = changes([row, earlier, row | {"SpotPrice": "none"}, row | {"SpotPrice": "0"}, {}])
    assert found == (
        Change("a", DAY - timedelta(days=1), Decimal("0.08")),
        Change("a", DAY, Decimal("0.087000")),
    )


@pytest.mark.parametrize(
    ("zone", "price"),
    [("", (Amount(Decimal(20), "USD"), "a")), ("b", (Amount(Decimal(30), "USD"), "b"))],
)
def test_the_price_of_now_is_the_last_one_in_the_zone_or_in_the_cheapest(
    zone: str, price: tuple[Amount, str]
) -> None:
    assert now_in(HISTORY, "USD", zone) == price


def test_without_a_price_it_is_unknown() -> None:
    assert now_in((), "USD", "c") == (Unknown("EC2 has no Spot price for the type in c"), "c")
    assert span_in(HISTORY, "c", DAY) is None


@pytest.mark.parametrize(("since", "span"), [(-72, (10, 20)), (-1, (10, 20)), (0, (20, 20)), (9, (20, 20))])
def test_the_span_is_of_the_prices_that_were_in_force_since_then(since: int, span: tuple[int, int]) -> None:
    low, high = span
    assert span_in(HISTORY, "a", DAY + timedelta(hours=since)) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    ("start", "hours", "cost"),
    [(-24, 24, "240"), (-1, 2, "30"), (1, 1, "20"), (5, 0, "0")],
)
def test_what_has_run_is_paid_at_the_prices_that_were_in_force(start: int, hours: int, cost: str) -> None:
    begin = DAY + timedelta(hours=start)
    found = paid(HISTORY, "USD", "a", begin, begin + timedelta(hours=hours))
    assert found == Amount(Decimal(cost), "USD")


def test_a_time_before_the_history_is_unknown() -> None:
    assert isinstance(paid(HISTORY, "USD", "a", DAY - timedelta(days=3), DAY), Unknown)
    assert isinstance(paid(HISTORY, "USD", "c", DAY, DAY + timedelta(hours=1)), Unknown)


def test_the_currency_follows_the_region() -> None:
    assert [currency_of(region) for region in ("us-east-2", "cn-north-1")] == ["USD", "CNY"]
