"""What is this stack's own, and names that others have: by the state and a tag of its alone, never by a name."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.checks.facts import Address, Named
from nixl_efa.checks.ownership import owned
from nixl_efa.findings import Level
from nixl_efa.launch import launch_of
from nixl_efa.settings import Settings
from nixl_efa.settings.backend import S3Backend
from nixl_efa.state import State, parse
from tests import states
from tests.checks.in_order import BROKEN, DEMAND_FACTS, DEMAND_LAUNCH, DENIED, NOW, instance
from tests.checks.judging import FAIL, PASS, SKIP, assert_says, finding
from tests.checks.local_project import REGION, Project
from tests.synthesis import synthesize_settings

LOCAL = Settings(name="prod", instance_type="g7e.8xlarge").stack_identity
IN_S3 = Settings(name="prod", instance_type="g7e.8xlarge", backend=S3Backend(bucket="states")).stack_identity


def state(**resources: str) -> State:
    """A state that has these resources, each "type.name" with __ for the dot, by its id."""
    documents = []
    for address, one in resources.items():
        kind, _, name = address.partition("__")
        documents.append({**states.node(name, one), "type": kind})
    return parse({"resources": documents})


EMPTY = state()


@pytest.mark.parametrize(
    ("identity", "tag", "known", "own"),
    [
        (IN_S3, IN_S3, EMPTY, True),
        (IN_S3, LOCAL, EMPTY, False),
        (IN_S3, "", EMPTY, False),
        (IN_S3, "", state(aws_instance__producer="i-1", aws_eip__producer="eipalloc-1"), True),
        # The tag of a local state is that of every working copy.
        (LOCAL, LOCAL, EMPTY, False),
        (LOCAL, LOCAL, None, False),
        (LOCAL, LOCAL, BROKEN, False),
        (LOCAL, LOCAL, state(aws_instance__producer="i-1", aws_eip__producer="eipalloc-1"), True),
    ],
)
def test_own_is_what_the_state_has_or_what_has_a_tag_of_its_alone(
    identity: str, tag: str, known: Any, own: bool
) -> None:
    launch = replace(DEMAND_LAUNCH, stack_identity=identity)
    seen = replace(
        DEMAND_FACTS,
        running=(instance(name="nixl-efa-prod-producer", stack=tag),),
        addresses=(Address("eipalloc-1", own=False, stack=tag),),
        state=known,
    )
    found = owned(seen, launch)
    assert isinstance(found.running, tuple)
    assert isinstance(found.addresses, tuple)
    assert [one.own for one in found.running] + [one.own for one in found.addresses] == [own, own]


GROUP = Named("aws_security_group", "nixl-efa-prod-pair", "vpc-1")
PLACEMENT = Named("aws_placement_group", "nixl-efa-prod-pair")
TEMPLATE = Named("aws_launch_template", "nixl-efa-prod-producer")
ROLE = Named("aws_iam_role", "nixl-efa-prod-us-east-2")
WHOLE = state(
    aws_security_group__pair="sg-1",
    aws_placement_group__pair="nixl-efa-prod-pair",
    aws_launch_template__producer="lt-1",
    aws_iam_role__node="nixl-efa-prod-us-east-2",
)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        ({"state": EMPTY}, PASS, "None of the stack's names is used"),
        ({"state": EMPTY, "ec2_names": (GROUP,)}, FAIL, "security group nixl-efa-prod-pair"),
        (
            {"state": EMPTY, "ec2_names": (PLACEMENT, TEMPLATE), "iam_names": (ROLE,)},
            FAIL,
            "placement group nixl-efa-prod-pair, launch template nixl-efa-prod-producer, role nixl-efa-prod-us-east-2",
        ),
        ({"state": EMPTY, "iam_names": (ROLE,)}, FAIL, "its state, in this working copy, does not have"),
        ({"state": EMPTY, "iam_names": (ROLE,)}, FAIL, "change project_prefix or the environment's name"),
        ({"state": EMPTY, "iam_names": (ROLE,)}, FAIL, "`nixl-efa mend prod`"),
        # A security group's name is unique in a VPC alone.
        ({"state": EMPTY, "ec2_names": (replace(GROUP, vpc_id="vpc-2"),)}, PASS, "None of the stack's names"),
        (
            {"state": WHOLE, "ec2_names": (GROUP, PLACEMENT, TEMPLATE), "iam_names": (ROLE,)},
            PASS,
            "None of the stack's names",
        ),
        # A deployment that failed at another copy's role leaves its own bucket; a node is made after all of them.
        (
            {"state": state(aws_s3_bucket__scripts="b"), "iam_names": (ROLE,)},
            FAIL,
            "role nixl-efa-prod-us-east-2",
        ),
        (
            {"state": state(aws_instance__producer="i-1"), "iam_names": (ROLE,)},
            PASS,
            "the names belong to it",
        ),
        ({"state": EMPTY, "iam_names": DENIED}, SKIP, "No permission"),
        ({"state": EMPTY, "iam_names": DENIED, "ec2_names": (GROUP,)}, FAIL, "security group"),
        ({"state": DENIED}, SKIP, "the state, which shows what belongs to this stack, could not be read"),
    ],
)
def test_names_that_the_state_has_not_are_taken(facts: dict[str, Any], level: Level, words: str) -> None:
    launch = {"stack_identity": LOCAL}
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "names", launch, facts), level, words)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"placement_group": "off"},
        {"security_group_id": "sg-0123456789abcdef0"},
        {"instance_profile": "team"},
        {"project_prefix": "a-prefix-of-24-letters-x"},
    ],
)
def test_the_names_are_those_that_the_stack_gives(changes: dict[str, Any]) -> None:
    settings = Settings(name="prod", instance_type="g7e.8xlarge", **changes)
    resources: Mapping[str, Mapping[str, Any]] = synthesize_settings(settings)["resource"]
    kinds = {
        address.partition(".")[0]
        for address in launch_of(Settings(name="x", instance_type="g7e.8xlarge")).unique_names
    }
    given = {
        f"{kind}.{name}": body["name"] for kind in kinds for name, body in resources.get(kind, {}).items()
    }
    assert launch_of(settings).unique_names == given


def test_the_names_of_a_colleagues_working_copy_are_told_before_the_apply(
    project: Project, aws: LocalAws
) -> None:
    ec2, iam = boto3.client("ec2", REGION), boto3.client("iam", REGION)
    ec2.create_placement_group(GroupName="nixl-efa-dev-pair", Strategy="cluster")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.create_security_group(GroupName="nixl-efa-dev-pair", Description="theirs", VpcId=vpc)
    iam.create_role(RoleName="nixl-efa-dev-us-east-2", AssumeRolePolicyDocument="{}")
    ran = project.run("check", "dev", "--json")
    [names] = [one for one in json.loads(ran.out)["findings"] if one["check"] == "names"]
    assert (ran.code, names["level"]) == (1, "FAIL")
    for taken in (
        "security group nixl-efa-dev-pair",
        "placement group nixl-efa-dev-pair",
        "role nixl-efa-dev-us",
    ):
        assert taken in names["message"]
    deployed = project.run("deploy", "dev", "--auto-approve")
    assert deployed.code == 1
    assert "These names are taken" in deployed.out + deployed.err
    assert not (project.folder / "cdktf.log").exists()


def test_a_node_with_our_name_in_a_block_is_somebody_elses(project: Project, aws: LocalAws) -> None:
    from datetime import timedelta

    block = project.buy_block()
    project.environment("prod", **block)
    aws.advance(timedelta(hours=2))
    for node in ("producer", "consumer"):
        project.launch(
            "p5.48xlarge",
            block["capacity_reservation_id"],
            block["availability_zone"],
            name=f"nixl-efa-prod-{node}",
        )
    ran = project.run("check", "prod", "--json")
    found = {one["check"]: one for one in json.loads(ran.out)["findings"]}
    assert ran.code == 1
    assert found["reservation room"]["level"] == "FAIL"
    assert "(nixl-efa-prod-producer)" in found["reservation use"]["message"]
