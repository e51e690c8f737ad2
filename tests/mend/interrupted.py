"""A deployment by real programs that is ended in its middle, and a local AWS of its own that it is made into."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import boto3

from local_aws.control import Control
from local_aws.server import client_environ
from nixl_efa.rehearse import server

ROOT = Path(__file__).resolve().parents[2]
REGION, ENVIRONMENT, STATES = "us-east-2", "dev", "terraform-states-"
STACK = f"nixl-efa-{ENVIRONMENT}"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
Backend = Literal["local", "s3"]
# A command that deploys, from the project's folder.
CDKTF = (str(ROOT / "node_modules/.bin/cdktf"), "deploy", STACK, "--auto-approve", "--skip-provider-lock")

# A shell may have started this with SIGINT ignored, which children keep: it is set as at a terminal.
START = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


@dataclass(frozen=True)
class Moment:
    """When a deployment is ended: so many calls of an action were answered, or (in_flight) carried out and not
    answered; `after` so many seconds more."""

    action: str
    calls: int = 1
    after: float = 0.0
    in_flight: bool = False

    def __str__(self) -> str:
        text = f"{self.action}-{self.calls}"
        return text + ("-in-flight" if self.in_flight else "") + (f"-{self.after:g}s" if self.after else "")


@dataclass
class Project:
    """One environment in a folder of its own, and the local AWS that it is deployed into."""

    folder: Path
    environ: dict[str, str]
    endpoint: str
    log: list[str] = field(default_factory=list)

    @property
    def stack_folder(self) -> Path:
        return self.folder / "cdktf.out" / "stacks" / STACK

    @property
    def control(self) -> Control:
        return Control(self.endpoint)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def run(self, command: Sequence[str], *, code: int | None = 0, folder: Path | None = None) -> str:
        """Runs a program to its end; what it printed. `code` None accepts any."""
        ran = subprocess.run(
            command,
            cwd=folder or self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        text = ESCAPES.sub("", ran.stdout)
        self.log.append(f"$ {' '.join(command)}\n{text[-4000:]}\nexit code {ran.returncode}")
        assert code is None or ran.returncode == code, self.story()
        return text

    def cli(self, *words: str, code: int | None = 0) -> str:
        """`nixl-efa ...`"""
        return self.run([sys.executable, "-m", "nixl_efa", *words], code=code)

    def interrupt(self, command: Sequence[str], moment: Moment, how: signal.Signals) -> None:
        """Starts a deployment and ends it at a moment: SIGINT as a terminal sends it, SIGKILL to every process."""
        control, slow = self.control, not moment.in_flight
        with (self.folder / "deploy.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", START, *command],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + 600
        while not self._is_at(moment):
            assert process.poll() is None, self._deploy_log()
            assert time.monotonic() < until, self._deploy_log()
            # From the apply on: the launch that a check tries before it is answered as before.
            if not slow and "CreateRole" in control.calls.actions():
                control.faults.add(moment.action, late=60.0, times=None)
                slow = True
            time.sleep(0.02)
        time.sleep(moment.after)
        if how is signal.SIGKILL:
            # cdktf runs Terraform in a terminal of its own, so it is in no group with it.
            for number in reversed(descendants(process.pid)):
                os.kill(number, signal.SIGKILL)
        else:
            os.killpg(process.pid, how)
        control.faults.clear()
        process.wait(timeout=600)
        wait_for_end_of(self.stack_folder)
        self.log.append(f"{how.name} at {moment}:\n{self._deploy_log()}")

    def _is_at(self, moment: Moment) -> bool:
        launches = self.control.launches()
        if moment.in_flight:
            return sum(not one["dry_run"] for one in launches) >= moment.calls
        answered = self.control.calls.actions().count(moment.action)
        # The check of `nixl-efa deploy` tries the launch before it.
        tried = sum(one["dry_run"] for one in launches) if moment.action == "RunInstances" else 0
        return answered - tried >= moment.calls

    def _deploy_log(self) -> str:
        text = ESCAPES.sub("", (self.folder / "deploy.log").read_text(errors="replace"))
        return "\n".join(line for line in text.splitlines() if line.strip())[-3000:]

    def story(self) -> str:
        """All that happened, for a test that fails."""
        return "\n\n".join(self.log)

    def instances(self) -> dict[str, str]:
        """The Name tags of the instances that run, by id."""
        found = self.client("ec2").describe_instances(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )
        return {
            one["InstanceId"]: next(tag["Value"] for tag in one["Tags"] if tag["Key"] == "Name")
            for reservation in found["Reservations"]
            for one in reservation["Instances"]
        }

    def inventory(self) -> dict[str, int]:
        """How many there are of each thing that a deployment makes, and of no account's own."""
        ec2, iam = self.client("ec2"), self.client("iam")
        groups = ec2.describe_security_groups()["SecurityGroups"]
        return {
            "instances": len(self.instances()),
            "interfaces": len(ec2.describe_network_interfaces()["NetworkInterfaces"]),
            "volumes": len(ec2.describe_volumes()["Volumes"]),
            "addresses": len(ec2.describe_addresses()["Addresses"]),
            "templates": len(ec2.describe_launch_templates()["LaunchTemplates"]),
            "groups": sum(group["GroupName"] != "default" for group in groups),
            "rules": len(
                [
                    rule
                    for group in groups
                    if group["GroupName"] != "default"
                    for rule in ec2.describe_security_group_rules(
                        Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}]
                    )["SecurityGroupRules"]
                ]
            ),
            "placement groups": len(ec2.describe_placement_groups()["PlacementGroups"]),
            "roles": len(iam.list_roles()["Roles"]),
            "profiles": len(iam.list_instance_profiles()["InstanceProfiles"]),
            "buckets": len(self.buckets()),
        }

    def buckets(self) -> list[str]:
        """The buckets that deployments made."""
        found = self.client("s3").list_buckets()["Buckets"]
        return [one["Name"] for one in found if not one["Name"].startswith(STATES)]

    def plan_is_empty(self) -> bool:
        """Whether Terraform has nothing to do."""
        text = self.run(
            ["terraform", "plan", "-input=false", "-no-color", "-detailed-exitcode"],
            code=None,
            folder=self.stack_folder,
        )
        return "No changes." in text

    def mend(self) -> str:
        """`nixl-efa mend`, told to take over only where it says that nothing else can know whose the pair is."""
        text, until = self.cli("mend", ENVIRONMENT, "--yes", code=None), time.monotonic() + 120
        # As it says: another run on this machine, whose folder is removed by now, can't be told from this stack's.
        while "is still working" in text and time.monotonic() < until:
            time.sleep(1)
            text = self.cli("mend", ENVIRONMENT, "--yes", code=None)
        return self.cli("mend", ENVIRONMENT, "--yes", "--take-over") if "--take-over" in text else text

    def fresh_clone(self) -> None:
        """Another machine's folder: no state of ours, nothing synthesized."""
        for name in ("cdktf.out", "state"):
            if (self.folder / name).exists():
                (self.folder / name).rename(self.folder / f"lost-{name}")


# What a deployment of dev (g7e.8xlarge: one ENA and one EFA interface) makes.
DEPLOYED = {
    "instances": 2,
    "interfaces": 4,
    "volumes": 2,
    "addresses": 2,
    "templates": 2,
    "groups": 1,
    "rules": 6,
    "placement groups": 1,
    "roles": 1,
    "profiles": 1,
    "buckets": 1,
}


def descendants(process: int) -> list[int]:
    """A process and all that come from it, itself first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found


def wait_for_end_of(folder: Path, seconds: float = 600.0) -> None:
    """Until no Terraform works in a folder any more."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(_works_in(process, folder) for process in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.1)
    raise AssertionError(f"a Terraform still works in {folder}")


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "comm").read_text().startswith("terraform") and (
            process / "cwd"
        ).readlink() == folder.resolve()
    except OSError:
        return False


@contextmanager
def project(folder: Path, backend: Backend, environ: dict[str, str]) -> Iterator[Project]:
    """A project's folder and a local AWS of its own. environ: of Terraform (its provider's mirror)."""
    folder.mkdir(parents=True)
    for name in ("cdktf.json", "environments", "scripts", "node_modules"):
        (folder / name).symlink_to(ROOT / name)
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("AWS_", "NIXL_EFA_", "CDKTF_"))
    }
    started = server.start(sys.executable, folder, 0, REGION, {**kept, "PYTHONPATH": str(ROOT)})
    try:
        variables = {
            "PYTHONPATH": str(ROOT),
            "NIXL_EFA_ENVIRONMENTS": ENVIRONMENT,
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }
        # Of this run alone: another one beside it on this machine must not seem to work on the same state.
        bucket = f"{STATES}{secrets.token_hex(6)}"
        if backend == "s3":
            variables["NIXL_EFA_DEV_BACKEND"] = json.dumps({"type": "s3", "bucket": bucket})
        made = Project(
            folder, {**kept, **client_environ(started.endpoint, REGION), **variables}, started.endpoint
        )
        if backend == "s3":
            made.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        yield made
    finally:
        server.stop(started.process)
