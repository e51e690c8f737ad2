"""What is asked, and who holds a lock."""

import getpass
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.aws import Clients
from nixl_efa.failure import Failure
from nixl_efa.launch import Launch, launch_of
from nixl_efa.mend import look
from nixl_efa.mend.at_work import at_work
from nixl_efa.mend.compare import Difference, Kind, Lock
from nixl_efa.settings import Settings
from nixl_efa.settings.backend import LocalBackend, S3Backend
from nixl_efa.state import READERS_PREFIX
from tests.mend.conftest import REGION

SETTINGS = Settings(name="dev", instance_type="g7e.8xlarge", backend=S3Backend(bucket="states"))
LAUNCH = launch_of(SETTINGS)
ME = f"{getpass.getuser()}@{socket.gethostname()}"


def info(who: str = ME) -> str:
    """As Terraform 1.11 writes it."""
    return json.dumps(
        {
            "ID": "4ad2ecb4",
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": who,
            "Version": "1.11.4",
            "Created": "2026-11-26T01:42:55.803478614Z",
            "Path": "states/nixl-efa/dev.tfstate",
        }
    )


@pytest.mark.parametrize(("who", "own"), [(ME, True), ("ann@elsewhere", False)])
def test_a_lock_is_own_by_user_and_machine(who: str, own: bool, tmp_path: Path) -> None:
    found = look.lock_of(info(who), SETTINGS, tmp_path)
    assert found == Lock("4ad2ecb4", who, "OperationTypeApply", "2026-11-26T01:42:55.803478614Z", own)


@pytest.fixture
def terraform_in(tmp_path: Path) -> Iterator[Callable[[Path], int]]:
    """Starts a process whose command is Terraform's in a folder; its id. They end with the test."""
    program = tmp_path / "terraform"
    program.symlink_to("/bin/sleep")
    processes: list[subprocess.Popen[bytes]] = []

    def start(folder: Path) -> int:
        processes.append(subprocess.Popen([program, "60"], cwd=folder))
        number = processes[-1].pid
        # A process has its command's name a moment after Popen has returned.
        while "terraform" not in Path(f"/proc/{number}/comm").read_text(encoding="utf-8"):
            time.sleep(0.01)
        return number

    yield start
    for one in processes:
        one.kill()
        one.wait()


def test_a_lock_is_not_left_behind_while_terraform_works_on_the_state(
    tmp_path: Path, terraform_in: Callable[[Path], int]
) -> None:
    def initialized(folder: Path, key: str) -> Path:
        """A folder as `terraform init` leaves it."""
        (folder / ".terraform").mkdir(parents=True)
        backend = {"type": "s3", "config": {"bucket": "states", "key": key}}
        (folder / ".terraform/terraform.tfstate").write_text(json.dumps({"version": 3, "backend": backend}))
        return folder

    folders = {
        "own": tmp_path / "cdktf.out" / "stacks" / LAUNCH.stack_name,
        "clone": initialized(tmp_path / "clone", "nixl-efa/dev.tfstate"),
        "other": initialized(tmp_path / "other", "nixl-efa/prod.tfstate"),
        "reader": initialized(tmp_path / f"{READERS_PREFIX}1", "nixl-efa/dev.tfstate"),
        "plain": tmp_path,
    }
    folders["own"].mkdir(parents=True)
    numbers = {name: terraform_in(folder) for name, folder in folders.items()}
    assert set(at_work(SETTINGS, tmp_path)) == {numbers["own"], numbers["clone"]}
    assert not look.lock_of(info(), SETTINGS, tmp_path).own
    # A local state is nobody else's, and other folders have states of their own.
    local = SETTINGS.model_copy(update={"backend": LocalBackend()})
    assert at_work(local, tmp_path) == [numbers["own"]]


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"ID": "1"}'])
def test_a_lock_that_terraform_did_not_write_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"the lock of s3://states/nixl-efa/dev\.tfstate can't be read"):
        look.lock_of(text, SETTINGS, tmp_path)


@pytest.mark.parametrize("made_anew", [False, True])
def test_terraform_whose_folder_another_synthesis_removed_is_still_at_work(
    made_anew: bool, tmp_path: Path, terraform_in: Callable[[Path], int]
) -> None:
    own = tmp_path / "cdktf.out" / "stacks" / LAUNCH.stack_name
    other = own.with_name("nixl-efa-other")
    clone = tmp_path / "clone" / "stacks" / LAUNCH.stack_name
    numbers = []
    for folder in (own, other, clone):
        folder.mkdir(parents=True)
        numbers.append(terraform_in(folder))
        folder.rmdir()
    if made_anew:
        own.mkdir()
    assert set(at_work(SETTINGS, tmp_path)) == {numbers[0], numbers[2]}
    assert not look.lock_of(info(), SETTINGS, tmp_path).own
    local = SETTINGS.model_copy(update={"backend": LocalBackend()})
    assert at_work(local, tmp_path) == [numbers[0]]


@pytest.fixture
def clients(aws: LocalAws) -> Clients:
    where: Any = {"LocationConstraint": REGION}
    boto3.client("s3", REGION).create_bucket(Bucket="states", CreateBucketConfiguration=where)
    return Clients(None, REGION)


def no_state(command: Any, folder: Path, environ: Any) -> tuple[int, str, str]:
    """A Terraform whose state is empty."""
    return 0, "", ""


def seen(settings: Settings, launch: Launch, clients: Clients, project: Path) -> look.Look:
    return look.look(settings, launch, clients, project, os.environ, no_state)


def test_the_lock_of_a_state_in_s3_is_read_from_the_bucket(clients: Clients, tmp_path: Path) -> None:
    assert seen(SETTINGS, LAUNCH, clients, tmp_path).lock is None
    clients.s3(REGION).put_object(Bucket="states", Key="nixl-efa/dev.tfstate.tflock", Body=info().encode())
    found = seen(SETTINGS, LAUNCH, clients, tmp_path).lock
    assert found is not None
    assert found.own


def test_the_lock_of_a_state_in_s3_is_read_from_the_table(clients: Clients, tmp_path: Path) -> None:
    backend = S3Backend(bucket="states", use_lockfile=False, dynamodb_table="locks")
    settings = SETTINGS.model_copy(update={"backend": backend})
    table: Any = clients.dynamodb(REGION)
    table.create_table(
        TableName="locks",
        KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert seen(settings, LAUNCH, clients, tmp_path).lock is None
    item = {"LockID": {"S": "states/nixl-efa/dev.tfstate"}, "Info": {"S": info()}}
    table.put_item(TableName="locks", Item=item)
    assert seen(settings, LAUNCH, clients, tmp_path).lock is not None


def test_nothing_deployed_is_no_difference(clients: Clients, tmp_path: Path) -> None:
    local = Settings(name="dev", instance_type="g7e.8xlarge")
    assert look.differences(local, launch_of(local), clients, tmp_path, os.environ) is None


def test_what_may_not_be_looked_at_stops_nothing(aws: LocalAws, clients: Clients, tmp_path: Path) -> None:
    local = Settings(name="dev", instance_type="g7e.8xlarge")
    aws.faults.add("DescribeInstances", code="UnauthorizedOperation", times=None)
    [found] = look.findings(local, launch_of(local), clients, tmp_path, os.environ)
    assert (found.level, found.check) == ("SKIP", "state")
    assert "ec2:DescribeInstances" in found.message


def test_who_tells_of_a_gone_node_by_itself_is_not_told_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = Difference(Kind.GONE, "aws_instance.producer", ("i-1",))
    monkeypatch.setattr(look, "differences", lambda *_: (gone,))
    clients: Any = None
    # Nor is it said that the state and EC2 agree.
    assert look.findings(SETTINGS, LAUNCH, clients, tmp_path, {}) == []
    monkeypatch.setattr(look, "differences", lambda *_: ())
    [found] = look.findings(SETTINGS, LAUNCH, clients, tmp_path, {})
    assert found.level == "PASS"


def test_a_tainted_node_is_the_cause_of_a_missing_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nixl_efa.findings import failed

    def missing() -> str:
        raise Failure("environment 'dev' is half-built")

    clients: Any = None
    faults = [failed("state", "producer i-1 is tainted.", "`nixl-efa mend dev` keeps it.")]
    monkeypatch.setattr(look, "findings", lambda *_: faults)
    with pytest.raises(Failure, match=r"^producer i-1 is tainted. `nixl-efa mend dev` keeps it.$"):
        look.read_and_compare(missing, SETTINGS, LAUNCH, clients, tmp_path, {})
    assert look.read_and_compare(lambda: 1, SETTINGS, LAUNCH, clients, tmp_path, {}) == (1, faults)
    monkeypatch.setattr(look, "findings", lambda *_: [])
    with pytest.raises(Failure, match="half-built"):
        look.read_and_compare(missing, SETTINGS, LAUNCH, clients, tmp_path, {})
