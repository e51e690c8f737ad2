from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

USER_DATA = base64.b64encode(b"#cloud-config\n").decode()
DATA: Any = {
    "InstanceType": "g7e.8xlarge",
    "NetworkInterfaces": [{"NetworkCardIndex": 0, "DeviceIndex": 1, "InterfaceType": "efa-only"}],
    "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}],
}


def create(ec2: EC2Client, **more: Any) -> str:
    given = {"LaunchTemplateName": "node", "LaunchTemplateData": DATA, **more}
    return ec2.create_launch_template(**given)["LaunchTemplate"]["LaunchTemplateId"]


def data(ec2: EC2Client, template: str, version: str = "$Latest") -> Any:
    found = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=[version])
    return found["LaunchTemplateVersions"][0]["LaunchTemplateData"]


def test_a_template_comes_back_as_it_was_written(ec2: EC2Client) -> None:
    assert data(ec2, create(ec2)) == DATA


def test_its_own_tags_are_its_own(ec2: EC2Client) -> None:
    tags: Any = [{"ResourceType": "launch-template", "Tags": [{"Key": "Project", "Value": "nixl"}]}]
    template = create(ec2, TagSpecifications=tags)
    assert data(ec2, template) == DATA
    (shown,) = ec2.describe_launch_templates()["LaunchTemplates"]
    assert shown["Tags"] == [{"Key": "Project", "Value": "nixl"}]


def test_empty_user_data_is_none_and_other_user_data_is_kept(ec2: EC2Client) -> None:
    assert "UserData" not in data(ec2, create(ec2, LaunchTemplateData={**DATA, "UserData": ""}))
    kept = create(ec2, LaunchTemplateName="other", LaunchTemplateData={**DATA, "UserData": USER_DATA})
    assert data(ec2, kept)["UserData"] == USER_DATA


def test_a_new_version_is_the_latest_and_the_first_stays_the_default(ec2: EC2Client) -> None:
    template = create(ec2)
    made = ec2.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData={"InstanceType": "p5.48xlarge", "UserData": USER_DATA}
    )["LaunchTemplateVersion"]
    assert (made["VersionNumber"], made["DefaultVersion"]) == (2, False)
    assert data(ec2, template) == {"InstanceType": "p5.48xlarge", "UserData": USER_DATA}
    assert data(ec2, template, "$Default") == DATA


def test_a_version_can_stand_on_another(ec2: EC2Client) -> None:
    template = create(ec2)
    ec2.create_launch_template_version(
        LaunchTemplateName="node", SourceVersion="1", LaunchTemplateData={"InstanceType": "p5.48xlarge"}
    )
    assert data(ec2, template) == {**DATA, "InstanceType": "p5.48xlarge"}


def test_dry_runs_and_wrong_tags(ec2: EC2Client, refused: Any) -> None:
    with refused("DryRunOperation"):
        create(ec2, DryRun=True)
    with refused("InvalidParameterValue", "'instance'"):
        create(ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": []}])
    template = create(ec2)
    with refused("DryRunOperation"):
        ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=DATA, DryRun=True)
    assert (
        len(ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]) == 1
    )
