"""Patience with throttling, asking side by side, waiting for a state, and looking for a purchase."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.aws_calls import ask_all, patiently
from nixl_efa.capacity import purchase
from nixl_efa.capacity.purchase import find_until
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.wait import TimedOut, reached, wait_for
from nixl_efa.failure import Failure
from tests.capacity.buyer import Buyer
from tests.capacity.fake_aws import FakeAws, FakeClock, refusal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def block(**changes: Any) -> Reservation:
    given: dict[str, Any] = {
        "id": "cr-1", "region": "us-east-2", "kind": "capacity-block", "state": "active",
        "instance_type": "p5.48xlarge", "size": 2, "free": 2, "zone": "us-east-2a", "platform": "Linux/UNIX",
        "start": NOW - timedelta(hours=1), "end": NOW + timedelta(days=1),
    }  # fmt: skip
    return Reservation(**{**given, **changes})


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
    with pytest.raises(TimedOut, match="still scheduled after 1 min, and not active"):
        wait_for("active", lambda: block(state="scheduled"), clock, timeout_seconds=100)
    assert timedelta(seconds=100) <= clock.now() - began < timedelta(seconds=101)


def test_a_reservation_that_is_not_visible_yet_is_waited_for_two_minutes() -> None:
    clock = FakeClock()
    appears = clock.now() + timedelta(seconds=60)
    found = wait_for("active", lambda: block() if clock.now() >= appears else None, clock)
    assert found.id == "cr-1"
    with pytest.raises(Failure, match="no such reservation"):
        wait_for("active", lambda: None, clock)


@pytest.mark.parametrize(("seen_at_look", "looks", "slept"), [(1, 1, 0), (2, 2, 5), (9, 5, 20), (9, 3, 10)])
def test_a_purchase_is_looked_for_until_it_is_seen_or_the_time_is_over_and_three_times_at_least(
    seen_at_look: int, looks: int, slept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = FakeAws(FakeClock())
    buyer = Buyer(aws, tmp_path)
    buyer.buy()
    [entry] = buyer.journal()
    began, count = aws.clock.now(), 0

    def find(*_: object) -> tuple[str, ...]:
        nonlocal count
        count += 1
        return ("cr-1",) if count == seen_at_look else ()

    monkeypatch.setattr(purchase, "find_purchase", find)
    until = began + timedelta(seconds=slept if looks > 3 else -3600)
    found = find_until(buyer.program(), entry, until if seen_at_look == 9 else began + timedelta(seconds=20))
    assert found == (("cr-1",) if looks == seen_at_look else ())
    assert (count, aws.clock.now() - began) == (looks, timedelta(seconds=slept))
