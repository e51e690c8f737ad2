"""The reservation: is it there, is it one for this launch, has it room and time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nixl_efa.checks.facts import BlockHealth, Elsewhere, Unseen
from nixl_efa.checks.rules import judge
from nixl_efa.findings import Level
from tests.checks.in_order import (
    BLOCK,
    BLOCK_FACTS,
    BLOCK_ID,
    BLOCK_LAUNCH,
    BROKEN,
    BY_PARAMETER,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    IN_BLOCK,
    NOW,
    ON_DEMAND_RESERVATION,
    UNRESERVED,
    instance,
    seen_type,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding

INSIDE = {"reservation_id": BLOCK_ID}


def block(**changes: Any) -> dict[str, Any]:
    """The facts with a changed block."""
    return {"reservations": (replace(BLOCK, **changes),)}


def test_a_launch_into_a_fitting_block_passes_everything() -> None:
    assert {each.level for each in judge(BLOCK_LAUNCH, BLOCK_FACTS, NOW)} == {PASS}


def test_a_fitting_launch_on_demand_passes_everything() -> None:
    assert {each.level for each in judge(DEMAND_LAUNCH, DEMAND_FACTS, NOW)} == {PASS}


@pytest.mark.parametrize(
    ("launch", "facts", "check", "level", "words"),
    [
        # which reservation
        (
            {"reservation": UNRESERVED},
            {},
            "reservation",
            FAIL,
            "use_capacity_block is set, but no reservation",
        ),
        ({"reservation": UNRESERVED, "market": "spot"}, {}, "reservation", PASS, "as Spot Instances"),
        (
            {"reservation": BY_PARAMETER},
            {"reservation_id": None},
            "reservation",
            FAIL,
            "/r (capacity_reservation_parameter) does not exist in us-east-2",
        ),
        ({}, {"reservation_id": DENIED}, "reservation", SKIP, "ec2:Something is not allowed"),
        ({}, {"reservation_id": BROKEN}, "reservation", FAIL, "InternalError"),
        ({}, {"reservation_id": "cr-xyz"}, "reservation", FAIL, "'cr-xyz', from capacity_reservation_id"),
        (
            {"reservation": BY_PARAMETER},
            {"reservation_id": "cr-0123"},
            "reservation",
            FAIL,
            "'cr-0123', from the parameter /r",
        ),
        ({}, {"reservations": DENIED}, "reservation", SKIP, "No permission to look"),
        # where it is
        (
            {},
            {
                "reservations": (),
                "elsewhere": Elsewhere((replace(BLOCK, region="us-west-2"),), ("us-west-2",)),
            },
            "reservation",
            FAIL,
            "it is in us-west-2 (p5.48xlarge, zone us-east-2a, active, owner 123456789012)",
        ),
        (
            {},
            {"reservations": (), "elsewhere": Elsewhere((), ("a", "b"), ("me-south-1",))},
            "reservation",
            FAIL,
            "nor in any of the 2 other regions that were asked (no answer from me-south-1)",
        ),
        (
            {},
            {"reservations": (), "elsewhere": Elsewhere((), ())},
            "reservation",
            FAIL,
            "that account 123456789012 is the right one",
        ),
        (
            {},
            {"reservations": (), "elsewhere": Unseen("ec2:DescribeRegions", "", denied=True)},
            "reservation",
            FAIL,
            "could not be asked (no permission: ec2:DescribeRegions)",
        ),
        (
            {},
            {"reservations": (replace(BLOCK, id="cr-0000000000000000b"),), "elsewhere": Elsewhere((), ())},
            "reservation",
            FAIL,
            "For p5.48xlarge this region has cr-0000000000000000b",
        ),
        ({}, block(owner="999999999999"), "reservation", PASS, "Account 999999999999 shares it"),
        # what it is
        (
            {},
            block(is_block=False),
            "reservation kind",
            FAIL,
            "an On-Demand Capacity Reservation, but use_capacity_block is set",
        ),
        ({"market": "on-demand"}, {}, "reservation kind", FAIL, "Set use_capacity_block = true"),
        ({"market": "spot"}, {}, "reservation kind", FAIL, "Spot Instances can't run in a reservation"),
        ({"market": "on-demand"}, block(is_block=False), "reservation kind", PASS, "as the settings say"),
        (
            {},
            block(instance_type="p5e.48xlarge"),
            "reservation type",
            FAIL,
            "for p5e.48xlarge, but instance_type is p5.48xlarge",
        ),
        ({}, block(platform="Windows"), "reservation platform", FAIL, "is for Windows"),
        ({}, block(tenancy="dedicated"), "reservation tenancy", FAIL, "tenancy dedicated"),
        # where it is against where the pair goes
        ({}, block(zone="us-east-2c"), "reservation zone", FAIL, "the subnet subnet-1 is in us-east-2a"),
        ({}, {"zone": "us-east-2c"}, "reservation zone", FAIL, "the wanted zone is us-east-2c"),
        # room
        ({}, block(free=1), "reservation room", FAIL, "1 of 2 instances"),
        (
            {},
            {**block(free=0), "running": (instance(id="i-9", state="shutting-down", **INSIDE),)},
            "reservation room",
            FAIL,
            "i-9 is ending; its place is free again some minutes later",
        ),
        (
            {},
            {**block(free=0), "running": (instance(own=True, **INSIDE), instance(own=True, **INSIDE))},
            "reservation room",
            PASS,
            "2 of them held by this stack",
        ),
        ({}, block(state="scheduled", size=1, free=0), "reservation room", FAIL, "1 of 1 instance"),
        ({}, block(state="scheduled", free=0), "reservation room", PASS, "in it once it is active"),
        # who else is in it
        ({}, {"running": (instance(**INSIDE),)}, "reservation use", WARN, "i-1 (theirs)"),
        ({}, {"running": (instance(own=True, **INSIDE),)}, "reservation use", PASS, "No other stack"),
        ({}, {"running": (instance(),)}, "reservation use", PASS, "No other stack"),
        ({}, {"running": DENIED}, "reservation use", SKIP, "No permission to look"),
    ],
)
def test_each_difference_from_a_fitting_reservation(
    launch: dict[str, Any], facts: dict[str, Any], check: str, level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, launch, facts), level, words)


SCHEDULED = {"state": "scheduled", "free": 0, "start": NOW + timedelta(hours=3, minutes=30)}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "is active"),
        ({}, block(**SCHEDULED), WARN, "with 2 instances. It starts at 2026-12-01 11:30 UTC, in 3 h 30 min"),
        ({"at_once": True}, block(**SCHEDULED), FAIL, "EC2 refuses a launch before that"),
        ({}, block(state="payment-pending"), WARN, "5 minutes to 12 hours"),
        (
            {"at_once": True},
            block(state="payment-pending"),
            FAIL,
            "nixl-efa capacity wait cr-0123456789abcdef0",
        ),
        ({}, block(state="expired"), FAIL, "its time is over"),
        ({}, block(state="payment-failed"), FAIL, "its payment failed"),
        ({}, block(state="cancelled"), FAIL, "it was cancelled"),
        ({}, block(state="delayed"), WARN, "AWS is late"),
        ({}, block(state="something-new"), WARN, "something-new"),
    ],
)
def test_each_state(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "reservation state", launch, facts), level, words)


ULTRA = {"instance_type": "p6e-gb200.36xlarge"}


@pytest.mark.parametrize(
    ("launch", "changes", "level", "words"),
    [
        ({}, {}, PASS, "1 d 3 h of use are left"),
        ({}, {}, PASS, "EC2 begins to terminate its instances at 2026-12-02 11:00 UTC"),
        ({}, ULTRA, PASS, "at 2026-12-02 10:30 UTC (the block ends at 2026-12-02 11:30 UTC)"),
        ({}, {"end": NOW + timedelta(minutes=90)}, PASS, "1 h 0 min"),
        ({}, {"end": NOW + timedelta(minutes=89)}, FAIL, "59 min are left"),
        ({}, {**ULTRA, "end": NOW + timedelta(minutes=119)}, FAIL, "59 min are left"),
        ({}, {"end": NOW + timedelta(minutes=30)}, FAIL, "No time is left"),
        ({"min_hours": 48.0}, {}, FAIL, "less than the 48 h of min_hours"),
        ({"min_hours": 0.5}, {"end": NOW + timedelta(minutes=60)}, PASS, "30 min of use"),
        # What is left of a block that has not started is counted from its start.
        ({}, {**SCHEDULED, "end": NOW + timedelta(hours=4)}, FAIL, "No time is left"),
        # An On-Demand Capacity Reservation terminates nothing when it ends.
        ({}, {"is_block": False, "end": NOW + timedelta(minutes=10)}, WARN, "run on as plain On-Demand"),
    ],
)
def test_the_time_that_is_left(
    launch: dict[str, Any], changes: dict[str, Any], level: Level, words: str
) -> None:
    found = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "reservation time", launch, block(**changes))
    assert_says(found, level, words)


def test_a_reservation_without_an_end_has_no_finding_on_time() -> None:
    launch = replace(DEMAND_LAUNCH, reservation=IN_BLOCK, placement_group=False)
    facts = replace(DEMAND_FACTS, reservation_id=BLOCK_ID, reservations=(ON_DEMAND_RESERVATION,))
    found = judge(launch, facts, NOW)
    assert "reservation time" not in {each.check for each in found}
    assert {each.level for each in found} == {PASS}


@pytest.mark.parametrize(
    ("health", "level", "words"),
    [
        ((BlockHealth((BLOCK_ID,), "ok"),), PASS, "is ok"),
        ((BlockHealth((BLOCK_ID,), "impaired"),), FAIL, "is impaired"),
        ((BlockHealth(("cr-other",), "ok"),), SKIP, "no status before it is active"),
        (DENIED, SKIP, "No permission to look"),
    ],
)
def test_the_interconnect_of_an_ultra_server(health: Any, level: Level, words: str) -> None:
    facts = {**block(instance_type="trn2u.48xlarge"), "block_health": health}
    facts["type_seen"] = seen_type("trn2u.48xlarge")
    launch = {"instance_type": "trn2u.48xlarge"}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "block health", launch, facts), level, words)
