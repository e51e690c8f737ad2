"""A local AWS that is killed takes its machines with it; what is left of it goes with the next run."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws.control import Control
from local_aws.machines import processes
from local_aws.machines.root import home
from local_aws.machines.run import clean_up
from local_aws.server import client_environ
from tests.launches import IMAGE
from tests.real_nodes.conftest import REGION, wait_until

CGROUPS = Path("/sys/fs/cgroup")


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = folder / "port"
    command = [sys.executable, "-m", "local_aws", "--machines", "--port", "0", "--port-file", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(port.exists, "the local AWS")
    return process, f"http://127.0.0.1:{port.read_text().strip()}"


def boot(endpoint: str) -> int:
    """An instance whose machine is up; the pid of its systemd."""
    names = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    keys = {name.lower(): value for name, value in client_environ(endpoint).items() if name in names}
    session: Any = boto3.Session()
    ec2, ssm = (
        session.client(name, region_name=REGION, endpoint_url=endpoint, **keys) for name in ("ec2", "ssm")
    )
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    ec2.run_instances(ImageId=image, InstanceType="g7e.8xlarge", MinCount=1, MaxCount=1)
    control = Control(endpoint)
    wait_until(lambda: [one["state"] for one in control.machines().values()] == ["up"], "the machine")
    [machine] = control.machines().values()
    return int(machine["pid"])


def left_of(run: str) -> list[Path]:
    """Folders, control groups and mounts of a run."""
    groups = [*CGROUPS.glob(f"nixl-efa-{run}"), *CGROUPS.glob(f"*/nixl-efa-{run}")]
    mounts = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines() if run in line]
    return [path for path in (home(os.environ) / "runs" / run, *groups, *mounts) if path.exists()]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.matrix),
        pytest.param(signal.SIGINT, marks=pytest.mark.matrix),
    ],
)
def test_nothing_is_left_of_a_local_aws_that_ended(tmp_path: Path, number: signal.Signals) -> None:
    process, endpoint = start(tmp_path)
    run = processes.identity(process.pid)
    leader = processes.identity(boot(endpoint))
    assert left_of(run)
    process.send_signal(number)
    process.wait(20)
    wait_until(lambda: not processes.is_alive(leader), "the machine's end", seconds=5)
    if number is signal.SIGKILL:
        # The start of another test's run may be at it already.
        clean_up(home(os.environ))
    wait_until(lambda: not left_of(run), "what was left to be gone", seconds=5)


@pytest.mark.usefixtures("tree")
def test_a_run_that_lives_is_no_leftover(tmp_path: Path) -> None:
    process, endpoint = start(tmp_path)
    leader = processes.identity(boot(endpoint))
    try:
        assert processes.identity(process.pid) not in clean_up(home(os.environ))
        assert processes.is_alive(leader)
    finally:
        process.terminate()
        process.wait(20)
