"""Where the instances come from, and what must not stand beside it."""

import json
from typing import Any

import pytest

from tests.synthesis import resources, synthesize

RESERVATION = "cr-0123456789abcdef0"
PARAMETER = "/team/reservation"
BLOCK = {"market_type": "capacity-block"}
OFF = {"capacity_reservation_parameter": "none", "availability_zone_parameter": "none"}


def target(reservation: str) -> dict[str, Any]:
    return {"capacity_reservation_target": {"capacity_reservation_id": reservation}}


@pytest.mark.parametrize(
    ("settings", "market", "specification"),
    [
        ({}, None, None),
        ({"capacity_reservation_id": RESERVATION}, None, target(RESERVATION)),
        ({"use_capacity_block": True}, BLOCK, None),
        ({"use_capacity_block": True, "capacity_reservation_id": RESERVATION}, BLOCK, target(RESERVATION)),
        (
            {"use_capacity_block": True, "capacity_reservation_parameter": PARAMETER},
            BLOCK,
            target("${local.reservation}"),
        ),
        ({"capacity_reservation_parameter": PARAMETER}, None, target("${local.reservation}")),
        ({"spot": True}, {"market_type": "spot"}, None),
    ],
    ids=["on-demand", "id", "block", "block and id", "block and parameter", "parameter", "spot"],
)
def test_market_and_target_stand_on_both_instances_as_the_settings_say(
    settings: dict[str, object], market: dict[str, str] | None, specification: dict[str, Any] | None
) -> None:
    stack = synthesize("dev", instance_type="p5.48xlarge", **settings)

    for node in resources(stack, "aws_instance").values():
        assert node.get("instance_market_options") == market
        assert node.get("capacity_reservation_specification") == specification


def test_a_capacity_block_has_no_placement_group_no_preference_and_is_destroyed_before_it_is_created() -> (
    None
):
    stack = synthesize("prod")

    assert "aws_placement_group" not in stack["resource"]
    assert "capacity_reservation_preference" not in json.dumps(stack)
    assert "create_before_destroy" not in json.dumps(stack)
    for node in resources(stack, "aws_instance").values():
        assert "placement_group" not in node


@pytest.mark.parametrize(
    ("settings", "group"),
    [
        ({}, True),
        ({"placement_group": "off"}, False),
        ({"placement_group": "on"}, True),
        ({"capacity_reservation_id": RESERVATION}, False),
        ({"capacity_reservation_id": RESERVATION, "placement_group": "on"}, True),
    ],
    ids=["auto", "off", "on", "auto with a reservation", "on with a reservation"],
)
def test_on_demand_nodes_stand_in_one_cluster_placement_group_as_the_settings_say(
    settings: dict[str, object], group: bool
) -> None:
    stack = synthesize("dev", **settings)

    expected = {"name": "nixl-efa-dev-pair", "strategy": "cluster"}
    groups = [
        {key: value for key, value in found.items() if key in ("name", "strategy")}
        for found in resources(stack, "aws_placement_group").values()
    ]
    assert groups == ([expected] if group else [])
    for node in resources(stack, "aws_instance").values():
        assert node.get("placement_group") == ("${aws_placement_group.pair.id}" if group else None)


def test_what_must_replace_a_node_is_in_the_resources_that_trigger_it() -> None:
    launch = resources(synthesize("prod"), "terraform_data")["launch"]["input"]
    nodes = resources(synthesize("prod"), "aws_instance")

    assert launch["market"] == "capacity-block"
    assert launch["capacity_reservation_id"] == "${local.reservation}"
    assert launch["instance_type"] == "p5.48xlarge"
    assert len(launch["interfaces"]) == 33
    for name, node in nodes.items():
        assert node["lifecycle"]["replace_triggered_by"] == [
            "terraform_data.launch",
            "terraform_data.placement",
            f"terraform_data.launch_{name}",
        ]
        # Without the first, providers before 6.53 replace a running node of a block at every plan.
        assert "instance_market_options" in node["lifecycle"]["ignore_changes"]
