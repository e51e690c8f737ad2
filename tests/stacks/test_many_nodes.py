"""A stack of several producers and consumers, against that of a pair."""

from __future__ import annotations

import json
from typing import Any

from tests.synthesis import resources, synthesize, without_metadata

PAIR = ("producer", "consumer")


def bodies(consumers: int) -> dict[str, Any]:
    """Every resource by its address, without the user data, which a running node ignores."""
    stack = without_metadata(synthesize("prod", consumers=consumers))
    return {
        f"{kind}.{name}": {key: value for key, value in body.items() if key != "user_data"}
        for kind in stack["resource"]
        for name, body in resources(stack, kind).items()
        if name != "nodes_beyond_a_pair"  # adds a member for each
    }


def test_three_consumers_more_change_no_resource_that_is_there() -> None:
    one, four = bodies(1), bodies(4)
    assert {address: four[address] for address in one} == one
    assert {address.rpartition("_")[0] for address in four.keys() - one.keys()} == {
        f"{kind}.consumer"
        for kind in ("aws_instance", "aws_launch_template", "aws_network_interface", "aws_eip")
    } | {"terraform_data.launch_consumer"}
    assert {address.rpartition("_")[2] for address in four.keys() - one.keys()} == {"2", "3", "4"}


def test_the_outputs_list_every_node_the_producers_first() -> None:
    stack = synthesize("prod", producers=2, consumers=2)
    nodes = stack["output"]["nodes"]["value"]
    assert [(one["name"], one["role"]) for one in nodes] == [
        ("producer", "producer"),
        ("producer-2", "producer"),
        ("consumer", "consumer"),
        ("consumer-2", "consumer"),
    ]
    assert nodes[3] == {
        "name": "consumer-2",
        "role": "consumer",
        "instance_id": "${aws_instance.consumer_2.id}",
        "instance_type": "p5.48xlarge",
        "private_ip": "${aws_network_interface.consumer_2.private_ip}",
        "public_ip": "${aws_eip.consumer_2.public_ip}",
        "efa_interfaces": 32,
        "capacity_reservation_id": nodes[0]["capacity_reservation_id"],
    }
    told = json.loads(
        stack["resource"]["aws_instance"]["consumer_2"]["user_data"]
        .split("pair.json\n", 1)[1]
        .split("content: |\n", 1)[1]
        .split("- path", 1)[0]
    )
    assert [one["name"] for one in told["nodes"]] == [one["name"] for one in nodes]
