"""What tests launch in the local AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"


def subnet_in(ec2: EC2Client, zone: str) -> str:
    """The default subnet of a zone."""
    found = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])
    return found["Subnets"][0]["SubnetId"]


def into(block: str) -> dict[str, Any]:
    """What a launch into a Capacity Block names, by the reservation's id."""
    return {
        "InstanceMarketOptions": {"MarketType": "capacity-block"},
        "CapacityReservationSpecification": {"CapacityReservationTarget": {"CapacityReservationId": block}},
    }


def launch(
    region: str, instance_type: str, zone: str = "", tags: Mapping[str, str] | None = None, **more: Any
) -> InstanceTypeDef:
    """One instance, in the default subnet of a zone where one is named; more: further members of RunInstances."""
    ec2 = boto3.client("ec2", region)
    given: dict[str, Any] = {
        "ImageId": boto3.client("ssm", region).get_parameter(Name=IMAGE)["Parameter"]["Value"],
        "InstanceType": instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        **({"SubnetId": subnet_in(ec2, zone)} if zone else {}),
        **more,
    }
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        given["TagSpecifications"] = [{"ResourceType": "instance", "Tags": pairs}]
    return ec2.run_instances(**given)["Instances"][0]
