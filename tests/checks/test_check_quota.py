"""The quotas of vCPUs: AWS's own lists, what counts against them, and what is not known."""

from dataclasses import replace
from typing import Any

import pytest

from local_aws.quotas import QUOTAS, code_for
from nixl_efa import instance_types
from nixl_efa.checks.facts import Quota
from nixl_efa.checks.quota_codes import CLASSES, counted_by, names, quota_class, vcpu_quotas
from nixl_efa.findings import Level
from tests.checks.in_order import (
    BLOCK,
    BLOCK_FACTS,
    BLOCK_ID,
    BLOCK_LAUNCH,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    IN_BLOCK,
    NOW,
    ON_DEMAND_RESERVATION,
    instance,
    type_in_ec2,
)
from tests.checks.judging import FAIL, PASS, SKIP, assert_says, finding
from tests.records import answer

# AWS's lists: code and name of each quota. P5 has its own on Spot in one edition of the page, and not in the other.
ON_DEMAND = {each["QuotaCode"]: each["QuotaName"] for each in answer("quotas/on-demand-of-the-user-guide")}
APART = {each["QuotaCode"]: each["QuotaName"] for each in answer("quotas/spot-of-the-user-guide-p5-apart")}
TOGETHER = {each["QuotaCode"]: each["QuotaName"] for each in answer("quotas/spot-of-the-user-guide-one-p")}
# What a type's family is called in the lists, where that is not its letters.
CALLED = {
    "gr": "G and VT",
    "im": "Standard (A, C, D, H, I, M, R, T, Z)",
    "is": "Standard (A, C, D, H, I, M, R, T, Z)",
    "u": "High Memory",
}


def is_for(name: str, letters: str) -> bool:
    """Whether a quota's name is for the families with these letters."""
    name = name.removeprefix("Running On-Demand ").removeprefix("All ")
    if letters in CALLED:
        return name.startswith(CALLED[letters])
    words = name.replace(",", " ").replace("(", " ").replace(")", " ").lower().split()
    return letters in [word.rstrip("0123456789") for word in words]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.families[0])
def test_the_codes_are_those_of_the_quotas_that_name_the_families(kind: Any) -> None:
    for letters in kind.families:
        assert [code for code, name in ON_DEMAND.items() if is_for(name, letters)] == [kind.on_demand]
        assert {code for code, name in (APART | TOGETHER).items() if is_for(name, letters)} == set(kind.spot)


def test_every_quota_of_aws_is_some_class() -> None:
    codes = {code for kind in CLASSES for code in (kind.on_demand, *kind.spot)}
    assert codes == {*ON_DEMAND, *APART, *TOGETHER}
    assert {one["QuotaCode"] for one in answer("quotas/spot-p5-apart-from-p4")} <= codes


@pytest.mark.parametrize(
    ("name", "on_demand", "spot"),
    [
        ("p4d.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p5.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("p5en.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("p6-b200.48xlarge", "L-417A185B", None),
        ("p6e-gb200.36xlarge", "L-417A185B", None),
        ("g7e.8xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("gr6.4xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("trn1.32xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("trn2u.48xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("inf2.48xlarge", "L-1945791B", "L-B5D1601B"),
        ("dl1.24xlarge", "L-6E869C2A", "L-85EED4F7"),
        ("f2.48xlarge", "L-74FC7D96", "L-88CF9481"),
        ("i7ie.48xlarge", "L-1216C47A", "L-34B43A08"),
        ("im4gn.16xlarge", "L-1216C47A", "L-34B43A08"),
        ("c6in.32xlarge", "L-1216C47A", "L-34B43A08"),
        ("x2idn.32xlarge", "L-7295265B", "L-E3A00192"),
        ("u7i-12tb.224xlarge", "L-43DA4232", None),
        ("hpc7a.96xlarge", "L-F7808C92", None),
    ],
)
def test_a_type_counts_against_the_quota_that_names_it(name: str, on_demand: str, spot: str | None) -> None:
    assert vcpu_quotas(name, "on-demand") == (on_demand,)
    assert vcpu_quotas(name, "capacity-block") == ()
    seen = [Quota(code, words, 64.0) for code, words in APART.items()]
    found = counted_by(seen, name, "spot")
    assert (found and found.code) == spot
    # The local AWS has a table of its own.
    assert (code_for(name, spot=False), code_for(name, spot=True)) == (on_demand, spot)


def test_where_one_quota_is_for_every_p_on_spot_it_counts_each() -> None:
    seen = [Quota(code, words, 64.0) for code, words in TOGETHER.items()]
    for name in ("p4d.24xlarge", "p5.48xlarge", "p6-b200.48xlarge"):
        found = counted_by(seen, name, "spot")
        assert found is not None
        assert (found.code, found.name) == ("L-7212CCBC", "All P Spot Instance Requests")


def test_a_comma_before_the_last_family_is_none_of_its_name() -> None:
    name = "All P4, P3, and P2 Spot Instance Requests"
    assert names(name, "p2.xlarge")
    assert names(name, "p3.2xlarge")
    assert not names(name, "p5.48xlarge")


def test_no_public_tool_is_believed_about_p6_on_spot() -> None:
    said = answer("quotas/p6-on-spot-two-opinions")
    assert set(said.values()) == set(vcpu_quotas("p6-b200.48xlarge", "spot"))
    assert not any(names(APART[code], "p6-b200.48xlarge") for code in said.values())


def test_the_local_aws_has_the_quotas_of_aws_by_code_and_name() -> None:
    local = {code: quota.name for code, quota in QUOTAS.items() if quota.families}
    assert local == {**ON_DEMAND, **APART}


def test_every_type_with_efa_has_a_quota() -> None:
    types = instance_types.all_types()
    assert [name for name, each in types.items() if each.supports_efa and not quota_class(name)] == []


QUOTA = Quota("L-DB2E81BA", "Running On-Demand G and VT instances", 64.0)
RESERVED = {"reservation_id": BLOCK_ID, "reservations": (ON_DEMAND_RESERVATION,)}
TARGETED = replace(ON_DEMAND_RESERVATION, match="targeted")
OTHERS = replace(ON_DEMAND_RESERVATION, owner="999999999999")


def of(value: float) -> dict[str, Any]:
    return {"quotas": (replace(QUOTA, value=value),)}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "64 vCPUs, 0 in use; the pair takes 64"),
        ({}, {"running": (instance(),)}, FAIL, "allows 64 vCPUs, of which 32 are in use; the pair takes 64"),
        ({}, {"running": (instance(),)}, FAIL, "Ask for at least 96 in Service Quotas (us-east-2)"),
        # What does not count: other classes and markets, what is ending, this stack's own nodes, blocks.
        ({}, {"running": (instance(instance_type="p5.4xlarge"),)}, PASS, "0 in use"),
        ({}, {"running": (instance(market="spot"),)}, PASS, "0 in use"),
        ({}, {"running": (instance(market="capacity-block"),)}, PASS, "0 in use"),
        ({}, {"running": (instance(state="shutting-down"),)}, PASS, "0 in use"),
        ({}, {"running": (instance(own=True),)}, PASS, "0 in use"),
        # The same class has other letters, too.
        ({}, {"running": (instance(instance_type="vt1.3xlarge", vcpu=12),)}, FAIL, "12 are in use"),
        ({}, {"running": DENIED}, SKIP, "No permission"),
        ({}, {"running": DENIED, **of(32)}, FAIL, "allows 32 vCPUs; the pair takes 64"),
        ({}, {"reservations": DENIED}, SKIP, "No permission"),
        ({}, {"reservations": DENIED, **of(32)}, FAIL, "allows 32 vCPUs; the pair takes 64"),
        ({}, {"quotas": DENIED}, SKIP, "No permission"),
        ({}, {"quotas": ()}, SKIP, "knows no quota L-DB2E81BA"),
        ({"instance_type": "quantum9.large"}, {}, SKIP, "not known which quota quantum9.large"),
        ({"market": "capacity-block"}, {"quotas": ()}, PASS, "count against no quota"),
    ],
)
def test_the_quota(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", launch, facts), level, words)


@pytest.mark.parametrize(
    ("reservation", "facts", "level", "words"),
    [
        # Unused ones count like instances, unless the launch may take them up itself.
        ({"instance_type": "g6.48xlarge"}, of(64), FAIL, "of which 384 are in use"),
        ({"zone": "us-east-2b"}, of(96), FAIL, "of which 64 are in use"),
        ({"zone": "us-east-2b"}, of(128), PASS, "64 in use (64 of them held by reservations)"),
        ({}, of(64), PASS, "0 in use; the pair takes 64"),
        ({"size": 4, "free": 4}, of(128), PASS, "64 in use (64 of them held by reservations)"),
        # An untargeted launch can't take up a targeted one.
        ({"match": "targeted", "size": 4, "free": 4}, of(128), FAIL, "of which 128 are in use"),
        ({"match": "targeted"}, of(64), FAIL, f"can't use {BLOCK_ID}: name it (capacity_reservation_id)"),
        # Nor one of another tenancy or platform, of a placement group, or that is only lent.
        ({"tenancy": "dedicated"}, of(64), FAIL, "of which 64 are in use"),
        ({"platform": "Windows"}, of(64), FAIL, "of which 64 are in use"),
        ({"placement_group_arn": "arn:aws:ec2:us-east-2:1:placement-group/x"}, of(64), FAIL, "64 are in use"),
        ({"match": "targeted", "interruptible": True}, of(64), FAIL, "of which 64 are in use"),
        # One place is free: the other node takes its vCPUs beside the whole reservation.
        ({"free": 1}, of(96), PASS, "32 in use (32 of them held by reservations)"),
        ({"free": 1}, of(95), FAIL, "of which 32 are in use"),
        # How many vCPUs an older type has, the data of EFA's types does not say.
        ({"instance_type": "g4ad.16xlarge"}, of(640), SKIP, f"those of {BLOCK_ID} count as well"),
        ({"instance_type": "g4ad.16xlarge"}, of(63), FAIL, "the pair takes 64"),
        ({"instance_type": "p3.16xlarge"}, of(64), PASS, "0 in use"),
        # What does not count: blocks, what is over, another account's, another class.
        ({"kind": "capacity-block", "instance_type": "g6.48xlarge"}, of(64), PASS, "0 in use"),
        ({"zone": "us-east-2b", "state": "expired"}, of(64), PASS, "0 in use"),
        ({"zone": "us-east-2b", "owner": "999999999999"}, of(64), PASS, "0 in use"),
        ({"zone": "us-east-2b", "instance_type": "p5.4xlarge"}, of(64), PASS, "0 in use"),
    ],
)
def test_a_reservation_counts_whole_unless_the_launch_takes_it_up(
    reservation: dict[str, Any], facts: dict[str, Any], level: Level, words: str
) -> None:
    facts = {"reservations": (replace(ON_DEMAND_RESERVATION, **reservation),), **facts}
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", {}, facts), level, words)


INSIDE = instance(reservation_id=BLOCK_ID)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        # An instance in a reservation is counted once, with it; one in another account's counts there.
        ({"reservations": (replace(TARGETED, free=1),), **of(128)}, PASS, "64 in use (32 of them held by"),
        ({"reservations": (replace(OTHERS, zone="b", free=1),), **of(64)}, PASS, "0 in use"),
        # An open one that another account shares is taken up, too, and counts against its owner's quota.
        ({"reservations": (OTHERS,), "running": (), **of(64)}, PASS, "0 in use; the pair takes 0"),
    ],
)
def test_what_runs_in_a_reservation_counts_with_it(facts: dict[str, Any], level: Level, words: str) -> None:
    facts = {"running": (INSIDE,), **facts}
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", {}, facts), level, words)


@pytest.mark.parametrize(
    ("reservation", "words"),
    [
        (ON_DEMAND_RESERVATION, f"{BLOCK_ID} already counts against the quota"),
        (OTHERS, f"{BLOCK_ID} counts against the quota of its owner, account 999999999999"),
    ],
)
def test_a_launch_into_a_reservation_takes_nothing_more(reservation: Any, words: str) -> None:
    facts = {**RESERVED, "reservations": (reservation,), "running": (instance(), instance()), **of(64)}
    assert_says(
        finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", {"reservation": IN_BLOCK}, facts), PASS, words
    )


P5 = Quota("L-C4BD4855", APART["L-C4BD4855"], 0.0)
P4 = Quota("L-7212CCBC", APART["L-7212CCBC"], 768.0)
EVERY_P = Quota("L-7212CCBC", TOGETHER["L-7212CCBC"], 384.0)


@pytest.mark.parametrize(
    ("instance_type", "quotas", "running", "level", "words"),
    [
        ("p5.48xlarge", (P5, P4), (), FAIL, "All P5 Spot Instance Requests (L-C4BD4855) allows 0 vCPUs"),
        ("p4d.24xlarge", (P5, P4), (), PASS, "All P4, P3 and P2 Spot Instance Requests (L-7212CCBC): 768"),
        ("p5.48xlarge", (EVERY_P,), (), PASS, "All P Spot Instance Requests (L-7212CCBC): 384 vCPUs"),
        ("p6-b200.48xlarge", (EVERY_P,), (), PASS, "All P Spot Instance Requests"),
        (
            "p6-b200.48xlarge",
            (P5, P4),
            (),
            SKIP,
            "It is not known which quota p6-b200.48xlarge counts against",
        ),
        ("p5.48xlarge", (P4,), (), SKIP, "It is not known which quota p5.48xlarge counts against"),
        ("p5.48xlarge", (), (), SKIP, "knows no quota L-C4BD4855, L-7212CCBC"),
        # Only what counts against the same quota is in use.
        (
            "p5.48xlarge",
            (replace(P5, value=384.0), P4),
            (instance(instance_type="p4d.24xlarge", market="spot", vcpu=96),),
            PASS,
            "384 vCPUs, 0 in use; the pair takes 384",
        ),
        (
            "p5.48xlarge",
            (replace(EVERY_P, value=384.0),),
            (instance(instance_type="p4d.24xlarge", market="spot", vcpu=96),),
            FAIL,
            "of which 96 are in use",
        ),
    ],
)
def test_p_on_spot_is_told_by_the_names_of_the_quotas(
    instance_type: str, quotas: tuple[Quota, ...], running: Any, level: Level, words: str
) -> None:
    launch = {"instance_type": instance_type, "market": "spot"}
    facts = {"type_in_ec2": type_in_ec2(instance_type), "quotas": quotas, "running": running}
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", launch, facts), level, words)


def test_a_type_that_the_data_does_not_know_has_its_vcpus_from_ec2() -> None:
    launch = replace(DEMAND_LAUNCH, type_facts=None)
    assert_says(finding(launch, DEMAND_FACTS, NOW, "quota", {}, {}), PASS, "the pair takes 64")
    unknown = {"type_in_ec2": DENIED}
    assert_says(
        finding(launch, DEMAND_FACTS, NOW, "quota", {}, unknown), SKIP, "vCPUs of g7e.8xlarge is not known"
    )


def test_a_block_of_p5_needs_no_quota() -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "quota", {}, {}), PASS, "no quota")
    assert_says(
        finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", {}, {"reservations": (BLOCK,)}), PASS, "0 in use"
    )
