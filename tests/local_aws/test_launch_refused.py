"""Launches that EC2 refuses, and what they leave: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import Launch

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound", "ami-0123456789abcdef0"),
        ({"InstanceType": "p99.huge"}, "InvalidParameterValue", "Invalid value 'p99.huge'"),
        ({"InstanceType": "m7g.large"}, "InvalidParameterValue", "The architecture 'arm64'"),
        (
            {"InstanceType": "trn2.3xlarge"},
            "Unsupported",
            "not supported in your requested Availability Zone",
        ),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", "sg-0123456789abcdef0"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound", "The key pair 'nobody' does not exist"),
        (
            {"IamInstanceProfile": {"Name": "nobody"}},
            "InvalidParameterValue",
            "Value (nobody) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ),
        (
            {"IamInstanceProfile": {"Arn": "arn:aws:iam::1:instance-profile/n"}},
            "InvalidParameterValue",
            "Invalid IAM Instance Profile ARN",
        ),
        (
            {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}},
            "InvalidLaunchTemplateId.NotFound",
            "lt-0123456789abcdef0",
        ),
        ({"MinCount": 0}, "InvalidParameterValue", "Value (0) for parameter minCount"),
        ({"MinCount": 2}, "InvalidParameterValue", "Value (1) for parameter maxCount"),
        ({"Placement": {"Tenancy": "shared"}}, "InvalidParameterValue", "'shared' for Placement.Tenancy"),
        ({"Placement": {"GroupName": "nowhere"}}, "InvalidPlacementGroup.Unknown", "nowhere"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]},
            "InvalidBlockDeviceMapping",
            "expect size >= 75GB",
        ),
        ({"InstanceMarketOptions": {"MarketType": "capacity-block"}}, "InvalidParameterValue", "market type"),
        ({"DryRun": True}, "DryRunOperation", "would have succeeded"),
    ],
)
def test_a_launch_that_ec2_refuses_leaves_nothing(
    launch: Launch, ec2: EC2Client, refused: Any, changes: dict[str, Any], code: str, words: str
) -> None:
    with refused(code, words):
        launch(**changes)
    assert ec2.describe_instances()["Reservations"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert ec2.describe_volumes()["Volumes"] == []


def test_an_interface_in_use_is_refused(launch: Launch, ec2: EC2Client, subnet: str, refused: Any) -> None:
    made = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    specs = [{"DeviceIndex": 0, "NetworkInterfaceId": made}]
    launch(NetworkInterfaces=specs)
    with refused("InvalidNetworkInterface.InUse", made):
        launch(NetworkInterfaces=specs)


def test_interfaces_in_two_zones_are_refused(launch: Launch, ec2: EC2Client, refused: Any) -> None:
    specs = [
        {"DeviceIndex": index, "SubnetId": found["SubnetId"]}
        for index, found in enumerate(ec2.describe_subnets()["Subnets"][:2])
    ]
    with refused("InvalidParameterCombination", "same Availability Zone"):
        launch(NetworkInterfaces=specs)


def test_the_vcpu_quota_holds_for_on_demand(aws: LocalAws, launch: Launch, refused: Any) -> None:
    aws.world.quotas["L-DB2E81BA"] = 40
    launch()
    with refused("VcpuLimitExceeded", "current vCPU limit of 40"):
        launch()


def test_a_spot_request_that_never_was(ec2: EC2Client, refused: Any) -> None:
    with refused("InvalidSpotInstanceRequestID.NotFound"):
        ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=["sir-0123456789abcdef0"])


def test_no_default_subnet_is_said(ec2: EC2Client, image: str, refused: Any) -> None:
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    given: Any = {"ImageId": image, "InstanceType": "g7e.8xlarge", "MinCount": 1, "MaxCount": 1}
    with refused("InvalidInput", "No default subnet for availability zone: 'us-east-2a'."):
        ec2.run_instances(Placement={"AvailabilityZone": "us-east-2a"}, **given)
    with refused("MissingInput", "No subnets found for the default VPC 'vpc-"):
        ec2.run_instances(**given)


def test_an_image_is_needed_and_must_still_be_there(
    launch: Launch, ec2: EC2Client, image: str, refused: Any
) -> None:
    with refused("MissingParameter", "ImageId"):
        ec2.run_instances(InstanceType="g7e.8xlarge", MinCount=1, MaxCount=1)
    ec2.deregister_image(ImageId=image)
    with refused("InvalidAMIID.Unavailable", image):
        launch()


def test_an_existing_interface_is_for_one_instance(
    launch: Launch, ec2: EC2Client, subnet: str, refused: Any
) -> None:
    made = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    with refused("InvalidParameterCombination", "instance count"):
        launch(MaxCount=2, NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": made}])
