"""What a Capacity Block costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from nixl_efa.capacity.extension import FAILED, PAID, PENDING, Extension
from nixl_efa.capacity.reservation import FEE_TAG, ULTRA_SERVERS_TAG
from nixl_efa.cost.blocks import Block, of_reservation
from nixl_efa.cost.money import Amount, Sum, Unknown
from tests.checks.in_order import ACCOUNT, BLOCK, ON_DEMAND_RESERVATION

START = datetime(2026, 12, 1, 11, 30, tzinfo=UTC)
BOUGHT = replace(BLOCK, start=START, end=START + timedelta(hours=24), size=2, tags={FEE_TAG: "1440.00 USD"})


def extension(status: str, currency: str = "USD") -> Extension:
    return Extension("cbe-1", BOUGHT.id, status, START, START, START, Decimal(960), currency)


def block(extensions: tuple[Extension, ...] = (), account: str = ACCOUNT, **changes: Any) -> Block:
    found = of_reservation(replace(BOUGHT, **changes), extensions, account)
    assert isinstance(found, Block)
    return found


def usd(value: str) -> Amount:
    return Amount(Decimal(value), "USD")


def test_what_a_block_costs() -> None:
    found = block()
    assert (found.price, found.instance_hour, found.instance_hours) == (
        usd("1440.00"),
        usd("30"),
        Decimal(48),
    )
    assert found.usable == timedelta(hours=23, minutes=30)


def test_paid_extensions_are_in_the_price_and_open_ones_beside_it() -> None:
    found = block((extension(PAID), extension(PENDING), extension(FAILED)), end=START + timedelta(hours=48))
    assert found.price == usd("2400.00")
    assert found.instance_hour == usd("25")
    assert found.pending == Sum({"USD": Decimal(960)})


def test_a_block_whose_payment_failed_costs_nothing_and_is_none() -> None:
    found = of_reservation(replace(BOUGHT, state="payment-failed"), (), ACCOUNT)
    assert found == Unknown(f"the payment for {BOUGHT.id} failed: there is no block, and no fee", "none")


def test_a_block_that_is_not_paid_owes_its_fee() -> None:
    assert block(state="payment-pending").pending == Sum({"USD": Decimal("1440.00")})
    assert block().pending is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tags": {}}, "was not bought with this project"),
        ({"tags": {}, "owner": "210987654321"}, "was bought by account 210987654321"),
        ({"tags": {FEE_TAG: "much"}}, "'much', which is not an amount"),
        ({"tags": {FEE_TAG: "NaN USD"}}, "'NaN USD', which is not an amount"),
        ({"tags": {FEE_TAG: "-1440.00 USD"}}, "'-1440.00 USD', which is not an amount"),
        ({"tags": {FEE_TAG: "1_440 USD"}}, "'1_440 USD', which is not an amount"),
        ({"tags": {FEE_TAG: f"{'9' * 38} USD"}}, "which is not an amount"),
    ],
)
def test_a_fee_that_nobody_wrote_down_is_unknown(changes: dict[str, Any], words: str) -> None:
    found = block(**changes)
    assert isinstance(found.price, Unknown)
    assert words in found.price.reason
    assert found.instance_hour == found.price


def test_extensions_in_another_currency_are_not_added() -> None:
    assert isinstance(block((extension(PAID, "CNY"),)).price, Unknown)


def test_of_ultra_servers_the_fee_is_for_all_reservations_of_the_purchase() -> None:
    tags = {FEE_TAG: "1440.00 USD", ULTRA_SERVERS_TAG: "2 x u-p6e-gb200x36"}
    found = block(instance_type="p6e-gb200.36xlarge", size=9, tags=tags)
    assert (found.size, found.instances, found.instance_hours) == (9, 18, Decimal(432))
    assert found.usable == timedelta(hours=23)


@pytest.mark.parametrize("count", ["0", "many", "٢", "9" * 200])
def test_a_number_of_ultra_servers_that_nobody_can_have_bought_is_not_counted(count: str) -> None:
    tags = {FEE_TAG: "1440.00 USD", ULTRA_SERVERS_TAG: f"{count} x u-p6e-gb200x36"}
    assert block(instance_type="p6e-gb200.36xlarge", size=9, tags=tags).instances == 9


@pytest.mark.parametrize(
    "reservation",
    [
        ON_DEMAND_RESERVATION,
        replace(BOUGHT, start=None),
        replace(BOUGHT, end=BOUGHT.start),
        replace(BOUGHT, size=0),
    ],
)
def test_what_is_no_block_with_a_time_and_a_size_is_unknown(reservation: Any) -> None:
    assert isinstance(of_reservation(reservation, (), ACCOUNT), Unknown)
