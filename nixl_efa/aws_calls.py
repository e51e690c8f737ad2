"""Calls AWS: waits when AWS throttles, reads every page, asks many regions in parallel, and never takes an answer
without a result for an empty result."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from nixl_efa.aws_errors import error_code, error_status, is_network
from nixl_efa.failure import BadInput, Failure
from nixl_efa.refusals.model import THROTTLING

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from nixl_efa.aws import Clients

Answer = TypeVar("Answer")
Key = TypeVar("Key", bound=Hashable)
Sleep = Callable[[float], None]

ALL_REGIONS = "all"
# DescribeRegions gives the same answer in every region; this region is enabled in every account of the partition aws.
ANYWHERE = "us-east-1"

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
TRIES = 9
# The limit of pages for one answer. A thousand reservations, or ten thousand parameters at ten per page, need fewer.
MOST_PAGES = 1000
# More than the regions times a few lengths; threads that wait for the network cost next to nothing.
MOST_THREADS = 128


class Pool(ThreadPoolExecutor):
    """Threads that ask. After an error in its block, or Ctrl-C, nobody waits for their answers."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(wait=error is None, cancel_futures=True)


class NoResultError(Failure):
    """An answer with status 200 that is not from the service: a page of a proxy or a login page, for example."""


def is_throttling(error: Exception) -> bool:
    """Whether AWS only asks for a later retry: the call had no effect.

    DescribeCapacityBlockOfferings has a separate rate limit, which no retry mode of botocore knows. The same code can
    also mean that the account has no quota of blocks; then the message is different (EC2 API reference,
    errors-overview).
    """
    code = error_code(error)
    return code in THROTTLING or (
        code == "CapacityBlockDescribeLimitExceeded" and "service limits" not in str(error)
    )


def unless_missing(ask: Callable[[], Answer]) -> Answer | None:
    """What IAM answers about an entity; None where it has none of that name."""
    try:
        return ask()
    except Exception as error:
        if error_code(error) != "NoSuchEntity":
            raise
        return None


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: AWS throttles, the service fails (5xx), or the network does."""
    return is_throttling(error) or error_status(error) >= 500 or is_network(error)


def patiently(
    call: Callable[[], Answer],
    sleep: Sleep,
    *,
    tries: int = TRIES,
    jitter: Callable[[float, float], float] = random.uniform,
) -> Answer:
    """The answer of `call`, repeated while AWS throttles it, with random waits whose limit doubles each time.

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


def result(answer: Mapping[str, Any], key: str) -> Any:
    """The value of `key` in an answer. NoResultError if it is missing: AWS sends an empty list as an empty list."""
    if key not in answer:
        raise NoResultError(
            f"AWS's answer has no {key}, so it says nothing. Something on the way (a proxy, a login page) seems to have answered instead."  # noqa: E501
        )
    return answer[key]


def all_items(
    call: Callable[..., Mapping[str, Any]], key: str, sleep: Sleep, request: Mapping[str, Any] | None = None
) -> Iterator[Mapping[str, Any]]:
    """The values of `key` in all pages of the call's answer.

    If a page is throttled, only this page is requested again, not the earlier ones. NoResultError for a
    page without `key`, and for a list of pages that does not end.
    """
    body = dict(request or {})
    for _ in range(MOST_PAGES):
        answer = patiently(partial(call, **body), sleep)
        yield from result(answer, key) or ()
        token = answer.get("NextToken") or ""
        if not token:
            return
        if token == body.get("NextToken"):
            break
        body["NextToken"] = token
    raise NoResultError(f"AWS's list of {key} does not end. Try again later.")


def ask_all(
    keys: Iterable[Key], ask: Callable[[Key], Answer], done: Callable[[Key], None] = lambda _: None
) -> tuple[dict[Key, Answer], dict[Key, Exception]]:
    """Calls `ask` once for each key, in parallel: the answers and the errors, by key, in the order of keys.

    done is called in the caller's thread after each answer or error.
    """
    ordered = list(dict.fromkeys(keys))
    answers: dict[Key, Answer] = {}
    errors: dict[Key, Exception] = {}
    if not ordered:
        return answers, errors
    with Pool(max_workers=min(len(ordered), MOST_THREADS)) as pool:
        running = {pool.submit(ask, key): key for key in ordered}
        for future in as_completed(running):
            key = running[future]
            error = future.exception()
            if error is None:
                answers[key] = future.result()
            elif isinstance(error, Exception):
                errors[key] = error
            else:
                raise error
            done(key)
    return (
        {key: answers[key] for key in ordered if key in answers},
        {key: errors[key] for key in ordered if key in errors},
    )


def chosen_regions(asked: Sequence[str], clients: Clients, sleep: Sleep) -> tuple[str, ...]:
    """The regions to ask: those given, every enabled one for "all", else the default region.

    BadInput when no region is given and none is configured.
    """
    if ALL_REGIONS in asked:
        return enabled_regions(clients.ec2(clients.region or ANYWHERE), sleep)
    if asked:
        return tuple(dict.fromkeys(asked))
    if clients.region is None:
        raise BadInput("no AWS region is chosen: give --region NAME or --region all, or set AWS_REGION")
    return (clients.region,)


def enabled_regions(ec2: EC2Client, sleep: Sleep) -> tuple[str, ...]:
    """The names of the regions that are enabled for the account, sorted."""
    answer = patiently(lambda: ec2.describe_regions(AllRegions=False), sleep)
    return tuple(sorted(region["RegionName"] for region in result(answer, "Regions")))
