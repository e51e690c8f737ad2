"""The instance type and its placement."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa import instance_types
from nixl_efa.efa_layout import layout
from nixl_efa.findings import Level
from nixl_efa.launch import Volume
from tests.checks.in_order import (
    BLOCK_ID,
    BROKEN,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    IN_BLOCK,
    NOW,
    ON_DEMAND_RESERVATION,
    type_in_ec2,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding

G7E = type_in_ec2("g7e.8xlarge")


def in_ec2(**changes: Any) -> dict[str, Any]:
    """The facts with a changed type in EC2."""
    return {"type_in_ec2": replace(G7E, **changes)}


TYPE_ROWS: list[tuple[dict[str, Any], dict[str, Any], str, Level, str]] = [
    (
        {},
        {"offered_zones": ("us-east-2c",)},
        "type offered",
        FAIL,
        "not offered in us-east-2a; it is offered in us-east-2c",
    ),
    ({}, {"zone": "us-east-2b"}, "type offered", FAIL, "not offered in us-east-2b"),
    ({}, {"offered_zones": ()}, "type offered", FAIL, "No zone of us-east-2 offers g7e.8xlarge"),
    ({}, {"offered_zones": DENIED}, "type offered", SKIP, "No permission"),
    ({}, {"type_in_ec2": None}, "instance type", FAIL, "EC2 has no instance type g7e.8xlarge in us-east-2"),
    ({}, {"type_in_ec2": BROKEN}, "instance type", FAIL, "The check failed"),
    ({}, in_ec2(efa_interfaces=0), "type EFA", WARN, "NIXL will use TCP"),
    ({}, in_ec2(efa_interfaces=2), "type EFA", WARN, "2 EFA interfaces, but the stack plans 1"),
    (
        {
            "instance_type": "p6e-gb200.36xlarge",
            "interfaces": layout(instance_types.find("p6e-gb200.36xlarge")),
        },
        in_ec2(efa_interfaces=16),
        "type EFA",
        PASS,
        "gets 4 EFA interfaces, on network cards 1, 5, 9, 13",
    ),
    ({}, in_ec2(efa_interfaces=2), "type EFA", WARN, "`nixl-efa instance-types refresh --region us-east-2`"),
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
    ({"market": "capacity-block"}, {}, "type market", FAIL, "is not sold as capacity-block"),
    ({"market": "capacity-block"}, {}, "type market", FAIL, "Set use_capacity_block = false"),
    ({}, in_ec2(usage_classes=("capacity-block",)), "type market", FAIL, "as on-demand"),
    ({"market": "spot"}, in_ec2(usage_classes=("on-demand",)), "type market", FAIL, "spot = false"),
    ({}, in_ec2(usage_classes=()), "type market", WARN, "does not say how"),
    ({"volume": Volume(100)}, {}, "volume_size", WARN, "100 GiB"),
    # placement
    ({}, {}, "placement", PASS, "in one cluster placement group"),
    ({}, in_ec2(placement_strategies=("spread",)), "placement", FAIL, "EC2 offers spread"),
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
