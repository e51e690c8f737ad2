"""Why a node is replaced or changed: recorded plans of the real Terraform, and what a deployment says of them."""

from pathlib import Path
from typing import Any

import pytest

from nixl_efa.deploy import plan, words
from nixl_efa.deploy.plan import Plan
from nixl_efa.settings import Settings, load
from tests.deploy.cases import CASES, Case, recorded

ROOT = Path(__file__).resolve().parents[2]


def settings_of(case: Case) -> Settings:
    stand_ins = {
        "<image>": "ami-0123456789abcdef0",
        "<group>": "sg-01234567",
        "<other subnet>": "subnet-01234567",
        "<other zone>": "us-east-2b",
    }
    variables = {
        f"NIXL_EFA_DEV_{name.upper()}": stand_ins.get(value, value) for name, value in case.variables.items()
    }
    return load(ROOT / "environments", variables, {}, only=["dev"]).environments[0]


def assert_told(found: Plan, case: Case) -> None:
    assert [node.name for node in found.nodes] == ["producer", "consumer"]
    for node in found.nodes:
        assert node.action.value == case.action
        told = [str(cause) for cause in node.causes]
        assert len(told) == len(case.causes), told
        for part, text in zip(case.causes, told, strict=True):
            assert part in text
        # Whoever is told of a setting is told where its value stands.
        assert all(cause.source or cause.what.startswith("the tag") for cause in node.causes)
    assert found.is_empty == (case.name == "nothing")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_change_has_its_cause(case: Case) -> None:
    assert_told(plan.read(recorded(case.name), settings_of(case)), case)


def test_an_image_that_follows_from_the_type_is_no_cause_of_its_own() -> None:
    case = Case(
        "another-accelerator", {"instance_type": "trn1.32xlarge"}, "replace", ("instance_type went from",)
    )
    assert_told(plan.read(recorded(case.name), settings_of(case)), case)


def test_an_image_whose_frozen_value_a_lost_state_forgot_is_the_cause() -> None:
    document = recorded("image")
    for address in ("terraform_data.image", "terraform_data.launch"):
        change(document, address)["change"].update(actions=["create"], before=None)
    for node in plan.read(document, settings_of(CASES[-1])).nodes:
        assert [str(cause).partition(" from ")[0] for cause in node.causes] == ["ami_id went"]


def test_an_image_of_a_role_is_told_with_what_its_table_says() -> None:
    document = recorded("image-parameter")
    image = change(document, "terraform_data.image")
    image.update(name="image_producer", address="terraform_data.image_producer")
    variables = {"NIXL_EFA_DEV_PRODUCER": '{"ami_parameter": "/team/image"}'}
    settings = load(ROOT / "environments", variables, {}, only=["dev"]).environments[0]
    [cause] = plan.read(document, settings).nodes[0].causes
    assert (cause.what, cause.after, cause.source) == (
        "ami_parameter",
        "/team/image",
        "variable NIXL_EFA_DEV_PRODUCER",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"instance_type": "g7e.12xlarge"},
        {
            "capacity_reservation_specification": [
                {"capacity_reservation_target": [{"capacity_reservation_id": "cr-00000002"}]}
            ]
        },
    ],
)
def test_a_node_that_must_be_launched_anew_and_would_not_be_is_refused(changed: dict[str, Any]) -> None:
    """As where tables come together with the version that knows them: nothing in the state replaces the node yet."""
    document = recorded("nothing")
    settings = settings_of(CASES[0])
    assert words.not_anew(plan.read(document, settings), "dev") == ""
    node = change(document, "aws_instance.consumer")["change"]
    node.update(actions=["update"], after={**node["after"], **changed})
    found = words.not_anew(plan.read(document, settings), "dev")
    assert found.startswith(f"consumer {node['before']['id']} would get another instance type or reservation")


def test_a_node_that_is_launched_like_the_others_again_is_told_its_own_cause() -> None:
    """terraform_data.launch only comes then: nothing stood for all nodes before."""
    case = Case(
        "another-accelerator", {"instance_type": "trn1.32xlarge"}, "replace", ("instance_type went from",)
    )
    document = recorded(case.name)
    launch = change(document, "terraform_data.launch")
    for name in ("producer", "consumer"):
        own = {**launch, "name": f"launch_{name}", "address": f"terraform_data.launch_{name}"}
        document["resource_changes"].append(own)
    launch["change"] = {**launch["change"], "actions": ["create"], "before": None}
    assert_told(plan.read(document, settings_of(case)), case)


def test_addresses_that_go_are_named() -> None:
    found = plan.read(recorded("addresses"), settings_of(CASES[-1]))
    assert [words.split()[:2] for words in found.missed] == [["public", "address"]] * 2
    assert (found.added, found.destroyed) == (0, 2)


def change(document: Any, address: str) -> Any:
    (one,) = [one for one in document["resource_changes"] if one["address"] == address]
    return one


@pytest.mark.parametrize(
    ("variables", "source"), [({}, "default"), ({"NIXL_EFA_DEV_CONSUMERS": "1"}, "NIXL_EFA_DEV_CONSUMERS")]
)
def test_a_node_that_is_no_more_asked_for_is_told_with_the_setting(
    variables: dict[str, str], source: str
) -> None:
    document = recorded("key")
    node = change(document, "aws_instance.consumer")
    node.update(address="aws_instance.consumer_2", name="consumer_2")
    node.update(action_reason="delete_because_no_resource_config")
    node["change"].update(actions=["delete"], after=None)
    settings = load(ROOT / "environments", variables, {}, only=["dev"]).environments[0]
    [found] = [one for one in plan.read(document, settings).nodes if one.name == "consumer-2"]
    assert found.address == "aws_instance.consumer_2"
    [cause] = found.causes
    assert (found.action.value, cause.what) == ("destroy", "consumers is 1 now")
    assert source in cause.source


def test_a_tainted_node_is_told_with_the_command_that_keeps_it() -> None:
    document = recorded("key")
    for name in ("producer", "consumer"):
        change(document, f"aws_instance.{name}")["action_reason"] = "replace_because_tainted"
    found = plan.read(document, settings_of(CASES[0]))
    for node in found.nodes:
        (cause,) = node.causes
        assert "tainted" in str(cause)
        assert "`nixl-efa mend dev` keeps it" in str(cause)


def test_a_node_that_ended_outside_of_terraform_is_built_anew_and_is_no_running_one() -> None:
    document = recorded("nothing")
    producer = change(document, "aws_instance.producer")
    gone = {**producer, "change": {**producer["change"], "actions": ["delete"]}}
    document["resource_drift"] = [gone]
    producer["change"] = {"actions": ["create"], "before": None, "after": producer["change"]["before"]}
    found = plan.read(document, settings_of(CASES[0])).nodes[0]
    assert (found.action.value, found.alive) == ("build", False)
    assert found.instance_id == gone["change"]["before"]["id"]


@pytest.mark.parametrize(("state", "alive"), [("running", True), ("stopped", True), ("shutting-down", False)])
def test_a_node_that_has_begun_to_end_is_no_running_one(state: str, alive: bool) -> None:
    document = recorded("key")
    change(document, "aws_instance.producer")["change"]["before"]["instance_state"] = state
    found = plan.read(document, settings_of(CASES[1])).nodes
    assert [node.alive for node in found] == [alive, True]
