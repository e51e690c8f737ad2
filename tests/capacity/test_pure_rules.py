"""Lengths, counts and types that AWS sells, windows of time, prices, and the API's oddities."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import pytest

from nixl_efa.capacity import offering, reservation
from nixl_efa.capacity.purchase_calls import certainly_not_bought
from nixl_efa.capacity.search import (
    ALLOWED_HOURS,
    Question,
    Request,
    checked,
    earliest_start,
    find_again,
    latest_end,
    moment,
    nearest_allowed,
)
from nixl_efa.cli.capacity.search import timeline
from nixl_efa.failure import BadInput, Failure
from tests.capacity.fake_aws import REGION, FakeAws, FakeClock, FakeEc2, refusal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def request(**changes: Any) -> Request:
    given: dict[str, Any] = {
        "instance_type": "p5.48xlarge",
        "count": 2,
        "hours": (24,),
        "earliest_start": NOW,
    }
    return Request(**{**given, **changes})


@pytest.mark.parametrize(
    ("hours", "sold"),
    [(0, False), (23, False), (24, True), (25, False), (336, True), (360, False), (504, True), (672, True),
     (4368, True), (4392, False), (4536, False), (-24, False)],
)  # fmt: skip
def test_aws_sells_days_to_two_weeks_then_weeks_to_half_a_year(hours: int, sold: bool) -> None:
    assert (hours in ALLOWED_HOURS) is sold


def test_there_are_14_lengths_in_days_and_24_in_weeks() -> None:
    assert len(ALLOWED_HOURS) == 14 + 24


@pytest.mark.parametrize(("hours", "near"), [(1, (24,)), (30, (24, 48)), (340, (336, 504)), (9999, (4368,))])
def test_the_nearest_lengths_are_named(hours: int, near: tuple[int, ...]) -> None:
    assert nearest_allowed(hours) == near


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hours": (24, 30)}, "HOURS 30: AWS sells 24-hour steps from 24 to 336, then 168-hour steps to"),
        ({"hours": (24, 30)}, "to 4368. The nearest: 24 or 48"),
        ({"count": 65}, "COUNT 65: a Capacity Block has 1 to 64 instances"),
        ({"count": 0}, "COUNT 0: a Capacity Block has 1 to 64 instances"),
        ({"instance_type": "g7e.8xlarge"}, "TYPE g7e.8xlarge: AWS sells no Capacity Blocks of it"),
        ({"instance_type": "p5.48xlrge"}, "TYPE p5.48xlrge is not in this data (of 2026-10-27) (did you mean "
                                          "p5.48xlarge"),
        ({"latest_end": NOW}, "--to 2026-11-23 12:00 UTC is not after --from 2026-11-23 12:00 UTC"),
        ({"latest_end": NOW + timedelta(days=1), "hours": (168,)}, "no block of 168 hours fits"),
    ],
)  # fmt: skip
def test_what_aws_does_not_sell_is_refused_with_what_it_does(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        checked(request(**changes))
    assert message in refused.value.message
    assert refused.value.exit_code == 2


def test_a_refused_type_comes_with_the_types_that_have_blocks() -> None:
    with pytest.raises(BadInput, match=r"Types with blocks: .*p5\.48xlarge.*trn2\.48xlarge"):
        checked(request(instance_type="g7e.8xlarge"))


def test_the_window_without_an_end_holds_the_latest_start_and_the_whole_length() -> None:
    assert request().end_for(168) >= NOW + timedelta(days=56, hours=168)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("+7d", NOW + timedelta(days=7)),
        ("+12h", NOW + timedelta(hours=12)),
        ("+2w", NOW + timedelta(weeks=2)),
        ("2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-12-01T09:30", datetime(2026, 12, 1, 9, 30, tzinfo=UTC)),
        ("2026-12-01T09:30Z", datetime(2026, 12, 1, 9, 30, tzinfo=UTC)),
        ("2026-12-01T09:30+02:00", datetime(2026, 12, 1, 7, 30, tzinfo=UTC)),
    ],
)
def test_times_are_dates_times_or_distances(text: str, expected: datetime) -> None:
    assert moment(text, "--from", NOW) == expected


@pytest.mark.parametrize("text", ["tomorrow", "+7", "7d", "+99999d", "2026-13-01", ""])
def test_a_time_that_is_none_names_the_option_and_the_forms(text: str) -> None:
    with pytest.raises(BadInput, match=r"--from .*2026-12-01"):
        moment(text, "--from", NOW)


def test_a_start_in_the_past_becomes_now_and_a_last_day_counts_whole() -> None:
    assert earliest_start("2026-01-01", NOW) == NOW
    assert latest_end("2026-12-01", NOW) == datetime(2026, 12, 2, tzinfo=UTC)
    assert latest_end("20261201", NOW) == datetime(2026, 12, 2, tzinfo=UTC)
    assert latest_end("2026-12-01T00:00", NOW) == datetime(2026, 12, 1, tzinfo=UTC)
    assert latest_end(None, NOW) is None


@pytest.mark.parametrize("text", ["9999-12-31", "2099-01-01", "9999-12-31T23:00-14:00", "+9999w", "+400d"])
def test_a_time_that_no_block_reaches_is_refused(text: str) -> None:
    for asked in (earliest_start, latest_end):
        with pytest.raises(BadInput, match=f"^--(from|to) '?{re.escape(text)}'?: "):
            asked(text, NOW)


def payload(**changes: Any) -> dict[str, Any]:
    return {
        "CapacityBlockOfferingId": "cb-1",
        "InstanceType": "p5.48xlarge",
        "AvailabilityZone": "us-east-2a",
        "InstanceCount": 2,
        "StartDate": datetime(2026, 12, 1, 4, 55, tzinfo=UTC),
        "EndDate": datetime(2026, 12, 2, 11, 30, tzinfo=UTC),
        "CapacityBlockDurationHours": 30,
        "CapacityBlockDurationMinutes": 35,
        "UpfrontFee": "1888.4200",
        "CurrencyCode": "USD",
        **changes,
    }


def test_a_ragged_block_costs_by_its_minutes() -> None:
    found = offering.from_api(payload(), "us-east-2", 24)
    assert found.length == timedelta(hours=30, minutes=35)
    assert round(found.fee_per_instance_hour, 4) == round(Decimal("1888.42") / 2 / Decimal("30.58333333"), 4)
    per_accelerator = found.fee_per_accelerator_hour(8)
    assert per_accelerator == found.fee_per_instance_hour / 8
    assert found.fee_per_accelerator_hour(0) is None


def test_hours_and_minutes_add_up_where_the_end_is_missing() -> None:
    found = offering.from_api(payload(EndDate=None), "us-east-2", 24)
    assert found.end == datetime(2026, 12, 2, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize("fee", ["", "about 5", None, "NaN", "Infinity", "-283", "-0.01"])
def test_a_fee_that_is_no_amount_is_never_guessed(fee: object) -> None:
    with pytest.raises(Failure, match=r"as the fee of cb-1, which is not an amount: nothing is bought"):
        offering.from_api(payload(UpfrontFee=fee), "us-east-2", 24)


@pytest.mark.parametrize("name", ["", "cr-0123456789abcdef0", "cb-", "cb-1; x", None])
def test_an_offering_without_an_id_is_refused(name: object) -> None:
    with pytest.raises(Failure, match=r"EC2 sent an offering with the id .*: nothing is bought"):
        offering.from_api(payload(CapacityBlockOfferingId=name), "us-east-2", 24)


@pytest.mark.parametrize(
    ("zones", "reason"),
    [
        (["us-east-2a"], ""),
        (["us-east-2a", "us-east-2b"], "2 segments, zones us-east-2a, us-east-2b: EFA needs one zone"),
        (["us-east-2a", "us-east-2a"], "2 segments: a pair needs one block"),
    ],
)
def test_an_offering_in_pieces_is_no_use_for_a_pair(zones: list[str], reason: str) -> None:
    parts = [{"AvailabilityZone": zone, "InstanceCount": 2} for zone in zones]
    found = offering.from_api(payload(CapacityBlockOfferingSegments=parts), "us-east-2", 24)
    assert found.unusable == reason


def test_pieces_of_one_time_say_their_type_and_are_not_said_to_differ_in_time() -> None:
    span = {"StartDate": NOW, "EndDate": NOW + timedelta(days=1)}
    part = {**span, "AvailabilityZone": "us-east-2a", "InstanceCount": 1, "InstanceType": "p5.48xlarge"}
    found = offering.from_api(
        payload(InstanceType=None, CapacityBlockOfferingSegments=[part, part]), "us-east-2", 24
    )
    assert found.instance_type == "p5.48xlarge"
    assert found.unusable == "2 segments: a pair needs one block"
    later = {**part, "StartDate": NOW + timedelta(days=1), "EndDate": NOW + timedelta(days=2)}
    found = offering.from_api(payload(CapacityBlockOfferingSegments=[part, later]), "us-east-2", 24)
    assert found.unusable == "2 segments, different times: a pair needs one block"


@pytest.mark.parametrize(
    "changes",
    [{"InstanceCount": 0}, {"InstanceCount": None}, {"StartDate": NOW, "EndDate": NOW}, {"StartDate": None}],
)
def test_an_offering_of_nothing_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(Failure, match="nothing is bought"):
        offering.from_api(payload(**changes), "us-east-2", 24)


def described(**changes: Any) -> dict[str, Any]:
    return {"CapacityReservationId": "cr-1", "State": "scheduled", "TotalInstanceCount": 0,
            "AvailableInstanceCount": 0, **changes}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "kind", "size"),
    [
        ({"ReservationType": "capacity-block", "TotalInstanceCount": 4}, "capacity-block", 4),
        ({"ReservationType": "default", "TotalInstanceCount": 4}, "on-demand", 4),
        ({"TotalInstanceCount": 3}, "on-demand", 3),
        ({"Tags": [{"Key": reservation.TYPE_TAG, "Value": "capacity-block"},
                   {"Key": reservation.SIZE_TAG, "Value": "2"}]}, "capacity-block", 2),
        ({"Tags": [{"Key": reservation.SIZE_TAG, "Value": "two"}]}, "on-demand", 0),
    ],
    ids=["block", "on-demand", "no type", "scheduled: in tags", "a size that is no number"],
)  # fmt: skip
def test_type_and_size_are_found_in_tags_while_a_block_is_scheduled(
    changes: dict[str, Any], kind: str, size: int
) -> None:
    found = reservation.from_api(described(**changes), "us-east-2")
    assert (found.kind, found.size) == (kind, size)


def test_times_of_other_zones_become_utc() -> None:
    start = datetime(2026, 12, 1, 13, 30, tzinfo=timezone(timedelta(hours=2)))
    found = reservation.from_api(described(StartDate=start), "us-east-2")
    assert found.start == datetime(2026, 12, 1, 11, 30, tzinfo=UTC)
    assert found.end is None
    assert found.time_left(NOW) is None


def test_the_timeline_draws_each_offering_from_its_start_to_its_end() -> None:
    first = offering.from_api(payload(StartDate=NOW, EndDate=NOW + timedelta(days=5)), "us-east-2", 120)
    parts = [{"AvailabilityZone": zone, "InstanceCount": 2} for zone in ("us-east-2a", "us-east-2b")]
    split = offering.from_api(
        payload(StartDate=NOW + timedelta(days=5), EndDate=NOW + timedelta(days=10),
                CapacityBlockOfferingSegments=parts), "us-east-2", 120)  # fmt: skip
    ruler, top, bottom = timeline([split, first], NOW, 124)
    assert ruler.split()[:2] == ["11-23", "11-25"]
    assert top == "us-east-2a 1888".ljust(24) + "█" * 50
    assert bottom == "us-east-2 1888".ljust(24) + " " * 50 + "x" * 50
    assert timeline([], NOW, 100) == []


@pytest.mark.parametrize(
    ("code", "status", "certain"),
    [
        ("InvalidCapacityBlockOfferingIdExpired", 400, True),
        ("UnauthorizedOperation", 403, True),
        ("DryRunOperation", 412, True),
        ("RequestLimitExceeded", 503, True),
        ("InternalError", 500, False),
        ("Unavailable", 503, False),
        ("ServiceUnavailable", 503, False),
        ("RequestTimeout", 400, False),
        ("408", 408, False),
    ],
)
def test_which_answers_prove_that_nothing_was_bought(code: str, status: int, certain: bool) -> None:
    assert certainly_not_bought(refusal(code, "PurchaseCapacityBlock", status)) is certain


@pytest.mark.parametrize(
    ("name", "certain"),
    [
        ("EndpointConnectionError", True),
        ("ConnectTimeoutError", True),
        ("ReadTimeoutError", False),
        ("ConnectionClosedError", False),
        ("ProxyConnectionError", False),
        ("SSLError", False),
        ("HTTPClientError", False),
    ],
)
def test_only_a_request_that_never_left_proves_that_nothing_was_bought(name: str, certain: bool) -> None:
    from botocore import exceptions

    error = getattr(exceptions, name)(endpoint_url="https://ec2", proxy_url="http://proxy", error="broken")
    assert certainly_not_bought(error) is certain


def test_an_answer_that_can_not_be_read_proves_nothing() -> None:
    assert not certainly_not_bought(ValueError("not XML"))
    assert not certainly_not_bought(KeyboardInterrupt())


@pytest.mark.parametrize(("now_at", "fee"), [("1888.42", "1888.42"), ("1500.00", "1888.42")])
def test_a_block_under_another_id_is_not_taken_to_cost_less_under_the_one_that_is_bought(
    now_at: str, fee: str
) -> None:
    aws = FakeAws(FakeClock())
    aws.fee = now_at
    shown = offering.from_api({**aws.offering(), "UpfrontFee": "1888.42"}, REGION, 24)
    question = Question("cb-0shown", REGION, request(), replace(shown, id="cb-0shown"))
    found = find_again(cast(Any, FakeEc2(aws)), question, NOW, aws.clock.sleep)
    assert (found.id, found.fee) == ("cb-0shown", Decimal(fee))
