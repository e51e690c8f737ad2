"""The reservation: is it there, is it one for this launch, has it room and time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nixl_efa.checks.facts import BlockHealth, DryRun, Elsewhere, NoAnswer
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
    type_in_ec2,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding
from tests.records import answer

INSIDE = {"reservation_id": BLOCK_ID}
ENDING = {"running": (instance(id="i-9", state="shutting-down", **INSIDE),)}
STORED = {"reservation": BY_PARAMETER}


def block(**changes: Any) -> dict[str, Any]:
    """The facts with a changed block."""
    return {"reservations": (replace(BLOCK, **changes),)}


def not_here(elsewhere: Elsewhere | NoAnswer) -> dict[str, Any]:
    """The facts without a reservation in the region, and what the other regions say."""
    return {"reservations": (), "elsewhere": elsewhere}


def test_a_launch_into_a_fitting_block_passes_everything() -> None:
    assert {each.level for each in judge([(BLOCK_LAUNCH, BLOCK_FACTS)], NOW)} == {PASS}


def test_a_fitting_launch_on_demand_passes_everything() -> None:
    assert {each.level for each in judge([(DEMAND_LAUNCH, DEMAND_FACTS)], NOW)} == {PASS}


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
            STORED,
            {"reservation_id": None},
            "reservation",
            FAIL,
            "/r (capacity_reservation_parameter) does not exist in us-east-2",
        ),
        ({}, {"reservation_id": DENIED}, "reservation", SKIP, "ec2:Something is not allowed"),
        ({}, {"reservation_id": BROKEN}, "reservation", FAIL, "InternalError"),
        ({}, {"reservation_id": "cr-xyz"}, "reservation", FAIL, "'cr-xyz', from capacity_reservation_id"),
        (STORED, {"reservation_id": "cr-0123"}, "reservation", FAIL, "'cr-0123', from the parameter /r"),
        ({}, {"reservations": DENIED}, "reservation", SKIP, "No permission to look"),
        # where it is
        (
            {},
            not_here(Elsewhere((replace(BLOCK, region="us-west-2"),), ("us-west-2",))),
            "reservation",
            FAIL,
            "it is in us-west-2 (p5.48xlarge, zone us-east-2a, active, owner 123456789012)",
        ),
        (
            {},
            not_here(Elsewhere((), ("a", "b"), ("me-south-1",))),
            "reservation",
            FAIL,
            "nor in any of the 2 other regions that were asked (no answer from me-south-1)",
        ),
        ({}, not_here(Elsewhere((), ())), "reservation", FAIL, "that account 123456789012 is the right one"),
        (
            {},
            not_here(NoAnswer("ec2:DescribeRegions", "", denied=True)),
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
        # where it is against where the pair goes
        ({}, block(zone="us-east-2c"), "reservation zone", FAIL, "the subnet subnet-1 is in us-east-2a"),
        ({}, {"zone": "us-east-2c"}, "reservation zone", FAIL, "the wanted zone is us-east-2c"),
        # what runs in it
        (
            {},
            {**block(free=0), **ENDING},
            "reservation room",
            WARN,
            "2 places more will be free some minutes after the instance there ended (i-9 is ending). Wait some minutes",
        ),
        ({}, {**block(free=1), **ENDING}, "reservation use", PASS, "No other stack"),
        (
            {},
            {**block(free=0), "running": (instance(own=True, **INSIDE), instance(own=True, **INSIDE))},
            "reservation room",
            PASS,
            "2 of them held by this stack",
        ),
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


@pytest.mark.parametrize(
    ("launch", "facts", "check", "level"),
    [
        ({}, block(state="scheduled", free=0, start=NOW + timedelta(hours=3)), "reservation state", WARN),
        ({"must_be_active": True}, block(state="scheduled", free=0), "reservation state", FAIL),
        ({}, block(state="expired"), "reservation state", FAIL),
        ({}, block(end=NOW + timedelta(minutes=89)), "reservation time", FAIL),
        ({"min_hours": 0.5}, block(end=NOW + timedelta(minutes=89)), "reservation time", PASS),
        ({"market": "on-demand"}, {}, "reservation kind", FAIL),
        ({}, block(instance_type="p5e.48xlarge"), "reservation type", FAIL),
        ({}, block(platform="Windows"), "reservation platform", FAIL),
    ],
)
def test_the_judge_is_asked_about_the_launch_as_it_is_checked(
    launch: dict[str, Any], facts: dict[str, Any], check: str, level: Level
) -> None:
    assert finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, launch, facts).level is level


FULL = DryRun(
    "ReservationCapacityExceeded", "The requested reservation does not have sufficient compatible capacity"
)


def failures_of(**facts: Any) -> list[str]:
    found = judge([(replace(BLOCK_LAUNCH, must_be_active=True), replace(BLOCK_FACTS, **facts))], NOW)
    return [each.line() for each in found if each.level is FAIL]


def test_at_a_blocks_end_the_one_failure_is_the_end_and_nobody_is_told_to_end_instances() -> None:
    (only,) = failures_of(**block(free=0, end=NOW + timedelta(minutes=29)), dry_run=FULL)
    assert only.startswith(f"No time is left in {BLOCK_ID}: EC2 begins to terminate its instances at")
    assert only.endswith("`nixl-efa capacity search` finds another block.")


@pytest.mark.parametrize("own", [0, 1])
def test_while_a_slot_comes_back_nothing_fails_and_waiting_is_the_advice(own: int) -> None:
    node = {
        "own": True,
        "instance_type": "p5.48xlarge",
        "market": "capacity-block",
        "reservation_target": BLOCK_ID,
    }
    running = tuple(instance(id=f"i-{number}", **INSIDE, **node) for number in range(own))
    facts = {**block(free=0), "running": running, "dry_run": FULL}
    assert failures_of(**facts) == []
    for check in ("reservation room", "dry run"):
        said = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, {}, facts)
        assert_says(said, WARN, "`nixl-efa deploy prod`")
        assert "larger" not in said.line()


def test_a_full_block_fails_since_somebody_else_is_in_it() -> None:
    others = tuple(instance(id=f"i-{number}", **INSIDE) for number in (1, 2))
    room, dry_run = failures_of(**block(free=0), running=others, dry_run=FULL)
    assert "End other instances" in room
    assert "End other instances" in dry_run


CANCELLED = {
    "reservation_id": BLOCK_ID,
    "reservations": (replace(ON_DEMAND_RESERVATION, state="cancelled", free=0),),
    "dry_run": DryRun("InvalidCapacityReservationState", "cancelled"),
}
FORGOTTEN = {
    "reservation_id": BLOCK_ID,
    "reservations": (),
    "elsewhere": Elsewhere((), ()),
    "dry_run": DryRun("InvalidCapacityReservationId.NotFound", "no such reservation"),
}
NODES = tuple(
    instance(id=f"i-{number}", instance_type="g7e.8xlarge", own=True, reservation_target=BLOCK_ID)
    for number in (1, 2)
)


@pytest.mark.parametrize("gone", [CANCELLED, FORGOTTEN])
@pytest.mark.parametrize(
    ("running", "level"),
    [
        (NODES, WARN),
        # Something must be launched.
        (NODES[:1], FAIL),
        ((NODES[0], replace(NODES[1], state="shutting-down")), FAIL),
        ((NODES[0], replace(NODES[1], own=False)), FAIL),
        ((NODES[0], replace(NODES[1], instance_type="g7e.12xlarge")), FAIL),
        ((NODES[0], replace(NODES[1], reservation_target="")), FAIL),
        (tuple(replace(each, reservation_target="cr-fedcba98765432100") for each in NODES), FAIL),
        ((), FAIL),
        (DENIED, FAIL),
    ],
)
def test_an_on_demand_reservation_that_is_gone_stops_only_what_must_be_launched(
    gone: dict[str, Any], running: Any, level: Level
) -> None:
    launch = replace(DEMAND_LAUNCH, reservation=IN_BLOCK, placement_group=False, must_be_active=True)
    found = judge([(launch, replace(DEMAND_FACTS, **gone, running=running))], NOW)
    about = [each for each in found if each.check in ("reservation", "reservation state", "dry run")]
    worst = min(about, key=lambda each: each.level.rank)
    assert worst.level is level, about
    assert level is FAIL or "A node that is" in " ".join(each.remedy for each in about)


def test_a_reservation_without_an_end_has_no_finding_on_time() -> None:
    launch = replace(DEMAND_LAUNCH, reservation=IN_BLOCK, placement_group=False)
    facts = replace(DEMAND_FACTS, reservation_id=BLOCK_ID, reservations=(ON_DEMAND_RESERVATION,))
    found = judge([(launch, facts)], NOW)
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
    facts["type_in_ec2"] = type_in_ec2("trn2u.48xlarge")
    launch = {"instance_type": "trn2u.48xlarge"}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "block health", launch, facts), level, words)


def test_a_block_that_has_not_started_has_no_status_also_when_ec2_refuses_the_question() -> None:
    """As EC2 did when ParallelCluster asked for one (recorded)."""
    assert (
        "fails for a block that has not started"
        in answer("block_status/scheduled-block-has-no-status")["call"]
    )
    changes: dict[str, Any] = {"instance_type": "trn2u.48xlarge", "state": "scheduled"}
    facts = {**block(**changes), "block_health": BROKEN, "type_in_ec2": type_in_ec2("trn2u.48xlarge")}
    launch = {"instance_type": "trn2u.48xlarge"}
    found = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "block health", launch, facts)
    assert_says(found, SKIP, "no status before it is active")


OLD, NEW = "cr-00000000000000001", BLOCK_ID
CURRENT = replace(BLOCK, id=OLD, end=NOW + timedelta(days=1))
NEXT = replace(BLOCK, state="scheduled", free=0, start=CURRENT.end, end=NOW + timedelta(days=2))
OWN = tuple(instance(id=f"i-{number}", own=True, reservation_id=OLD) for number in (1, 2))
IN_OLD = {"reservations": (CURRENT, NEXT), "running": OWN}
GONE = {"elsewhere": Elsewhere((), ())}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        (STORED, IN_OLD, FAIL, f"2 nodes run in {OLD} (until 2026-12-02 08:00 UTC), but {NEW}"),
        (STORED, IN_OLD, FAIL, f"{NEW} (until 2026-12-03 08:00 UTC) is scheduled: the next"),
        (STORED, IN_OLD, FAIL, f"`nixl-efa capacity save {OLD} --env prod --replace` puts the current"),
        (
            STORED,
            IN_OLD,
            FAIL,
            f"`nixl-efa capacity save {NEW} --env prod` then keeps the other one as the next",
        ),
        (STORED, {**IN_OLD, "running": OWN[:1]}, FAIL, "1 node runs in"),
        ({}, IN_OLD, FAIL, f"Set capacity_reservation_id = {OLD!r} until {NEW} is active."),
        # Whatever is stored: one that is over, that EC2 does not know, that is not an id; or nothing.
        ({}, {**IN_OLD, "reservations": (CURRENT, replace(NEXT, state="expired"))}, FAIL, "is expired"),
        ({}, {**IN_OLD, "reservations": (CURRENT,), **GONE}, FAIL, f"{NEW} is not known to EC2"),
        ({}, {**IN_OLD, "reservation_id": "cr-xyz"}, FAIL, "cr-xyz is not known to EC2"),
        (STORED, {**IN_OLD, "reservation_id": None}, FAIL, "no reservation is stored"),
        # An active one takes the nodes; that they are replaced is told with the running nodes.
        ({}, {**IN_OLD, "reservations": (CURRENT, BLOCK)}, PASS, f"the next deploy moves to {NEW}"),
        # Nothing is lost: the other one is over, or others' nodes run in it, or ours are ending, or run here.
        ({}, {**IN_OLD, "reservations": (replace(CURRENT, state="expired"), NEXT)}, PASS, "No node of prod"),
        ({}, {**IN_OLD, "reservations": (replace(CURRENT, end=NOW), NEXT)}, PASS, "No node of prod"),
        ({}, {**IN_OLD, "running": (instance(reservation_id=OLD),)}, PASS, "No node of prod"),
        ({}, {**IN_OLD, "running": (replace(OWN[0], state="shutting-down"),)}, PASS, "No node of prod"),
        ({}, {"running": tuple(replace(each, reservation_id=NEW) for each in OWN)}, PASS, "No node of prod"),
        ({}, {**IN_OLD, "running": DENIED}, SKIP, "No permission to look"),
    ],
)
def test_a_deploy_that_would_destroy_nodes_in_a_living_reservation_is_stopped(
    launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "reservation switch", launch, facts), level, words)


def test_a_launch_without_a_reservation_switches_none() -> None:
    found = judge([(DEMAND_LAUNCH, replace(DEMAND_FACTS, running=OWN))], NOW)
    assert "reservation switch" not in {each.check for each in found}


@pytest.mark.parametrize("held", [f"{BLOCK_ID}\n", f" {BLOCK_ID}", "\n"])
def test_white_space_in_a_parameter_fails_since_terraform_takes_it_along(held: str) -> None:
    facts = {"reservation_id": held}
    said = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "reservation", STORED, facts)
    assert_says(said, FAIL, "is not a reservation's id")
