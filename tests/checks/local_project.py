"""A project's folder beside the local AWS, with stand-ins of the programs that a deployment runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from nixl_efa.cli import main
from tests.offerings import soonest_offering

REGION = "us-east-2"
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Project:
    """environments/dev.toml (g7e.8xlarge, On-Demand) and programs that note how they were run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "environments").mkdir()
        self.environment("dev", instance_type="g7e.8xlarge")
        self.terraform()
        self.program("bin/node", "echo v20.20.2")
        package = folder / "node_modules/cdktf-cli"
        self.program("node_modules/cdktf-cli/bundle/bin/cdktf", 'echo "$@" >> cdktf.log; env >> cdktf.env')
        (package / "package.json").write_text('{"name": "cdktf-cli", "version": "0.21.0"}', encoding="utf-8")
        (folder / "node_modules/.bin").mkdir()
        (folder / "node_modules/.bin/cdktf").symlink_to("../cdktf-cli/bundle/bin/cdktf")

    def environment(self, name: str, **settings: Any) -> None:
        """Writes an environment's file, of a p5.48xlarge unless another type is given."""
        values = {"region": REGION, "instance_type": "p5.48xlarge", **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (self.folder / f"environments/{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def terraform(self, **nodes: str) -> None:
        """A stand-in of Terraform whose state knows these instances, by the node's name."""
        resources = [
            {
                "mode": "managed",
                "type": "aws_instance",
                "name": name,
                "instances": [{"attributes": {"id": one}}],
            }
            for name, one in nodes.items()
        ]
        (self.folder / "state.json").write_text(json.dumps({"version": 4, "resources": resources}))
        self.program(
            "bin/terraform",
            f"""case $1 in
            state) cat {self.folder}/state.json ;;
            *) echo '{{"terraform_version": "1.11.4"}}' ;;
            esac""",
        )

    def program(self, path: str, script: str) -> None:
        """A shell script that can be run."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)

    def run(self, *arguments: str) -> Ran:
        """Runs the command line in the folder."""
        self._capsys.readouterr()
        code = main(list(arguments))
        said = self._capsys.readouterr()
        return Ran(code, said.out, said.err)

    def buy_block(self, region: str = REGION, zone: str | None = None) -> dict[str, Any]:
        """Buys a block for a pair of p5.48xlarge, in any zone, and gives the settings that launch into it."""
        ec2 = boto3.client("ec2", region)
        offering = soonest_offering(ec2, zone=zone)
        bought = ec2.purchase_capacity_block(
            CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )["CapacityReservation"]
        return {
            "use_capacity_block": True,
            "capacity_reservation_id": bought["CapacityReservationId"],
            "availability_zone": bought["AvailabilityZone"],
        }

    def launch(self, instance_type: str, reservation_id: str, zone: str, name: str = "other") -> str:
        """Launches one instance into a block."""
        ec2 = boto3.client("ec2", REGION)
        subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"][0]
        image = boto3.client("ssm", REGION).get_parameter(Name=IMAGE)["Parameter"]["Value"]
        launched = ec2.run_instances(
            ImageId=image,
            InstanceType=instance_type,  # type: ignore[arg-type]
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet["SubnetId"],
            InstanceMarketOptions={"MarketType": "capacity-block"},
            CapacityReservationSpecification={
                "CapacityReservationTarget": {"CapacityReservationId": reservation_id}
            },
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
        )
        return launched["Instances"][0]["InstanceId"]
