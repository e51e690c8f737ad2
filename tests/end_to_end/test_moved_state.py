"""A state that is moved from this machine to S3 and back, and an environment whose file is removed: by the commands
that the messages name. One pair lives through all of it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_aws.server import LocalAws
from tests.end_to_end.conftest import REGION, ROOT, Project, assert_nothing_left, client, running

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = [pytest.mark.end_to_end, pytest.mark.matrix]

IN_S3 = '{"type": "s3", "bucket": "states"}'
BACKEND = "NIXL_EFA_DEV_BACKEND"
MIGRATE = ("--migrate-state", "--auto-approve", "--skip-provider-lock")


@pytest.fixture
def project(make_project: Callable[[str], Project]) -> Project:
    """dev, deployed, with a local state, in a folder whose environments are its own."""
    found = make_project("dev")
    for name in ("environments", "cdktf.json"):
        (found.folder / name).unlink()
    shutil.copy(ROOT / "main.py", found.folder)
    app = f'{{"language": "python", "app": "{shlex.quote(sys.executable)} main.py", "sendCrashReports": "false"}}'
    (found.folder / "cdktf.json").write_text(app, encoding="utf-8")
    (found.folder / "environments").mkdir()
    for name in ("dev", "staging"):
        shutil.copy(ROOT / "environments" / f"{name}.toml", found.folder / "environments")
    found.variables["PYTHONPATH"] = str(ROOT)
    found.deploy()
    return found


def ids(ec2: EC2Client) -> set[str]:
    return {one["InstanceId"] for one in running(ec2, "dev").values()}


def one_line(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_a_state_is_moved_and_a_lost_environment_destroyed_as_the_messages_say(
    project: Project, aws: LocalAws, ec2: EC2Client
) -> None:
    client(aws, "s3").create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
    pair, local = ids(ec2), project.folder / "state" / "nixl-efa-dev.tfstate"
    assert len(pair) == 2
    moved = Path(f"{local}.moved")

    # Terraform remembers the local state, and refuses; what its message leaves open is said.
    project.variables[BACKEND] = IN_S3
    refused = project.deploy(code=None)
    assert refused.code == 1
    assert "`cdktf deploy nixl-efa-dev --migrate-state` moves it" in one_line(refused.text)

    # It remembers nothing: an empty state in S3 would build a second pair.
    shutil.rmtree(project.folder / "cdktf.out")
    refused = project.deploy(code=None)
    assert refused.code == 1
    assert "and the state there nothing: a deploy would build a second pair" in one_line(refused.text)
    assert ids(ec2) == pair

    # As the message says.
    shutil.rmtree(project.folder / "cdktf.out", ignore_errors=True)
    project.variables[BACKEND] = "local"
    project.cdktf("synth")
    project.terraform("init", "-input=false")
    project.variables[BACKEND] = IN_S3
    done = project.cdktf("deploy", project.stack, *MIGRATE)
    assert "0 added" in done.text
    assert "0 destroyed" in done.text
    assert local.exists()

    # What was moved is put aside, and never used again unnoticed; also where cdktf.out is made again.
    shutil.rmtree(project.folder / "cdktf.out")
    assert "kept as state/nixl-efa-dev.tfstate.moved" in one_line(project.cdktf("synth").text)
    assert (local.exists(), moved.exists()) == (False, True)
    project.terraform("init", "-input=false")
    assert project.plan().code == 0

    # And back, by Terraform alone.
    project.variables[BACKEND] = "local"
    assert "Never use Terraform's -reconfigure" in one_line(project.cdktf("synth").text)
    project.terraform("init", "-migrate-state", "-force-copy")
    done = project.deploy()
    assert "0 added" in done.text
    assert ids(ec2) == pair

    # The environment's file is removed, and put back with the least that the message names.
    file = project.folder / "environments" / "dev.toml"
    file.unlink()
    lost = project.cdktf("synth", code=None)
    assert lost.code == 1
    assert "still holds" in one_line(lost.text)
    least = f'region = "{REGION}" and any instance_type are enough'
    assert least in one_line(lost.text)
    file.write_text(f'region = "{REGION}"\ninstance_type = "p5.48xlarge"\n', encoding="utf-8")
    project.synthesize()
    project.destroy()
    assert_nothing_left(ec2, "dev")
    file.unlink()
    assert "still holds" not in project.cdktf("synth", code=None).text
