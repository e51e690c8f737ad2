"""`nixl-efa verify`, `status` and `connect` against the local AWS, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from nixl_efa.capacity.clock import SystemClock
from nixl_efa.cli import main
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import script
from nixl_efa.rehearsal import LocalAws
from tests.nodes.stand_in import ADDRESSES, GIB, StandIn

REGION = "us-east-1"
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
SETTINGS = 'region = "us-east-1"\ninstance_type = "p5.48xlarge"\n'


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    local_aws.reset()
    for name in [name for name in os.environ if name.startswith(("AWS_", "NIXL_EFA_"))]:
        monkeypatch.delenv(name)
    for name, value in local_aws.environ(REGION).items():
        monkeypatch.setenv(name, value)
    return local_aws


class Project:
    """A project's folder in which prod is deployed, with a stand-in of Terraform that knows its outputs."""

    def __init__(self, folder: Path, ids: list[str]) -> None:
        self.folder = folder
        self.ids = ids
        self.bin = folder / "bin"
        self.bin.mkdir()
        (folder / "environments").mkdir()
        (folder / "environments/prod.toml").write_text(SETTINGS, encoding="utf-8")
        (folder / "cdktf.out/stacks/nixl-efa-prod").mkdir(parents=True)
        self.command("terraform", f'[ "$1" = output ] && cat {folder}/outputs.json')
        self.outputs()

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def outputs(self, **changes: Any) -> None:
        """What Terraform says; None leaves an output out."""
        values: dict[str, Any] = {"efa_interfaces": 32, "capacity_reservation_id": ""}
        for name, instance_id in zip(ADDRESSES, self.ids, strict=True):
            values |= {f"{name}_instance_id": instance_id, f"{name}_private_ip": ADDRESSES[name]}
        document = {name: {"value": value} for name, value in (values | changes).items() if value is not None}
        (self.folder / "outputs.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def project(aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    iam = boto3.client("iam")
    iam.create_instance_profile(InstanceProfileName="nodes")
    ec2 = boto3.client("ec2", REGION)
    image = boto3.client("ssm", REGION).get_parameter(Name=IMAGE)["Parameter"]["Value"]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.250.0/24")["Subnet"]["SubnetId"]
    ids: list[str] = []
    for name in ADDRESSES:
        launched = ec2.run_instances(
            ImageId=image,
            InstanceType="p5.48xlarge",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            IamInstanceProfile={"Name": "nodes"},
            PrivateIpAddress=f"172.31.250.{10 + len(ids)}",
        )["Instances"][0]
        ids.append(launched["InstanceId"])
        monkeypatch.setitem(ADDRESSES, name, launched["PrivateIpAddress"])
    found = Project(tmp_path, ids)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
    # A session would put itself in the place of the process that tests.
    monkeypatch.setattr("os.execvp", lambda *_: pytest.fail("a session was opened"))
    # Run Command of the local AWS says what it was told: here what the scripts print on stand-ins.
    for name, instance_id in zip(ADDRESSES, ids, strict=True):
        answer(aws, instance_id, StandIn(name, tmp_path / name))
    return found


def answer(aws: LocalAws, instance_id: str, node: StandIn) -> None:
    arguments = ("nixlbench", node.name, *ADDRESSES.values(), "LIBFABRIC", "VRAM")
    printed = [
        node.run(Script(script("node-facts.sh")).commands),
        node.run(Script(script("transfer.sh"), arguments).commands),
    ]
    aws.command_output(instance_id, stdout="".join(printed))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_verify_shows_both_nodes_side_by_side_and_the_proof(project: Project, run: Run) -> None:
    code, out, err = run("verify", "prod")
    assert code == 0, out + err
    for words in (
        "producer",
        "consumer",
        "PASS 32 of 32 domains",
        "1.5.1 with LIBFABRIC",
        "over EFA",
        "372.0 Gbps",
    ):
        assert words in out
    assert "Measuring a transfer" in err
    assert "0 FAIL" not in out


def test_verify_as_json_is_one_document_with_every_finding_and_row(project: Project, run: Run) -> None:
    code, out, _ = run("verify", "prod", "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["ok"]) == (0, "nixl-efa/verify/1", True)
    assert [node["name"] for node in document["nodes"]] == ["producer", "consumer"]
    assert {finding["level"] for node in document["nodes"] for finding in node["findings"]} == {"PASS"}
    assert document["transfers"][0]["rows"][1]["size_bytes"] == 67108864
    assert document["transfers"][0]["producer_efa"]["sent_bytes"] == GIB


def test_verify_ends_with_1_and_says_what_to_do_when_it_went_over_tcp(
    project: Project, aws: LocalAws, run: Run, tmp_path: Path
) -> None:
    node = StandIn("consumer", tmp_path / "silent")
    node.over_tcp(GIB)
    answer(aws, project.ids[1], node)
    code, out, _ = run("verify", "prod")
    assert code == 1
    assert "FAIL silent fall-back to TCP" in out
    assert "FAIL fabric: Use the backend LIBFABRIC" in out


def test_a_fault_names_its_nodes_and_what_to_do_once(
    project: Project, aws: LocalAws, run: Run, tmp_path: Path
) -> None:
    for name, instance_id in zip(ADDRESSES, project.ids, strict=True):
        node = StandIn(name, tmp_path / "faulty" / name)
        node.memlock("8192")
        if name == "consumer":
            node.without("nvidia-smi")
        answer(aws, instance_id, node)
    code, out, _ = run("verify", "prod", "--no-transfer")
    assert code == 1
    assert out.count("FAIL memlock (producer and consumer): Restart the SSM agent") == 1
    assert "FAIL accelerators (consumer): Look at `dmesg`" in out


def test_status_shows_the_pair_without_asking_the_nodes(project: Project, aws: LocalAws, run: Run) -> None:
    code, out, _ = run("status", "prod")
    assert code == 0, out
    assert all(instance_id in out for instance_id in project.ids)
    assert "no reservation: nothing ends by itself" in out
    assert "SendCommand" not in aws.calls.actions()


@pytest.fixture
def block_end(project: Project, aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The pair's outputs name instances that run in a bought Capacity Block, which ends then."""
    monkeypatch.setattr(SystemClock, "now", lambda _: aws.clock.now())
    ec2 = boto3.client("ec2", REGION)
    offering = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=24
    )["CapacityBlockOfferings"][0]
    bought = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )["CapacityReservation"]
    aws.clock.set(offering["StartDate"] + timedelta(minutes=1))
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    zone = offering["AvailabilityZone"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.251.0/24", AvailabilityZone=zone)["Subnet"][
        "SubnetId"
    ]
    launched = ec2.run_instances(
        ImageId=boto3.client("ssm", REGION).get_parameter(Name=IMAGE)["Parameter"]["Value"],
        InstanceType="p5.48xlarge",
        MinCount=2,
        MaxCount=2,
        SubnetId=subnet,
        InstanceMarketOptions={"MarketType": "capacity-block"},
        CapacityReservationSpecification={
            "CapacityReservationTarget": {"CapacityReservationId": bought["CapacityReservationId"]}
        },
    )["Instances"]
    ids = {f"{name}_instance_id": one["InstanceId"] for name, one in zip(ADDRESSES, launched, strict=True)}
    addresses = {
        f"{name}_private_ip": one["PrivateIpAddress"] for name, one in zip(ADDRESSES, launched, strict=True)
    }
    project.outputs(**ids, **addresses)
    return offering["EndDate"]


@pytest.mark.parametrize(
    ("left", "code", "strict_code", "words"),
    [
        (timedelta(hours=3), 0, 0, "in 2 h 30 min. The block ends at"),
        (timedelta(hours=2), 0, 1, "WARN capacity: Save your work, or extend the block"),
    ],
)
def test_status_warns_of_a_capacity_block_that_is_about_to_end(
    left: timedelta, code: int, strict_code: int, words: str, block_end: datetime, aws: LocalAws, run: Run
) -> None:
    aws.clock.set(block_end - left)
    seen, out, _ = run("status", "prod")
    assert (seen, words in out) == (code, True), out
    assert "capacity-block" in out
    assert run("status", "prod", "--strict")[0] == strict_code


def test_a_pair_whose_block_is_over_is_one_line(block_end: datetime, aws: LocalAws, run: Run) -> None:
    aws.clock.set(block_end - timedelta(minutes=20))
    code, out, err = run("verify", "prod")
    assert (code, out) == (1, "")
    assert "as EC2 makes a Capacity Block's instances from 30 min before its end" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "outputs", "code", "message"),
    [
        (["status", "prdo"], {}, 2, 'There is no environment "prdo". Did you mean prod?'),
        (
            ["verify", "prod"],
            {"consumer_instance_id": None},
            1,
            "is half-built: its stack has no consumer_instance_id",
        ),
        (["status", "prod"], {"consumer_instance_id": "i-0123456789abcdef0"}, 1, "it was replaced by i-"),
        (
            ["connect", "prod", "proxy"],
            {},
            2,
            "node 'proxy' is none of the pair's: give producer or consumer.",
        ),
    ],
)
def test_bad_input_and_half_built_stacks_are_one_line(
    arguments: list[str], outputs: dict[str, Any], code: int, message: str, project: Project, run: Run
) -> None:
    project.outputs(**outputs)
    seen, out, err = run(*arguments)
    assert (seen, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith("nixl-efa: ")


def test_a_terminated_node_is_one_line(project: Project, run: Run) -> None:
    boto3.client("ec2", REGION).terminate_instances(InstanceIds=[project.ids[0]])
    code, _, err = run("verify", "prod")
    assert code == 1
    assert f"producer {project.ids[0]} is " in err
    assert "run `cdktf deploy nixl-efa-prod`" in err


def test_no_permission_to_look_at_instances_is_one_line(project: Project, aws: LocalAws, run: Run) -> None:
    aws.faults.add("DescribeInstances", code="UnauthorizedOperation")
    code, _, err = run("status", "prod")
    assert code == 1
    assert "ec2:DescribeInstances is not allowed" in err
    assert len(err.splitlines()) == 1


def test_connect_prints_the_command_without_asking_aws(project: Project, aws: LocalAws, run: Run) -> None:
    code, out, _ = run("connect", "prod", "consumer", "--print", "--profile", "my team")
    assert code == 0
    assert out == (
        f"aws ssm start-session --region us-east-1 --target {project.ids[1]} --profile 'my team'\n"
    )
    assert "DescribeInstances" not in aws.calls.actions()[-1:]


def test_connect_becomes_the_session(project: Project) -> None:
    project.command("aws", 'echo "aws $*"; exit 7')
    project.command("session-manager-plugin", "")
    ran = subprocess.run(
        [sys.executable, "-m", "nixl_efa", "connect", "prod", "producer"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (ran.returncode, ran.stderr) == (7, "")
    assert ran.stdout == f"aws ssm start-session --region {REGION} --target {project.ids[0]}\n"


@pytest.mark.parametrize(
    ("have", "message"),
    [
        ([], "aws and session-manager-plugin not found on PATH"),
        (["aws"], "nixl-efa: session-manager-plugin not found on PATH"),
    ],
)
def test_connect_names_the_programs_that_are_missing(
    have: list[str], message: str, project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in have:
        project.command(name, "")
    monkeypatch.setenv("PATH", f"{project.bin}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: name if name in have else None)
    code, _, err = run("connect", "prod", "producer")
    assert code == 1
    assert message in err
    assert "--print" in err


def test_connect_to_a_stopped_node_says_so(project: Project, run: Run) -> None:
    project.command("aws", "")
    project.command("session-manager-plugin", "")
    boto3.client("ec2", REGION).stop_instances(InstanceIds=[project.ids[0]])
    code, _, err = run("connect", "prod", "producer")
    assert code == 1
    assert "a session needs a running instance" in err
