"""What EC2 sends, and what is made of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.capacity.reservation import from_api
from nixl_efa.cdk import BINDINGS
from nixl_efa.checks.facts import Image, NoAnswer, Route, Rule, Running, TypeInEc2
from nixl_efa.checks.gather import launch, machine, network, usage
from nixl_efa.checks.gather.asking import answer_of
from nixl_efa.checks.machine_facts import Machine, Tool
from nixl_efa.state import STACKS_TERRAFORM
from tests.checks.in_order import BLOCK_ID

# As DescribeCapacityReservations answers for a Capacity Block that has not started.
SCHEDULED_BLOCK = {
    "CapacityReservationId": BLOCK_ID,
    "OwnerId": "123456789012",
    "InstanceType": "p5.48xlarge",
    "InstancePlatform": "Linux/UNIX",
    "AvailabilityZone": "us-east-2a",
    "Tenancy": "default",
    "TotalInstanceCount": 0,
    "AvailableInstanceCount": 0,
    "State": "scheduled",
    "StartDate": datetime(2026, 12, 1, 11, 30, tzinfo=UTC),
    "EndDate": datetime(2026, 12, 2, 11, 30, tzinfo=UTC),
    "Tags": [
        {"Key": "aws:ec2capacityreservation:incrementalRequestedQuantity", "Value": "2"},
        {"Key": "aws:ec2capacityreservation:capacityReservationType", "Value": "capacity-block"},
    ],
}


def test_a_scheduled_block_has_its_size_and_kind_from_its_tags() -> None:
    found = from_api(SCHEDULED_BLOCK, "us-east-2")
    assert (found.size, found.free, found.is_block) == (2, 0, True)
    assert (found.owner, found.tenancy, found.region) == ("123456789012", "default", "us-east-2")


def test_a_reservation_without_a_type_is_on_demand_and_may_be_in_a_placement_group() -> None:
    arn = "arn:aws:ec2:us-east-2:1:placement-group/mine"
    payload = {
        **SCHEDULED_BLOCK,
        "State": "active",
        "TotalInstanceCount": 4,
        "Tags": [],
        "PlacementGroupArn": arn,
    }
    found = from_api(payload, "us-east-2")
    assert (found.size, found.is_block, found.placement_group_arn) == (4, False, arn)


def test_an_instance_type_of_ec2() -> None:
    payload = {
        "InstanceType": "g7e.8xlarge",
        "SupportedUsageClasses": ["on-demand", "spot"],
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "VCpuInfo": {"DefaultVCpus": 32},
        "NetworkInfo": {"EfaSupported": True, "EfaInfo": {"MaximumEfaInterfaces": 1}},
        "PlacementGroupInfo": {"SupportedStrategies": ["cluster", "spread"]},
        "SupportedBootModes": ["uefi"],
    }
    assert launch.parsed_type(payload) == TypeInEc2(
        name="g7e.8xlarge",
        vcpu=32,
        efa_interfaces=1,
        usage_classes=("on-demand", "spot"),
        placement_strategies=("cluster", "spread"),
        architectures=("x86_64",),
        boot_modes=("uefi",),
    )
    without = {**payload, "NetworkInfo": {"EfaSupported": False}}
    assert launch.parsed_type(without).efa_interfaces == 0


INSTANCE = {
    "InstanceId": "i-1",
    "InstanceType": "p5.48xlarge",
    "State": {"Name": "running"},
    "InstanceLifecycle": "capacity-block",
    "CapacityReservationId": BLOCK_ID,
    "Tags": [{"Key": "Name", "Value": "nixl-efa-prod-producer"}],
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"InstanceLifecycle": "spot"}, {"market": "spot"}),
        ({"InstanceLifecycle": ""}, {"market": "on-demand"}),
        ({"Tags": [{"Key": "Name", "Value": "other"}]}, {"name": "other"}),
        ({"Tags": []}, {"name": ""}),
        (
            {"InstanceType": "p99.large", "CpuOptions": {"CoreCount": 4, "ThreadsPerCore": 2}},
            {"instance_type": "p99.large", "vcpu": 8},
        ),
    ],
)
def test_a_running_instance(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    whole = Running(
        id="i-1",
        instance_type="p5.48xlarge",
        market="capacity-block",
        state="running",
        reservation_id=BLOCK_ID,
        name="nixl-efa-prod-producer",
        own=False,
        vcpu=192,
    )
    found = usage.parsed({**INSTANCE, **changes})
    assert found == replace(whole, **expected)


def test_a_route_table_with_each_kind_of_route() -> None:
    payload = {
        "RouteTableId": "rtb-1",
        "VpcId": "vpc-1",
        "Associations": [{"Main": True}, {"Main": False, "SubnetId": "subnet-1"}],
        "Routes": [
            {"DestinationCidrBlock": "172.31.0.0/16", "GatewayId": "local", "State": "active"},
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
            {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"},
            {"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1", "State": "active"},
        ],
    }
    table = network.parsed_table(payload)
    assert (table.main, table.subnet_ids) == (True, ("subnet-1",))
    assert table.routes == (
        Route("172.31.0.0/16", "local"),
        Route("0.0.0.0/0", "nat-1", "blackhole"),
        Route("", "eigw-1"),
        Route("pl-1", "vpce-1"),
    )


def test_a_security_group_with_each_kind_of_peer() -> None:
    payload = {
        "GroupId": "sg-1",
        "VpcId": "vpc-1",
        "IpPermissions": [
            {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2"}, {"GroupId": "sg-1"}]}
        ],
        "IpPermissionsEgress": [
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
                "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
                "PrefixListIds": [{"PrefixListId": "pl-1"}],
            }
        ],
    }
    group = network.parsed_group(payload)
    assert group.ingress == (Rule("-1", group_ids=("sg-2", "sg-1")),)
    assert group.egress == (Rule("tcp", 443, 443, cidrs=("0.0.0.0/0", "::/0"), prefix_lists=("pl-1",)),)


def test_an_image_has_the_size_of_its_root_and_not_of_another_device() -> None:
    payload = {
        "ImageId": "ami-1",
        "Name": "Deep Learning",
        "State": "available",
        "Architecture": "x86_64",
        "PlatformDetails": "Linux/UNIX",
        "RootDeviceName": "/dev/sda1",
        "RootDeviceType": "ebs",
        "EnaSupport": True,
        "VirtualizationType": "hvm",
        "BootMode": "uefi-preferred",
        "DeprecationTime": "2027-01-01T00:00:00.000Z",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 75}},
        ],
    }
    assert launch.parsed_image(payload) == Image(
        id="ami-1",
        name="Deep Learning",
        state="available",
        architecture="x86_64",
        platform="Linux/UNIX",
        root_device="/dev/sda1",
        root_device_type="ebs",
        root_gib=75,
        ena=True,
        boot_mode="uefi-preferred",
        deprecated_at=datetime(2027, 1, 1, tzinfo=UTC),
    )


def test_a_look_tells_a_missing_permission_from_another_error() -> None:
    from botocore.exceptions import ClientError, EndpointConnectionError

    def failing(error: Exception) -> Any:
        def call() -> None:
            raise error

        return answer_of("ec2:DescribeVpcs", call)

    denied = failing(ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": ""}}, "DescribeVpcs"))
    assert (denied.permission, denied.denied) == ("ec2:DescribeVpcs", True)
    second = failing(
        ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": ""}}, "DescribeSubnets")
    )
    assert second.permission == "ec2:DescribeSubnets"
    broken = failing(ClientError({"Error": {"Code": "InternalError", "Message": "oh"}}, "DescribeVpcs"))
    assert (broken.denied, "InternalError" in broken.reason) == (False, True)
    unreachable = failing(EndpointConnectionError(endpoint_url="http://x"))
    assert isinstance(unreachable, NoAnswer)
    with pytest.raises(KeyError):
        failing(KeyError("a fault of this program"))


def project(folder: Path, *programs: tuple[str, str]) -> Path:
    """A folder with these programs in bin/."""
    (folder / "bin").mkdir(parents=True)
    for name, script in programs:
        file = folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
    return folder


def test_the_programs_are_found_on_the_search_path(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        ("cdktf", "exit 1"),
        ("node", "echo v20.9.0"),
        ("tofu", """[ "$CHECKPOINT_DISABLE" = 1 ] && echo '{"terraform_version": "1.9.1"}'"""),
    )
    search = f"{folder}/bin"
    environ = {"PATH": f"{search}:/bin", "TERRAFORM_BINARY_NAME": "tofu"}
    found = machine.machine(folder, environ, STACKS_TERRAFORM)
    assert found == Machine(
        cdk=Tool("cdktf", "", f"{search}/cdktf"),
        node=Tool("node", "20.9.0", f"{search}/node"),
        terraform=Tool("tofu", "1.9.1", f"{search}/tofu"),
        library=found.library,
        install="npm install cdktf-cli@0.21",
    )
    assert found.library.startswith("0.21")


@pytest.mark.parametrize(
    ("app", "missing"),
    [
        ("python app.py", "python"),
        ("scripts/app", ""),
        ("mine", ""),
        ("cd app && python main.py", ""),
        ("VARIABLE=1 python app.py", ""),
        (None, ""),
    ],
)
def test_the_program_of_the_app_is_looked_for_as_a_shell_in_the_project_does(
    tmp_path: Path, app: str | None, missing: str
) -> None:
    folder = project(tmp_path, ("mine", ""))
    (folder / "cdktf.json").write_text(json.dumps({"app": app}), encoding="utf-8")
    found = machine.machine(folder, {"PATH": f"{folder}/bin"}, STACKS_TERRAFORM)
    assert found.no_app == missing


@pytest.mark.parametrize(
    ("chosen", "folder", "package"),
    [("cdktf", "node_modules", "cdktf-cli"), ("cdktn", "npm/cdktn/node_modules", "cdktn-cli")],
)
def test_the_projects_own_command_line_is_that_of_the_chosen_library(
    chosen: str, folder: str, package: str, tmp_path: Path
) -> None:
    for name in BINDINGS:
        project(tmp_path / name, (name, ""))
    installed = tmp_path / folder / package
    (installed / "bin").mkdir(parents=True)
    (installed / "package.json").write_text(json.dumps({"name": package, "version": "1.2.3"}))
    (installed / "bin" / chosen).touch()
    own = tmp_path / folder / ".bin" / chosen
    own.parent.mkdir()
    own.symlink_to(installed / "bin" / chosen)
    search = ":".join(str(tmp_path / name / "bin") for name in BINDINGS)
    found = machine.machine(tmp_path, {"PATH": search, "NIXL_EFA_CDK": chosen}, STACKS_TERRAFORM)
    assert found.cdk == Tool(chosen, "1.2.3", str(own))


@pytest.mark.parametrize("script", ["exit 1", "echo nothing", "echo '{}'"])
def test_a_terraform_that_does_not_tell_its_version_has_none(tmp_path: Path, script: str) -> None:
    folder = project(tmp_path, ("terraform", script))
    found = machine.machine(folder, {"PATH": f"{folder}/bin"}, STACKS_TERRAFORM)
    assert found.terraform == Tool("terraform", "", f"{folder}/bin/terraform")
    assert (found.node.path, found.cdk.path) == ("", "")
