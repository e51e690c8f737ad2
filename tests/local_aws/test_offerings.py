from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.ec2.offerings import Offering, duration_is_sold, offerings, sells
from tests.records import answer

# EC2 user guide, capacity-blocks-purchase.
EARLIEST = timedelta(minutes=30)
LATEST = timedelta(weeks=8)
MOST_OFFERINGS = 6
END_OF_BLOCKS = time(11, 30, tzinfo=UTC)

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
ZONES = ("us-east-2a", "us-east-2b", "us-east-2c")
moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
durations = st.sampled_from([24, 48, 168, 336, 504, 4368])


def on_offer(
    now: datetime = NOW, hours: int = 24, count: int = 2, **more: datetime | None
) -> tuple[Offering, ...]:
    return offerings("us-east-2", ZONES, "p5.48xlarge", count, hours, now, **more)


@given(now=moments, hours=durations, count=st.integers(1, 64))
def test_every_offering_keeps_the_rules_of_capacity_blocks(now: datetime, hours: int, count: int) -> None:
    found = on_offer(now, hours, count)
    assert 0 < len(found) <= MOST_OFFERINGS
    for offering in found:
        assert now + EARLIEST <= offering.start <= now + LATEST
        assert (offering.end.hour, offering.end.minute, offering.end.second) == (11, 30, 0)
        assert abs(offering.end - offering.start - timedelta(hours=hours)) < timedelta(hours=24)
        assert offering.end - offering.start >= timedelta(hours=2)
        assert offering.fee > 0
        assert offering.count == count
    assert len({offering.id for offering in found}) == len(found)


@given(now=moments, hours=durations)
def test_a_whole_offering_that_covers_the_hours_starts_within_the_hour(now: datetime, hours: int) -> None:
    covering = [
        offering
        for offering in on_offer(now, hours)
        if offering.end - offering.start >= timedelta(hours=hours) and not offering.parts
    ]
    assert min(offering.start for offering in covering) <= now + timedelta(hours=1)


@given(now=moments)
def test_some_offerings_are_shorter_than_asked(now: datetime) -> None:
    lengths = {offering.end - offering.start for offering in on_offer(now, 168)}
    assert min(lengths) < timedelta(hours=168) < max(lengths)


def test_the_answer_has_no_order() -> None:
    found = on_offer()
    assert list(found) != sorted(found, key=lambda offering: offering.start)
    assert list(found) != sorted(found, key=lambda offering: offering.fee)


@given(now=moments)
def test_one_offering_has_two_segments_that_make_up_the_whole(now: datetime) -> None:
    (split,) = [offering for offering in on_offer(now) if offering.parts]
    first, second = split.parts
    assert (first.start, first.end, second.end) == (split.start, second.start, split.end)
    assert first.zone != second.zone
    assert first.fee + second.fee == pytest.approx(split.fee)


def test_the_same_question_has_the_same_answer_and_a_little_later_too() -> None:
    assert on_offer() == on_offer()
    later = on_offer(NOW + timedelta(minutes=5))
    assert {offering.id for offering in later} & {offering.id for offering in on_offer()}


def test_fees_differ_by_zone_and_day() -> None:
    rates = {round(item.fee / (item.end - item.start).total_seconds(), 9) for item in on_offer()}
    assert len(rates) > 2


def test_a_question_that_somebody_asked_aws_is_answered_alike() -> None:
    """Two blocks that start the same day, at one time, a day apart in length, and one from 11:30 to 11:30."""
    recorded = answer("offerings/p4d-asked-24h-got-24-19-43")["CapacityBlockOfferings"]
    now = datetime.fromisoformat(recorded[1]["StartDate"]) - timedelta(minutes=43)

    found = offerings("us-east-2", ZONES, "p4d.24xlarge", 1, 24, now)

    lengths = [item["CapacityBlockDurationHours"] for item in recorded]
    assert {(item.end - item.start) // timedelta(hours=1) for item in found} == set(lengths)
    short = min(found, key=lambda item: item.end - item.start)
    (long,) = [item for item in found if item.start == short.start and item is not short]
    assert (long.zone, long.end) == (short.zone, short.end + timedelta(days=1))
    assert short.start.minute % 30
    assert {item.end.time() for item in found} == {END_OF_BLOCKS.replace(tzinfo=None)}


@pytest.mark.parametrize("hours", [0, 12, 25, 360, 400, 4392, 4536])
def test_lengths_that_aws_does_not_sell(hours: int) -> None:
    assert not duration_is_sold(hours)


@pytest.mark.parametrize("hours", [24, 48, 336, 504, 672, 4368])
def test_lengths_that_aws_sells(hours: int) -> None:
    assert duration_is_sold(hours)


@pytest.mark.parametrize(
    ("region", "instance_type", "sold"),
    [
        ("us-east-2", "p5.48xlarge", True),
        ("ca-central-1", "p5.48xlarge", False),  # offers the type, sells no blocks
        ("us-east-2", "g7e.8xlarge", False),
        ("us-west-2", "p6-b300.48xlarge", True),
    ],
)
def test_not_every_region_sells_every_type(region: str, instance_type: str, sold: bool) -> None:
    assert sells(region, instance_type) is sold
    found = offerings(region, (f"{region}a", f"{region}b"), instance_type, 2, 24, NOW)
    assert bool(found) is sold


def test_a_date_range_narrows_what_is_shown() -> None:
    late = NOW + timedelta(days=20)
    assert min(item.start for item in on_offer(earliest=late)) >= late
    soon = NOW + timedelta(days=3)
    assert max(item.end for item in on_offer(latest_end=soon)) <= soon
    assert on_offer(latest_end=NOW + timedelta(hours=2)) == ()


def test_a_region_with_one_zone_sells_nothing_in_two_zones() -> None:
    found = offerings("sa-east-1", ("sa-east-1a",), "p5.48xlarge", 2, 24, NOW)
    assert {item.zone for item in found} == {"sa-east-1a"}
    for offering in found:
        assert all(part.zone == "sa-east-1a" for part in offering.parts)
