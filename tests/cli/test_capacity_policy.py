"""The capacity commands under the policy that `nixl-efa policy capacity` prints: enough, and nothing more."""

import json
from datetime import timedelta

import boto3

from local_aws import LocalAws
from tests.cli.conftest import ID_NAME, REGION, Cli, stored
from tests.policies import denied, in_policy, under, used

# What none of the commands here asks for, and what does.
ELSEWHERE = {
    "ec2:DescribeInstances": "`switch`: whether nodes still run in the block before",
    "ssm:GetParameterHistory": "a parameter that is written over",
}


def test_the_policy_of_capacity_is_enough_for_every_command_and_no_more(cli: Cli, aws: LocalAws) -> None:
    printed = cli("policy", "capacity", "--env", "prod").out
    later = boto3.client("ec2", REGION).create_capacity_reservation(
        InstanceType="g7e.8xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{REGION}a",
        InstanceCount=2,
    )["CapacityReservation"]["CapacityReservationId"]
    under(aws, printed)

    assert cli("capacity", "search", "p5.48xlarge", "2", "24", "--region", "all").code == 0
    bought = cli.buy(cli.offer())
    assert bought.code == 0, bought.err
    block = bought.out.strip()
    assert stored(ID_NAME) == block
    aws.advance(timedelta(minutes=10))
    assert cli("capacity", "show", block).code == 0
    assert cli("capacity", "calendar", "--env", "prod", "--hours", "24").code == 0
    assert cli.reservations()
    assert cli("capacity", "save", block, "--env", "prod").code == 0
    assert cli("capacity", "load", "--env", "prod").code == 0
    assert cli("capacity", "recover").code == 0
    aws.advance(timedelta(hours=2))
    extended = cli("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "99999")
    assert extended.code == 0, extended.err
    assert cli("capacity", "cancel", later, "--yes").code == 0

    assert denied(aws) == []
    assert in_policy(json.loads(printed)) - used(aws) == set(ELSEWHERE)
