"""Launch template and request merged, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from moto.ec2.exceptions import EC2ClientError

from local_aws.ec2.launch_request import check_combinations, merged


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
