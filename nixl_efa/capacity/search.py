"""Searching for Capacity Blocks in every region and for every length in parallel, with all pages of each answer and no
question asked twice; and finding an offering again.

A request for something that AWS does not sell is refused before any call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Sleep, all_items, ask_all
from nixl_efa.aws_errors import error_code
from nixl_efa.capacity import offering as offerings
from nixl_efa.capacity.offering import Offering, from_api
from nixl_efa.capacity.wish import Wish, check_ultra_servers, wishes
from nixl_efa.failure import BadInput, Failure
from nixl_efa.instance_types import capacity_block_types, data_source, find, nearest
from nixl_efa.times import utc

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# What AWS sells (EC2 user guide, capacity-blocks-purchase): 1-day steps up to 14 days, then 7-day steps up to 182 days;
# 1 to 64 instances a block, 256 in all blocks together; a start at most 8 weeks ahead.
DAY_HOURS = 24
WEEK_HOURS = 168
LONGEST_BY_DAYS_HOURS = 336
LONGEST_HOURS = 4368
LARGEST_COUNT = 64
HORIZON_DAYS = 56

ALLOWED_HOURS = (
    *range(DAY_HOURS, LONGEST_BY_DAYS_HOURS + 1, DAY_HOURS),
    *range(LONGEST_BY_DAYS_HOURS + WEEK_HOURS, LONGEST_HOURS + 1, WEEK_HOURS),
)
ALLOWED_HOURS_TEXT = (
    f"{DAY_HOURS}-hour steps from {DAY_HOURS} to {LONGEST_BY_DAYS_HOURS}, then {WEEK_HOURS}-hour steps "
    f"to {LONGEST_HOURS}"
)
# AWS limits the rate of searches for each account and region (docs/facts.md): all lengths at once would be throttled.
LENGTHS_AT_ONCE = 8

_AHEAD = re.compile(r"\+(\d{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# Blocks end up to 34 weeks ahead: the latest start, and the longest block.
_FURTHEST = timedelta(days=366)
_FORMS = "a date (2026-12-01), a time (2026-12-01T09:30, with Z or +02:00 if it isn't UTC) or +12h, +7d, +2w"


@dataclass(frozen=True, slots=True)
class Request:
    """A search: how many instances of a type, for which lengths (hours), with the earliest start and the latest end.

    instance_type: or the name of an UltraServer; `count` is then the number of UltraServers.
    latest_end: None is as late as AWS sells: a start 8 weeks after `earliest_start`, plus the whole length.
    """

    instance_type: str
    count: int
    hours: tuple[int, ...]
    earliest_start: datetime
    latest_end: datetime | None = None

    def end_for(self, hours: int) -> datetime:
        """The latest end to ask for with a length of `hours`. It allows a day more than the length: every block ends at
        11:30 UTC and so may be longer than was asked for."""
        if self.latest_end is not None:
            return self.latest_end
        return self.earliest_start + timedelta(days=HORIZON_DAYS + 1, hours=hours)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, whether any question was answered, and the regions that failed, with the error of each.
    not_sold: the regions that sell no block of the type."""

    offerings: tuple[Offering, ...]
    failed: dict[str, Exception]
    answered: bool
    not_sold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """The question to AWS that shows an offering again. shown: the offering from a search; None without a search."""

    offering_id: str
    region: str
    request: Request
    shown: Offering | None = None


def offerings_in(
    ec2: EC2Client, region: str, request: Request, wish: Wish, hours: int, sleep: Sleep
) -> list[Offering]:
    """The offerings of one region, one wish and one length in hours, all pages; none where the region sells no block
    of the type."""
    return _answer(ec2, region, request, wish, hours, sleep) or []


def _answer(
    ec2: EC2Client, region: str, request: Request, wish: Wish, hours: int, sleep: Sleep
) -> list[Offering] | None:
    """Like offerings_in, but None where the region refuses the question because it sells no block of the type."""
    body = {
        **wish.body,
        "CapacityDurationHours": hours,
        "StartDateRange": request.earliest_start,
        "EndDateRange": request.end_for(hours),
    }
    items = all_items(ec2.describe_capacity_block_offerings, "CapacityBlockOfferings", sleep, body)
    try:
        return [from_api(payload, region, hours) for payload in items]
    except Exception as error:
        if error_code(error) == "InvalidParameterValue" and "not supported for Capacity Blocks" in str(error):
            return None
        raise


def search(
    ec2_of: Callable[[str], EC2Client],
    regions: Sequence[str],
    request: Request,
    sleep: Sleep,
    done: Callable[[tuple[str, int, Wish]], None] = lambda _: None,
) -> Found:
    """Asks every region for every length, in parallel. A region that fails does not stop the others.

    ec2_of: the EC2 client of a region; done: called after each answer with its question.
    """

    def ask(question: tuple[str, int, Wish]) -> list[Offering] | None:
        region, hours, wish = question
        return _answer(ec2_of(region), region, request, wish, hours, sleep)

    answers, errors = ask_all(questions(regions, request), ask, done)
    failed: dict[str, Exception] = {}
    for (region, _, _), error in errors.items():
        failed.setdefault(region, error)
    # Several kinds of UltraServers can have the same type; a region may sell only one of them.
    selling = {region for (region, _, _), found in answers.items() if found is not None}
    refusing = dict.fromkeys(region for (region, _, _), found in answers.items() if found is None)
    return Found(
        _unique(one for found in answers.values() for one in found or ()),
        failed,
        answered=bool(answers),
        not_sold=tuple(region for region in refusing if region not in selling | failed.keys()),
    )


def search_in_turn(
    ec2_of: Callable[[str], EC2Client],
    regions: Sequence[str],
    request: Request,
    sleep: Sleep,
    done: Callable[[int], None] = lambda _: None,
) -> Found:
    """A search for many lengths: the first length in every region, then the others, a few at a time, in the regions
    that sell the type.

    A region that does not answer is not asked again. done: called after each answer with the number of questions that
    are left, as far as it is known.
    """
    asking, hours = list(regions), request.hours
    parts = [hours[:1], *(hours[at : at + LENGTHS_AT_ONCE] for at in range(1, len(hours), LENGTHS_AT_ONCE))]
    found = Found((), {}, answered=False)
    left = 0

    def count(_: object) -> None:
        nonlocal left
        left -= 1
        done(left)

    for number, part in enumerate(parts):
        left = len(
            questions(asking, replace(request, hours=tuple(one for each in parts[number:] for one in each)))
        )
        more = search(ec2_of, asking, replace(request, hours=part), sleep, count)
        found = Found(
            _unique([*found.offerings, *more.offerings]),
            {**found.failed, **more.failed},
            found.answered or more.answered,
            (*found.not_sold, *more.not_sold),
        )
        asking = [one for one in asking if one not in found.not_sold and one not in found.failed]
    return found


def _unique(found: Iterable[Offering]) -> tuple[Offering, ...]:
    """Each block at each fee once. A block that answers several questions is kept as the answer to the longest length
    that it covers. Each answer has another id for it (recorded: offerings/terraform-test-remarks)."""
    unique: dict[tuple[Any, ...], Offering] = {}
    for one in found:
        key = (*one.block, one.fee, one.currency)
        known = unique.setdefault(key, one)
        if (known.is_short, -known.asked_hours) > (one.is_short, -one.asked_hours):
            unique[key] = one
    return tuple(unique.values())


def questions(regions: Sequence[str], request: Request) -> list[tuple[str, int, Wish]]:
    """The questions of a search: each region, length in hours and wish."""
    return [
        (region, hours, wish)
        for hours in request.hours
        for region in regions
        for wish in wishes(request.instance_type, request.count)
    ]


def _rank(offering: Offering) -> tuple[bool, bool]:
    return bool(offering.unusable), offering.is_short


# The orders in which offerings are shown. In each, those shorter than asked come after those that fit, and those that
# a pair can't use come last.
ORDERS: dict[str, Callable[[Offering], Any]] = {
    "fee": lambda offering: (*_rank(offering), offering.fee, offering.start),
    "start": lambda offering: (*_rank(offering), offering.start, offering.fee),
    "rate": lambda offering: (*_rank(offering), offering.fee_per_instance_hour, offering.start),
}


def find_again(ec2: EC2Client, question: Question, now: datetime, sleep: Sleep) -> Offering:
    """The offering as AWS offers it now. Failure when it is gone or has become dearer."""
    asked, shown = question.request, question.shown
    # The same window as in the search: AWS answers with only a few offerings, and the window decides which.
    request = checked(replace(asked, earliest_start=max(asked.earliest_start, now)))
    offered = [
        one
        for wish in wishes(request.instance_type, request.count)
        for one in offerings_in(ec2, question.region, request, wish, request.hours[0], sleep)
    ]
    found = next((one for one in offered if one.id == question.offering_id), None)
    if found is None and shown is not None:
        # The same block with another id: each answer has new ids. The purchase still uses the id that the user named;
        # EC2 refuses it if it is no longer valid. A lower fee may be valid only for the other id, so it is not used.
        # AWS may offer a block as a whole and in segments, at two fees: these are two blocks.
        twins = [one for one in offered if shown.is_same_block(one)]
        if twins:
            same = min(twins, key=lambda one: (one.fee != shown.fee, -one.fee))
            found = replace(same, id=question.offering_id, fee=max(same.fee, shown.fee))
    if found is None and shown is None:
        raise Failure(
            f"{question.offering_id} is not in AWS's answer. It is gone, or has another id now, since each search gets new ids: nothing was bought. "  # noqa: E501
            "Search here with `nixl-efa capacity search`, and buy what it shows."
        )
    if found is None:
        raise Failure(
            f"{question.offering_id} is gone: AWS does not offer it any more. Nothing was bought. Search again."
        )
    if shown is not None and found.fee > shown.fee:
        raise Failure(
            f"the fee of {found.id} has risen from {shown.fee:,} to {found.fee:,} {found.currency} since the search: nothing was bought. "  # noqa: E501
            "Search again to buy at the new fee."
        )
    return found


def checked_question(
    offering_id: str,
    recalled: Question | None,
    *,
    instance_type: str | None,
    count: int | None,
    hours: int | None,
    region: str | None,
    now: datetime,
) -> Question:
    """The question to AWS, from a search on this machine or from the options. BadInput when neither gives it."""
    if not offerings.is_offering_id(offering_id):
        raise BadInput(f"OFFERING {offering_id!r}: an offering's id begins with cb- and comes from a search")
    if recalled is not None:
        shown = recalled.request
        for option, given, known in (
            ("--region", region, recalled.region),
            ("--type", instance_type, shown.instance_type),
            ("--count", count, shown.count),
            ("--hours", hours, shown.hours[0]),
        ):
            if given not in (None, known):
                raise BadInput(f"{option} {given}: the search that showed {offering_id} had {known}")
        return recalled
    if instance_type is None or count is None or hours is None or region is None:
        raise BadInput(
            f"OFFERING {offering_id!r} was not shown by a search on this machine in the last days. "
            "Search again, or give --type, --count, --hours and --region."
        )
    return Question(offering_id, region, checked(Request(instance_type, count, (hours,), now)))


def checked(request: Request) -> Request:
    """The request, unchanged. BadInput when AWS sells nothing like it; the message says what AWS does sell."""
    if request.instance_type.startswith("u-"):
        check_ultra_servers(request.instance_type, request.count)
    else:
        _check_type(request.instance_type)
        check_count(request.count)
    for hours in request.hours:
        check_hours(hours)
    if request.latest_end is not None:
        if request.latest_end <= request.earliest_start:
            raise BadInput(
                f"--to {request.latest_end:%Y-%m-%d %H:%M} UTC is not after --from "
                f"{request.earliest_start:%Y-%m-%d %H:%M} UTC: give a later --to"
            )
        window = request.latest_end - request.earliest_start
        if all(timedelta(hours=hours) > window + timedelta(days=1) for hours in request.hours):
            raise BadInput(
                f"no block of {min(request.hours)} hours fits between --from and --to "
                f"({window.total_seconds() / 3600:.0f} hours): give a later --to"
            )
    return request


def nearest_allowed(hours: int) -> tuple[int, ...]:
    """The lengths in hours that AWS sells just below and just above `hours`; one where there is only one."""
    below = [allowed for allowed in ALLOWED_HOURS if allowed < hours]
    above = [allowed for allowed in ALLOWED_HOURS if allowed > hours]
    return (*below[-1:], *above[:1])


def check_hours(hours: int, option: str = "HOURS") -> None:
    """BadInput when AWS sells no block of this length."""
    if hours not in ALLOWED_HOURS:
        near = " or ".join(str(allowed) for allowed in nearest_allowed(hours))
        raise BadInput(f"{option} {hours}: AWS sells {ALLOWED_HOURS_TEXT}. The nearest: {near}")


def check_count(count: int) -> None:
    """BadInput when a block can't have this many instances."""
    if not 1 <= count <= LARGEST_COUNT:
        raise BadInput(f"COUNT {count}: a Capacity Block has 1 to {LARGEST_COUNT} instances")


def earliest_start(text: str | None, now: datetime) -> datetime:
    """The earliest start to ask for: `text`, but not before now, since AWS refuses a start in the past."""
    return now if text is None else max(moment(text, "--from", now), now)


def latest_end(text: str | None, now: datetime) -> datetime | None:
    """The latest end to ask for; None when none was given. A date means the end of that day."""
    if text is None:
        return None
    end = moment(text, "--to", now)
    try:
        date.fromisoformat(text)
    except ValueError:
        return end
    return end + timedelta(days=1)


def moment(text: str, option: str, now: datetime) -> datetime:
    """The moment that `text` means, in UTC: a date (its midnight), a time, or a distance from `now`.

    A time without a zone is UTC, as everything this command prints. BadInput names `option`.
    """
    if text == "now":
        return now
    ahead = _AHEAD.fullmatch(text)
    try:
        found = now + int(ahead[1]) * _UNITS[ahead[2]] if ahead else utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise BadInput(f"{option} {text!r}: give {_FORMS}") from None
    if found - now > _FURTHEST:
        raise BadInput(f"{option} {text}: more than a year ahead, and AWS sells no block that ends so late")
    return found


def _check_type(name: str) -> None:
    sold, known = capacity_block_types(), find(name)
    if known is not None and known.supports_capacity_block:
        return
    if known is not None:
        problem = f"TYPE {name}: AWS sells no Capacity Blocks of it (On-Demand and Spot only)"
    else:
        similar = [other for other in nearest(name) if other in sold]
        hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        problem = (
            f"TYPE {name} is not in this data (of {data_source().date}){hint}. If there is such a type, run "
            "`nixl-efa instance-types refresh`"
        )
    raise BadInput(f"{problem}. Types with blocks: {', '.join(sold)}")
