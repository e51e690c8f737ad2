"""The real cdktf CLI, Terraform and AWS provider against the local AWS, in a folder of the test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws.server import LocalAws
from nixl_efa.efa_layout import layout
from nixl_efa.instance_types import find
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from tests.offerings import soonest_offering

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

ROOT = Path(__file__).resolve().parent.parent.parent
REGION = "us-east-2"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Done:
    """How a program ended and all it said, without terminal escapes and frames."""

    code: int
    text: str


@dataclass
class Project:
    """One environment, deployed from a folder of its own into the local AWS."""

    folder: Path
    environment: str
    environ: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        return f"nixl-efa-{self.environment}"

    @property
    def stack_folder(self) -> Path:
        return self.folder / "cdktf.out" / "stacks" / self.stack

    def cdktf(self, verb: str, *arguments: str, code: int | None = 0) -> Done:
        """The cdktf CLI; `code` None accepts any end."""
        command = [str(ROOT / "node_modules" / ".bin" / "cdktf"), verb, *arguments]
        return self._run(command, self.folder, code)

    def deploy(self, code: int | None = 0) -> Done:
        return self.cdktf("deploy", self.stack, "--auto-approve", "--skip-provider-lock", code=code)

    def destroy(self) -> Done:
        return self.cdktf("destroy", self.stack, "--auto-approve")

    def terraform(self, *arguments: str, code: int | None = 0) -> Done:
        return self._run(["terraform", *arguments], self.stack_folder, code)

    def plan(self) -> Done:
        """`terraform plan -detailed-exitcode`: 0 empty, 2 with changes."""
        done = self.terraform("plan", "-input=false", "-no-color", "-detailed-exitcode", code=None)
        assert done.code in (0, 2), done.text
        return done

    def synthesize(self) -> None:
        self.cdktf("synth")
        # The CLI throws away what `init` made only together with the whole folder.
        self.terraform("init", "-input=false")

    def outputs(self) -> dict[str, Any]:
        found = json.loads(self.terraform("output", "-json").text)
        return {name: output["value"] for name, output in found.items()}

    def _run(self, command: list[str], folder: Path, code: int | None) -> Done:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**self.environ, **self.variables, "NIXL_EFA_ENVIRONMENTS": self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        text = ESCAPES.sub("", done.stdout)
        if code is not None:
            assert done.returncode == code, text[-6000:]
        return Done(done.returncode, text)


@pytest.fixture(scope="session")
def terraform_variables() -> Iterator[dict[str, str]]:
    assert (ROOT / "node_modules" / ".bin" / "cdktf").exists(), "cdktf-cli is missing: run `make install`"
    with terraform_environ(os.environ) as environ:
        yield environ


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws() as local:
        yield local


@pytest.fixture(scope="module")
def make_project(
    aws: LocalAws, terraform_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    def make(environment: str) -> Project:
        folder = tmp_path_factory.mktemp(environment)
        for name in ("cdktf.json", "environments", "scripts"):
            (folder / name).symlink_to(ROOT / name)
        kept = {
            name: value
            for name, value in terraform_variables.items()
            if not name.startswith(("AWS_", "NIXL_EFA_", "CDKTF_"))
        }
        local = {
            name: value
            for name, value in aws.environ(REGION).items()
            if name.startswith(("AWS_", "NO_", "no_"))
        }
        return Project(folder, environment, {**kept, **local})

    return make


@pytest.fixture(scope="module")
def ec2(aws: LocalAws) -> EC2Client:
    made: EC2Client = client(aws, "ec2")
    return made


def client(aws: LocalAws, service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name=REGION,
        endpoint_url=aws.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def put_parameter(aws: LocalAws, name: str, value: str) -> None:
    client(aws, "ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def buy_block(aws: LocalAws, ec2: EC2Client, *, active: bool, zone: str | None = None) -> tuple[str, str]:
    """Buy the next block for two p5.48xlarge; its reservation's id and its zone."""
    offering = soonest_offering(ec2, zone=zone)
    bought = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )["CapacityReservation"]
    if active:
        aws.clock.set(max(offering["StartDate"], aws.clock.now()) + timedelta(minutes=5))
    else:
        aws.clock.advance(timedelta(minutes=10))
    return bought["CapacityReservationId"], offering["AvailabilityZone"]


def save_block(aws: LocalAws, reservation: str, zone: str) -> None:
    """What `nixl-efa capacity save` writes for prod."""
    put_parameter(aws, "/nixl-efa/capacity-reservation-id", reservation)
    put_parameter(aws, "/nixl-efa/prod/availability-zone", zone)


def running(ec2: EC2Client, environment: str) -> dict[str, Any]:
    """The environment's running instances by role."""
    answer = ec2.describe_instances(
        Filters=[
            {"Name": "tag:Environment", "Values": [environment]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )
    instances = [instance for one in answer["Reservations"] for instance in one["Instances"]]
    return {tag["Value"]: one for one in instances for tag in one["Tags"] if tag["Key"] == "Role"}


def assert_planned_interfaces(instance: Any) -> None:
    """Every interface stands on its planned card and device, and no other is there."""
    planned = {
        (one.network_card_index, one.device_index, one.interface_type)
        for one in layout(find(instance["InstanceType"]))
    }
    seen = {
        (one["Attachment"].get("NetworkCardIndex", 0), one["Attachment"]["DeviceIndex"], one["InterfaceType"])
        for one in instance["NetworkInterfaces"]
    }
    assert seen == planned


def assert_nothing_left(ec2: EC2Client, environment: str) -> None:
    """No instance, interface, volume, address, group or template of the environment is there."""
    tagged: Any = [{"Name": "tag:Environment", "Values": [environment]}]
    assert running(ec2, environment) == {}
    assert ec2.describe_network_interfaces(Filters=tagged)["NetworkInterfaces"] == []
    assert ec2.describe_volumes(Filters=tagged)["Volumes"] == []
    assert ec2.describe_addresses(Filters=tagged)["Addresses"] == []
    assert ec2.describe_security_groups(Filters=tagged)["SecurityGroups"] == []
    assert ec2.describe_launch_templates(Filters=tagged)["LaunchTemplates"] == []
    assert ec2.describe_placement_groups(Filters=tagged)["PlacementGroups"] == []
