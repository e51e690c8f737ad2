"""prod: p5.48xlarge in a Capacity Block, through all that a block's life and a change of mind bring."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws.server import LocalAws
from tests.end_to_end.conftest import (
    Project,
    assert_nothing_left,
    assert_planned_interfaces,
    buy_block,
    client,
    running,
    save_block,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def prod(make_project: Any) -> Project:
    project: Project = make_project("prod")
    return project


def ids(nodes: dict[str, Any]) -> set[str]:
    return {node["InstanceId"] for node in nodes.values()}


def test_before_the_block_is_active_the_deployment_fails_with_ec2s_reason(
    prod: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    reservation, zone = buy_block(aws, ec2, active=False)
    save_block(aws, reservation, zone)

    failed = prod.deploy(code=1)

    assert "InvalidCapacityReservationState.PendingActivation" in failed.text
    assert running(ec2, "prod") == {}


def test_when_it_is_active_the_same_command_builds_the_pair_in_the_stored_block(
    prod: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    [block] = ec2.describe_capacity_reservations()["CapacityReservations"]
    aws.clock.set(block["StartDate"] + timedelta(minutes=5))

    prod.deploy()

    nodes = running(ec2, "prod")
    assert sorted(nodes) == ["consumer", "producer"]
    for node in nodes.values():
        assert node["CapacityReservationId"] == block["CapacityReservationId"]
        assert node["InstanceLifecycle"] == "capacity-block"
        assert node["Placement"]["AvailabilityZone"] == block["AvailabilityZone"]
        assert len(node["NetworkInterfaces"]) == 33
        assert_planned_interfaces(node)
    outputs = prod.outputs()
    assert outputs["capacity_reservation_id"] == block["CapacityReservationId"]
    assert outputs["placement_group"] == ""
    assert outputs["efa_interfaces"] == 32


def test_a_second_plan_is_empty_also_after_a_newer_image(prod: Project, aws: LocalAws) -> None:
    aws.world.image_generation += 1

    assert prod.plan().code == 0


def test_a_change_to_on_demand_replaces_both_nodes_and_destroys_first(prod: Project, ec2: EC2Client) -> None:
    before = ids(running(ec2, "prod"))
    prod.variables = {
        "NIXL_EFA_PROD_USE_CAPACITY_BLOCK": "false",
        "NIXL_EFA_PROD_CAPACITY_RESERVATION_PARAMETER": "none",
    }
    prod.synthesize()

    plan = prod.plan()

    for role in ("producer", "consumer"):
        assert f"aws_instance.{role} will be replaced due to changes in replace_triggered_by" in plan.text
    assert plan.text.count('-/+ resource "aws_instance"') == 2
    prod.terraform("apply", "-auto-approve", "-input=false", "-no-color")
    after = running(ec2, "prod")
    assert len(after) == 2
    assert not before & ids(after)
    assert all("CapacityReservationId" not in node for node in after.values())
    assert prod.plan().code == 0


def test_a_change_to_another_block_replaces_both_nodes_and_destroys_first(
    prod: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    before = ids(running(ec2, "prod"))
    reservation, zone = buy_block(aws, ec2, active=True)
    save_block(aws, reservation, zone)
    prod.variables = {}
    prod.synthesize()
    log_before = len(aws.calls.actions())

    prod.terraform("apply", "-auto-approve", "-input=false", "-no-color")

    after = running(ec2, "prod")
    assert not before & ids(after)
    assert {node["CapacityReservationId"] for node in after.values()} == {reservation}
    launches = [
        name for name in aws.calls.actions()[log_before:] if name in ("TerminateInstances", "RunInstances")
    ]
    assert launches == ["TerminateInstances", "TerminateInstances", "RunInstances", "RunInstances"]
    assert prod.plan().code == 0


def test_after_the_block_has_ended_a_deployment_into_a_new_block_works(
    prod: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    blocks = ec2.describe_capacity_reservations(Filters=[{"Name": "state", "Values": ["active"]}])
    aws.clock.set(max(block["EndDate"] for block in blocks["CapacityReservations"]) + timedelta(hours=1))
    assert running(ec2, "prod") == {}
    reservation, zone = buy_block(aws, ec2, active=True)
    save_block(aws, reservation, zone)

    prod.deploy()

    nodes = running(ec2, "prod")
    assert {node["CapacityReservationId"] for node in nodes.values()} == {reservation}
    assert prod.plan().code == 0


def test_destroy_leaves_nothing_but_the_reservation(prod: Project, aws: LocalAws, ec2: EC2Client) -> None:
    reservation = client(aws, "ssm").get_parameter(Name="/nixl-efa/capacity-reservation-id")["Parameter"][
        "Value"
    ]
    prod.destroy()

    assert_nothing_left(ec2, "prod")
    [kept] = ec2.describe_capacity_reservations(CapacityReservationIds=[reservation])["CapacityReservations"]
    assert kept["State"] == "active"
