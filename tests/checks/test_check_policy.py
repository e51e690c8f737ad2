"""`nixl-efa check` under the policy that `nixl-efa policy check` prints: enough, and nothing more."""

import json
from typing import Any

import boto3

from local_aws import LocalAws
from tests.checks.local_project import REGION, Project
from tests.policies import denied, in_policy, under, used

# What no environment here asks for, and what does.
ONLY_WITH = {
    "ec2:DescribeCapacityBlockStatus": "an UltraServer",
    "ec2:DescribeCapacityReservationTopology": "several reservations",
    "ec2:DescribeAvailabilityZones": "availability_zone of a Local Zone",
    "servicequotas:GetAWSDefaultServiceQuota": "a quota that the account has no value of its own for",
}


def checked(project: Project, aws: LocalAws, **settings: Any) -> tuple[set[str], set[str]]:
    """The actions of the environment's policy for check, and those that its check needed."""
    project.environment("dev", **settings)
    printed = project.run("policy", "check", "--env", "dev").out
    under(aws, printed)
    ran = project.run("check", "dev", "--json")
    assert denied(aws) == [], ran.out
    assert not [one for one in json.loads(ran.out)["findings"] if one["level"] == "SKIP"]
    needed = used(aws)
    aws.allow_only(None)
    return in_policy(json.loads(printed)), needed


def test_the_policy_of_check_is_enough_and_all_of_it_is_needed(project: Project, aws: LocalAws) -> None:
    ec2, kms = boto3.client("ec2", REGION), boto3.client("kms", REGION)
    ec2.create_key_pair(KeyName="mine")
    plain = checked(project, aws, instance_type="g7e.8xlarge", key_name="mine", spot=True)
    block = project.buy_block()
    in_block = checked(project, aws, **block)
    # In no region; in an account that keeps its VPCs from the internet and has a key of its own for volumes.
    ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-bidirectional")
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=kms.create_key()["KeyMetadata"]["Arn"])
    elsewhere = checked(project, aws, **{**block, "capacity_reservation_id": "cr-0123456789abcdef0"})

    allowed = plain[0] | in_block[0] | elsewhere[0]
    needed = plain[1] | in_block[1] | elsewhere[1]
    assert allowed - needed == set(ONLY_WITH)


def test_a_check_under_the_policy_of_deploy_finds_no_permission_missing(
    project: Project, aws: LocalAws
) -> None:
    under(aws, project.run("policy", "deploy", "--env", "dev").out)
    found = json.loads(project.run("check", "dev", "--json").out)["findings"]
    assert [one["level"] for one in found if one["check"] == "permissions"] == ["PASS"]
