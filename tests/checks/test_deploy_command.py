"""`nixl-efa deploy`: the check, then cdktf, then verify; each only when the one before it went well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa import deploy
from nixl_efa.failure import Failure
from nixl_efa.settings import Settings
from tests.checks.in_order import NOW
from tests.checks.local_project import IMAGE, REGION, Project


def log(project: Project) -> list[str]:
    """How cdktf was run, a line a run."""
    file = project.folder / "cdktf.log"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def test_a_good_check_is_followed_by_cdktf_with_its_arguments(project: Project) -> None:
    ran = project.run("deploy", "dev", "--no-verify", "--auto-approve", "--outputs-file", "out.json")
    assert ran.code == 0, ran
    assert log(project) == ["deploy nixl-efa-dev --auto-approve --outputs-file out.json"]
    environ = (project.folder / "cdktf.env").read_text(encoding="utf-8").splitlines()
    assert "NIXL_EFA_ENVIRONMENTS=dev" in environ
    # The check was just made: it is not made again at synthesis.
    assert "NIXL_EFA_DEV_CHECK=off" in environ


def test_a_failed_check_stops_before_cdktf(project: Project, aws: LocalAws) -> None:
    aws.faults.add(action="RunInstances", code="InsufficientInstanceCapacity", message="No capacity.")
    ran = project.run("deploy", "dev")
    assert ran.code == 1
    assert "FAIL  dry run" in ran.out
    assert "nixl-efa-dev was not deployed" in ran.err
    assert log(project) == []


def test_another_account_stops_a_deployment(project: Project) -> None:
    project.environment("dev", instance_type="g7e.8xlarge", account_id="999999999999")
    ran = project.run("deploy", "dev")
    assert ran.code == 1
    assert "FAIL  account " in ran.out
    assert log(project) == []


def test_a_block_that_starts_later_stops_a_deployment(project: Project, aws: LocalAws) -> None:
    project.environment("prod", **project.buy_block())
    aws.advance(timedelta(minutes=10))
    ran = project.run("deploy", "prod")
    assert ran.code == 1
    assert "FAIL  reservation state" in ran.out
    assert log(project) == []


def test_strict_stops_on_a_warning(project: Project) -> None:
    project.environment("dev", instance_type="g7e.2xlarge")
    assert project.run("deploy", "dev", "--no-verify").code == 0
    assert len(log(project)) == 1
    assert project.run("deploy", "dev", "--no-verify", "--strict").code == 1
    assert len(log(project)) == 1


def test_a_failure_of_cdktf_is_told_with_its_code(project: Project) -> None:
    project.program("node_modules/cdktf-cli/bundle/bin/cdktf", "exit 3")
    ran = project.run("deploy", "dev")
    assert ran.code == 1
    assert "cdktf deploy ended with exit code 3; nothing was verified" in ran.err


def test_without_cdktf_nothing_is_checked(project: Project, aws: LocalAws) -> None:
    (project.folder / "node_modules/.bin/cdktf").unlink()
    aws.calls.clear()
    ran = project.run("deploy", "dev")
    assert ran.code == 1
    assert "make install" in ran.err
    assert aws.calls.actions() == ()


def test_after_cdktf_the_pair_is_verified(
    project: Project, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)
    deployed(project)
    ran = project.run("deploy", "dev")
    # Run Command of the local AWS prints nothing here, and verify says so.
    assert "Waiting for the nodes' first boot" in ran.err
    assert "Asking both nodes through Run Command" in ran.err
    assert "FAIL" in ran.out
    assert ran.code == 1
    assert "SendCommand" in aws.calls.actions()


def deployed(project: Project) -> None:
    """Two running nodes, and outputs that name them."""
    iam = boto3.client("iam", REGION)
    iam.create_instance_profile(InstanceProfileName="nodes")
    ec2 = boto3.client("ec2", REGION)
    image = boto3.client("ssm", REGION).get_parameter(Name=IMAGE)["Parameter"]["Value"]
    outputs: dict[str, Any] = {"efa_interfaces": 1, "capacity_reservation_id": ""}
    for node in ("producer", "consumer"):
        launched = ec2.run_instances(
            ImageId=image,
            InstanceType="g7e.8xlarge",
            MinCount=1,
            MaxCount=1,
            IamInstanceProfile={"Name": "nodes"},
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": f"nixl-efa-dev-{node}"}]}
            ],
        )["Instances"][0]
        outputs[f"{node}_instance_id"] = launched["InstanceId"]
        outputs[f"{node}_private_ip"] = launched["PrivateIpAddress"]
    (project.folder / "cdktf.out/stacks/nixl-efa-dev").mkdir(parents=True)
    said = project.folder / "outputs.json"
    said.write_text(json.dumps({name: {"value": value} for name, value in outputs.items()}), encoding="utf-8")
    project.program(
        "bin/terraform",
        f"""if [ "$1" = output ]; then cat {said}; else echo '{{"terraform_version": "1.11.4"}}'; fi""",
    )


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


class Registering:
    """Systems Manager, in which a node is registered at the given try."""

    def __init__(self, at_try: int) -> None:
        self._at_try = at_try
        self.tries = 0

    def send_command(self, **_: Any) -> dict[str, Any]:
        """Refused before the node is registered."""
        from botocore.exceptions import ClientError

        self.tries += 1
        if self.tries < self._at_try:
            raise ClientError({"Error": {"Code": "InvalidInstanceId", "Message": ""}}, "SendCommand")
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, **_: Any) -> dict[str, Any]:
        """Done at once."""
        return {"Status": "Success", "StandardOutputContent": ""}


@pytest.mark.parametrize(("at_try", "minutes", "booted"), [(1, 1, True), (3, 5, True), (1000, 5, False)])
def test_the_boot_is_waited_for_until_the_limit(at_try: int, minutes: int, booted: bool) -> None:
    clock, ssm = MovingClock(), Registering(at_try)
    limit = timedelta(minutes=minutes)
    assert deploy.wait_for_boot(ssm, ["i-1"], clock, limit, lambda _: None) is booted  # type: ignore[arg-type]
    assert clock.now() <= NOW + limit
    assert ssm.tries == (at_try if booted else len(clock.waits) + 1)


def test_a_cdktf_that_cannot_be_run_is_a_failure(tmp_path: Path) -> None:
    wanted = deploy.Deployment(command=(str(tmp_path / "gone"),), environ={})
    with pytest.raises(Failure, match=r"gone can't be run: No such file"):
        deploy.deploy(wanted, tmp_path, deploy.execute)


INTERRUPTED = """
import os, sys
from pathlib import Path
from nixl_efa.deploy import execute
print("ended with", execute([sys.argv[1]], Path.cwd(), os.environ))
"""


def test_cdktf_ends_in_order_when_it_is_interrupted(project: Project) -> None:
    # As Terraform does: told to stop, it still writes its state, which takes longer than Python waits by itself.
    stopping = "trap 'kill $!; sleep 1; echo saved > state; exit 3' INT"
    project.program("slow", f"{stopping}\nsleep 60 > /dev/null &\necho begun\nwait")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(project.folder / "slow")],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    # What a terminal does at Ctrl-C: the whole group is told.
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said == "ended with 3\n"
    assert (project.folder / "state").read_text(encoding="utf-8") == "saved\n"


def test_the_profile_reaches_cdktf(project: Project) -> None:
    settings = Settings(name="dev", instance_type="g7e.8xlarge")
    wanted = deploy.deployment(settings, project.folder, {"PATH": "/bin", "A": "1"}, ["-y"], "ann")
    assert wanted.environ["AWS_PROFILE"] == "ann"
    assert wanted.environ["A"] == "1"
    assert wanted.command[1:] == ("deploy", "nixl-efa-dev", "-y")
