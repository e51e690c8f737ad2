"""The commands to look by hand: the AWS CLI takes them as they are."""

import itertools
import shlex
from dataclasses import replace

import boto3
import pytest
from botocore import xform_name

from nixl_efa.checks.facts import Facts, KeyPair, SecurityGroup
from nixl_efa.checks.rules import judge
from nixl_efa.launch import Launch
from tests.checks.in_order import (
    BLOCK_FACTS,
    BLOCK_LAUNCH,
    BY_PARAMETER,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    NOW,
)

# Options of the AWS CLI's own, and members of a request that it has other words for.
CLI_OWN = {"--region", "--profile", "--count"}
# Launches that together give every command: with parameters and given parts, and with the stack's own.
LAUNCHES = {
    "a block by parameters, in a given network": (
        replace(
            BLOCK_LAUNCH,
            reservation=replace(BY_PARAMETER, reads_zone=True),
            vpc_id="vpc-1",
            subnet_id="subnet-1",
            security_group_id="sg-1",
            key_name="ann",
        ),
        replace(
            BLOCK_FACTS,
            security_group=SecurityGroup("sg-1", "vpc-1", (), ()),
            key_pair=KeyPair("ann", "rsa"),
            zone=DENIED,
        ),
    ),
    "a block without permission to see its image": (BLOCK_LAUNCH, replace(BLOCK_FACTS, image_id=DENIED)),
    "a missing block": (BLOCK_LAUNCH, replace(BLOCK_FACTS, reservations=())),
    "On-Demand, through endpoints": (replace(DEMAND_LAUNCH, elastic_ip=False), DEMAND_FACTS),
    "Spot": (replace(DEMAND_LAUNCH, market="spot"), DEMAND_FACTS),
}


def commands(launch: Launch, facts: Facts) -> list[list[str]]:
    """The words of each AWS CLI call that is shown, in commands and as remedies."""
    found = judge([(launch, facts)], NOW)
    told = [each.command for each in found]
    told += [call for each in found for call in each.remedy.removeprefix("Run: ").split("; ")]
    return [shlex.split(call) for call in told if call.startswith("aws ")]


@pytest.mark.parametrize("name", LAUNCHES)
def test_each_command_is_a_call_of_aws_with_its_options(name: str) -> None:
    shown = commands(*LAUNCHES[name])
    assert len(shown) > 10
    for words in shown:
        _, service, call, *rest = words
        model = boto3.client(service, "us-east-2").meta.service_model  # type: ignore[call-overload]
        operations = {xform_name(each, "-"): each for each in model.operation_names}
        assert call in operations, words
        shape = model.operation_model(operations[call]).input_shape
        known = {f"--{xform_name(each, '-')}" for each in shape.members} if shape else set()
        assert {word for word in rest if word.startswith("--")} <= known | CLI_OWN, words


@pytest.mark.parametrize("name", LAUNCHES)
def test_each_command_asks_the_region_and_the_profile_that_the_check_asked(name: str) -> None:
    launch, facts = LAUNCHES[name]
    for words in commands(replace(launch, profile="my team"), facts):
        options = dict(itertools.pairwise(words))
        assert (options["--region"], options["--profile"]) == ("us-east-2", "my team"), words
