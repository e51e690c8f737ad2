"""A stack of several producers and consumers, against that of a pair."""

import json
import re
from typing import Any

from tests.synthesis import resources, synthesize, without_metadata

PAIR = ("producer", "consumer")


LISTS = ("members", "nodes_beyond_a_pair")  # have a member for each node


def bodies(consumers: int) -> dict[str, Any]:
    """Every resource by its address."""
    stack = without_metadata(synthesize("prod", consumers=consumers))
    return {
        f"{kind}.{name}": body
        for kind in stack["resource"]
        for name, body in resources(stack, kind).items()
        if name not in LISTS
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


def test_the_members_are_an_object_that_every_node_waits_for_and_no_user_data() -> None:
    stack = synthesize("prod", consumers=3)
    [(name, members)] = resources(stack, "aws_s3_object").items()
    assert (name, members["key"], members["bucket"]) == (
        "members",
        "members.json",
        "${aws_s3_bucket.scripts.id}",
    )
    # S3 takes ten tags of an object; the environment may have more.
    assert members["override_provider"] == {"default_tags": {"tags": {}}}
    assert (members["content"], members["etag"]) == ("${local.members}", "${md5(local.members)}")
    names = [one["name"] for one in json.loads(stack["locals"]["members"])["nodes"]]
    assert names == ["producer", "consumer", "consumer-2", "consumer-3"]
    instances = resources(stack, "aws_instance")
    assert len(instances) == len(names)
    for node, body in instances.items():
        assert "aws_s3_object.members" in body["depends_on"]
        told = set(re.findall(r"aws_network_interface\.(\w+)\.", body["user_data"]))
        assert told == {node}


def test_64_nodes_are_synthesized_and_each_ones_user_data_is_as_long_as_in_a_pair() -> None:
    many = resources(synthesize("prod", consumers=63), "aws_instance")
    pair = resources(synthesize("prod"), "aws_instance")
    assert len(many) == 64
    assert {name: body["user_data"] for name, body in many.items() if name in pair} == {
        name: body["user_data"] for name, body in pair.items()
    }
    longest = max(len(body["user_data"]) for body in many.values())
    assert longest <= len(pair["consumer"]["user_data"]) + 5 * len("-63")


def launched(**settings: object) -> dict[str, tuple[str, str, str, list[str]]]:
    """Of each instance its type, market, reservation and what launches it again."""
    return {
        name: (
            one["instance_type"],
            one.get("instance_market_options", {}).get("market_type", ""),
            one.get("capacity_reservation_specification", {})
            .get("capacity_reservation_target", {})
            .get("capacity_reservation_id", ""),
            one["lifecycle"]["replace_triggered_by"],
        )
        for name, one in resources(synthesize("prod", **settings), "aws_instance").items()
    }


FIRST = {"capacity_reservation_id": "cr-00000001"}
SECOND = {"capacity_reservation_parameter": "/team/second/id"}
BLOCK = "capacity-block"


def test_each_node_is_launched_into_the_reservation_of_its_entry_and_anew_for_its_own_alone() -> None:
    entries = [{**FIRST, "producers": 1, "consumers": [1, 3]}, {**SECOND, "consumers": 1}]
    own = {
        name: [f"terraform_data.launch_{name}"]
        for name in ("producer", "consumer", "consumer_2", "consumer_3")
    }
    assert launched(capacity_reservation_parameter="none", consumers=3, capacity=entries) == {
        "producer": ("p5.48xlarge", BLOCK, "cr-00000001", own["producer"]),
        "consumer": ("p5.48xlarge", BLOCK, "cr-00000001", own["consumer"]),
        "consumer_2": ("p5.48xlarge", BLOCK, "${local.reservation_2}", own["consumer_2"]),
        "consumer_3": ("p5.48xlarge", BLOCK, "cr-00000001", own["consumer_3"]),
    }


def test_a_role_with_a_type_of_its_own_has_the_interfaces_the_zone_and_the_backend_that_all_share() -> None:
    stack = synthesize("prod", producer={"instance_type": "g6e.12xlarge"})
    templates = resources(stack, "aws_launch_template")
    assert [len(templates[name]["network_interfaces"]) for name in ("producer", "consumer")] == [2, 33]
    assert stack["data"]["aws_ec2_instance_type_offerings"]["zones"]["filter"][0]["values"] == [
        "g6e.12xlarge",
        "p5.48xlarge",
    ]
    for node in resources(stack, "aws_instance").values():
        assert "PAIR_NIXL_BACKEND=UCX" in node["user_data"]
    assert launched(producer={"instance_type": "g6e.12xlarge"})["producer"][:3] == ("g6e.12xlarge", "", "")


def test_what_the_whole_environment_has_is_the_same_with_and_without_a_table_of_a_role() -> None:
    alike = resources(synthesize("prod"), "terraform_data")
    divided = resources(synthesize("prod", producer={"instance_type": "g6e.12xlarge"}), "terraform_data")
    for name in ("image", "launch_consumer"):
        assert divided[name]["input"] == alike[name]["input"], name


def test_an_image_of_a_role_is_no_reason_for_another_image_of_the_nodes_beside_it() -> None:
    """The consumer's volume grows in place."""
    tables = {"producer": {"ami_parameter": "/team/image"}, "consumer": {"volume_size": 2000}}
    alike, divided = synthesize("prod"), synthesize("prod", **tables)
    ami = {name: node["ami"] for name, node in resources(divided, "aws_instance").items()}
    assert ami["consumer"] == resources(alike, "aws_instance")["consumer"]["ami"]
    assert ami["producer"] != ami["consumer"]


def test_nothing_stands_for_all_nodes_where_they_are_not_launched_alike() -> None:
    """What would replace those that stay when all are launched alike again. The conditions are checked all the same."""
    alike = resources(synthesize("prod"), "terraform_data")
    divided = resources(synthesize("prod", producer={"volume_size": 400}), "terraform_data")
    assert alike.keys() - divided.keys() == {"launch", "placement"}
    checked = alike["launch"]["lifecycle"]["precondition"]
    assert divided["launch_producer"]["lifecycle"]["precondition"] == checked
