"""The states of a reservation along the clock, without a server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local_aws.ec2.reservation import (
    BLOCK,
    ON_DEMAND,
    SIZE_TAG,
    TYPE_TAG,
    Extension,
    Reservation,
    most_at_once,
)

BOUGHT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
BLOCK_OF_TWO = Reservation(
    id="cr-0123456789abcdef0",
    kind=BLOCK,
    instance_type="p5.48xlarge",
    platform="Linux/UNIX",
    zone="us-east-2a",
    zone_id="use2-az1",
    count=2,
    created=BOUGHT,
    start=BOUGHT + timedelta(hours=1),
    purchased_end=BOUGHT + timedelta(hours=25),
    paid=BOUGHT + timedelta(minutes=5),
)


@pytest.mark.parametrize(
    ("hours", "state", "total"),
    [
        (0, "payment-pending", 0),
        (0.1, "scheduled", 0),
        (1, "active", 2),
        (24.9, "active", 2),
        (25, "expired", 0),
    ],
)
def test_a_block_goes_from_payment_to_its_end(hours: float, state: str, total: int) -> None:
    now = BOUGHT + timedelta(hours=hours)
    assert BLOCK_OF_TWO.state(now) == state
    assert BLOCK_OF_TWO.total(now) == total


def test_a_block_whose_payment_fails_stays_so() -> None:
    failed = replace(BLOCK_OF_TWO, fails=True)
    assert failed.state(BOUGHT) == "payment-pending"
    assert {failed.state(BOUGHT + timedelta(hours=hours)) for hours in (0.1, 2, 30)} == {"payment-failed"}


def test_the_size_of_a_scheduled_block_is_in_its_tags_alone() -> None:
    assert BLOCK_OF_TWO.hidden_tags() == {SIZE_TAG: "2", TYPE_TAG: "capacity-block"}
    assert replace(BLOCK_OF_TWO, kind=ON_DEMAND).hidden_tags() == {}


def test_instances_end_half_an_hour_before_a_block_and_a_whole_hour_in_an_ultraserver() -> None:
    assert BLOCK_OF_TWO.terminates_at(BOUGHT) == BOUGHT + timedelta(hours=24.5)
    ultra = replace(BLOCK_OF_TWO, instance_type="trn2u.48xlarge")
    assert ultra.terminates_at(BOUGHT) == BOUGHT + timedelta(hours=24)
    assert replace(BLOCK_OF_TWO, kind=ON_DEMAND).terminates_at(BOUGHT) is None


def test_a_slot_is_free_again_only_when_it_has_come_back() -> None:
    now = BOUGHT + timedelta(hours=2)
    block = replace(BLOCK_OF_TWO, returning=[now + timedelta(minutes=5)])
    assert block.free(now, used=1) == 0
    assert block.free(now + timedelta(minutes=5), used=1) == 1


def test_an_extension_counts_once_it_is_paid() -> None:
    end = BOUGHT + timedelta(hours=25)
    extension = Extension(
        "cbe-1", 24, BOUGHT, end, end + timedelta(hours=24), "1.0", BOUGHT + timedelta(minutes=5)
    )
    block = replace(BLOCK_OF_TWO, extensions=[extension])
    assert block.end(BOUGHT) == end
    assert block.end(BOUGHT + timedelta(minutes=5)) == end + timedelta(hours=24)
    assert replace(block, extensions=[replace(extension, fails=True)]).end(end) == end


def test_an_on_demand_reservation_has_no_end_unless_it_is_given_one() -> None:
    forever = replace(BLOCK_OF_TWO, kind=ON_DEMAND, paid=None, purchased_end=None)
    assert forever.state(BOUGHT + timedelta(days=1000)) == "active"
    assert replace(forever, cancelled=True).state(BOUGHT + timedelta(days=1)) == "cancelled"


@pytest.mark.parametrize(
    ("payment", "state"), [(timedelta(hours=12), "active"), (timedelta(hours=13), "payment-failed")]
)
def test_a_payment_that_takes_more_than_twelve_hours_has_failed(payment: timedelta, state: str) -> None:
    slow = replace(BLOCK_OF_TWO, paid=BOUGHT + payment)
    assert slow.state(BOUGHT + timedelta(hours=11.9)) == "payment-pending"
    assert slow.state(BOUGHT + timedelta(hours=12)) == state


def test_an_extension_is_paid_35_minutes_before_the_old_end_or_not_at_all() -> None:
    end = BOUGHT + timedelta(hours=2)
    extension = Extension(
        "cbe-0", 24, BOUGHT, end, end + timedelta(hours=24), "1", BOUGHT + timedelta(hours=1.5)
    )
    assert extension.status(end - timedelta(minutes=36)) == "payment-pending"
    assert extension.status(end - timedelta(minutes=35)) == "payment-failed"
    in_time = replace(extension, paid=end - timedelta(minutes=35))
    assert in_time.status(end - timedelta(minutes=35)) == "payment-succeeded"


def test_instances_of_blocks_are_counted_where_they_live_at_one_time() -> None:
    later = replace(
        BLOCK_OF_TWO, start=BOUGHT + timedelta(hours=25), purchased_end=BOUGHT + timedelta(hours=49)
    )
    failed = replace(BLOCK_OF_TWO, fails=True)
    now = BOUGHT + timedelta(hours=0.5)
    blocks = [BLOCK_OF_TWO, later, failed, replace(BLOCK_OF_TWO, kind=ON_DEMAND)]
    assert most_at_once(blocks, BOUGHT, BOUGHT + timedelta(hours=49), now) == 2
    assert most_at_once([*blocks, later], BOUGHT, BOUGHT + timedelta(hours=49), now) == 4
    assert most_at_once(blocks, BOUGHT + timedelta(hours=49), BOUGHT + timedelta(hours=73), now) == 0
