"""Many lengths: some at a time, none where a type is not sold, none more where a region does not answer."""

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from nixl_efa.capacity import search as searching
from nixl_efa.capacity.search import ALLOWED_HOURS, LENGTHS_AT_ONCE, Found, Request, search_in_turn
from tests.capacity.fake_aws import refusal

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
NOT_SOLD = (
    "The instance type 'p5.48xlarge' is not supported for Capacity Blocks in 'b'. Specify a compatible one."
)
REQUEST = Request("p5.48xlarge", 2, ALLOWED_HOURS, NOW)


class Regions:
    """Regions that answer each length with the block of two days and their own one; how many were asked at once.

    "b" sells none, "c" does not answer from a week on.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[int]] = {}
        self.most = 0
        self._now: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, region: str) -> Any:
        def ask(**request: Any) -> dict[str, Any]:
            hours = request["CapacityDurationHours"]
            with self._lock:
                self.asked.setdefault(region, []).append(hours)
                self._now[region] = self._now.get(region, 0) + 1
                self.most = max(self.most, self._now[region])
            time.sleep(0.002)
            with self._lock:
                self._now[region] -= 1
            if region == "b":
                raise refusal("InvalidParameterValue", "DescribeCapacityBlockOfferings", message=NOT_SOLD)
            if region == "c" and hours >= 168:
                raise refusal("UnauthorizedOperation", "DescribeCapacityBlockOfferings")
            return {"CapacityBlockOfferings": [_payload(region, length) for length in {48, hours}]}

        return SimpleNamespace(describe_capacity_block_offerings=ask)


def _payload(region: str, hours: int) -> dict[str, Any]:
    return {
        "CapacityBlockOfferingId": f"cb-{hours:017x}",
        "InstanceType": "p5.48xlarge",
        "AvailabilityZone": f"{region}a",
        "InstanceCount": 2,
        "StartDate": NOW + timedelta(days=1),
        "EndDate": NOW + timedelta(days=1, hours=hours),
        "UpfrontFee": f"{hours * 60}.00",
        "CurrencyCode": "USD",
    }


def asked() -> tuple[Regions, Found, list[int]]:
    regions = Regions()
    left: list[int] = []
    found = search_in_turn(regions, ("a", "b", "c"), REQUEST, lambda _: None, left.append)
    return regions, found, left


def test_each_length_is_asked_once_where_it_can_be_sold() -> None:
    regions, found, left = asked()
    assert sorted(regions.asked["a"]) == list(ALLOWED_HOURS)
    assert regions.asked["b"] == [24]
    assert found.not_sold == ("b",)
    assert left[-1] == 0


def test_a_region_is_asked_for_some_lengths_at_once_and_no_more_when_it_does_not_answer() -> None:
    regions, found, _ = asked()
    assert regions.most <= LENGTHS_AT_ONCE
    assert list(found.failed) == ["c"]
    assert len(regions.asked["c"]) == 1 + LENGTHS_AT_ONCE
    assert {one.region for one in found.offerings} == {"a", "c"}  # what it said before is kept


def test_a_block_that_answers_many_questions_is_there_once_against_its_own_length() -> None:
    _, found, _ = asked()
    mine = [one for one in found.offerings if one.region == "a"]
    assert sorted(one.asked_hours for one in mine) == list(ALLOWED_HOURS)
    assert not any(one.is_short for one in mine)


def test_no_region_that_answers_is_no_answer() -> None:
    found = search_in_turn(Regions(), ("c",), Request("p5.48xlarge", 2, (168, 336), NOW), lambda _: None)
    assert (found.answered, list(found.failed), found.offerings) == (False, ["c"], ())
    assert searching.search(Regions(), (), REQUEST, lambda _: None) == Found((), {}, answered=False)
