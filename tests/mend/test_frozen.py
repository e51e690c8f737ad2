"""Frozen values that come into a state as the nodes have them."""

from typing import Any

from nixl_efa.mend import frozen
from nixl_efa.mend.parts import parts_of
from nixl_efa.state import State, parse

STACK: dict[str, Any] = {
    "resource": {
        "terraform_data": {
            "image": {"input": {"value": "${data.x.y.z}"}, "lifecycle": {"ignore_changes": ["input"]}},
            "launch": {"input": {"market": ""}},
        },
        "aws_instance": {
            "producer": {
                "ami": "${terraform_data.image.output.value}",
                "root_block_device": {"volume_size": "${terraform_data.image.output.gib}"},
                "user_data": "image ${terraform_data.image.output.value}",
            },
            "consumer": {"ami": "${terraform_data.image.output.value}"},
        },
    }
}
PARTS = parts_of(STACK)
[IMAGE] = [part for part in PARTS if part.name == "image"]
PLANNED = {
    "address": "terraform_data.image",
    "change": {
        "actions": ["create"],
        "after": {"input": {"value": "ami-new", "gib": 1}, "triggers_replace": {"n": 1, "of": ["a", True]}},
        "after_unknown": {"id": True},
    },
}


def having(**nodes: dict[str, Any]) -> State:
    """A state with nodes of these attributes."""
    resources = [
        {"mode": "managed", "type": "aws_instance", "name": name, "instances": [{"attributes": one}]}
        for name, one in nodes.items()
    ]
    return parse({"serial": 7, "resources": resources})


def test_only_frozen_values_that_something_was_made_with_are_lost() -> None:
    nodes = having(producer={"ami": "ami-1"})
    assert frozen.lost(PARTS, nodes, nodes.resources) == [IMAGE]
    assert frozen.lost(PARTS, having(), ()) == []
    assert frozen.lost(PARTS, having(), ["aws_instance.producer"]) == [IMAGE]
    there = parse(
        {"resources": [{"mode": "managed", "type": "terraform_data", "name": "image", "instances": [{}]}]}
    )
    assert frozen.lost(PARTS, there, ["aws_instance.producer"]) == []


def test_a_value_in_use_is_what_all_that_were_made_with_it_have() -> None:
    same = having(
        producer={"ami": "ami-1", "root_block_device": [{"volume_size": 300}]}, consumer={"ami": "ami-1"}
    )
    assert frozen.in_use(IMAGE, PARTS, same) == {"value": "ami-1", "gib": 300}
    differ = having(producer={"ami": "ami-1"}, consumer={"ami": "ami-2"})
    assert frozen.in_use(IMAGE, PARTS, differ) == {}


def test_a_pushed_value_has_what_is_in_use_and_the_triggers_that_terraform_plans() -> None:
    document = having().document
    pushed = frozen.with_frozen(document, {"terraform_data.image": {"value": "ami-1"}}, [PLANNED])
    assert pushed["serial"] == 8
    [one] = pushed["resources"]
    attributes = one["instances"][0]["attributes"]
    value = {"value": {"value": "ami-1", "gib": 1}, "type": ["object", {"value": "string", "gib": "number"}]}
    assert attributes["input"] == attributes["output"] == value
    assert attributes["triggers_replace"] == {
        "value": {"n": 1, "of": ["a", True]},
        "type": ["object", {"n": "number", "of": ["tuple", ["string", "bool"]]}],
    }


def test_what_terraform_does_not_know_yet_is_left_to_the_deployment() -> None:
    unknown = {**PLANNED, "change": {**PLANNED["change"], "after_unknown": {"triggers_replace": True}}}  # type: ignore[dict-item]
    pushed = frozen.with_frozen(having().document, {"terraform_data.image": {"value": "ami-1"}}, [unknown])
    assert pushed["resources"] == []
