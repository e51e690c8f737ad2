"""`nixl-efa rehearse` as a user runs it, also when something is missing or stops it."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.cli.environments import environment_settings
from nixl_efa.rehearse.many_nodes import variables, with_parameters
from nixl_efa.rehearse.workspace import WRITTEN
from tests.end_to_end.conftest import ROOT

pytestmark = pytest.mark.end_to_end
COMMAND = [sys.executable, "-m", "nixl_efa", "rehearse"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project folder whose environments use the repository's files; what still runs is killed at the end."""
    for name in ("cdktf.json", "scripts", "node_modules"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "environments").symlink_to(ROOT / "environments")
    yield tmp_path
    for pid in server_pids(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def server_pids(project: Path) -> list[int]:
    return [int(path.read_text()) for path in project.glob(".rehearsal/*/local-aws.pid")]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def environ(**changed: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **changed}


def run(project: Path, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=project,
        env=environ(**changed),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_rehearsal_deploys_shows_destroys_and_leaves_nothing_running(project: Path) -> None:
    # Real credentials and a real state must not be met.
    done = run(
        project, "dev", AWS_PROFILE="production", AWS_ACCESS_KEY_ID="AKIAREAL", TF_WORKSPACE="production"
    )

    assert done.returncode == 0, done.stderr
    for shown in (
        "Apply complete! Resources: 30 added",
        "No changes. Your infrastructure matches the configuration.",
        "1 x interface on card 0, 1 x efa-only on card 0",
        "Destroy complete! Resources: 30 destroyed.",
        "What this run assumed about AWS and nobody has documented (docs/facts.md)",
        "  quota-values-made-up: The values of the quotas are made up",
        "rehearsed, destroyed, and nothing left running",
    ):
        assert shown in done.stderr
    assert not any(is_alive(pid) for pid in server_pids(project))
    assert not (project / "state").exists()
    assert not (project / "cdktf.out").exists()


def test_what_belongs_to_the_account_is_set_aside_and_a_kept_rehearsal_can_be_looked_at(
    project: Path, tmp_path: Path
) -> None:
    kept = run(project, "dev", "--keep", NIXL_EFA_DEV_VPC_ID="vpc-0123456789abcdef0", NIXL_EFA_DEV_BACKEND=S3)

    assert kept.returncode == 0, kept.stderr
    assert (
        "set aside, since they belong to your account: vpc_id (vpc-0123456789abcdef0), backend (s3)"
        in kept.stderr
    )
    [pid] = server_pids(project)
    assert is_alive(pid)
    # Every line that it says, in a shell that knows nothing of it.
    said = kept.stderr.partition("stop it by the last line:\n")[2].splitlines()
    done = pasted(said[:-1], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Terraform's state and EC2 agree on what runs." in done.stdout
    if shutil.which("aws"):
        assert '"running"' in done.stdout
    assert is_alive(pid)
    assert said[-1] == f"  kill {pid}"

    again = run(project, "dev")

    assert again.returncode == 1
    assert again.stderr.strip() == (
        f"nixl-efa: an earlier rehearsal of dev was kept and still runs: end it with `kill {pid}`"
    )
    assert pasted(said[-1:], tmp_path).returncode == 0


def pasted(lines: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    """What a shell of a user's makes of lines, with another account in its variables."""
    other = {"AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "theirs", "NIXL_EFA_DEV_REGION": "eu-north-1"}
    return subprocess.run(
        ["sh", "-e"],
        input="\n".join(lines),
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **other},
        capture_output=True,
        text=True,
        check=False,
    )


MANY = """\
region = "us-east-2"
instance_type = "p5.4xlarge"
use_capacity_block = true
availability_zone_parameter = "/nixl-efa/many/availability-zone"
producers = 2
consumers = 4

[[capacity]]
capacity_reservation_parameter = "/nixl-efa/many/capacity-reservation-id"
producers = 2
consumers = 1

[[capacity]]
capacity_reservation_parameter = "/nixl-efa/many/2/capacity-reservation-id"
consumers = 3
"""


@pytest.mark.matrix
def test_many_nodes_over_two_blocks_grow_by_one_and_outlive_the_earlier_block(tmp_path: Path) -> None:
    # main.py reads the environments beside it, so that it is a copy.
    for path in ROOT.iterdir():
        if path.name not in (*WRITTEN, "environments", "main.py", "cdktf.json"):
            (tmp_path / path.name).symlink_to(path)
    shutil.copy(ROOT / "main.py", tmp_path)
    cdktf = json.loads((ROOT / "cdktf.json").read_text(encoding="utf-8"))
    (tmp_path / "cdktf.json").write_text(
        json.dumps({**cdktf, "app": f"{shlex.quote(sys.executable)} main.py"})
    )
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "many.toml").write_text(MANY, encoding="utf-8")

    done = run(tmp_path, "many")

    assert done.returncode == 0, done.stderr
    said = iter(done.stderr.splitlines())
    for shown in (
        "Find and buy 2 Capacity Blocks in one zone",
        "No changes. Your infrastructure matches the configuration.",
        "One more consumer: NIXL_EFA_MANY_CONSUMERS=5",
        "nodes: 1 added, 0 changed, 0 destroyed",
        "run: consumer-2, consumer-3, consumer-4, consumer-5; EC2 has terminated producer, producer-2, consumer",
        "`nixl-efa deploy many` builds producer, producer-2, consumer again. The other nodes keep running.",
        "nodes: 3 added, 0 changed, 0 destroyed",
        "the 4 that kept running are the same instances",
        "rehearsed, destroyed, and nothing left running",
    ):
        assert any(shown in line for line in said), shown
    assert not any(is_alive(pid) for pid in server_pids(tmp_path))


NAMED = "cr-0123456789abcdef0"
BLOCK = {"instance_type": "p5.48xlarge", "use_capacity_block": True}
DEFAULTS = {
    "NIXL_EFA_DEV_CAPACITY_RESERVATION_PARAMETER": "/nixl-efa/dev/capacity-reservation-id",
    "NIXL_EFA_DEV_AVAILABILITY_ZONE_PARAMETER": "/nixl-efa/dev/availability-zone",
}


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, {}),
        ({**BLOCK, "capacity_reservation_parameter": "/team/block"}, {}),
        (BLOCK, DEFAULTS),
        ({**BLOCK, "capacity_reservation_id": NAMED, "availability_zone": "us-east-2a"}, DEFAULTS),
    ],
)
def test_the_settings_stay_as_they_are_where_they_read_a_parameter(
    tmp_path: Path, settings: dict[str, Any], wanted: dict[str, str]
) -> None:
    (tmp_path / "environments").mkdir()
    given = {"region": "us-east-2", "instance_type": "g7e.8xlarge", **settings}
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
    (tmp_path / "environments" / "dev.toml").write_text("\n".join(lines), encoding="utf-8")
    found = environment_settings("dev", {}, tmp_path)
    assert variables(found, with_parameters(found)) == wanted


S3 = '{"type": "s3", "bucket": "the-real-state"}'


def test_an_interrupt_in_the_middle_stops_all_of_it_and_says_what_exists(project: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "dev"],
        cwd=project,
        env=environ(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # As a shell starts a background job.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "$ cdktf deploy" in line:
                break
        wait_for_terraform(project)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        code = process.wait(90)

    assert code == 130
    assert "interrupted: the local AWS was stopped, and with it all that was rehearsed is gone." in rest
    assert "Traceback" not in rest
    assert not any(is_alive(pid) for pid in server_pids(project))
    assert programs_in(project) == []


def wait_for_terraform(project: Path) -> None:
    deadline = time.monotonic() + 60
    while not any("terraform" in program for program in programs_in(project)):
        assert time.monotonic() < deadline, "Terraform was never started"
        time.sleep(0.05)


def programs_in(project: Path) -> list[str]:
    """The programs that run in the rehearsal's folder or below it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                where = (folder / "cwd").resolve(strict=True)
                if where.is_relative_to(project / ".rehearsal"):
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def test_a_missing_terraform_is_one_line_before_anything_starts(project: Path, tmp_path: Path) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    node = shutil.which("node")
    assert node
    (only / "node").symlink_to(node)

    done = run(project, "dev", PATH=str(only))

    assert done.returncode == 1
    assert done.stderr.strip() == (
        "nixl-efa: terraform is not installed. Install Terraform 1.4 or newer, or OpenTofu with "
        "TERRAFORM_BINARY_NAME=tofu."
    )
    assert server_pids(project) == []


def test_a_missing_node_is_one_line_too(project: Path, tmp_path: Path) -> None:
    done = run(project, "dev", PATH=str(tmp_path))

    assert done.returncode == 1
    assert (
        "Node.js is not installed; cdktf needs it. Install Node.js 20.9 or newer. terraform is not installed."
        in done.stderr
    )
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_provider_ends_it_with_terraforms_reason_and_nothing_left(
    project: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.rc"
    (tmp_path / "mirror").mkdir()
    empty.write_text(f'provider_installation {{ filesystem_mirror {{ path = "{tmp_path / "mirror"}" }} }}\n')

    done = run(project, "dev", TF_CLI_CONFIG_FILE=str(empty))

    assert done.returncode == 1
    assert "hashicorp/aws" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(is_alive(pid) for pid in server_pids(project))


def test_a_port_in_use_is_one_line(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(project, "dev", "--port", str(port))

    assert done.returncode == 1
    assert str(port) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not any(is_alive(pid) for pid in server_pids(project))


def test_an_unknown_environment_is_bad_input(project: Path) -> None:
    done = run(project, "prd")

    assert done.returncode == 2
    assert "prod" in done.stderr
    assert "Traceback" not in done.stderr
