"""`search --watch`: until something fits, later and later where AWS asks for it, never for nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from botocore.exceptions import EndpointConnectionError, ProxyConnectionError

from nixl_efa.capacity.offering import Offering, Segment
from nixl_efa.capacity.search import Found, Request
from nixl_efa.capacity.wait import TimedOut
from nixl_efa.capacity.watch import Watch, fitting, wait_for_offer
from nixl_efa.failure import Failure
from tests.capacity.fake_aws import FakeClock, refusal

CLOCK = FakeClock()
START = CLOCK.now() + timedelta(days=2)
# 30 USD for an instance-hour.
DEAR = Offering(
    id="cb-0123456789abcdef0",
    region="us-east-2",
    instance_type="p5.48xlarge",
    count=2,
    zone="us-east-2a",
    start=START,
    end=START + timedelta(days=1),
    fee=Decimal(1440),
    currency="USD",
    asked_hours=24,
)
GOOD = replace(DEAR, id="cb-0123456789abcdef1", fee=Decimal(1200))
SHORT = replace(GOOD, end=GOOD.end - timedelta(hours=5), fee=Decimal(900))
SPLIT = replace(GOOD, segments=tuple(Segment(f"us-east-2{one}", 2, GOOD.start, GOOD.end) for one in "ab"))
FOREIGN = replace(GOOD, currency="CNY")
REQUEST = Request("p5.48xlarge", 2, (24,), CLOCK.now())
LIMIT = Decimal(25)
DENIED = refusal("UnauthorizedOperation", "DescribeCapacityBlockOfferings")
THROTTLED = refusal("CapacityBlockDescribeLimitExceeded", "DescribeCapacityBlockOfferings")
DOWN = refusal("InternalError", "DescribeCapacityBlockOfferings", 500)
AWAY = EndpointConnectionError(endpoint_url="https://ec2.us-east-2.amazonaws.com")
BEHIND = ProxyConnectionError(proxy_url="http://proxy:3128")


def answer(*offerings: Offering) -> Found:
    return Found(offerings, {}, answered=True)


def silence(error: Exception) -> Found:
    return Found((), {"us-east-2": error}, answered=False)


class Watched:
    """A watch over answers, the last of which comes again and again; what was asked, said and kept, and when."""

    def __init__(self, *answers: Found, **watch: object) -> None:
        self.clock = FakeClock()
        self.asked: list[Request] = []
        self.looks: list[float] = []
        self.said: list[str] = []
        self.kept: list[Found] = []
        self._answers: Iterator[Found] = iter(answers)
        self._last = answers[-1]
        self.watch = Watch(REQUEST, **{"max_rate": LIMIT, **watch})  # type: ignore[arg-type]

    def run(self) -> Found:
        began = self.clock.now()

        def search(request: Request) -> Found:
            self.asked.append(request)
            self.looks.append((self.clock.now() - began).total_seconds())
            return next(self._answers, self._last)

        keep: Callable[[Request, Found], None] = lambda _, found: self.kept.append(found)  # noqa: E731
        return wait_for_offer(self.watch, search, self.clock, self.said.append, keep)[1]


def test_what_fits_is_usable_as_long_as_asked_and_not_too_dear() -> None:
    assert fitting([DEAR, GOOD, SHORT, SPLIT, FOREIGN], LIMIT) == [GOOD]
    assert fitting([DEAR, SHORT, SPLIT, FOREIGN], None) == [DEAR, FOREIGN]


def test_what_fits_is_in_the_environments_zone() -> None:
    assert fitting([GOOD], LIMIT, "us-east-2a") == [GOOD]
    watched = Watched(answer(GOOD), answer(replace(GOOD, zone="us-east-2b")), zone="us-east-2b")
    assert watched.run().offerings == (replace(GOOD, zone="us-east-2b"),)
    assert "1 block on offer, none for a pair and as long as asked, in us-east-2b." in watched.said[0]


def test_offers_in_another_currency_are_said_to_be_so() -> None:
    watched = Watched(answer(FOREIGN), answer(GOOD))
    watched.run()
    assert "1 block on offer, in CNY, and --max-rate is in USD." in watched.said[0]


@pytest.mark.parametrize(("limit", "fits"), [("25", True), ("24.99", False)])
def test_an_offer_at_just_the_rate_fits(limit: str, fits: bool) -> None:
    assert bool(fitting([GOOD], Decimal(limit))) == fits


def test_the_rate_that_it_says_is_enough_as_the_limit() -> None:
    # 28.6341... for an instance-hour.
    odd = replace(DEAR, fee=Decimal("1374.44"))
    watched = Watched(answer(odd), answer(GOOD), max_rate=Decimal("28.63"))
    watched.run()
    assert "the cheapest 28.64 USD for an instance-hour (us-east-2a), more than 28.63." in watched.said[0]
    assert fitting([odd], Decimal("28.64")) == [odd]


def test_it_looks_again_until_one_fits_and_returns_what_fits() -> None:
    watched = Watched(answer(), answer(DEAR), answer(DEAR), answer(DEAR, GOOD))
    assert watched.run().offerings == (GOOD,)
    assert watched.looks == [0, 300, 600, 900]
    assert watched.kept == [answer(), answer(DEAR), answer(DEAR), answer(DEAR, GOOD)]


def test_each_state_is_said_once_with_the_cheapest_there_is() -> None:
    watched = Watched(answer(), answer(DEAR, SPLIT), answer(DEAR, SPLIT), answer(SPLIT), answer(GOOD))
    watched.run()
    assert [one.partition(": ")[2].partition(".  ")[0] for one in watched.said] == [
        "no block on offer. Looking again every 5 min; Ctrl-C ends it.",
        "2 blocks on offer, the cheapest 30.00 USD for an instance-hour (us-east-2a), more than 25.00. "
        "Looking again every 5 min; Ctrl-C ends it.",
        "1 block on offer, none for a pair and as long as asked. Looking again every 5 min; Ctrl-C ends it.",
    ]


@pytest.mark.parametrize(
    "error", [THROTTLED, DOWN, AWAY, BEHIND], ids=["throttled", "down", "away", "behind a proxy"]
)
def test_where_nobody_answers_it_comes_back_later_and_later_up_to_an_hour(error: Exception) -> None:
    watched = Watched(*[silence(error)] * 6, answer(DEAR), answer(GOOD))
    watched.run()
    pauses = [after - before for before, after in pairwise(watched.looks)]
    assert pauses == [600, 1200, 2400, 3600, 3600, 3600, 300]
    assert watched.kept == [answer(DEAR), answer(GOOD)]


def test_a_refusal_everywhere_ends_it() -> None:
    with pytest.raises(type(DENIED)) as raised:
        Watched(answer(DEAR), silence(DENIED)).run()
    assert raised.value is DENIED


def test_a_region_that_fails_does_not_keep_it_from_the_others() -> None:
    watched = Watched(Found((GOOD,), {"eu-north-1": DENIED}, answered=True))
    assert watched.run().offerings == (GOOD,)


def test_a_region_that_does_not_answer_is_named_while_it_waits() -> None:
    watched = Watched(Found((DEAR,), {"us-west-2": DENIED, "eu-north-1": AWAY}, answered=True), answer(GOOD))
    watched.run()
    assert "more than 25.00; no answer from eu-north-1, us-west-2. Looking again" in watched.said[0]


def test_it_gives_up_when_its_time_is_over_and_looks_last_at_the_end() -> None:
    watched = Watched(answer(DEAR), timeout_seconds=700.0)
    with pytest.raises(TimedOut, match="11 min"):
        watched.run()
    assert watched.looks == [0, 300, 600, 700]


def test_a_start_in_the_past_is_never_asked_for() -> None:
    watched = Watched(answer(DEAR), answer(GOOD))
    watched.run()
    assert [one.earliest_start for one in watched.asked] == [
        CLOCK.now(),
        CLOCK.now() + timedelta(seconds=300),
    ]


def test_it_ends_when_nothing_can_start_in_the_window_any_more() -> None:
    watched = Watched(answer())
    watched.watch = replace(
        watched.watch, request=replace(REQUEST, latest_end=CLOCK.now() + timedelta(hours=1))
    )
    with pytest.raises(Failure, match="is over"):
        watched.run()
    assert 0 < watched.looks[-1] <= 3600
