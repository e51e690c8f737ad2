"""A project whose cdktf and Terraform are stand-ins that note how they were run; the plans are those that the real ones
made."""

import io
import json
import sys
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from nixl_efa.settings.model import STACK_TAG
from tests import states
from tests.checks.in_order import NOW
from tests.checks.local_project import REGION, Project
from tests.deploy.cases import recorded
from tests.launches import launch

PLANNED = ["init", "plan", "show"]
APPLIED = [*PLANNED, "apply"]
STACK = "nixl-efa-dev"
# Notes how it is run in a stack's folder; `show` prints the next of the plans, the last one again and again.
TERRAFORM = """
case "$PWD" in */stacks/*) echo "$@" >> "$ROOT/terraform.log" ;; esac
case "$1" in
version) echo '{"terraform_version": "1.11.4"}' ;;
show) ls "$ROOT"/plan.* | head -1 | { read file; cat "$file"; [ $(ls "$ROOT"/plan.* | wc -l) = 1 ] || rm "$file"; } ;;
state) [ ! -e "$ROOT/state.json" ] || cat "$ROOT/state.json" ;;
apply) echo "Apply complete"; exit $(cat "$ROOT/apply.code") ;;
esac
"""


class Terminal(io.StringIO):
    """A terminal on which an answer is typed."""

    def isatty(self) -> bool:
        return True


class Deploying:
    """A project whose Terraform makes a recorded plan."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("ROOT", str(project.folder))
        project.program("bin/terraform", TERRAFORM.strip())
        project.program(
            "node_modules/cdktf-cli/bundle/bin/cdktf",
            f'echo "$@" >> cdktf.log; env >> cdktf.env; mkdir -p cdktf.out/stacks/{STACK}',
        )
        self.applies(0)
        self.plans("nothing")
        self.types("")

    def plans(self, *names: str) -> None:
        """What Terraform plans, one after the other."""
        for number, name in enumerate(names):
            document = recorded(name)
            (self.project.folder / f"plan.{number}").write_text(json.dumps(document), encoding="utf-8")

    def applies(self, code: int) -> None:
        """How an apply ends."""
        (self.project.folder / "apply.code").write_text(str(code), encoding="utf-8")

    def types(self, answer: str | None) -> None:
        """The answer on the terminal; "" without one."""
        stdin = Terminal(f"{answer}\n") if answer else io.StringIO()
        self._monkeypatch.setattr(sys, "stdin", stdin)

    def terraform(self) -> list[str]:
        """What Terraform was told to do, without options and files; without the reading of the state."""
        log = self.project.folder / "terraform.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line.split()[0] for line in lines if not line.startswith(("version", "state pull"))]

    def cdktf(self) -> list[str]:
        """How cdktf was run."""
        log = self.project.folder / "cdktf.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        # Each is made into a folder of its own: `synth --output FOLDER`.
        return [line.split()[0] for line in lines]


LOCK = """\
provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.100.0"
  constraints = ">= 5.100.0, < 7.0.0"
}
"""


def deployed(project: Project) -> None:
    """Two running nodes, and a state that names them."""
    iam = boto3.client("iam", REGION)
    iam.create_instance_profile(InstanceProfileName="nodes")
    boto3.client("ec2", REGION).create_placement_group(GroupName="nixl-efa-dev-pair", Strategy="cluster")
    outputs: dict[str, Any] = {"efa_interfaces": 1, "capacity_reservation_id": ""}
    resources: list[dict[str, Any]] = []
    for node in ("producer", "consumer"):
        launched = launch(
            REGION,
            "g7e.8xlarge",
            tags={"Name": f"nixl-efa-dev-{node}", STACK_TAG: f"{STACK} local"},
            Placement={"GroupName": "nixl-efa-dev-pair"},
            IamInstanceProfile={"Name": "nodes"},
        )
        outputs[f"{node}_instance_id"] = launched["InstanceId"]
        outputs[f"{node}_private_ip"] = launched["PrivateIpAddress"]
        resources.append(states.node(node, launched["InstanceId"]))
    told = {name: {"value": value} for name, value in outputs.items()}
    state = {"version": 4, "outputs": told, "resources": resources}
    (project.folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (project.folder / "environments" / "dev.lock.hcl").write_text(LOCK, encoding="utf-8")


class MovingClock:
    """Moves when somebody waits."""

    def __init__(self) -> None:
        self._now = NOW
        self.waits: list[float] = []

    def now(self) -> datetime:
        """The time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Moves on."""
        self.waits.append(seconds)
        self._now += timedelta(seconds=seconds)
