"""Nodes that run for an environment whose file the project does not have."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.checks.gather.usage import parsed
from nixl_efa.checks.rules.stacks import without_a_file
from nixl_efa.findings import Level
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, DENIED, instance

IN_S3 = "nixl-efa-prod s3://states/nixl-efa/prod.tfstate"
IN_CLOUD = "nixl-efa-prod app.terraform.io/acme/nixl-efa-prod"


@pytest.mark.parametrize(
    ("own", "stacks", "warned"),
    [
        (IN_S3, ["nixl-efa-old s3://states/nixl-efa/old.tfstate"], True),
        (IN_CLOUD, ["nixl-efa-old app.terraform.io/acme/nixl-efa-old"], True),
        # Environments of the project, and what belongs to nobody.
        (IN_S3, [IN_S3, "nixl-efa-dev s3://states/nixl-efa/dev.tfstate", ""], False),
        # Another bucket or organization is another project's; a local state is a matter of its own machine.
        (IN_S3, ["nixl-efa-old s3://others/nixl-efa/old.tfstate", "nixl-efa-old local"], False),
        (IN_CLOUD, ["nixl-efa-old app.terraform.io/others/nixl-efa-old"], False),
        (
            "nixl-efa-prod local",
            ["nixl-efa-old local", "nixl-efa-old s3://states/nixl-efa/old.tfstate"],
            False,
        ),
        # A stack of another program, and an identity that was too long to be read.
        (IN_S3, ["cluster s3://states/cluster"], False),
        ("nixl-efa-prod 0123", ["nixl-efa-old 0123"], False),
    ],
)
def test_nodes_whose_state_lies_beside_ours_are_warned_of_when_their_environment_has_no_file(
    own: str, stacks: list[str], warned: bool
) -> None:
    running = tuple(replace(instance(id=f"i-{n}"), stack=stack) for n, stack in enumerate(stacks))
    launch = replace(BLOCK_LAUNCH, stack_identity=own)
    found = without_a_file(launch, replace(BLOCK_FACTS, running=running), ["prod", "dev"])
    assert [each.level for each in found] == ([Level.WARN] if warned else [])
    for each in found:
        assert each.message.startswith("i-0 run for old, whose state is in ")
        assert "run `cdktf destroy nixl-efa-old`" in each.remedy
        assert "Name=tag:nixl-efa:stack,Values=nixl-efa-old " in each.command


def test_instances_that_may_not_be_looked_at_are_no_such_nodes() -> None:
    assert without_a_file(BLOCK_LAUNCH, replace(BLOCK_FACTS, running=DENIED), []) == []


def test_a_running_instance_is_known_by_its_tag() -> None:
    payload: dict[str, Any] = {
        "InstanceId": "i-1",
        "InstanceType": "p5.48xlarge",
        "State": {"Name": "running"},
        "Tags": [
            {"Key": "nixl-efa:stack", "Value": IN_S3},
            {"Key": "Name", "Value": "nixl-efa-prod-producer"},
        ],
    }
    found = parsed(payload)
    assert (found.stack, found.own) == (IN_S3, False)
