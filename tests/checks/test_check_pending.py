"""Whether the nodes that run are as the settings say."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa import state
from nixl_efa.checks.facts import Running
from nixl_efa.checks.rules import pending
from nixl_efa.checks.runner import findings
from nixl_efa.findings import Level
from nixl_efa.node_names import nodes_of
from tests import states
from tests.checks.in_order import (
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
    UNRESERVED,
)
from tests.checks.judging import FAIL, PASS, SKIP, assert_says, finding

CHECK = "running nodes"
OTHER = "cr-fedcba98765432100"
NODE = Running(
    id="i-1",
    instance_type="p5.48xlarge",
    market="capacity-block",
    state="running",
    reservation_id=BLOCK_ID,
    name="nixl-efa-prod-producer",
    own=True,
    vcpu=192,
    reservation_target=BLOCK_ID,
    image_id="ami-1",
    key_name="ann",
    subnet_id="subnet-1",
    vpc_id="vpc-1",
    zone="us-east-2a",
    group_ids=("sg-1",),
)
PAIR = (NODE, replace(NODE, id="i-2", name="nixl-efa-prod-consumer"))


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "2 nodes run as the settings say."),
        ({}, {"running": ()}, PASS, "No node of prod runs."),
        ({}, {"running": (replace(NODE, own=False, instance_type="g7e.8xlarge"),)}, PASS, "No node"),
        ({}, {"running": (replace(NODE, state="shutting-down", key_name=""),)}, PASS, "No node"),
        ({}, {"running": DENIED}, SKIP, "No permission"),
        ({}, {"running": BROKEN}, FAIL, "The check failed"),
        ({"instance_type": "g7e.8xlarge"}, {}, FAIL, "instance_type is g7e.8xlarge, and p5.48xlarge runs"),
        ({"instance_type": "g7e.8xlarge"}, {}, FAIL, "nixl-efa-prod-producer, nixl-efa-prod-consumer"),
        ({"instance_type": "g7e.8xlarge"}, {}, FAIL, "`nixl-efa deploy prod --replace-nodes`"),
        ({"market": "spot"}, {}, FAIL, "the settings ask for spot, and capacity-block runs"),
        ({"key_name": "eve"}, {}, FAIL, "key_name is eve, and they have ann"),
        ({"key_name": "ann"}, {}, PASS, ""),
        ({"image_id": "ami-2"}, {}, FAIL, "ami_id is ami-2, and they have ami-1"),
        ({"subnet_id": "subnet-2"}, {}, FAIL, "subnet_id is subnet-2"),
        ({"vpc_id": "vpc-2"}, {}, FAIL, "vpc_id is vpc-2"),
        ({"security_group_id": "sg-2"}, {}, FAIL, "security_group_id is sg-2"),
        ({"reservation": replace(IN_BLOCK, zone="us-east-2c")}, {}, FAIL, "availability_zone is us-east-2c"),
        ({}, {"zone": "us-east-2c"}, FAIL, "availability_zone is us-east-2c"),
        ({}, {"zone": DENIED}, PASS, ""),
        ({"placement_group": True}, {}, FAIL, "they run in no placement group"),
        ({}, {"reservation_id": OTHER}, FAIL, f"the reservation is {OTHER}, and they are in {BLOCK_ID}"),
        ({"reservation": UNRESERVED}, {"reservation_id": None}, FAIL, "the reservation is none"),
        # The parameter is missing: another finding says so, and nothing can be deployed.
        ({"reservation": BY_PARAMETER}, {"reservation_id": None}, PASS, ""),
        ({"reservation": BY_PARAMETER}, {"reservation_id": DENIED}, PASS, ""),
        # One of them is another one's work.
        (
            {},
            {"running": (NODE, replace(PAIR[1], instance_type="g7e.8xlarge"))},
            FAIL,
            "(nixl-efa-prod-consumer)",
        ),
    ],
)
def test_nodes_that_the_next_deployment_replaces_are_found(
    launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str
) -> None:
    changed = {"running": PAIR, **facts}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, CHECK, launch, changed), level, words)


def test_an_open_reservation_that_took_the_nodes_in_is_no_difference() -> None:
    node = replace(
        NODE,
        market="on-demand",
        instance_type="g7e.8xlarge",
        reservation_id=OTHER,
        reservation_target="",
        placement_group="nixl-efa-prod-pair",
    )
    found = finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, CHECK, {}, {"running": (node,)})
    assert found.level is PASS


def test_a_replacement_that_is_agreed_is_no_failure_and_nothing_else_is_let_pass() -> None:
    facts = replace(BLOCK_FACTS, running=PAIR, key_pair=None)
    found = findings([(replace(BLOCK_LAUNCH, key_name="eve"), facts)], NOW)
    failed = {each.check for each in found if each.level is FAIL}
    assert failed == {CHECK, "key pair"}
    agreed = pending.agreed(found)
    assert {each.check for each in agreed if each.level is FAIL} == {"key pair"}
    assert [each.message for each in agreed] == [each.message for each in found]


def test_running_nodes_that_the_settings_leave_out_are_destroyed_by_the_next_deployment() -> None:
    """As with a variable that is missing in another shell; known by the state, whatever the tags say."""
    resources = states.nodes(producer="i-1", consumer="i-2", consumer_2="i-3")
    three = (*PAIR, replace(NODE, id="i-3", name="nixl-efa-prod-consumer-2"))
    facts = {"running": three, "state": state.parse({"resources": resources})}
    found = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, CHECK, {}, facts)
    assert_says(found, FAIL, "destroys running nodes (nixl-efa-prod-consumer-2 i-3)")
    assert "producers = 1 and consumers = 1" in found.message
    asked = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, CHECK, {"nodes": nodes_of("nixl-efa-prod", 1, 2)}, facts)
    assert_says(asked, PASS, "3 nodes run as the settings say.")
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, CHECK, {}, {"running": PAIR}), PASS, "2 nodes")
