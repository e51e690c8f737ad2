"""The settings of accounts with rules of their own: as whom AWS is called, and the nodes' role."""

import json
from typing import Any

import pytest

from tests.synthesis import resources, synthesize

ROLE = "arn:aws:iam::123456789012:role/deploy"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"


def test_terraform_and_its_state_call_as_the_role_of_the_profile() -> None:
    role = {"arn": ROLE, "external_id": "team-7", "session_name": "ann"}
    stack = synthesize("dev", profile="team", assume_role=role, backend={"type": "s3", "bucket": "states"})
    assumed = {"role_arn": ROLE, "external_id": "team-7", "session_name": "ann"}
    [provider] = stack["provider"]["aws"]
    assert (provider["profile"], provider["assume_role"]) == ("team", [assumed])
    state = stack["terraform"]["backend"]["s3"]
    assert (state["profile"], state["assume_role"]) == ("team", assumed)


def test_a_role_may_be_its_arn_alone() -> None:
    [provider] = synthesize("dev", assume_role=ROLE)["provider"]["aws"]
    assert provider["assume_role"] == [{"role_arn": ROLE}]


def test_the_nodes_role_is_bounded() -> None:
    role = resources(synthesize("dev", permissions_boundary=BOUNDARY), "aws_iam_role")["node"]
    assert role["permissions_boundary"] == BOUNDARY


def test_with_a_profile_of_the_users_nothing_is_made_in_iam() -> None:
    stack = synthesize("dev", instance_profile="mine")
    assert {node["iam_instance_profile"] for node in resources(stack, "aws_instance").values()} == {"mine"}
    assert "aws_iam" not in json.dumps(stack)


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({}, ""),
        ({"profile": "team"}, " --profile team"),
        ({"profile": "team", "assume_role": {"arn": ROLE}}, ""),
    ],
)
def test_the_command_for_a_session_has_the_profile_of_the_settings(
    settings: dict[str, Any], end: str
) -> None:
    stack = synthesize("dev", **settings)
    told = stack["output"]["producer_session_command"]["value"]
    assert told == f"aws ssm start-session --region us-east-2 --target ${{aws_instance.producer.id}}{end}"
