"""CreateTags and DeleteTags reach what a stack tags, and each resource shows its tags of today."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.launches import subnet_in
from tests.local_aws.conftest import ZONE, Launch

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

BEFORE: Any = [{"Key": "Owner", "Value": "a"}, {"Key": "Kept", "Value": "k"}]


def tagged(kind: str) -> Any:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": BEFORE}]}


def of(kind: str, create: Callable[[EC2Client], str], shown: Callable[[EC2Client, str], Any]) -> Any:
    return pytest.param(create, shown, id=kind)


def group(ec2: EC2Client, **more: Any) -> str:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc, **more)["GroupId"]


def rule(ec2: EC2Client) -> str:
    permission: Any = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    made = ec2.authorize_security_group_ingress(
        GroupId=group(ec2), IpPermissions=permission, **tagged("security-group-rule")
    )
    return made["SecurityGroupRules"][0]["SecurityGroupRuleId"]


KINDS = [
    of(
        "launch-template",
        lambda ec2: ec2.create_launch_template(
            LaunchTemplateName="node",
            LaunchTemplateData={"InstanceType": "g7e.8xlarge"},
            **tagged("launch-template"),
        )["LaunchTemplate"]["LaunchTemplateId"],
        lambda ec2, name: ec2.describe_launch_templates(LaunchTemplateIds=[name])["LaunchTemplates"],
    ),
    of(
        "placement-group",
        lambda ec2: ec2.create_placement_group(GroupName="pair", **tagged("placement-group"))[
            "PlacementGroup"
        ]["GroupId"],
        lambda ec2, name: ec2.describe_placement_groups(GroupIds=[name])["PlacementGroups"],
    ),
    of(
        "elastic-ip",
        lambda ec2: ec2.allocate_address(Domain="vpc", **tagged("elastic-ip"))["AllocationId"],
        lambda ec2, name: ec2.describe_addresses(AllocationIds=[name])["Addresses"],
    ),
    of(
        "network-interface",
        lambda ec2: str(
            ec2.create_network_interface(SubnetId=subnet_in(ec2, ZONE), **tagged("network-interface"))[
                "NetworkInterface"
            ]["NetworkInterfaceId"]
        ),
        lambda ec2, name: [
            {"Tags": one["TagSet"]}
            for one in ec2.describe_network_interfaces(NetworkInterfaceIds=[name])["NetworkInterfaces"]
        ],
    ),
    of(
        "security-group",
        lambda ec2: group(ec2, **tagged("security-group")),
        lambda ec2, name: ec2.describe_security_groups(GroupIds=[name])["SecurityGroups"],
    ),
    of(
        "security-group-rule",
        rule,
        lambda ec2, name: ec2.describe_security_group_rules(SecurityGroupRuleIds=[name])[
            "SecurityGroupRules"
        ],
    ),
    of(
        "volume",
        lambda ec2: ec2.create_volume(AvailabilityZone=ZONE, Size=8, **tagged("volume"))["VolumeId"],
        lambda ec2, name: ec2.describe_volumes(VolumeIds=[name])["Volumes"],
    ),
]


@pytest.mark.parametrize(("create", "shown"), KINDS)
def test_tags_are_changed_added_and_taken_off(
    ec2: EC2Client, create: Callable[[EC2Client], str], shown: Callable[[EC2Client, str], Any]
) -> None:
    name = create(ec2)
    ec2.create_tags(Resources=[name], Tags=[{"Key": "Owner", "Value": "b"}, {"Key": "New", "Value": "n"}])
    ec2.delete_tags(Resources=[name], Tags=[{"Key": "Kept"}])
    (found,) = shown(ec2, name)
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {"Owner": "b", "New": "n"}
    assert len(ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [name]}])["Tags"]) == 2


def test_an_instances_tags_too(ec2: EC2Client, launch: Launch) -> None:
    instance = launch(**tagged("instance"))["InstanceId"]
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "Owner", "Value": "b"}])
    found = ec2.describe_instances(Filters=[{"Name": "tag:Owner", "Values": ["b"]}])
    assert found["Reservations"][0]["Instances"][0]["InstanceId"] == instance


def test_every_template_is_on_one_of_the_pages(ec2: EC2Client) -> None:
    for number in range(20):
        ec2.create_launch_template(
            LaunchTemplateName=f"node-{number}", LaunchTemplateData={"InstanceType": "g7e.8xlarge"}
        )
    assert len(ec2.describe_launch_templates()["LaunchTemplates"]) == 20
    pages = ec2.get_paginator("describe_launch_templates").paginate(PaginationConfig={"PageSize": 8})
    assert [len(found["LaunchTemplates"]) for found in pages] == [8, 8, 4]
