"""dev and staging: On-Demand, from `cdktf deploy` to `cdktf destroy`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from local_aws.server import LocalAws
from nixl_efa.image import image_parameter
from nixl_efa.instance_types import find
from tests.end_to_end.conftest import (
    REGION,
    Project,
    assert_nothing_left,
    assert_planned_interfaces,
    client,
    running,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def dev(make_project: Any, aws: LocalAws) -> Project:
    project: Project = make_project("dev")
    # The provider asks again with the same ClientToken: an answer that was lost leaves no second one.
    for action in ("CreateNetworkInterface", "CreateLaunchTemplate", "RunInstances"):
        aws.faults.add(action, lose_answer=True)
    project.deploy()
    return project


def test_deploy_gives_the_promised_outputs(dev: Project, ec2: EC2Client) -> None:
    outputs = dev.outputs()
    nodes = running(ec2, "dev")

    assert sorted(nodes) == ["consumer", "producer"]
    for role, node in nodes.items():
        assert outputs[f"{role}_instance_id"] == node["InstanceId"]
        assert outputs[f"{role}_private_ip"] == node["PrivateIpAddress"]
        assert outputs[f"{role}_public_ip"] == node["PublicIpAddress"]
        assert outputs[f"{role}_session_command"] == (
            f"aws ssm start-session --region {REGION} --target {node['InstanceId']}"
        )
        assert [group["GroupId"] for group in node["SecurityGroups"]] == [outputs["security_group_id"]]
        assert node["Placement"]["GroupName"] == outputs["placement_group"] == "nixl-efa-dev-pair"
    assert outputs["efa_interfaces"] == 1
    assert outputs["capacity_reservation_id"] == ""
    assert re.fullmatch(r"nixl-efa-dev-\d+", outputs["scripts_bucket"])


def test_the_instances_have_every_interface_where_it_was_planned_and_one_subnet(
    dev: Project, ec2: EC2Client
) -> None:
    nodes = running(ec2, "dev").values()

    for node in nodes:
        assert_planned_interfaces(node)
    assert len({one["SubnetId"] for node in nodes for one in node["NetworkInterfaces"]}) == 1


def test_instances_volumes_and_interfaces_carry_their_tags(dev: Project, ec2: EC2Client) -> None:
    tagged: Any = [
        {"Name": "tag:Name", "Values": ["nixl-efa-dev-producer"]},
        {"Name": "tag:Role", "Values": ["producer"]},
    ]

    assert len(ec2.describe_network_interfaces(Filters=tagged)["NetworkInterfaces"]) == 2
    assert len(ec2.describe_volumes(Filters=tagged)["Volumes"]) == 1


def test_a_second_plan_is_empty_also_after_a_newer_image(dev: Project, aws: LocalAws) -> None:
    assert dev.plan().code == 0
    before = newest_image(aws)
    aws.world.image_generation += 1
    assert newest_image(aws) != before

    assert dev.plan().code == 0


def newest_image(aws: LocalAws) -> str:
    name = image_parameter(find("g7e.8xlarge"))
    value: str = client(aws, "ssm").get_parameter(Name=name)["Parameter"]["Value"]
    return value


def test_a_changed_tag_replaces_no_node(dev: Project) -> None:
    dev.variables["NIXL_EFA_DEV_OWNER"] = "team-kv"
    dev.synthesize()

    plan = dev.plan()

    assert plan.code == 2
    assert "must be replaced" not in plan.text
    assert "0 to destroy" in plan.text


def test_destroy_leaves_nothing(dev: Project, aws: LocalAws, ec2: EC2Client) -> None:
    dev.variables.clear()
    # The provider asks again after a lost answer, and is told that the rule is gone.
    for action in ("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"):
        aws.faults.add(action, lose_answer=True)
    dev.destroy()

    assert_nothing_left(ec2, "dev")


@pytest.mark.matrix
def test_a_zone_that_is_listed_earlier_changes_nothing(
    make_project: Any, aws: LocalAws, ec2: EC2Client
) -> None:
    offered = client(aws, "ec2").describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["g7e.12xlarge"]}]
    )["InstanceTypeOfferings"]
    zones = {one["Location"] for one in offered}
    assert len(zones) >= 2
    subnets = {one["SubnetId"]: one["AvailabilityZone"] for one in ec2.describe_subnets()["Subnets"]}
    first = min(subnet for subnet, zone in subnets.items() if zone in zones)
    aws.world.closed_zones = {subnets[first]}
    staging: Project = make_project("staging")
    staging.deploy()
    chosen = {node["SubnetId"] for node in running(ec2, "staging").values()}
    assert len(chosen) == 1
    assert first not in chosen

    aws.world.closed_zones = set()

    assert staging.plan().code == 0
    for node in running(ec2, "staging").values():
        assert_planned_interfaces(node)
    staging.destroy()
    assert_nothing_left(ec2, "staging")
