"""What happens to instances after their launch, and how they are found."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import NOW, Launch, into, on_demand, show

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def test_a_launch_and_a_start_have_the_simulated_time(aws: LocalAws, ec2: EC2Client, launch: Launch) -> None:
    instance = launch()["InstanceId"]
    assert show(ec2, instance)["LaunchTime"] == NOW
    assert show(ec2, instance)["NetworkInterfaces"][0]["Attachment"]["AttachTime"] == NOW
    ec2.stop_instances(InstanceIds=[instance])
    aws.clock.advance(timedelta(hours=1))
    ec2.start_instances(InstanceIds=[instance])
    assert show(ec2, instance)["LaunchTime"] == NOW + timedelta(hours=1)


@pytest.mark.parametrize(("action", "words"), [("start_instances", "started"), ("stop_instances", "stopped")])
def test_what_is_terminated_stays_so(
    ec2: EC2Client, launch: Launch, refused: Any, action: str, words: str
) -> None:
    instance = launch()["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    with refused("IncorrectInstanceState", f"can be {words}"):
        getattr(ec2, action)(InstanceIds=[instance])
    assert show(ec2, instance)["State"]["Name"] == "terminated"


def test_a_stopped_instance_starts_only_while_its_block_has_room(
    aws: LocalAws, ec2: EC2Client, launch: Launch, block: Any, refused: Any
) -> None:
    bought = block(count=1)
    aws.clock.set(bought["StartDate"])
    given = {"InstanceType": "p5.48xlarge", **into(bought)}
    stopped = launch(bought["AvailabilityZone"], **given)["InstanceId"]
    ec2.stop_instances(InstanceIds=[stopped])
    with refused("ReservationCapacityExceeded"):  # the slot is not back yet
        ec2.start_instances(InstanceIds=[stopped])
    aws.clock.advance(aws.world.slot_return)
    other = launch(bought["AvailabilityZone"], **given)["InstanceId"]
    with refused("ReservationCapacityExceeded"):
        ec2.start_instances(InstanceIds=[stopped])
    assert show(ec2, stopped)["State"]["Name"] == "stopped"
    ec2.terminate_instances(InstanceIds=[other])
    aws.clock.advance(aws.world.slot_return)
    ec2.start_instances(InstanceIds=[stopped])
    assert show(ec2, stopped)["State"]["Name"] == "running"


def test_an_instance_that_took_an_open_reservation_up_starts_without_it_too(
    aws: LocalAws, ec2: EC2Client, launch: Launch
) -> None:
    opened = on_demand(ec2)["CapacityReservationId"]
    first = launch()["InstanceId"]
    ec2.stop_instances(InstanceIds=[first])
    aws.clock.advance(aws.world.slot_return)
    second = launch()["InstanceId"]
    ec2.start_instances(InstanceIds=[first])
    assert "CapacityReservationId" not in show(ec2, first)
    assert show(ec2, second)["CapacityReservationId"] == opened


def test_instances_are_found_by_market_reservation_group_and_interface(
    aws: LocalAws, ec2: EC2Client, launch: Launch, block: Any
) -> None:
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    bought = block(count=1)
    aws.clock.set(bought["StartDate"])
    placed = launch(Placement={"GroupName": "pair"})
    plain, interface = placed["InstanceId"], placed["NetworkInterfaces"][0]
    spot = launch(InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]
    inside = launch(bought["AvailabilityZone"], InstanceType="p5.48xlarge", **into(bought))["InstanceId"]

    def found(name: str, value: str) -> list[str]:
        answer = ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}])
        return [one["InstanceId"] for item in answer["Reservations"] for one in item["Instances"]]

    assert found("instance-lifecycle", "capacity-block") == [inside]
    assert found("instance-lifecycle", "spot") == [spot]
    assert found("capacity-reservation-id", bought["CapacityReservationId"]) == [inside]
    assert found("placement-group-name", "pair") == [plain]
    assert found("network-interface.network-interface-id", interface["NetworkInterfaceId"]) == [plain]
    assert found("network-interface.addresses.private-ip-address", interface["PrivateIpAddress"]) == [plain]


def test_an_instance_of_a_block_that_ended_is_not_managed_any_more(
    aws: LocalAws, client: Any, launch: Launch, block: Any
) -> None:
    client("iam", checked=False).create_instance_profile(InstanceProfileName="node")
    bought = block(count=1)
    aws.clock.set(bought["StartDate"])
    profile = {"Name": "node"}
    launch(bought["AvailabilityZone"], InstanceType="p5.48xlarge", IamInstanceProfile=profile, **into(bought))
    ssm = client("ssm")
    assert len(ssm.describe_instance_information()["InstanceInformationList"]) == 1
    aws.clock.set(bought["EndDate"])
    assert ssm.describe_instance_information()["InstanceInformationList"] == []


def test_an_instance_shows_the_profile_that_replaced_its_first_one(
    ec2: EC2Client, launch: Launch, client: Any
) -> None:
    """EC2 API reference, ReplaceIamInstanceProfileAssociation; Terraform's provider waits until it shows."""
    iam = client("iam", checked=False)
    for name in ("first", "second"):
        iam.create_instance_profile(InstanceProfileName=name)
    instance = launch(IamInstanceProfile={"Name": "first"})["InstanceId"]
    [held] = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    ec2.replace_iam_instance_profile_association(
        AssociationId=held["AssociationId"], IamInstanceProfile={"Name": "second"}
    )
    assert show(ec2, instance)["IamInstanceProfile"]["Arn"].endswith(":instance-profile/second")
