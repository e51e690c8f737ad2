"""A deployed pair of p5.48xlarge in the local AWS, and a project's folder whose Terraform knows its state."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws import LocalAws
from nixl_efa.nodes import files
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import script
from tests import states
from tests.nodes.stand_in import ADDRESSES, StandIn

REGION = "us-east-1"
SETTINGS = 'region = "us-east-1"\ninstance_type = "p5.48xlarge"\n'

# Runs the command line: exit code, stdout, stderr.
Run = Callable[..., tuple[int, str, str]]


class Project:
    """A project's folder in which prod is deployed, with a stand-in of Terraform that knows its outputs."""

    def __init__(self, folder: Path, ids: list[str]) -> None:
        self.folder = folder
        self.ids = ids
        self.bin = folder / "bin"
        self.bin.mkdir()
        (folder / "environments").mkdir()
        (folder / "environments/prod.toml").write_text(SETTINGS, encoding="utf-8")
        self.command("terraform", f'[ "$1" = init ] || cat {folder}/$1.json')
        self.outputs()

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def outputs(self, **changes: Any) -> None:
        """What the state holds; None leaves an output out."""
        values: dict[str, Any] = {
            "efa_interfaces": 32,
            "capacity_reservation_id": "",
            "scripts_bucket": "nixl-efa-prod-scripts",
        }
        for name, instance_id in zip(ADDRESSES, self.ids, strict=True):
            values |= {f"{name}_instance_id": instance_id, f"{name}_private_ip": ADDRESSES[name]}
        resources = states.nodes(**dict(zip(ADDRESSES, self.ids, strict=True)))
        outputs = {name: {"value": value} for name, value in (values | changes).items() if value is not None}
        document = {"outputs": outputs, "resources": resources}
        (self.folder / "state.json").write_text(json.dumps(document), encoding="utf-8")


def answer(aws: LocalAws, instance_id: str, node: StandIn) -> None:
    """Lets Run Command say on an instance what the scripts print on a stand-in."""
    own, other = ADDRESSES[node.name], next(one for name, one in ADDRESSES.items() if name != node.name)
    arguments = ("nixl", node.name, own, other, "LIBFABRIC", "DRAM", "", "60", "")
    printed = [
        node.run(
            Script(f"{script('node-facts.sh')}{files.sums().text}", files.arguments(node.files)).commands
        ),
        node.run(Script(script("transfer.sh"), arguments).commands),
    ]
    aws.command_output(instance_id, stdout="".join(printed))
