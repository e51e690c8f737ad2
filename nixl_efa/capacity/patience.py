"""Waiting out AWS's throttling: the same call again, later and later, until it is answered."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from nixl_efa.aws import error_code

Answer = TypeVar("Answer")

# The codes that mean "slower", as botocore's standard retries know them (botocore.retries.standard).
THROTTLING = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
TRIES = 9


def is_throttling(error: Exception) -> bool:
    """Whether AWS only asks to be asked later: the call had no effect."""
    return error_code(error) in THROTTLING


def patiently(
    call: Callable[[], Answer],
    sleep: Callable[[float], None],
    *,
    tries: int = TRIES,
    jitter: Callable[[float, float], float] = random.uniform,
) -> Answer:
    """The answer of `call`, repeated while AWS throttles it, with waits that double and are drawn at random.

    Raises what `call` raises: at once for any error that isn't throttling, else after `tries` calls.
    """
    for attempt in range(tries - 1):
        try:
            return call()
        except Exception as error:
            if not is_throttling(error):
                raise
        ceiling = min(FIRST_WAIT_SECONDS * 2**attempt, LONGEST_WAIT_SECONDS)
        # Between half and all of it, so that callers that were throttled together don't return together.
        sleep(jitter(ceiling / 2, ceiling))
    return call()
