"""Waiting for an offer: repeats the same search until something fits. It never buys."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from nixl_efa.aws_calls import may_pass
from nixl_efa.aws_errors import explain
from nixl_efa.capacity.agreement import money
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.search import Found, Request, checked
from nixl_efa.capacity.wait import TimedOut
from nixl_efa.clock import Clock, Waiting
from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import counted
from nixl_efa.times import moment, span

CURRENCY, CENT = "USD", Decimal("0.01")
POLL_SECONDS = 300.0
# AWS limits the rate of searches for each account and region, and other users need them too (docs/facts.md).
LEAST_POLL_SECONDS = 30.0
LONGEST_POLL_SECONDS = 3600.0
MOST_POLL_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What to wait for.

    max_rate: the highest rate for an instance and an hour in USD; None: any. zone: the only one that the environment's
    nodes can use; empty: any. timeout_seconds: None: as long as a block can still start in the window.
    """

    request: Request
    max_rate: Decimal | None = None
    zone: str = ""
    poll_seconds: float = POLL_SECONDS
    timeout_seconds: float | None = None


def fitting(offerings: Iterable[Offering], max_rate: Decimal | None, zone: str = "") -> list[Offering]:
    """The offerings that a pair can use, as long as asked, in the zone, and at most at `max_rate`. Pure."""
    return [
        one
        for one in offerings
        if not one.unusable
        and not one.is_short
        and zone in ("", one.zone)
        and (max_rate is None or (one.currency == CURRENCY and one.fee_per_instance_hour <= max_rate))
    ]


def wait_for_offer(
    watch: Watch,
    search: Callable[[Request], Found],
    clock: Clock,
    tell: Callable[[str], None],
    keep: Callable[[Request, Found], None],
) -> tuple[Request, Found]:
    """Searches until something fits; returns the last request, and the offerings of its answer that fit.

    A search without any answer is repeated, with longer and longer pauses while AWS throttles or the network fails.
    Failure when all regions refuse it for another reason, and when no block can start in the window any more; TimedOut
    after timeout_seconds.

    tell: called once for each state; keep: called with every answer.
    """
    waiting = Waiting(clock)
    said, pause = "", watch.poll_seconds
    while True:
        request = _from_now(watch.request, clock.now())
        found = search(request)
        if found.answered:
            pause = watch.poll_seconds
            keep(request, found)
            good = fitting(found.offerings, watch.max_rate, watch.zone)
            if good:
                return request, replace(found, offerings=tuple(good))
            silent = f"; no answer from {', '.join(sorted(found.failed))}" if found.failed else ""
            text = _state(found.offerings, watch.max_rate, watch.zone) + silent
        else:
            _check_passing(found)
            pause = min(pause * 2, max(LONGEST_POLL_SECONDS, watch.poll_seconds))
            text = f"no region answered: {explain(next(iter(found.failed.values())))}"
        if text != said:
            tell(f"{moment(clock.now())}: {text}. Looking again every {pause / 60:g} min; Ctrl-C ends it.")
            said = text
        if watch.timeout_seconds is not None:
            left = watch.timeout_seconds - waiting.lasted.total_seconds()
            if left <= 0:
                raise TimedOut(
                    f"nothing that fits was on offer in {span(timedelta(seconds=watch.timeout_seconds))}"
                )
            pause = min(pause, left)
        waiting.sleep(pause)


def _from_now(request: Request, now: datetime) -> Request:
    """The request with the part of its window that is still ahead. Failure when there is none."""
    try:
        return checked(replace(request, earliest_start=max(request.earliest_start, now)))
    except BadInput as error:
        raise Failure(f"the time that was searched is over ({error.message})") from None


def _check_passing(found: Found) -> None:
    """Raises the error of a search that failed in all regions, unless one of the errors may be temporary."""
    errors = list(found.failed.values())
    if not any(may_pass(one) for one in errors):
        raise errors[0]


def _state(offerings: Iterable[Offering], max_rate: Decimal | None, zone: str) -> str:
    """The offers that do not fit, in words."""
    every = list(offerings)
    if not every:
        return "no block on offer"
    some = f"{counted(len(every), 'block')} on offer"
    good = fitting(every, None, zone)
    if not good:
        return f"{some}, none for a pair and as long as asked{f', in {zone}' if zone else ''}"
    usable = [one for one in good if one.currency == CURRENCY]
    if not usable:
        theirs = " and ".join(sorted({one.currency for one in good}))
        return f"{some}, in {theirs}, and --max-rate is in {CURRENCY}"
    cheapest = min(usable, key=lambda one: one.fee_per_instance_hour)
    limit = "" if max_rate is None else f", more than {money(max_rate)}"
    # Rounded up, so that the user can give this figure as the limit and the offer then fits.
    rate = cheapest.fee_per_instance_hour.quantize(CENT, ROUND_CEILING)
    return f"{some}, the cheapest {rate} {CURRENCY} for an instance-hour ({cheapest.zone}){limit}"
