"""Termination protection: EC2 user guide, Using_ChangingDisableAPITermination; EC2 API, TerminateInstances."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import Launch, Refused, into, show

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PROTECTED: dict[str, Any] = {"DisableApiTermination": True}


def state_of(ec2: EC2Client, instance: str) -> str:
    return show(ec2, instance)["State"]["Name"]


def is_protected(ec2: EC2Client, instance: str) -> bool:
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="disableApiTermination")
    return answer["DisableApiTermination"]["Value"]


def test_a_call_that_names_a_protected_instance_terminates_no_other_of_its_zone(
    ec2: EC2Client, launch: Launch, refused: Refused
) -> None:
    free, kept = launch()["InstanceId"], launch(**PROTECTED)["InstanceId"]
    words = (
        f"The instance '{kept}' may not be terminated. "
        "Modify its 'disableApiTermination' instance attribute and try again."
    )
    with refused("OperationNotPermitted", words):
        ec2.terminate_instances(InstanceIds=[free, kept])
    assert (state_of(ec2, free), state_of(ec2, kept)) == ("running", "running")


def test_what_is_in_another_zone_is_terminated_all_the_same(
    ec2: EC2Client, launch: Launch, refused: Refused
) -> None:
    other = launch("us-east-2b")["InstanceId"]
    kept = launch(**PROTECTED)["InstanceId"]
    with refused("OperationNotPermitted", kept):
        ec2.terminate_instances(InstanceIds=[other, kept])
    assert (state_of(ec2, other), state_of(ec2, kept)) == ("terminated", "running")


def test_a_launch_template_protects_too(ec2: EC2Client, launch: Launch, subnet: str) -> None:
    ec2.create_launch_template(LaunchTemplateName="node", LaunchTemplateData={"DisableApiTermination": True})
    instance = launch(LaunchTemplate={"LaunchTemplateName": "node"}, SubnetId=subnet)["InstanceId"]
    assert is_protected(ec2, instance)


@pytest.mark.parametrize(
    "taken_off",
    [{"DisableApiTermination": {"Value": False}}, {"Attribute": "disableApiTermination", "Value": "False"}],
)
def test_protection_is_put_on_and_taken_off(
    ec2: EC2Client, launch: Launch, refused: Refused, taken_off: Any
) -> None:
    instance = launch()["InstanceId"]
    assert not is_protected(ec2, instance)
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    assert is_protected(ec2, instance)
    with refused("OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, **taken_off)
    assert not is_protected(ec2, instance)
    ec2.terminate_instances(InstanceIds=[instance])
    assert state_of(ec2, instance) == "terminated"


def test_a_spot_instance_can_not_be_protected(ec2: EC2Client, launch: Launch, refused: Refused) -> None:
    spot: dict[str, Any] = {"InstanceMarketOptions": {"MarketType": "spot"}}
    with refused("UnsupportedOperation", "Spot Instances"):
        launch(**spot, **PROTECTED)
    instance = launch(**spot)["InstanceId"]
    # The code and the words: cloud-custodian issue 2083.
    with refused(
        "UnsupportedOperation", "Modifying 'disableApiTermination' is not supported for spot instances."
    ):
        ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    assert not is_protected(ec2, instance)


def test_protection_holds_off_no_end_of_a_block(
    aws: LocalAws, ec2: EC2Client, launch: Launch, active: Any
) -> None:
    zone = active["AvailabilityZone"]
    instance = launch(zone, InstanceType="p5.48xlarge", **into(active), **PROTECTED)["InstanceId"]
    aws.clock.set(active["EndDate"] - timedelta(minutes=29))
    assert state_of(ec2, instance) == "terminated"
    ec2.terminate_instances(InstanceIds=[instance])  # as before, of what is terminated
    assert show(ec2, instance)["StateReason"]["Code"] == "Server.CapacityBlockExpiration"
