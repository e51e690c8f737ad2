"""The local AWS refuses a launch in the code and the words that EC2 was recorded with (tests/recorded)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws
from tests.local_aws.conftest import Launch
from tests.records import answer

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

KIND = "run_instances_errors"
# What differs from launch to launch: ids, types, zones, names and numbers.
_ITS_OWN = [
    (r"(cr|snap|sg|subnet)-[0-9a-f]+", "ID"),
    (r"\b[a-z][a-z0-9-]*\d?[a-z]?\.\d*x?(large|small|metal)\b", "TYPE"),
    (r"\b[a-z]{2}-[a-z]+-\d[a-z]\b(, )?", "ZONE"),
    (r"availability zone: \S+", "availability zone: ZONE"),
    (r"'(Patch Group|my-cluster|pair)'", "'NAME'"),
    (r"\d+", "N"),
    (r"(ZONE)+", "ZONE"),
]


def plain(message: str) -> str:
    for pattern, word in _ITS_OWN:
        message = re.sub(pattern, word, message)
    return message


EFA_TWO = [
    {"NetworkCardIndex": 0, "DeviceIndex": 0},
    {"NetworkCardIndex": 1, "DeviceIndex": 2, "InterfaceType": "efa-only"},
]
CASES: dict[str, dict[str, Any]] = {
    "run_instances_errors/device-index-too-high-p5": {
        "InstanceType": "p5.48xlarge",
        "NetworkInterfaces": EFA_TWO,
    },
    "run_instances_errors/interfaces-and-groups-on-one-request": {
        "NetworkInterfaces": [{"DeviceIndex": 0}],
        "SecurityGroupIds": ["sg-1"],
    },
    "run_instances_errors/placement-group-type": {
        "InstanceType": "t3.xlarge",
        "Placement": {"GroupName": "pair"},
    },
    "run_instances_errors/placement-group-other-zone": {"Placement": {"GroupName": "pair"}},
    "run_instances_errors/public-ip-with-many-interfaces": {
        "InstanceType": "p5.48xlarge",
        "NetworkInterfaces": [
            {"NetworkCardIndex": 0, "DeviceIndex": 0, "AssociatePublicIpAddress": True},
            {"NetworkCardIndex": 1, "DeviceIndex": 0, "InterfaceType": "efa-only"},
        ],
    },
    "run_instances_errors/target-and-preference": {
        "CapacityReservationSpecification": {
            "CapacityReservationPreference": "open",
            "CapacityReservationTarget": {"CapacityReservationId": "cr-0123456789abcdef0"},
        }
    },
    "run_instances_errors/reservation-unknown": {
        "CapacityReservationSpecification": {
            "CapacityReservationTarget": {"CapacityReservationId": "cr-0123456789abcdef0"}
        }
    },
    "run_instances_errors/tag-key-with-blank-in-imds": {
        "MetadataOptions": {"InstanceMetadataTags": "enabled"},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Patch Group", "Value": "x"}]}],
    },
    "run_instances_errors/too-many-interfaces": {
        "InstanceType": "g7e.2xlarge",
        "NetworkInterfaces": [{"DeviceIndex": index} for index in range(5)],
    },
    "run_instances_errors/unsupported-in-zone": {"InstanceType": "trn1.32xlarge"},
    "run_instances_errors/vcpu-limit": {"InstanceType": "p5.48xlarge"},
    "run_instances_errors/spot-count": {"InstanceMarketOptions": {"MarketType": "spot"}},
    "run_instances_errors/volume-smaller-than-image": {
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 15}}]
    },
}


@pytest.mark.parametrize("name", CASES)
def test_the_local_aws_refuses_in_the_words_that_were_recorded(
    aws: LocalAws, ec2: EC2Client, launch: Launch, subnet: str, name: str
) -> None:
    recorded = answer(name)
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    if "other-zone" in name:
        other = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-2b"]}])
        launch(SubnetId=other["Subnets"][0]["SubnetId"], Placement={"GroupName": "pair"})
    if name.endswith(("vcpu-limit", "spot-count")):
        aws.world.quotas.update(dict.fromkeys(("L-417A185B", "L-DB2E81BA", "L-3819A6DF"), 8))
    changes = dict(CASES[name])
    if "NetworkInterfaces" in changes:
        changes["NetworkInterfaces"] = [{**one, "SubnetId": subnet} for one in changes["NetworkInterfaces"]]

    with pytest.raises(ClientError) as caught:
        launch(**changes)

    said = caught.value.response["Error"]
    assert plain(said["Message"]) == plain(recorded["Message"])
    # EKS told InvalidRequest of the device index; EC2's own code was not seen.
    if recorded["Operation"] != "CreateNodegroup":
        assert said["Code"] == recorded["Code"]


def test_a_launch_into_a_block_is_refused_in_the_words_that_were_recorded(
    aws: LocalAws, ec2: EC2Client, launch: Launch, block: Any
) -> None:
    bought = block(count=2)
    aws.clock.set(bought["StartDate"])
    zone: Any = [{"Name": "availability-zone", "Values": [bought["AvailabilityZone"]]}]
    there = {
        "InstanceType": "p5.48xlarge",
        "SubnetId": ec2.describe_subnets(Filters=zone)["Subnets"][0]["SubnetId"],
    }
    target: Any = {"CapacityReservationTarget": {"CapacityReservationId": bought["CapacityReservationId"]}}
    market = {"InstanceMarketOptions": {"MarketType": "capacity-block"}}
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    for name, changes in (
        ("market-type-missing", {}),
        ("reservation-capacity-exceeded", {**market, "MinCount": 3, "MaxCount": 3}),
    ):
        with pytest.raises(ClientError) as caught:
            launch(**there, CapacityReservationSpecification=target, **changes)
        recorded = answer(f"{KIND}/{name}")
        said = caught.value.response["Error"]
        assert (said["Code"], said["Message"]) == (recorded["Code"], recorded["Message"])
    with pytest.raises(ClientError) as caught:
        launch(**there, CapacityReservationSpecification=target, **market, Placement={"GroupName": "pair"})
    recorded = answer("run_instances_errors/insufficient-capacity-p4d")
    said = caught.value.response["Error"]
    assert said["Code"] == recorded["Code"]
    assert plain(recorded["Message"]).startswith(plain(said["Message"]))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_group_and_a_subnet_of_two_vpcs_are_refused(
    ec2: EC2Client, launch: Launch, refused: Any, subnet: str
) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="far", Description="far", VpcId=vpc)["GroupId"]
    words = f"Security group {group} and subnet {subnet} belong to different networks."
    with refused("InvalidParameter", words):
        launch(SecurityGroupIds=[group])
    with refused("InvalidParameter", words):
        launch(NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}])
    with refused("InvalidParameter", words):
        ec2.create_network_interface(SubnetId=subnet, Groups=[group])
