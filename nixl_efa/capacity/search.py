"""Searching for Capacity Blocks: every region and length side by side, every page, nothing asked twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import all_items, ask_all
from nixl_efa.capacity.offering import Offering, from_api
from nixl_efa.capacity.request import Request

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, whether any question was answered, and the regions that could not be asked, with
    the error of each."""

    offerings: tuple[Offering, ...]
    failed: dict[str, Exception]
    answered: bool


def offerings_request(request: Request, hours: int) -> dict[str, Any]:
    """The whole request of DescribeCapacityBlockOfferings for one length in hours."""
    return {
        "InstanceType": request.instance_type,
        "InstanceCount": request.count,
        "CapacityDurationHours": hours,
        "StartDateRange": request.earliest_start,
        "EndDateRange": request.end_for(hours),
    }


def offerings_in(
    ec2: EC2Client, region: str, request: Request, hours: int, sleep: Callable[[float], None]
) -> list[Offering]:
    """The offerings of one region and one length in hours, all pages."""
    body = offerings_request(request, hours)
    items = all_items(ec2.describe_capacity_block_offerings, "CapacityBlockOfferings", sleep, body)
    return [from_api(payload, region, hours) for payload in items]


def search(
    ec2_of: Callable[[str], EC2Client],
    regions: Sequence[str],
    request: Request,
    sleep: Callable[[float], None],
    done: Callable[[tuple[str, int]], None] = lambda _: None,
) -> Found:
    """Asks every region for every length, side by side. A region that fails doesn't keep the others from it.

    ec2_of: the EC2 client of a region; done: called after each answer with its region and hours.
    """
    questions = [(region, hours) for hours in request.hours for region in regions]

    def ask(question: tuple[str, int]) -> list[Offering]:
        region, hours = question
        return offerings_in(ec2_of(region), region, request, hours, sleep)

    answers, errors = ask_all(questions, ask, done)
    unique = {offering.id: offering for offerings in answers.values() for offering in offerings}
    failed: dict[str, Exception] = {}
    for (region, _), error in errors.items():
        failed.setdefault(region, error)
    return Found(tuple(unique.values()), failed, answered=bool(answers))


# The orders in which offerings are shown; those that a pair can't use come last in each.
ORDERS: dict[str, Callable[[Offering], Any]] = {
    "fee": lambda offering: (bool(offering.unusable), offering.fee, offering.start),
    "start": lambda offering: (bool(offering.unusable), offering.start, offering.fee),
    "rate": lambda offering: (bool(offering.unusable), offering.fee_per_instance_hour, offering.start),
}
