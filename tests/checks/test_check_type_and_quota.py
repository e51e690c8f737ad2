"""The instance type, its quota and its placement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa import instance_types
from nixl_efa.checks.facts import Quota
from nixl_efa.checks.quota_codes import quota_class, vcpu_quota
from nixl_efa.findings import Level
from nixl_efa.launch import Volume
from tests.checks.in_order import (
    BLOCK,
    BLOCK_FACTS,
    BLOCK_ID,
    BLOCK_LAUNCH,
    BROKEN,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    IN_BLOCK,
    NOW,
    ON_DEMAND_RESERVATION,
    instance,
    type_in_ec2,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding

G7E = type_in_ec2("g7e.8xlarge")
TYPE_ROWS: list[tuple[dict[str, Any], dict[str, Any], str, Level, str]] = [
    (
        {},
        {"offered_zones": ("us-east-2c",)},
        "type offered",
        FAIL,
        "not offered in us-east-2a; it is in us-east-2c",
    ),
    ({}, {"zone": "us-east-2b"}, "type offered", FAIL, "not offered in us-east-2b"),
    ({}, {"offered_zones": ()}, "type offered", FAIL, "No zone of us-east-2 offers g7e.8xlarge"),
    ({}, {"offered_zones": DENIED}, "type offered", SKIP, "No permission"),
    ({}, {"type_in_ec2": None}, "instance type", FAIL, "EC2 has no instance type g7e.8xlarge in us-east-2"),
    ({}, {"type_in_ec2": BROKEN}, "instance type", FAIL, "The look failed"),
    ({}, {"type_in_ec2": replace(G7E, efa_interfaces=0)}, "type EFA", WARN, "NIXL will use TCP"),
    (
        {},
        {"type_in_ec2": replace(G7E, efa_interfaces=2)},
        "type EFA",
        WARN,
        "2 EFA interfaces, but the stack plans 1",
    ),
    (
        {},
        {},
        "NIXL backend",
        PASS,
        "UCX over EFA (UCX_TLS=srd,self,sm): the EFA of g7e.8xlarge has no GPUDirect",
    ),
    (
        {"instance_type": "g7e.12xlarge"},
        {},
        "NIXL backend",
        PASS,
        "LIBFABRIC over EFA: the EFA of g7e.12xlarge has",
    ),
    ({"instance_type": "g7.8xlarge"}, {}, "NIXL backend", WARN, "GPUDirect RDMA is not known here"),
    ({"market": "capacity-block"}, {}, "type market", FAIL, "can't be had as capacity-block"),
    ({"market": "capacity-block"}, {}, "type market", FAIL, "Set use_capacity_block = false"),
    (
        {},
        {"type_in_ec2": replace(G7E, usage_classes=("capacity-block",))},
        "type market",
        FAIL,
        "as on-demand",
    ),
    (
        {"market": "spot"},
        {"type_in_ec2": replace(G7E, usage_classes=("on-demand",))},
        "type market",
        FAIL,
        "spot = false",
    ),
    ({}, {"type_in_ec2": replace(G7E, usage_classes=())}, "type market", WARN, "does not say how"),
    ({"volume": Volume(100)}, {}, "volume_size", WARN, "100 GiB"),
    # placement
    ({}, {}, "placement", PASS, "in one cluster placement group"),
    (
        {},
        {"type_in_ec2": replace(G7E, placement_strategies=("spread",))},
        "placement",
        FAIL,
        "EC2 offers spread",
    ),
    ({"placement_group": False, "placement_choice": "off"}, {}, "placement", WARN, "may be far apart"),
    ({"placement_group": False}, {}, "placement", PASS, "without a placement group"),
    ({"market": "capacity-block"}, {}, "placement", FAIL, "can't be given for a Capacity Block"),
    (
        {"market": "capacity-block", "placement_group": False},
        {},
        "placement",
        PASS,
        "keeps a Capacity Block's",
    ),
    ({}, {"type_in_ec2": DENIED}, "placement", SKIP, "No permission"),
]


@pytest.mark.parametrize(("launch", "facts", "check", "level", "words"), TYPE_ROWS)
def test_each_fault_of_the_type(
    launch: dict[str, Any], facts: dict[str, Any], check: str, level: Level, words: str
) -> None:
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, check, launch, facts), level, words)


GROUP = "arn:aws:ec2:us-east-2:1:placement-group/mine"


@pytest.mark.parametrize(
    ("group_arn", "own_group", "check", "level", "words"),
    [
        ("", False, "placement", PASS, "without a group"),
        ("", False, "reservation placement", PASS, "no placement group"),
        ("", True, "reservation placement", WARN, "may not agree"),
        (GROUP, False, "reservation placement", FAIL, "belongs to the placement group mine"),
        (GROUP, True, "reservation placement", FAIL, "belongs to the placement group mine"),
    ],
)
def test_a_placement_group_against_an_on_demand_reservation(
    group_arn: str, own_group: bool, check: str, level: Level, words: str
) -> None:
    launch = {"reservation": IN_BLOCK, "placement_group": own_group}
    found = replace(ON_DEMAND_RESERVATION, placement_group_arn=group_arn)
    facts = {"reservation_id": BLOCK_ID, "reservations": (found,)}
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, check, launch, facts), level, words)


RESERVED = {"reservation_id": BLOCK_ID, "reservations": (ON_DEMAND_RESERVATION,)}


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
        (
            {},
            {"running": DENIED, "quota": Quota("L-1", "Name", 32.0)},
            FAIL,
            "allows 32 vCPUs; the pair takes 64",
        ),
        ({}, {"quota": DENIED}, SKIP, "No permission"),
        ({}, {"quota": None}, SKIP, "knows no quota L-DB2E81BA"),
        ({"instance_type": "quantum9.large"}, {}, SKIP, "not known which quota quantum9.large"),
        ({"market": "capacity-block"}, {"quota": None}, PASS, "count against no quota"),
        # An unused reservation counts like instances, unless the launch may take it up itself.
        (
            {},
            {"reservations": (replace(ON_DEMAND_RESERVATION, instance_type="g6.48xlarge", free=1),)},
            FAIL,
            "of which 192 are in use",
        ),
        (
            {},
            {
                "reservations": (replace(ON_DEMAND_RESERVATION, zone="us-east-2b", free=1),),
                "quota": Quota("L-1", "Name", 96.0),
            },
            PASS,
            "32 in use (32 of them by unused reservations); the pair takes 64",
        ),
        ({}, {"reservations": (ON_DEMAND_RESERVATION,)}, PASS, "0 in use"),
        ({}, {"reservations": (replace(BLOCK, instance_type="g6.48xlarge"),)}, PASS, "0 in use"),
        (
            {},
            {"reservations": (replace(ON_DEMAND_RESERVATION, zone="b", state="expired"),)},
            PASS,
            "0 in use",
        ),
        ({}, {"reservations": (replace(ON_DEMAND_RESERVATION, zone="b", owner="9"),)}, PASS, "0 in use"),
        (
            {},
            {"reservations": (replace(ON_DEMAND_RESERVATION, zone="b", instance_type="p5.4xlarge"),)},
            PASS,
            "0 in",
        ),
        ({}, {"reservations": DENIED}, PASS, "0 in use"),
        # A reservation counts against its owner's quota already, not against that of whom it is shared with.
        (
            {"reservation": IN_BLOCK},
            {**RESERVED, "running": (instance(),)},
            PASS,
            "counts against the quota already",
        ),
        (
            {"reservation": IN_BLOCK},
            {
                **RESERVED,
                "reservations": (replace(ON_DEMAND_RESERVATION, owner="999999999999"),),
                "running": (instance(),),
            },
            FAIL,
            "of which 32 are in use",
        ),
    ],
)
def test_the_quota(launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "quota", launch, facts), level, words)


@pytest.mark.parametrize(
    ("name", "on_demand", "spot"),
    [
        ("p5.48xlarge", "L-417A185B", "L-7212CCBC"),
        ("p6-b200.48xlarge", "L-417A185B", "L-7212CCBC"),
        ("g7e.8xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("trn1.32xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("inf2.48xlarge", "L-1945791B", "L-B5D1601B"),
        ("dl1.24xlarge", "L-6E869C2A", "L-85EED4F7"),
        ("i7ie.48xlarge", "L-1216C47A", "L-34B43A08"),
        ("c6in.32xlarge", "L-1216C47A", "L-34B43A08"),
        ("x2idn.32xlarge", "L-7295265B", "L-E3A00192"),
        ("hpc7a.96xlarge", "L-F7808C92", ""),
    ],
)
def test_a_type_counts_against_the_quota_of_its_class(name: str, on_demand: str, spot: str) -> None:
    assert vcpu_quota(name, "on-demand") == on_demand
    assert vcpu_quota(name, "spot") == spot
    assert vcpu_quota(name, "capacity-block") == ""


def test_every_type_with_efa_has_a_quota() -> None:
    without = [
        name
        for name, each in instance_types.all_types().items()
        if each.supports_efa and not quota_class(name)
    ]
    assert without == []


def test_a_type_that_the_data_does_not_know_has_its_vcpus_from_ec2() -> None:
    launch = replace(DEMAND_LAUNCH, type_facts=None)
    assert_says(finding(launch, DEMAND_FACTS, NOW, "quota", {}, {}), PASS, "the pair takes 64")
    unknown = {"type_in_ec2": DENIED}
    assert_says(
        finding(launch, DEMAND_FACTS, NOW, "quota", {}, unknown), SKIP, "vCPUs of g7e.8xlarge is not known"
    )


def test_a_block_of_p5_needs_no_quota() -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "quota", {}, {}), PASS, "no quota")
