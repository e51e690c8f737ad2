"""One reservation, one judge: every state of EC2, what AWS and others recorded, and each difference from a launch."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nixl_efa.capacity.judge import MEANINGS, id_finding, is_well_formed, judge
from nixl_efa.capacity.reservation import OFFERED, UNKNOWN
from nixl_efa.capacity.room import Use
from nixl_efa.findings import Finding, Level
from nixl_efa.image import image_parameter
from nixl_efa.node_names import nodes_of
from tests.checks.in_order import BLOCK, BLOCK_LAUNCH, NOW
from tests.checks.in_order import BLOCK_ID as ID

FAIL, WARN, SKIP, PASS = Level.FAIL, Level.WARN, Level.SKIP, Level.PASS
SOURCE = replace(
    BLOCK_LAUNCH.reservation, id="", id_parameter="/team/block", zone_parameter="/team/zone", reads_id=True
)
LAUNCH = replace(BLOCK_LAUNCH, reservation=SOURCE, image_parameter=image_parameter(BLOCK_LAUNCH.type_facts))
OFFERING = replace(
    BLOCK, id="cb-0123456789abcdef0", state=OFFERED, free=0, start=NOW + timedelta(hours=3), owner=""
)
SUBJECTS = [
    "",
    " kind",
    " type",
    " platform",
    " tenancy",
    " zone",
    " placement",
    " room",
    " use",
    " time",
    " state",
]


def of(findings: list[Finding], check: str) -> Finding:
    (found,) = [each for each in findings if each.check == f"reservation {check}".strip()]
    return found


def test_a_fitting_reservation_passes_with_one_finding_on_each_subject() -> None:
    found = judge(BLOCK, LAUNCH, NOW, zone="us-east-2a", subnet_zone="us-east-2a", use=Use())
    assert [each.check for each in found] == [f"reservation{subject}" for subject in SUBJECTS]
    assert {each.level for each in found} == {PASS}
    assert all(each.command.startswith("aws ec2 describe-") for each in found)


# A reservation that was made in the group that the stack of LAUNCH makes (docs/settings.md, Placement group).
IN_OUR_GROUP = {"placement_group_arn": f"arn:aws:ec2:us-east-2:1:placement-group/{LAUNCH.name_of('pair')}"}


@pytest.mark.parametrize("kind", ["capacity-block", "on-demand"])
@pytest.mark.parametrize(
    ("state", "level", "must_be_active", "words"),
    [
        ("active", PASS, PASS, "is active"),
        ("scheduled", WARN, FAIL, "is scheduled: it has not started yet"),
        ("payment-pending", WARN, FAIL, "its payment is under way, which takes 5 minutes to 12 hours"),
        ("pending", WARN, FAIL, "still being provided"),
        ("assessing", WARN, FAIL, "AWS still decides"),
        ("delayed", WARN, FAIL, "AWS is late"),
        ("unavailable", WARN, FAIL, "its capacity can't be used at present"),
        ("expired", FAIL, FAIL, "its time is over"),
        ("cancelled", FAIL, FAIL, "it was cancelled"),
        ("cancelling", FAIL, FAIL, "it is being cancelled"),
        ("failed", FAIL, FAIL, "could not provide it"),
        ("payment-failed", FAIL, FAIL, "its payment failed"),
        ("unsupported", FAIL, FAIL, "can't provide it as asked"),
        (UNKNOWN, FAIL, FAIL, f"EC2 does not know {ID} in us-east-2 (yet)"),
        ("a-state-of-tomorrow", WARN, FAIL, f"{ID} is a-state-of-tomorrow: EC2 lets nothing into it"),
    ],
)
def test_each_state(kind: str, state: str, level: Level, must_be_active: Level, words: str) -> None:
    reservation = replace(BLOCK, kind=kind, state=state)
    calm = of(judge(reservation, LAUNCH, NOW), "state")
    urgent = of(judge(reservation, replace(LAUNCH, must_be_active=True), NOW), "state")
    assert (calm.level, urgent.level) == (level, must_be_active)
    assert words in calm.message
    assert calm.message == urgent.message
    assert bool(calm.remedy) == (level is not PASS)


def test_what_lives_is_what_a_launch_into_may_still_work() -> None:
    for state in (*MEANINGS, UNKNOWN):
        reservation = replace(BLOCK, state=state)
        lost = state not in (UNKNOWN, "active") and of(judge(reservation, LAUNCH, NOW), "state").level is FAIL
        assert reservation.lives(NOW) is not lost, state


def test_one_that_starts_later_says_when() -> None:
    found = of(
        judge(replace(BLOCK, state="scheduled", start=NOW + timedelta(minutes=90)), LAUNCH, NOW), "state"
    )
    assert (
        "It starts at 2026-12-01 09:30 UTC, in 1 h 30 min. EC2 refuses a launch before that." in found.message
    )


def test_an_offering_is_judged_before_it_is_bought() -> None:
    findings = judge(OFFERING, replace(LAUNCH, must_be_active=True), NOW)
    assert {each.level for each in findings} == {PASS}
    assert (
        of(findings, "state").message
        == f"{OFFERING.id} is offered. It starts at 2026-12-01 11:00 UTC, in 3 h 0 min."
    )
    assert of(findings, "room").message == "2 of 2 instances in it once it is active."
    assert {each.command for each in findings} == {""}


@pytest.mark.parametrize(
    ("changes", "subjects"),
    [
        ({"state": UNKNOWN}, [" state"]),
        ({"id": "cr-0123456789"}, [""]),
        ({"state": "expired"}, [each for each in SUBJECTS if each not in (" room", " use", " time")]),
    ],
)
def test_what_is_not_there_or_over_is_not_judged_further(
    changes: dict[str, Any], subjects: list[str]
) -> None:
    found = judge(replace(BLOCK, **changes), LAUNCH, NOW, use=Use())
    assert [each.check for each in found] == [f"reservation{subject}" for subject in subjects]


DEMAND = {"market": "on-demand"}
ODCR = {"kind": "on-demand"}
RHEL = {"platform": "Red Hat Enterprise Linux"}
ULTRA = {"instance_type": "p6e-gb200.36xlarge"}
STARTS_LATER = {"state": "scheduled", "free": 0, "start": NOW + timedelta(minutes=210)}


def ends_in(minutes: int) -> dict[str, Any]:
    return {"end": NOW + timedelta(minutes=minutes)}


@pytest.mark.parametrize(
    ("reservation", "launch", "look", "check", "level", "words"),
    [
        ({"id": "cr-0123456789"}, {}, {}, "", FAIL, "'cr-0123456789' is not a reservation's id"),
        (
            {"region": "ap-south-1"},
            {},
            {},
            "",
            FAIL,
            "not in us-east-2; it is in ap-south-1 (p5.48xlarge, zone",
        ),
        ({"region": "ap-south-1"}, {}, {}, "", FAIL, "Set region = 'ap-south-1'"),
        (
            {"owner": "999999999999"},
            {},
            {"account": "123456789012"},
            "",
            PASS,
            "Account 999999999999 shares it",
        ),
        ({"owner": "999999999999"}, {"account_id": "123456789012"}, {}, "", PASS, "999999999999 shares it"),
        (ODCR, {}, {}, "kind", FAIL, "an On-Demand Capacity Reservation, but use_capacity_block is set"),
        ({}, DEMAND, {}, "kind", FAIL, "a Capacity Block, but use_capacity_block is not set"),
        (ODCR, DEMAND, {}, "kind", PASS, "an On-Demand Capacity Reservation, as the settings say"),
        ({}, {"market": "spot"}, {}, "kind", FAIL, "Spot Instances can't run in a reservation"),
        (
            {"instance_type": "p5e.48xlarge"},
            {},
            {},
            "type",
            FAIL,
            "p5e.48xlarge, but instance_type is p5.48xlarge",
        ),
        ({"platform": "Windows"}, {}, {}, "platform", FAIL, "is for Windows; the nodes run Linux/UNIX"),
        (
            {"platform": "Windows with SQL Server"},
            {"image_id": "ami-1"},
            {},
            "platform",
            FAIL,
            "is for Windows",
        ),
        (RHEL, {}, {}, "platform", FAIL, "is for Red Hat Enterprise Linux; the nodes run Linux/UNIX"),
        (RHEL, {"image_id": "ami-1"}, {}, "platform", PASS, "Red Hat Enterprise Linux"),
        ({"platform": ""}, {}, {}, "platform", SKIP, "names no platform"),
        ({**ODCR, "interruptible": True}, DEMAND, {}, "kind", FAIL, "with two minutes' notice"),
        (
            {**ODCR, "interruptible": True},
            DEMAND,
            {},
            "kind",
            FAIL,
            "accepts only the market type interruptible-capacity-reservation",
        ),
        ({"tenancy": "dedicated"}, {}, {}, "tenancy", FAIL, "tenancy dedicated"),
        # Everything that is launched into a VPC of dedicated tenancy has it: no block is for that.
        (
            {},
            {},
            {"tenancy": "dedicated"},
            "tenancy",
            FAIL,
            "all that is launched into the VPC has tenancy dedi",
        ),
        ({**ODCR, "tenancy": "dedicated"}, DEMAND, {"tenancy": "dedicated"}, "tenancy", PASS, "is dedicated"),
        (
            {"id": "arn:aws:resource-groups:us-east-2:123456789012:group/blocks"},
            {},
            {},
            "",
            FAIL,
            "is a group of Capacity Reservations; the nodes are launched into one reservation",
        ),
        (
            {},
            {},
            {"zone": "us-east-2c"},
            "zone",
            FAIL,
            "the wanted zone is us-east-2c (the parameter /team/zone)",
        ),
        ({}, {}, {"zone": "us-east-2c"}, "zone", FAIL, f"`nixl-efa capacity save {ID} --env prod`"),
        (
            {},
            {"reservation": replace(SOURCE, zone="us-east-2b")},
            {"zone": "us-east-2a"},
            "zone",
            FAIL,
            "the wanted zone is us-east-2b (availability_zone)",
        ),
        (
            {},
            {},
            {"subnet_id": "subnet-1", "subnet_zone": "us-east-2c"},
            "zone",
            FAIL,
            "the subnet subnet-1 is in us-east-2c",
        ),
        (
            {"placement_group_arn": "arn:x:placement-group/mine"},
            {},
            {},
            "placement",
            FAIL,
            "the placement group mine",
        ),
        (ODCR, {**DEMAND, "placement_group": True}, {}, "placement", WARN, "may not agree"),
        ({**ODCR, **IN_OUR_GROUP}, {**DEMAND, "placement_group": True}, {}, "placement", PASS, "stack's own"),
        ({**ODCR, **IN_OUR_GROUP}, DEMAND, {}, "placement", FAIL, "the placement group"),
        # Room: an instance of ours frees its place before its successor takes it.
        ({"size": 1, "free": 1}, {}, {}, "room", FAIL, "1 of 1 instance in"),
        ({"free": 1}, {}, {"use": Use(others=("i-1",))}, "room", FAIL, "End other instances in it"),
        (
            {"free": 1},
            {},
            {},
            "room",
            WARN,
            "This is in order if the others are used by this environment's own nodes",
        ),
        ({"free": 0}, {}, {"use": Use(own=2)}, "room", PASS, "2 of them held by this stack"),
        # A slot is free again only some minutes after its instance ended, whether EC2 still shows that or not.
        ({"free": 0}, {}, {"use": Use(ending=("i-8", "i-9"))}, "room", WARN, "(i-8, i-9 is ending)"),
        ({"free": 1}, {}, {"use": Use()}, "room", WARN, "1 place more will be free some minutes after"),
        ({"free": 1}, {}, {"use": Use()}, "room", WARN, "`nixl-efa deploy prod` waits for it"),
        ({"free": 0}, {}, {"use": Use(own=1)}, "room", WARN, "1 of 2 instances in"),
        ({"free": 0}, {}, {"use": Use(others=("i-1",))}, "room", FAIL, "1 place more will be free"),
        (
            {"free": 2, "size": 4},
            {"nodes": nodes_of("p", 1, 2)},
            {"use": Use(others=("i-1", "i-2"))},
            "room",
            FAIL,
            "the launch needs 3",
        ),
        # A place that another account uses does not come back by waiting.
        ({"free": 0}, {}, {"use": Use(accounts=(("999999999999", 2),))}, "room", FAIL, "End other instances"),
        (
            {},
            {},
            {"use": Use(accounts=(("999999999999", 2),))},
            "use",
            WARN,
            "2 instances of account 999999999999",
        ),
        (ends_in(30), {}, {"use": Use()}, "room", SKIP, "is at its end"),
        ({"state": "scheduled", "size": 1, "free": 0}, {}, {}, "room", FAIL, "1 of 1 instance"),
        ({"state": "scheduled", "free": 0}, {}, {}, "room", PASS, "in it once it is active"),
        ({}, {}, {"use": Use(others=("i-1 (theirs)",))}, "use", WARN, "i-1 (theirs)"),
        # Time: to the moment at which EC2 begins to terminate.
        (
            {},
            {},
            {},
            "time",
            PASS,
            "1 d 3 h of use are left: EC2 begins to terminate its instances at 2026-12-02 11:00",
        ),
        (ULTRA, {}, {}, "time", PASS, "at 2026-12-02 10:30 UTC (the block ends at 2026-12-02 11:30 UTC)"),
        (ends_in(90), {}, {}, "time", PASS, "1 h 0 min of use"),
        (ends_in(89), {}, {}, "time", FAIL, "59 min are left"),
        ({**ends_in(119), **ULTRA}, {}, {}, "time", FAIL, "59 min are left"),
        (ends_in(30), {"min_hours": 0.0}, {}, "time", FAIL, "No time is left"),
        (ends_in(29), {}, {}, "time", FAIL, "`nixl-efa capacity search` finds another block."),
        ({}, {"min_hours": 48.0}, {}, "time", FAIL, "less than the 48 h of min_hours"),
        (ends_in(60), {"min_hours": 0.5}, {}, "time", PASS, "30 min of use"),
        # What is left of a block that has not started is counted from its start.
        ({**ends_in(240), **STARTS_LATER}, {}, {}, "time", FAIL, "No time is left"),
        ({**ends_in(340), **STARTS_LATER}, {}, {}, "time", PASS, "1 h 40 min of use"),
        # An On-Demand Capacity Reservation terminates nothing when it ends.
        ({**ODCR, **ends_in(10)}, DEMAND, {}, "time", WARN, "keep running as On-Demand"),
        ({"end": None}, {}, {}, "time", SKIP, "EC2 names no end"),
    ],
)
def test_each_difference_from_a_fitting_reservation(
    reservation: dict[str, Any],
    launch: dict[str, Any],
    look: dict[str, Any],
    check: str,
    level: Level,
    words: str,
) -> None:
    found = of(judge(replace(BLOCK, **reservation), replace(LAUNCH, **launch), NOW, **look), check)
    assert (found.level, words in found.line()) == (level, True), found
    assert level in (PASS, SKIP) or found.remedy


def test_a_reservation_without_an_end_has_no_finding_on_time() -> None:
    found = judge(replace(BLOCK, kind="on-demand", end=None), replace(LAUNCH, market="on-demand"), NOW)
    assert "reservation time" not in {each.check for each in found}


@pytest.mark.parametrize(
    ("reservation_id", "good"),
    [
        ("cr-0123456789abcdef0", True),
        ("cr-01234567", True),
        ("cr-0123456789", False),
        ("cr-0123456789ABCDEF0", False),
        ("cr-0123456789abcdef01", False),
        ("cr-1234abcd56EXAMPLE ", False),
        ("cr-0123456789abcdef0\n", False),
        ("", False),
    ],
)
def test_an_id_has_8_or_17_hexadecimal_digits(reservation_id: str, good: bool) -> None:
    assert is_well_formed(reservation_id) is good


UNNAMED = {"reservation": replace(SOURCE, reads_id=False)}
BY_SETTING = {
    "reservation": replace(SOURCE, reads_id=False, id="cr-x", set_by="capacity_reservation_id, prod.toml")
}


@pytest.mark.parametrize(
    ("launch", "stored", "level", "words"),
    [
        (UNNAMED, "", FAIL, "use_capacity_block is set, but no reservation is named"),
        ({**UNNAMED, **DEMAND}, "", PASS, "No reservation is named: the nodes are launched On-Demand."),
        ({**UNNAMED, "market": "spot"}, "", PASS, "as Spot Instances"),
        (
            {},
            "",
            FAIL,
            "The parameter /team/block (capacity_reservation_parameter) does not exist in us-east-2.",
        ),
        ({}, "cr-0123", FAIL, "'cr-0123', from the parameter /team/block, is not a reservation's id"),
        (
            BY_SETTING,
            "cr-x",
            FAIL,
            "'cr-x', from capacity_reservation_id, prod.toml, is not a reservation's id",
        ),
    ],
)
def test_before_anything_is_looked_up(launch: dict[str, Any], stored: str, level: Level, words: str) -> None:
    found = id_finding(replace(LAUNCH, **launch), stored)
    assert found is not None
    assert (found.level, words in found.message) == (level, True), found


def test_a_well_formed_id_is_looked_up() -> None:
    assert id_finding(LAUNCH, ID) is None
