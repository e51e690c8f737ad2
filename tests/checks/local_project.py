"""A project's folder beside the local AWS, with stand-ins of the programs that a deployment runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from nixl_efa.cli import main
from tests import states
from tests.launches import into, launch
from tests.offerings import soonest_offering

REGION = "us-east-2"


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
        document = {"version": 4, "resources": states.nodes(**nodes)}
        (self.folder / "state.json").write_text(json.dumps(document), encoding="utf-8")
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
        return launch(REGION, instance_type, zone, {"Name": name}, **into(reservation_id))["InstanceId"]
