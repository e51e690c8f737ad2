from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local_aws import LocalAws
from nixl_efa.capacity.search import Found, Request
from nixl_efa.capacity.wait import UNSEEN_SECONDS, wait_for
from nixl_efa.capacity.watch import Watch, wait_for_offer
from nixl_efa.clock import Clock, SystemClock, clock_of
from nixl_efa.deploy.slots import LIMIT, wait_for_slots
from nixl_efa.failure import Failure
from tests.checks.in_order import BLOCK

AHEAD = timedelta(days=2, hours=5)


@pytest.mark.parametrize(
    ("environ", "ahead"),
    [
        ({}, timedelta()),
        ({"AWS_ENDPOINT_URL": "{local}"}, AHEAD),
        (
            {"AWS_ENDPOINT_URL_EC2": "{local}", "AWS_ENDPOINT_URL": "https://ec2.us-east-2.amazonaws.com"},
            AHEAD,
        ),
        ({"AWS_ENDPOINT_URL": "{local}", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, timedelta()),
        # Nothing listens there, or nothing that has a clock: the machine's own time.
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, timedelta()),
        ({"AWS_ENDPOINT_URL": "no address"}, timedelta()),
        ({"AWS_ENDPOINT_URL": "http://[::1"}, timedelta()),
    ],
)
def test_the_clock_is_that_of_the_server_which_stands_in_for_aws(
    aws: LocalAws, environ: dict[str, str], ahead: timedelta
) -> None:
    aws.clock.advance(AHEAD)
    clock = clock_of({name: value.format(local=aws.endpoint) for name, value in environ.items()})

    difference = clock.now() - datetime.now(UTC) - ahead

    assert abs(difference) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "host",
    [
        "ec2.eu-north-1.amazonaws.com",
        "vpce-1.ec2.us-east-2.vpce.amazonaws.com",
        "ec2.cn-north-1.amazonaws.com.cn",
    ],
)
def test_awss_own_addresses_are_not_asked_for_the_time(host: str) -> None:
    assert type(clock_of({"AWS_ENDPOINT_URL": f"https://{host}"})) is SystemClock


def test_a_clock_that_stands_still_does_not_keep_a_wait_from_its_end(aws: LocalAws) -> None:
    aws.clock.set(datetime(2026, 12, 1, 8, tzinfo=UTC))
    clock = clock_of({"AWS_ENDPOINT_URL": aws.endpoint})

    first = clock.now()
    clock.sleep(0.01)

    assert clock.now() > first


class SetBack:
    """A clock that is set back while somebody sleeps; `waits` is how long they did, in seconds."""

    def __init__(self) -> None:
        self.time, self.waits = datetime(2026, 12, 1, 8, tzinfo=UTC), list[float]()

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert len(self.waits) < 1000, "this never ends"
        self.waits.append(seconds)
        self.time -= timedelta(hours=1)


def watched(clock: SetBack) -> object:
    request = Request("p5.48xlarge", 2, (24,), clock.now())
    nothing = Found((), {}, answered=True)
    watch = Watch(request, timeout_seconds=3600)
    return wait_for_offer(watch, lambda _: nothing, clock, lambda _: None, lambda *_: None)


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        (watched, 3600),
        (
            lambda clock: wait_for(
                "active", lambda: replace(BLOCK, state="scheduled"), clock, timeout_seconds=300
            ),
            300,
        ),
        (lambda clock: wait_for("active", lambda: None, clock), UNSEEN_SECONDS),
        (
            lambda clock: wait_for_slots(lambda: replace(BLOCK, free=0), 2, clock, lambda _: None),
            LIMIT.total_seconds(),
        ),
    ],
    ids=["an offer", "a state", "a reservation", "slots"],
)
def test_a_clock_that_is_set_back_does_not_keep_a_wait_from_its_end(
    wait: Callable[[Clock], object], seconds: float
) -> None:
    clock = SetBack()
    with pytest.raises(Failure):
        wait(clock)
    assert sum(clock.waits) == seconds
