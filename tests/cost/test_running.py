"""What runs has cost so far, and will have cost by its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from nixl_efa.cost.money import Sum, Unknown, shown
from nixl_efa.cost.rendering import running
from nixl_efa.cost.running import Disk, Node, Spent, spent, together
from nixl_efa.cost.spot import Change
from nixl_efa.launch import Market, Volume
from tests.cost.test_blocks import START, block, usd
from tests.cost.test_compare import NONE, RATES

NOW = START + timedelta(hours=10)
BLOCK = block()
KIND = "p5.48xlarge"
PRODUCER = Node(
    "i-1",
    "producer",
    "running",
    KIND,
    "capacity-block",
    "us-east-2a",
    START + timedelta(hours=1),
    1,
    BLOCK.id,
)
CONSUMER = replace(PRODUCER, id="i-2", name="consumer")
DISK = Disk("i-1", START + timedelta(hours=1), Volume(720))
HISTORY = (
    Change("us-east-2a", START, Decimal(20)),
    Change("us-east-2a", START + timedelta(hours=6), Decimal(30)),
)


def told(*nodes: Node, disks: tuple[Disk, ...] | Unknown = (), **changes: object) -> dict[str, Spent]:
    rates = replace(RATES, **changes)  # type: ignore[arg-type]
    blocks = {one.reservation_id: BLOCK for one in nodes if one.reservation_id}
    found = spent(nodes, disks, blocks, {KIND: rates}, {KIND: HISTORY}, "USD", NOW)
    return {one.what: one for one in found}


def test_what_runs_has_cost_so_far_and_by_its_end() -> None:
    found = told(PRODUCER, replace(CONSUMER, state="stopped"), disks=(DISK,))
    of_block = found[f"block {BLOCK.id}"]
    # Paid at once; of 2 x 10 hours so far one node used 9, the stopped one nothing.
    assert (of_block.so_far, of_block.by_end, of_block.each_hour) == (usd("1440.00"), usd("1440.00"), None)
    assert (of_block.used, of_block.idle) == (Decimal(9), Decimal(11))
    end = datetime(2026, 12, 2, 11, tzinfo=UTC)
    volumes, addresses = found["volumes"], found["public addresses"]
    # 720 GiB for 9 and 22.5 of 720 hours.
    assert (shown(volumes.so_far), shown(volumes.by_end), volumes.end) == ("0.72 USD", "1.80 USD", end)
    # Both have an address, the stopped one, too.
    assert (shown(addresses.so_far), shown(addresses.by_end)) == ("0.09 USD", "0.23 USD")
    so_far, by_end = together(found.values())
    assert (shown(so_far), shown(by_end)) == ("1,440.81 USD", "1,442.03 USD")


def test_of_a_block_no_hour_before_its_start_counts_and_never_less_than_0_idles() -> None:
    early = replace(PRODUCER, launched=START - timedelta(hours=1))
    of_block = told(early, replace(early, id="i-2"), replace(early, id="i-3"))[f"block {BLOCK.id}"]
    assert (of_block.used, of_block.idle) == (Decimal(30), Decimal(0))


def test_the_reservations_of_one_purchase_have_one_fee() -> None:
    other = replace(BLOCK, id="cr-2")
    nodes = (PRODUCER, replace(CONSUMER, reservation_id="cr-2"))
    first, second, *_ = spent(nodes, (), {BLOCK.id: BLOCK, "cr-2": other}, {KIND: RATES}, {}, "USD", NOW)
    assert (shown(first.so_far), shown(second.so_far), second.paid_with) == (
        "1,440.00 USD",
        "nothing",
        BLOCK.id,
    )
    assert together((first, second))[1] == Sum({"USD": Decimal(1440)})


def test_a_volume_is_gone_at_the_end_of_its_own_block() -> None:
    later = replace(BLOCK, id="cr-2", purchase="cr-2", end=BLOCK.end + timedelta(hours=48))
    nodes = (PRODUCER, replace(CONSUMER, reservation_id="cr-2"))
    found = spent(nodes, (DISK,), {BLOCK.id: BLOCK, "cr-2": later}, {KIND: RATES}, {}, "USD", NOW)
    (volumes,) = (one for one in found if one.what == "volumes")
    # 720 GiB for 22.5 hours, not for 70.5.
    assert (shown(volumes.by_end), volumes.end) == ("1.80 USD", datetime(2026, 12, 4, 11, tzinfo=UTC))


def test_what_a_stopped_node_ran_by_the_hour_is_not_known_and_not_nothing() -> None:
    by_hour = replace(PRODUCER, market="on-demand", reservation_id="")
    stopped = replace(by_hour, id="i-2", name="consumer", state="stopped")
    found = told(by_hour, stopped)["On-Demand instances"]
    # A further hour is of the other one alone.
    assert (shown(found.so_far), shown(found.each_hour)) == ("495.00 USD + unknown", "55.00 USD")
    assert (
        "On-Demand instances: unknown: consumer is stopped, and EC2 does not say how long it ran before."
        in " ".join(" ".join(running([by_hour, stopped], [found])).split())
    )


@pytest.mark.parametrize("market", ["on-demand", "spot"])
@pytest.mark.parametrize(
    ("state", "so_far", "each_hour"),
    [
        ("pending", False, True),
        ("running", True, True),
        ("stopping", True, False),
        ("stopped", True, False),
        ("shutting-down", True, False),
    ],
)
def test_a_further_hour_is_paid_for_what_runs_and_for_what_is_about_to(
    market: Market, state: str, so_far: bool, each_hour: bool
) -> None:
    (found, *_) = told(replace(PRODUCER, market=market, state=state, reservation_id="")).values()
    assert (shown(found.so_far) != "nothing", shown(found.each_hour) != "nothing") == (so_far, each_hour)


def test_the_names_of_many_nodes_are_no_wider_than_the_screen() -> None:
    nodes = [replace(PRODUCER, name=f"consumer-{number}") for number in range(2, 32)]
    lines = [*running(nodes, [*told(*nodes).values()])]
    assert max(map(len, lines)) <= 80
    assert "consumer-31 (running)" in " ".join(lines)


def test_a_node_whose_block_ec2_does_not_tell_is_not_left_out() -> None:
    found = told(replace(PRODUCER, reservation_id=""))
    assert "EC2 does not name the block of producer" in str(found["a block"].so_far)
    assert together(found.values())[0].unknown == ("a block",)


def test_what_runs_by_the_hour_has_no_end_but_a_price_for_each_hour() -> None:
    by_hour = replace(PRODUCER, market="on-demand", reservation_id="")
    found = told(by_hour, replace(by_hour, id="i-2", name="consumer"), disks=(DISK,))
    instances = found["On-Demand instances"]
    assert (shown(instances.so_far), shown(instances.each_hour)) == ("990.00 USD", "110.00 USD")
    assert (instances.by_end, instances.end) == (None, None)
    assert together(found.values())[1] is None


def test_spot_is_paid_at_the_prices_that_were_in_force() -> None:
    found = told(replace(PRODUCER, market="spot", reservation_id=""))["Spot Instances"]
    # 5 hours at 20, then 4 at 30.
    assert (shown(found.so_far), shown(found.each_hour)) == ("220.00 USD", "30.00 USD")


def test_what_is_not_known_is_missing_in_the_sum_and_not_0() -> None:
    by_hour = replace(PRODUCER, market="on-demand", reservation_id="")
    found = told(by_hour, disks=NONE, on_demand=NONE)
    so_far, _ = together(found.values())
    assert so_far == Sum({"USD": Decimal("0.045")}, ("On-Demand instances", "volumes"))


def test_a_volume_of_another_kind_is_not_priced_as_gp3() -> None:
    found = told(PRODUCER, disks=(replace(DISK, volume=Volume(100, kind="io2")),))
    assert shown(found["volumes"].so_far) == "unknown"
    assert "volumes: unknown: only gp3 is priced here, not io2." in running([PRODUCER], [*found.values()])


def test_a_block_that_is_not_known_has_no_end_and_no_price() -> None:
    found = spent((PRODUCER,), (), {BLOCK.id: NONE}, {KIND: RATES}, {}, "USD", NOW)
    assert (found[0].so_far, found[0].end) == (NONE, None)
    assert "When the block ends is not known." in " ".join(" ".join(running([PRODUCER], found)).split())


def test_a_block_that_has_ended_costs_no_more_hours() -> None:
    late = NOW + timedelta(days=3)
    (of_block, *_) = spent((PRODUCER,), (), {BLOCK.id: BLOCK}, {KIND: RATES}, {}, "USD", late)
    assert (of_block.used, of_block.idle) == (Decimal(23), Decimal(25))
