"""The three markets for the same hours, and where the block breaks even."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from nixl_efa.cost.blocks import Block
from nixl_efa.cost.compare import Comparison, Rates, compare, hours_to_compare, volume_hours, whole
from nixl_efa.cost.money import Amount, Sum, Unknown, shown
from nixl_efa.cost.rendering import lines
from nixl_efa.launch import Launch, Volume
from tests.checks.in_order import BLOCK_LAUNCH
from tests.cost.test_blocks import block, usd

NONE = Unknown("nobody says")
RATES = Rates(
    on_demand=usd("55"),
    spot=usd("20"),
    gib_month=usd("0.08"),
    iops_month=usd("0.005"),
    mibps_month=usd("0.04"),
    address=usd("0.005"),
)
# 2 instances of which EC2 takes 1,440 USD for 24 h.
BOUGHT = block()
LONGER = replace(BOUGHT, end=BOUGHT.end + (BOUGHT.end - BOUGHT.start))
LAUNCH = replace(BLOCK_LAUNCH, volume=Volume(720))


@pytest.mark.parametrize(
    ("hours", "covered", "used", "idle"),
    [(20, "20", "40", "8"), (23, "23", "46", "2"), (100, "23.5", "47.0", "1.0")],
)
def test_what_is_used_of_a_block_and_what_idles(hours: int, covered: str, used: str, idle: str) -> None:
    found = compare(LAUNCH, RATES, BOUGHT, Decimal(hours))
    assert (str(found.block_hours), str(found.used), str(found.idle)) == (covered, used, idle)
    assert found.is_covered == (hours < 100)
    # The whole fee, whatever is used.
    assert found.block_price == usd("1440.00")


def test_instances_that_no_node_runs_in_idle() -> None:
    larger = replace(BOUGHT, instances=4, size=4)
    found = compare(LAUNCH, RATES, larger, Decimal(20))
    assert (str(found.used), str(found.idle)) == ("40", "56")


def test_the_three_for_the_same_hours() -> None:
    found = compare(LAUNCH, RATES, BOUGHT, Decimal(10))
    assert (found.on_demand, found.spot) == (usd("1100"), usd("400"))
    # 2 nodes of 720 GiB for 10 of the month's 720 hours.
    assert found.volumes.whole == usd("1.6")
    assert found.addresses == usd("0.100")
    assert {market: shown(found.total(market)) for market in ("capacity-block", "on-demand", "spot")} == {
        "capacity-block": "1,441.70 USD",
        "on-demand": "1,101.70 USD",
        "spot": "401.70 USD",
    }


@pytest.mark.parametrize(
    ("fee", "on_demand", "spot", "expected"),
    [
        ("1440 USD", usd("60"), usd("20"), [("on-demand", "12", True), ("spot", "36", False)]),
        ("1440 USD", NONE, usd("40"), [("spot", "18", True)]),
        ("1440 USD", NONE, NONE, []),
        ("", usd("60"), usd("20"), []),
        ("1440 CNY", usd("60"), usd("20"), []),
    ],
)
def test_where_the_block_breaks_even(
    fee: str, on_demand: Amount | Unknown, spot: Amount | Unknown, expected: list[tuple[str, str, bool]]
) -> None:
    number, _, currency = fee.partition(" ")
    price = Amount(Decimal(number), currency) if fee else NONE
    found = compare(
        LAUNCH, replace(RATES, on_demand=on_demand, spot=spot), replace(BOUGHT, fee=price), Decimal(10)
    )
    assert [(one.market, str(one.hours), one.reached) for one in found.break_even] == expected


def test_a_volume_costs_its_storage_and_what_is_above_what_gp3_includes() -> None:
    whole_month = Decimal(720)
    assert volume_hours(Volume(100), RATES, whole_month).whole == usd("8.00")
    fast = Volume(100, iops=4000, throughput=625)
    assert volume_hours(fast, RATES, whole_month).whole == usd("33.000")
    # What is not above is not missed.
    without = replace(RATES, iops_month=NONE, mibps_month=NONE)
    assert volume_hours(Volume(100), without, whole_month).whole == usd("8.00")
    assert volume_hours(fast, without, whole_month).unknown == ("volumes",)


def test_what_is_unknown_is_never_0_in_a_sum() -> None:
    found = compare(LAUNCH, replace(RATES, address=NONE), NONE, Decimal(10))
    assert found.total("on-demand").whole is None
    assert found.total("on-demand").unknown == ("public addresses",)
    assert shown(found.total("capacity-block")) == "1.60 USD + unknown"
    assert found.total("capacity-block").unknown == ("capacity-block", "public addresses")


def test_without_addresses_nothing_is_paid_for_them() -> None:
    found = compare(replace(LAUNCH, elastic_ip=False), replace(RATES, address=NONE), BOUGHT, Decimal(10))
    assert found.addresses is None
    assert found.total("on-demand").whole == usd("1101.6")


@pytest.mark.parametrize(
    ("asked", "blocks", "hours"),
    [
        (10, [BOUGHT, NONE], ["10", "10"]),
        (None, [BOUGHT, LONGER, NONE], ["23.5", "47.5", "47.5"]),
        (None, [replace(BOUGHT, bought=False), NONE], ["24", "24"]),
    ],
)
def test_the_hours_that_are_compared(
    asked: int | None, blocks: list[Block | Unknown], hours: list[str]
) -> None:
    assert [str(one) for one in hours_to_compare(asked, blocks)] == hours


def parts(*reservations: str) -> list[Launch]:
    """Requests of one environment, each a node in a reservation."""
    own = tuple(
        replace(LAUNCH, nodes=(node,), reservation=replace(LAUNCH.reservation, id=name))
        for node, name in zip(LAUNCH.nodes, reservations, strict=True)
    )
    return list(replace(LAUNCH, parts=own).requests)


def said(comparisons: Sequence[Comparison]) -> str:
    return " ".join(" ".join(lines(comparisons, "nixl-efa-prod", "us-east-2")).split())


def test_a_block_that_two_requests_share_is_paid_for_once() -> None:
    shared = [compare(one, RATES, BOUGHT, Decimal(20)) for one in parts("cr-1", "cr-1")]
    assert [(one.in_block, str(one.used)) for one in shared] == [(2, "40"), (2, "40")]
    # 1,440 USD against two nodes at 55 and at 20 an hour: of both requests together.
    assert [round(one.hours, 2) for one in shared[0].break_even] == [Decimal("13.09"), Decimal(36)]
    assert whole(shared, "capacity-block").known["USD"] == Decimal(1440) + Decimal("3.2") + Decimal("0.2")
    # One instance stands beside the fee of two: that is said.
    note = "1 other node of the environment runs in it, too: the column has the whole fee"
    assert said(shared).count(note) == 2
    other = replace(BOUGHT, id="cr-2", purchase="cr-2")
    own = [
        compare(one, RATES, each, Decimal(20))
        for one, each in zip(parts("cr-1", "cr-2"), (BOUGHT, other), strict=True)
    ]
    assert [(one.in_block, str(one.used)) for one in own] == [(1, "20"), (1, "20")]
    assert note not in said(own)
    assert whole(own, "capacity-block").known["USD"] == Decimal(2880) + Decimal("3.4")
    # The reservations of one purchase have one fee; an offer is bought for each, whatever its id.
    both = [replace(BOUGHT, id=name, purchase="p-1") for name in ("cr-1", "cr-2")]
    paid = [
        compare(*each, Decimal(20)) for each in zip(parts("cr-1", "cr-2"), [RATES] * 2, both, strict=True)
    ]
    assert whole(paid, "capacity-block").known["USD"] == Decimal(1440) + Decimal("3.4")
    offer = replace(BOUGHT, bought=False, purchase="")
    offered = [compare(one, RATES, offer, Decimal(20)) for one in parts("cr-1", "cr-2")]
    assert whole(offered, "capacity-block").known["USD"] == Decimal(2880) + Decimal("3.4")


def test_a_block_that_is_too_small_breaks_even_nowhere_and_is_said_to_be_so() -> None:
    small = replace(BOUGHT, instances=1, size=1)
    found = compare(LAUNCH, RATES, small, Decimal(20))
    assert (found.without_place, found.break_even, found.is_covered) == (1, (), False)
    shown_lines = "\n".join(lines([found], "nixl-efa-dev", "us-east-2"))
    assert "It has 1 instance for 2 nodes: its column is for these only" in shown_lines
    assert "Where the block breaks even can't be said for a block that is too small." in shown_lines


def test_a_block_that_has_ended_is_said_to_be_over() -> None:
    over = compare(LAUNCH, RATES, replace(BOUGHT, state="expired"), Decimal(20))
    words = "  It has ended: these are the figures it had. A launch needs another one."
    assert words in lines([over], "nixl-efa-dev", "us-east-2")
    assert words not in lines([compare(LAUNCH, RATES, BOUGHT, Decimal(20))], "nixl-efa-dev", "us-east-2")


def test_what_a_volume_lacks_is_named() -> None:
    fast = replace(LAUNCH, volume=Volume(720, iops=4000))
    found = compare(fast, replace(RATES, iops_month=NONE), BOUGHT, Decimal(20))
    assert "Volumes: unknown: nobody says." in lines([found], "nixl-efa-dev", "us-east-2")


def test_all_requests_together_say_whose_part_is_missing() -> None:
    first, second = parts("cr-1", "cr-2")
    found = [
        compare(first, RATES, BOUGHT, Decimal(20)),
        compare(second, replace(RATES, on_demand=NONE), NONE, Decimal(20)),
    ]
    assert whole(found, "on-demand").unknown == ("consumer on-demand",)
    assert whole(found, "capacity-block").unknown == ("consumer block",)
    assert whole(found, "spot") == Sum({"USD": Decimal("800") + Decimal("3.4")})
