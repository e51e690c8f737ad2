"""A client that lost the answer asks again with the same ClientToken, as the AWS provider and the SDKs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import ZONE, MakeClient

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

TEMPLATE = {"LaunchTemplateName": "t", "LaunchTemplateData": {"InstanceType": "g7e.8xlarge"}}
RESERVATION = {"InstancePlatform": "Linux/UNIX", "AvailabilityZone": ZONE, "InstanceCount": 1}
# Each is sent once with the first arguments, then with those that differ. "*" stands for what the account has.
ACTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "create_network_interface": ({"SubnetId": "*"}, {"Description": "another"}),
    "create_launch_template": (TEMPLATE, {"VersionDescription": "another"}),
    "create_capacity_reservation": (
        {**RESERVATION, "InstanceType": "g7e.8xlarge"},
        {"InstanceType": "g7e.12xlarge"},
    ),
    "run_instances": (
        {"ImageId": "*", "SubnetId": "*", "MinCount": 1, "MaxCount": 1, "InstanceType": "g7e.8xlarge"},
        {"InstanceType": "g7e.12xlarge"},
    ),
}


@pytest.fixture(params=list(ACTIONS))
def call(request: pytest.FixtureRequest, ec2: EC2Client, subnet: str, image: str) -> Any:
    """The action's method, with its arguments, and those of another request."""
    arguments, others = ACTIONS[request.param]
    known = {"SubnetId": subnet, "ImageId": image}
    given = {name: known.get(name, value) for name, value in arguments.items()}
    return lambda method, **more: getattr(method, request.param)(**{**given, **more}), others


def everything(ec2: EC2Client) -> list[int]:
    return [
        len(ec2.describe_network_interfaces()["NetworkInterfaces"]),
        len(ec2.describe_launch_templates()["LaunchTemplates"]),
        len(ec2.describe_capacity_reservations()["CapacityReservations"]),
        len(ec2.describe_instances()["Reservations"]),
    ]


def test_a_request_whose_answer_was_lost_is_carried_out_once(
    call: Any, aws: LocalAws, ec2: EC2Client, client: MakeClient
) -> None:
    make, _ = call
    before = everything(ec2)
    aws.faults.add(lose_answer=True)

    answer = make(client("ec2", retries=2), ClientToken="once")

    after = everything(ec2)
    assert {one - another for one, another in zip(after, before, strict=True)} <= {0, 1}
    assert after != before
    again = make(ec2, ClientToken="once")
    del answer["ResponseMetadata"], again["ResponseMetadata"]
    assert again == answer
    assert everything(ec2) == after


def test_the_same_token_for_another_request_is_refused(call: Any, ec2: EC2Client, refused: Any) -> None:
    make, others = call
    make(ec2, ClientToken="once")

    with refused("IdempotentParameterMismatch"):
        make(ec2, ClientToken="once", **others)
