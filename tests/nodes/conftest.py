"""The pair of the tests: two p5.48xlarge in order, in stand-ins."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.cli import main
from nixl_efa.clock import EndpointClock
from nixl_efa.nodes.cloud_init import CloudInit
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.parse import Nixl
from tests.clients import clients_are_made_once
from tests.launches import into, launch
from tests.nodes.local_pair import REGION, Project, Run, answer
from tests.nodes.stand_in import (
    ADDRESSES,
    CONSUMER_ID,
    PRODUCER_ID,
    FakeClock,
    FakeEc2,
    FakeSsm,
    StandIn,
    instance,
)
from tests.offerings import soonest_offering

__all__ = ["clients_are_made_once"]


@pytest.fixture
def pair() -> PairOutputs:
    """The outputs of a p5.48xlarge pair without a reservation."""
    return PairOutputs(
        "prod",
        (
            Node("producer", "producer", PRODUCER_ID, ADDRESSES["producer"], "203.0.113.11", 32),
            Node("consumer", "consumer", CONSUMER_ID, ADDRESSES["consumer"], "", 32),
        ),
        "nixl-efa-prod-scripts",
    )


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, StandIn]:
    """Both nodes, in order, by name."""
    return {name: StandIn(name, tmp_path / name) for name in ADDRESSES}


@pytest.fixture
def ssm(nodes: dict[str, StandIn]) -> FakeSsm:
    """Run Command on both nodes."""
    return FakeSsm({PRODUCER_ID: nodes["producer"], CONSUMER_ID: nodes["consumer"]})


@pytest.fixture
def ec2() -> FakeEc2:
    """Both instances, running."""
    return FakeEc2(
        [instance(PRODUCER_ID, ADDRESSES["producer"]), instance(CONSUMER_ID, ADDRESSES["consumer"])]
    )


@pytest.fixture
def clock() -> FakeClock:
    """A clock of the tests."""
    return FakeClock()


@pytest.fixture
def p5_plan() -> Planned:
    """What a p5.48xlarge should have."""
    return Planned(
        instance_type="p5.48xlarge",
        efa_interfaces=32,
        accelerators=8,
        accelerator_kind="nvidia",
        instance_storage_gb=30400,
        network_gbps=3200.0,
        nixl_version="1.5.0",
    )


@pytest.fixture
def p5_facts() -> NodeFacts:
    """A producer in which all is as planned."""
    return NodeFacts(
        pair={
            "node": "producer",
            "role": "producer",
            "nodes": [{"name": n, "address": a} for n, a in ADDRESSES.items()],
        },
        cloud_init=CloudInit("done"),
        last_stage_ended=True,
        failed_units=(),
        boot_report={"ok": True, "transport": "EFA", "checks": []},
        rdma_devices={f"rdmap{index}s0": "0x1d0f" for index in range(32)},
        domains=tuple(f"rdmap{index}s0-rdm" for index in range(32)),
        fi_info_error="",
        fi_info_unopened=False,
        efa_driver="2.17.2g",
        efa_module="",
        libfabric="2.1.0amzn3.0",
        efa_installer="1.47.0",
        accelerators=8,
        accelerator="NVIDIA H100 80GB HBM3",
        accelerator_driver="580.65.06",
        accelerator_error="",
        cuda=0,
        cuda_error="",
        gpu_fabric=(("Completed", "Success"),) * 8,
        fabric_manager="",
        memlock="unlimited",
        service_memlock="infinity",
        engines=(),
        local_disks="/dev/mapper/vg.01-lv_ephemeral",
        disk_used=12,
        nixl=Nixl("1.5.0", "LIBFABRIC", "efa", ""),
        nixlbench="/usr/local/nixlbench/bin/nixlbench",
    )


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """As that of all tests, in the region of these. tests/service has it, too, where `aws` is another one."""
    local_aws.reset()
    for name, value in local_aws.environ(REGION).items():
        monkeypatch.setenv(name, value)
    return local_aws


@pytest.fixture
def project(aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A running pair, its outputs, and stand-ins that answer for its nodes."""
    iam = boto3.client("iam")
    iam.create_instance_profile(InstanceProfileName="nodes")
    ec2 = boto3.client("ec2", REGION)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.250.0/24")["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    ids: list[str] = []
    for name in ADDRESSES:
        launched = launch(
            REGION,
            "p5.48xlarge",
            SubnetId=subnet,
            IamInstanceProfile={"Name": "nodes"},
            PrivateIpAddress=f"172.31.250.{10 + len(ids)}",
        )
        ids.append(launched["InstanceId"])
        monkeypatch.setitem(ADDRESSES, name, launched["PrivateIpAddress"])
    found = Project(tmp_path, ids)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
    # A session would put itself in the place of the process that tests.
    monkeypatch.setattr("os.execvpe", lambda *_: pytest.fail("a session was opened"))
    # Run Command of the local AWS says what it was told: here what the scripts print on stand-ins.
    for name, instance_id in zip(ADDRESSES, ids, strict=True):
        answer(aws, instance_id, StandIn(name, tmp_path / name))
    return found


@pytest.fixture
def block_end(project: Project, aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The pair's outputs name instances that run in a bought Capacity Block, which ends then."""
    monkeypatch.setattr(EndpointClock, "now", lambda _: aws.clock.now())  # exactly, not to the second
    ec2 = boto3.client("ec2", REGION)
    offering = soonest_offering(ec2)
    bought = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )["CapacityReservation"]
    aws.clock.set(offering["StartDate"] + timedelta(minutes=1))
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    zone = offering["AvailabilityZone"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.251.0/24", AvailabilityZone=zone)["Subnet"][
        "SubnetId"
    ]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    given: dict[str, Any] = {"SubnetId": subnet, "IamInstanceProfile": {"Name": "nodes"}}
    block = into(bought["CapacityReservationId"])
    launched = [launch(REGION, "p5.48xlarge", **given, **block) for _ in ADDRESSES]
    ids = {f"{name}_instance_id": one["InstanceId"] for name, one in zip(ADDRESSES, launched, strict=True)}
    addresses = {
        f"{name}_private_ip": one["PrivateIpAddress"] for name, one in zip(ADDRESSES, launched, strict=True)
    }
    project.ids[:] = ids.values()
    project.outputs(**ids, **addresses)
    return offering["EndDate"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line, which asks again without waiting."""
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
