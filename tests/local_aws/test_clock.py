from datetime import UTC, datetime, timedelta, timezone

import pytest

from local_aws.clock import Clock

MOMENT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)


class Ticker:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_set_clock_stands_still() -> None:
    ticker = Ticker()
    clock = Clock(ticker)
    clock.set(MOMENT)
    ticker.seconds += 3600
    assert clock.now() == MOMENT


def test_a_stopped_clock_moves_by_what_it_is_told() -> None:
    clock = Clock(Ticker())
    clock.set(MOMENT)
    clock.advance(timedelta(minutes=90))
    assert clock.now() == MOMENT + timedelta(minutes=90)


def test_a_running_clock_runs_on_after_a_move() -> None:
    ticker = Ticker()
    clock = Clock(ticker)
    clock.set(MOMENT)
    clock.run()
    clock.advance(timedelta(hours=1))
    ticker.seconds += 7
    assert clock.now() == MOMENT + timedelta(hours=1, seconds=7)


def test_a_fast_clock_makes_minutes_of_seconds() -> None:
    ticker = Ticker()
    clock = Clock(ticker)
    clock.set(MOMENT)
    clock.run(speed=60)
    ticker.seconds += 5
    assert clock.now() == MOMENT + timedelta(minutes=5)


def test_times_without_a_zone_are_utc_and_others_are_converted() -> None:
    clock = Clock(Ticker())
    clock.set(MOMENT.replace(tzinfo=None))
    assert clock.now() == MOMENT
    clock.set(MOMENT.astimezone(timezone(timedelta(hours=9))))
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.now() == MOMENT


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf"), 1_000_001])
def test_a_clock_runs_neither_backwards_nor_without_bounds(speed: float) -> None:
    with pytest.raises(ValueError, match="speed is from 0 to 1000000"):
        Clock(Ticker()).run(speed)


def test_a_clock_stays_within_the_years_that_can_be_reckoned_with() -> None:
    clock = Clock(Ticker())
    clock.set(MOMENT)
    with pytest.raises(ValueError, match="from 2000 to 2199"):
        clock.set(datetime(1, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="from 2000 to 2199"):
        clock.advance(timedelta(days=365 * 200))
    assert clock.now() == MOMENT


def test_a_reset_clock_follows_the_machine_again() -> None:
    ticker = Ticker()
    clock = Clock(ticker)
    clock.set(MOMENT)
    clock.reset()
    before = clock.now()
    ticker.seconds += 10
    assert clock.now() - before == timedelta(seconds=10)
    assert clock.speed == 1.0
