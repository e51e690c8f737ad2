"""`nixl-efa verify`, `status` and `connect` under the policies that `nixl-efa policy` prints."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws
from nixl_efa.settings.model import STACK_TAG
from tests.nodes.local_pair import REGION, Project, Run
from tests.policies import denied, in_policy, under, used


@pytest.fixture
def tagged(project: Project) -> Project:
    """The pair with the tag of its stack, which a deployment gives it."""
    tag: Any = [{"Key": STACK_TAG, "Value": "nixl-efa-prod local"}]
    boto3.client("ec2", REGION).create_tags(Resources=project.ids, Tags=tag)
    return project


def test_the_policy_of_verify_is_enough_and_all_of_it_is_needed(
    tagged: Project, run: Run, aws: LocalAws
) -> None:
    _, printed, _ = run("policy", "verify", "--env", "prod")
    under(aws, printed)
    code, out, err = run("verify", "prod")
    assert code == 0, out + err
    assert run("status", "prod")[0] == 0
    assert denied(aws) == []
    # Where a pair is in a block, its time and the health of its interconnect are asked for; the bucket is asked
    # where an output is too long.
    assert in_policy(json.loads(printed)) - used(aws) == {
        "ec2:DescribeCapacityReservations",
        "ec2:DescribeCapacityBlockStatus",
        "s3:GetObject",
        "s3:DeleteObject",
    }


def test_an_output_that_run_command_cuts_is_read_from_the_scripts_bucket_and_deleted(
    tagged: Project, run: Run, aws: LocalAws
) -> None:
    s3 = boto3.client("s3", REGION)
    s3.create_bucket(Bucket="nixl-efa-prod-20261126")
    tagged.outputs(scripts_bucket="nixl-efa-prod-20261126")
    for instance_id in tagged.ids:
        known = aws.world.command_outputs[instance_id]
        aws.command_output(instance_id, stdout=f"{'x' * 30_000}\n{known.stdout}", stderr="a warning")
    _, printed, _ = run("policy", "verify", "--env", "prod")
    under(aws, printed)
    code, out, err = run("verify", "prod")
    assert code == 0, out + err
    assert denied(aws) == []
    assert {"s3:GetObject", "s3:DeleteObject"} <= used(aws)
    aws.allow_only(None)
    # Whatever lies in the bucket would stop `cdktf destroy`.
    assert "Contents" not in s3.list_objects_v2(Bucket="nixl-efa-prod-20261126")


def test_an_output_that_is_neither_whole_nor_in_the_bucket_says_who_needs_what(
    tagged: Project, run: Run, aws: LocalAws
) -> None:
    tagged.outputs(scripts_bucket="nixl-efa-prod-gone")
    aws.command_output(tagged.ids[0], stdout="x\n" * 20_000)
    code, out, err = run("verify", "prod", "--no-transfer")
    assert code == 1
    told = " ".join((out + err).split())
    assert "its output is longer than the 24000 characters of Run Command" in told
    assert "can't be read (NoSuchBucket): the nodes' role needs s3:PutObject there" in told


def test_the_policy_of_verify_lets_nobody_run_a_command_on_another_node(
    project: Project, run: Run, aws: LocalAws
) -> None:
    _, printed, _ = run("policy", "verify", "--env", "prod")
    under(aws, printed)
    code, out, err = run("verify", "prod")
    assert code == 1
    assert ("ssm", "SendCommand") in denied(aws)
    assert "ssm:SendCommand is not allowed" in out + err


def test_the_policy_of_connect_opens_sessions_on_the_pair_alone(
    tagged: Project, run: Run, aws: LocalAws
) -> None:
    _, printed, _ = run("policy", "connect", "--env", "prod")
    under(aws, printed)
    ssm = boto3.client("ssm", REGION)
    ssm.start_session(Target=tagged.ids[0])
    with pytest.raises(ClientError) as refused:
        ssm.start_session(Target="i-0123456789abcdef0")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert refused.value.response["Error"]["Message"] == (
        "User: arn:aws:iam::123456789012:user/moto is not authorized to perform: ssm:StartSession on resource: "
        f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0 because no identity-based policy allows the "
        "ssm:StartSession action"
    )
