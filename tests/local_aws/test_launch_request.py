"""Launch template and request merged, and the record of what was asked for."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from moto.ec2.exceptions import EC2ClientError

from local_aws import Control, LocalAws
from local_aws.ec2.launch_request import check_combinations, merged
from tests.local_aws.conftest import REGION

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def tags(kind: str, **given: str) -> dict[str, Any]:
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in given.items()]}


@pytest.mark.parametrize(
    ("template", "request_", "result"),
    [
        ({"ImageId": "ami-1", "KeyName": "k"}, {"ImageId": "ami-2"}, {"ImageId": "ami-2", "KeyName": "k"}),
        ({"UserData": "dA=="}, {"UserData": None}, {"UserData": "dA=="}),
        (
            {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}},
            {"MetadataOptions": {"HttpTokens": "optional"}},
            {"MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 2}},
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]},
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1"}]},
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1"}]},
        ),
        (
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "Encrypted": True}}
                ]
            },
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 300}},
                    {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}},
                ]
            },
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 300, "Encrypted": True}},
                    {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}},
                ]
            },
        ),
        (
            {"TagSpecifications": [tags("instance", a="1", b="1"), tags("network-interface", n="1")]},
            {"TagSpecifications": [tags("instance", b="2")]},
            {"TagSpecifications": [tags("instance", a="1", b="2"), tags("network-interface", n="1")]},
        ),
        ({}, {"LaunchTemplate": {}, "MinCount": 1, "MaxCount": 2, "DryRun": True, "ClientToken": "t"}, {}),
    ],
)
def test_the_request_wins_over_the_template(
    template: dict[str, Any], request_: dict[str, Any], result: dict[str, Any]
) -> None:
    assert merged(template, request_) == result


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"SubnetId": "subnet-1"}, "subnet ID"),
        ({"SecurityGroupIds": ["sg-1"]}, "security groups"),
        ({"SecurityGroups": ["default"]}, "security groups"),
        ({"PrivateIpAddress": "172.31.0.9"}, "private IP address"),
    ],
)
def test_interfaces_go_with_nothing_that_belongs_to_an_interface(beside: dict[str, Any], words: str) -> None:
    check_combinations(beside)
    with pytest.raises(EC2ClientError, match=words):
        check_combinations({"NetworkInterfaces": [{"DeviceIndex": 0}], **beside})


def test_what_launches_asked_for_is_read_with_the_template_merged_in(
    aws: LocalAws, ec2: EC2Client, image: str, subnet: str, refused: Any
) -> None:
    user_data = base64.b64encode(b"#cloud-config\n").decode()
    interfaces: Any = [
        {"NetworkCardIndex": 0, "DeviceIndex": index, "InterfaceType": kind, "SubnetId": subnet}
        for index, kind in enumerate(("interface", "efa-only"))
    ]
    template = ec2.create_launch_template(
        LaunchTemplateName="node", LaunchTemplateData={"NetworkInterfaces": interfaces}
    )["LaunchTemplate"]["LaunchTemplateId"]
    options: Any = {"HttpTokens": "required", "InstanceMetadataTags": "disabled"}
    plain: Any = {"ImageId": image, "InstanceType": "g7e.8xlarge", "MetadataOptions": options}
    ec2.run_instances(
        **plain,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
        MinCount=1,
        MaxCount=1,
        ClientToken="once",
        UserData="#cloud-config\n",
    )
    with refused("DryRunOperation"):
        ec2.run_instances(**plain, MinCount=2, MaxCount=2, DryRun=True)
    with refused("InvalidParameterValue"):
        ec2.run_instances(ImageId=image, InstanceType="p99.huge", MinCount=1, MaxCount=1)  # type: ignore[arg-type]

    launches = Control(aws.endpoint).launches()

    launched = {**plain, "NetworkInterfaces": interfaces, "UserData": user_data}
    assert launches == [
        {"region": REGION, "dry_run": False, "count": 1, "request": launched},
        {"region": REGION, "dry_run": True, "count": 2, "request": plain},
        {
            "region": REGION,
            "dry_run": False,
            "count": 1,
            "request": {"ImageId": image, "InstanceType": "p99.huge"},
        },
    ]
    Control(aws.endpoint).request("DELETE", "launches")
    assert aws.world.launches == []


def test_a_template_gives_user_data_as_the_request_does(
    aws: LocalAws, ec2: EC2Client, image: str, subnet: str
) -> None:
    user_data = base64.b64encode(b"#cloud-config\n").decode()
    ec2.create_launch_template(
        LaunchTemplateName="node", LaunchTemplateData={"UserData": user_data, "ImageId": image}
    )
    ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": "node"},
        InstanceType="g7e.8xlarge",
        SubnetId=subnet,
        MinCount=1,
        MaxCount=1,
    )
    [launch] = aws.world.launches
    assert launch.request["UserData"] == user_data
