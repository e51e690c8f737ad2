"""A running pair under a change of mind, with the real cdktf: what is kept, what is refused before anything is
destroyed, and a destroy that needs nothing of what the pair was built from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from local_aws.server import LocalAws
from nixl_efa.image import image_parameter
from nixl_efa.instance_types import find
from tests.end_to_end.conftest import Project, assert_nothing_left, client, put_parameter, running

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = [pytest.mark.end_to_end, pytest.mark.matrix]


@pytest.fixture(scope="module")
def dev(make_project: Any, aws: LocalAws, ec2: EC2Client) -> Project:
    """dev, deployed from a key pair, an image and a zone that will be gone; a result lies in its bucket."""
    name = image_parameter(find("g7e.8xlarge"))
    newest = client(aws, "ssm").get_parameter(Name=name)["Parameter"]["Value"]
    put_parameter(aws, "/team/image", newest)
    put_parameter(aws, "/team/zone", "us-east-2a")
    ec2.create_key_pair(KeyName="ann")
    project: Project = make_project("dev")
    project.variables = {
        "NIXL_EFA_DEV_AMI_PARAMETER": "/team/image",
        "NIXL_EFA_DEV_AVAILABILITY_ZONE_PARAMETER": "/team/zone",
        "NIXL_EFA_DEV_KEY_NAME": "ann",
    }
    project.deploy()
    client(aws, "s3").put_object(Bucket=project.outputs()["scripts_bucket"], Key="result", Body=b"12 GB/s")
    return project


def ids(ec2: EC2Client) -> set[str]:
    return {node["InstanceId"] for node in running(ec2, "dev").values()}


@contextmanager
def variables(project: Project, **changed: str) -> Iterator[None]:
    """The project with other variables, for as long as the block runs."""
    usual, project.variables = project.variables, {**project.variables, **changed}
    try:
        yield
    finally:
        project.variables = usual


def reason(project: Project, *options: str) -> str:
    """Why a plan fails, in one line. cdktf can end before it has shown all that Terraform said."""
    text = project.terraform("plan", "-input=false", "-no-color", *options, code=1).text
    return " ".join(re.sub("[│╷╵]", " ", text).split())


def test_in_another_region_neither_deploy_nor_destroy_forgets_the_pair(dev: Project, ec2: EC2Client) -> None:
    before, held = ids(ec2), dev.terraform("state", "list").text

    # The zone of the parameter would be refused, too.
    with variables(dev, NIXL_EFA_DEV_REGION="us-west-2", NIXL_EFA_DEV_AVAILABILITY_ZONE_PARAMETER="none"):
        dev.deploy(code=1)
        reasons = [reason(dev), reason(dev, "-destroy")]
        dev.cdktf("destroy", dev.stack, "--auto-approve", code=1)

    for said in reasons:
        assert (
            "region is us-west-2, and the pair stands in the region in which the name of its role ends"
            in said
        )
    assert ids(ec2) == before
    assert dev.terraform("state", "list").text == held


def test_another_prefix_keeps_the_nodes_and_what_lies_in_the_bucket(
    dev: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    before, bucket = ids(ec2), dev.outputs()["scripts_bucket"]
    dev.variables["NIXL_EFA_DEV_PROJECT_PREFIX"] = "kv"

    dev.deploy()

    assert ids(ec2) == before
    assert dev.outputs()["scripts_bucket"] == bucket
    assert client(aws, "s3").get_object(Bucket=bucket, Key="result")["Body"].read() == b"12 GB/s"
    tags = {tag["Key"]: tag["Value"] for node in running(ec2, "dev").values() for tag in node["Tags"]}
    assert tags["Project"] == "kv"
    assert dev.plan().code == 0


def test_protected_nodes_are_neither_replaced_nor_destroyed(dev: Project, ec2: EC2Client) -> None:
    before = ids(ec2)

    with variables(dev, NIXL_EFA_DEV_PROTECT_NODES="true"):
        dev.cdktf("destroy", dev.stack, "--auto-approve", code=1)
        assert "Instance cannot be destroyed" in reason(dev, "-destroy")
        with variables(dev, NIXL_EFA_DEV_PLACEMENT_GROUP="off"):
            dev.deploy(code=1)
            assert "Instance cannot be destroyed" in reason(dev)

    assert ids(ec2) == before


def test_a_placement_group_can_go_and_a_subnet_that_is_left_out_again_moves_nothing(
    dev: Project, ec2: EC2Client
) -> None:
    before = ids(ec2)
    zone: Any = [{"Name": "availability-zone", "Values": ["us-east-2b"]}]
    [other] = ec2.describe_subnets(Filters=zone)["Subnets"]
    del dev.variables["NIXL_EFA_DEV_AVAILABILITY_ZONE_PARAMETER"]
    dev.variables |= {
        "NIXL_EFA_DEV_PLACEMENT_GROUP": "off",
        "NIXL_EFA_DEV_SUBNET_ID": other["SubnetId"],
        "NIXL_EFA_DEV_EMPTY_SCRIPTS_BUCKET": "true",
    }

    dev.deploy()

    after = running(ec2, "dev")
    assert not before & ids(ec2)
    assert {node["SubnetId"] for node in after.values()} == {other["SubnetId"]}
    assert ec2.describe_placement_groups()["PlacementGroups"] == []
    del dev.variables["NIXL_EFA_DEV_SUBNET_ID"]
    dev.synthesize()
    assert dev.plan().code == 0
    dev.variables["NIXL_EFA_DEV_AVAILABILITY_ZONE"] = "us-east-2b"
    dev.synthesize()
    assert dev.plan().code == 0
    del dev.variables["NIXL_EFA_DEV_AVAILABILITY_ZONE"]


def test_destroy_needs_nothing_of_what_the_pair_was_built_from(
    dev: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    nodes = running(ec2, "dev")
    image = next(iter(nodes.values()))["ImageId"]
    for name in ("/team/image", "/team/zone"):
        client(aws, "ssm").delete_parameter(Name=name)
    ec2.delete_key_pair(KeyName="ann")
    ec2.deregister_image(ImageId=image)
    # As at the end of a block; then somebody tidies up the network.
    ec2.terminate_instances(InstanceIds=[node["InstanceId"] for node in nodes.values()])
    for interface in ec2.describe_network_interfaces(
        Filters=[{"Name": "tag:Environment", "Values": ["dev"]}]
    )["NetworkInterfaces"]:
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    [subnet] = {node["SubnetId"] for node in nodes.values()}
    ec2.delete_subnet(SubnetId=subnet)
    dev.variables |= {
        "NIXL_EFA_DEV_AVAILABILITY_ZONE_PARAMETER": "/team/zone",
        "NIXL_EFA_DEV_SUBNET_ID": subnet,
    }

    dev.destroy()

    assert_nothing_left(ec2, "dev")


def test_prod_that_ran_on_demand_once_is_destroyed_in_a_new_shell(
    make_project: Any, aws: LocalAws, ec2: EC2Client
) -> None:
    aws.world.image_generation += 1  # the test before has deregistered the newest image
    prod: Project = make_project("prod")
    prod.variables = {
        "NIXL_EFA_PROD_USE_CAPACITY_BLOCK": "false",
        "NIXL_EFA_PROD_CAPACITY_RESERVATION_PARAMETER": "none",
    }
    prod.deploy()
    assert len(running(ec2, "prod")) == 2
    prod.variables = {}

    prod.destroy()

    assert_nothing_left(ec2, "prod")
