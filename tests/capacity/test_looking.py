"""Patience with throttling, looking side by side, waiting for a state, and what fits an environment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nixl_efa.aws_calls import ask_all, patiently
from nixl_efa.capacity.evidence import look_until
from nixl_efa.capacity.handover import fit
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.usage import environments_by_reservation
from nixl_efa.capacity.waiting import TimedOut, reached, wait_for
from nixl_efa.failure import Failure
from nixl_efa.findings import Level
from nixl_efa.settings import Settings
from tests.capacity.fake_aws import FakeClock, refusal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def block(**changes: Any) -> Reservation:
    given: dict[str, Any] = {
        "id": "cr-1", "region": "us-east-2", "kind": "capacity-block", "state": "active",
        "instance_type": "p5.48xlarge", "size": 2, "free": 2, "zone": "us-east-2a", "platform": "Linux/UNIX",
        "start": NOW - timedelta(hours=1), "end": NOW + timedelta(days=1),
    }  # fmt: skip
    return Reservation(**{**given, **changes})


def settings(**changes: Any) -> Settings:
    given = {
        "name": "prod",
        "instance_type": "p5.48xlarge",
        "use_capacity_block": True,
        "region": "us-east-2",
    }
    return Settings(**{**given, **changes})


def test_throttling_is_waited_out_with_waits_that_double() -> None:
    waits: list[float] = []
    answers = iter([refusal("RequestLimitExceeded", "Op", 503)] * 4 + ["answer"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(call, waits.append, jitter=lambda _, most: most) == "answer"
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_an_error_that_is_no_throttling_is_raised_at_once() -> None:
    waits: list[float] = []
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        raise refusal("InternalError", "Op", 500)

    with pytest.raises(Exception, match="InternalError"):
        patiently(call, waits.append)
    assert (calls, waits) == (1, [])


def test_throttling_without_end_is_raised_in_the_end() -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        raise refusal("Throttling", "Op")

    with pytest.raises(Exception, match="Throttling"):
        patiently(call, lambda _: None, tries=3)
    assert calls == 3


def test_answers_and_errors_come_in_the_order_of_the_questions() -> None:
    def ask(key: str) -> str:
        if key == "bad":
            raise ValueError(key)
        return key.upper()

    done: list[str] = []
    answers, errors = ask_all(["b", "bad", "a", "b"], ask, done.append)
    assert list(answers.items()) == [("b", "B"), ("a", "A")]
    assert list(errors) == ["bad"]
    assert sorted(done) == ["a", "b", "bad"]


@pytest.mark.parametrize(
    ("state", "wanted", "expected"),
    [
        ("active", "active", True),
        ("scheduled", "active", False),
        ("active", "scheduled", True),
        ("expired", "active", False),
        ("expired", "expired", True),
        ("payment-failed", "scheduled", False),
        ("pending", "active", False),
    ],
)
def test_a_state_counts_as_reached_when_it_lies_behind(state: str, wanted: str, expected: bool) -> None:
    assert reached(state, wanted) is expected


@pytest.mark.parametrize("state", ["payment-failed", "expired", "cancelled", "failed"])
def test_a_state_without_a_way_out_ends_the_waiting_at_once(state: str) -> None:
    clock = FakeClock()
    began = clock.now()
    with pytest.raises(Failure, match=f"cr-1 is {state}: it will never be active"):
        wait_for("active", lambda: block(state=state), clock)
    assert clock.now() == began


def test_waiting_looks_until_the_state_is_reached() -> None:
    states = iter(["payment-pending", "scheduled", "scheduled", "active"])
    shown: list[str] = []
    found = wait_for(
        "active", lambda: block(state=next(states)), FakeClock(), show=lambda one: shown.append(one.state)
    )
    assert found.state == "active"
    assert shown == ["payment-pending", "scheduled", "scheduled", "active"]


def test_waiting_ends_at_its_timeout_and_not_much_later() -> None:
    clock = FakeClock()
    began = clock.now()
    with pytest.raises(TimedOut, match="still scheduled after 100 seconds"):
        wait_for("active", lambda: block(state="scheduled"), clock, timeout_seconds=100)
    assert timedelta(seconds=100) <= clock.now() - began < timedelta(seconds=101)


def test_a_reservation_that_is_not_visible_yet_is_waited_for_two_minutes() -> None:
    clock = FakeClock()
    appears = clock.now() + timedelta(seconds=60)
    found = wait_for("active", lambda: block() if clock.now() >= appears else None, clock)
    assert found.id == "cr-1"
    with pytest.raises(Failure, match="no such reservation"):
        wait_for("active", lambda: None, clock)


@pytest.mark.parametrize(
    ("found", "settings_of", "zone", "level", "words"),
    [
        (block(), settings(), "us-east-2a", Level.PASS, "It is active"),
        (block(state="scheduled", free=0), settings(), "us-east-2a", Level.WARN, "a launch would be refused"),
        (block(state="expired"), settings(), "us-east-2a", Level.FAIL, "It is expired"),
        (None, settings(), "us-east-2a", Level.FAIL, "does not exist"),
        (block(), settings(), "us-east-2b", Level.FAIL, "The stored zone is us-east-2b"),
        (block(), settings(instance_type="p5e.48xlarge"), "us-east-2a", Level.FAIL, "wants p5e.48xlarge"),
        (block(kind="on-demand"), settings(), "us-east-2a", Level.FAIL, "use_capacity_block is true"),
        (block(size=1), settings(), "us-east-2a", Level.FAIL, "the pair needs 2"),
        (block(free=1), settings(), "us-east-2a", Level.WARN, "1 of its 2 instances are free"),
        (block(end=NOW + timedelta(minutes=29)), settings(), "us-east-2a", Level.FAIL, "EC2 is terminating"),
        (
            block(instance_type="trn2u.48xlarge", end=NOW + timedelta(minutes=59)),
            None,
            "us-east-2a",
            Level.FAIL,
            "ends within 60 minutes",
        ),
        (block(), None, "", Level.PASS, "It is active"),
    ],
)
def test_whether_a_stored_reservation_still_fits(
    found: Reservation | None, settings_of: Settings | None, zone: str, level: Level, words: str
) -> None:
    findings = fit("cr-1", zone, found, settings_of, NOW)
    assert [one.level for one in findings if words in one.message] == [level]
    assert all(one.level in (level, Level.PASS) for one in findings)


def test_environments_use_what_their_settings_name_and_others_what_their_parameter_holds() -> None:
    parameters = {
        "/nixl-efa/capacity-reservation-id": "cr-00000001",
        "/nixl-efa/dev/capacity-reservation-id": "cr-00000002",
        "/nixl-efa/dev/availability-zone": "us-east-2a",
        "/nixl-efa/lab/capacity-reservation-id": "cr-00000001",
    }
    known = [
        settings(capacity_reservation_parameter="/nixl-efa/capacity-reservation-id"),
        settings(name="dev", capacity_reservation_id="cr-00000003"),
        settings(name="far", region="us-west-2", capacity_reservation_id="cr-00000001"),
    ]
    assert environments_by_reservation(parameters, "us-east-2", known) == {
        "cr-00000001": ("lab", "prod"),
        "cr-00000003": ("dev",),
    }
    assert environments_by_reservation(parameters, "us-east-2", []) == {
        "cr-00000001": ("lab", "prod"),
        "cr-00000002": ("dev",),
    }


@pytest.mark.parametrize(("seen_at_look", "looks", "slept"), [(1, 1, 0), (2, 2, 5), (9, 5, 20)])
def test_a_purchase_is_looked_for_until_it_is_seen_or_the_time_is_over(
    seen_at_look: int, looks: int, slept: int
) -> None:
    clock = FakeClock()
    began = clock.now()
    count = 0

    def look_once() -> tuple[str, ...]:
        nonlocal count
        count += 1
        return ("cr-1",) if count == seen_at_look else ()

    found = look_until(look_once, clock, began + timedelta(seconds=20), 5)
    assert found == (("cr-1",) if looks == seen_at_look else ())
    assert (count, clock.now() - began) == (looks, timedelta(seconds=slept))


def test_a_purchase_is_looked_for_three_times_even_when_the_time_is_over() -> None:
    clock = FakeClock()
    looks = 0

    def look_once() -> tuple[str, ...]:
        nonlocal looks
        looks += 1
        return ()

    assert look_until(look_once, clock, clock.now() - timedelta(days=1), 5) == ()
    assert looks == 3
