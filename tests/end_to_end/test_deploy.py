"""`nixl-efa deploy` with the real cdktf CLI, Terraform and provider: what it refuses changes nothing on a running pair,
and what was agreed is done by one command, in fixed capacity, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws.server import LocalAws
from tests.end_to_end.conftest import ROOT, Done, Project, buy_block, client, running, save_block

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# In the matrix they share one pair.
pytestmark = pytest.mark.end_to_end

APPROVED = ("--auto-approve", "--replace-nodes")


@dataclass
class Deployer:
    """`nixl-efa deploy` of a project, off a terminal."""

    project: Project

    def popen(self, *options: str, **variables: str) -> subprocess.Popen[str]:
        environ = {**self.project.environ, **variables}
        environ["PATH"] = f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{environ['PATH']}"
        environ["PYTHONPATH"] = str(ROOT)
        return subprocess.Popen(
            [sys.executable, "-m", "nixl_efa", "deploy", self.project.environment, "--no-verify", *options],
            cwd=self.project.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # The tests may have been started where SIGINT is ignored, as in a background job.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def __call__(self, *options: str, code: int = 0, **settings: str) -> Done:
        prefix = f"NIXL_EFA_{self.project.environment.upper()}_"
        variables = {f"{prefix}{name.upper()}": value for name, value in settings.items()}
        said, _ = (process := self.popen(*options, **variables)).communicate()
        assert process.returncode == code, said[-6000:]
        return Done(process.returncode, said)


def ids(ec2: EC2Client, environment: str) -> dict[str, str]:
    return {role: node["InstanceId"] for role, node in running(ec2, environment).items()}


@pytest.fixture(scope="module")
def dev(make_project: Any) -> Deployer:
    deploy = Deployer(make_project("dev"))
    deploy("--auto-approve")
    return deploy


@pytest.fixture
def other_image(aws: LocalAws) -> str:
    images = client(aws, "ec2").describe_images(Owners=["amazon"])["Images"]
    used = {node["ImageId"] for node in running(client(aws, "ec2"), "dev").values()}
    other: str = next(one["ImageId"] for one in images if one["ImageId"] not in used)
    return other


def stored(dev: Deployer) -> dict[str, Any]:
    """The state, without the results of its conditions: Terraform writes these in any order."""
    document: dict[str, Any] = json.loads(dev.project.terraform("state", "pull").text)
    document.pop("check_results", None)
    return document


def test_which_provider_was_taken_is_kept_beside_the_state_which_tells_a_schema_alone(dev: Deployer) -> None:
    kept = dev.project.folder / "state" / "nixl-efa-dev.lock.hcl"
    assert kept.read_bytes() == (dev.project.stack_folder / ".terraform.lock.hcl").read_bytes()
    state = stored(dev)
    nodes = [
        one for each in state["resources"] if each["type"] == "aws_instance" for one in each["instances"]
    ]
    assert [one["schema_version"] for one in nodes] == [1, 1]
    assert "5.100" not in json.dumps(state)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"key_name": "typo"}, "The key pair typo (key_name) is not in us-east-2."),
        ({"ami_id": "<other>", "volume_size": "50"}, "needs a root volume of at least 75 GiB"),
        *(
            pytest.param(*one, marks=pytest.mark.matrix)
            for one in (
                ({"ami_id": "ami-0123456789abcdef0"}, "ami-0123456789abcdef0 (ami_id) is not in us-east-2"),
                ({"security_group_id": "sg-0123456789abcdef0"}, "FAIL  security group"),
                ({"subnet_id": "subnet-0123456789abcdef0"}, "FAIL  subnet"),
                ({"capacity_reservation_id": "cr-0123456789abcdef0"}, "FAIL  reservation"),
            )
        ),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, dict) else "",
)
def test_what_would_fail_is_found_before_anything_is_destroyed(
    settings: dict[str, str], said: str, dev: Deployer, ec2: EC2Client, other_image: str, aws: LocalAws
) -> None:
    before, state = ids(ec2, "dev"), stored(dev)
    calls = len(aws.calls.actions())

    done = dev(*APPROVED, code=1, **{k: v.replace("<other>", other_image) for k, v in settings.items()})

    assert said in done.text
    assert "Nothing was changed." in done.text
    assert len(before) == 2
    assert ids(ec2, "dev") == before
    assert stored(dev) == state
    assert not {"TerminateInstances", "CreateTags"} & set(aws.calls.actions()[calls:])


def test_a_missing_profile_is_made_anew_and_the_nodes_stay(
    dev: Deployer, ec2: EC2Client, aws: LocalAws
) -> None:
    before, iam = ids(ec2, "dev"), client(aws, "iam")
    (profile,) = [
        one
        for one in iam.list_instance_profiles()["InstanceProfiles"]
        if one["InstanceProfileName"].startswith("nixl-efa-dev")
    ]
    name = profile["InstanceProfileName"]
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=profile["Roles"][0]["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=name)

    done = dev("--auto-approve")

    assert "Beside the nodes: 1 added" in done.text
    assert ids(ec2, "dev") == before
    assert dev.project.plan().code == 0


def test_a_lost_variable_replaces_nothing_unless_it_is_agreed(dev: Deployer, ec2: EC2Client) -> None:
    before = ids(ec2, "dev")

    done = dev("--auto-approve", code=1, instance_type="g7e.12xlarge")

    assert f"producer {before['producer']} is REPLACED" in done.text
    assert (
        "instance_type went from g7e.8xlarge to g7e.12xlarge (variable NIXL_EFA_DEV_INSTANCE_TYPE)"
        in done.text
    )
    assert "the plan destroys 2 running nodes" in done.text
    assert ids(ec2, "dev") == before


def test_a_node_that_somebody_ended_is_built_anew_beside_the_other(dev: Deployer, ec2: EC2Client) -> None:
    before = ids(ec2, "dev")
    ec2.terminate_instances(InstanceIds=[before["consumer"]])

    done = dev("--auto-approve")

    after = ids(ec2, "dev")
    assert f"consumer is built again: {before['consumer']} is gone" in done.text
    assert after["producer"] == before["producer"]
    assert after["consumer"] != before["consumer"]
    assert dev.project.plan().code == 0


@pytest.fixture(scope="module")
def prod(make_project: Any, aws: LocalAws, ec2: EC2Client) -> Iterator[Deployer]:
    """prod, deployed into a block, on a clock that runs."""
    save_block(aws, *buy_block(aws, ec2, active=True))
    aws.clock.run()
    deploy = Deployer(make_project("prod"))
    deploy("--auto-approve")
    yield deploy
    aws.clock.reset()


def test_in_a_block_one_command_replaces_the_nodes_and_waits_for_their_slots(
    prod: Deployer, ec2: EC2Client, aws: LocalAws
) -> None:
    aws.world.slot_return = timedelta(seconds=20)
    before, calls = ids(ec2, "prod"), len(aws.calls.actions())

    done = prod(*APPROVED, key_name=key(ec2))

    after = running(ec2, "prod")
    assert "key_name went from none to ann" in done.text
    assert "Waiting for the slots of cr-" in done.text
    assert {node["KeyName"] for node in after.values()} == {"ann"}
    assert len({*before.values(), *ids(ec2, "prod").values()}) == 4
    launches = [one for one in aws.calls.actions()[calls:] if one in ("TerminateInstances", "RunInstances")]
    # The check's dry run comes first.
    assert launches == [
        "RunInstances",
        "TerminateInstances",
        "TerminateInstances",
        "RunInstances",
        "RunInstances",
    ]


@pytest.mark.matrix
def test_a_wait_that_is_interrupted_goes_on_with_the_same_command(
    prod: Deployer, ec2: EC2Client, aws: LocalAws
) -> None:
    aws.world.slot_return = timedelta(minutes=10)
    ami = next(iter(running(ec2, "prod").values()))["ImageId"]
    other = next(
        one["ImageId"]
        for one in ec2.describe_images(Owners=["amazon"])["Images"]
        if one["ImageId"] != ami and one["Architecture"] == "x86_64"
    )
    process = prod.popen(*APPROVED, NIXL_EFA_PROD_AMI_ID=other)
    assert process.stdout is not None
    said = ""
    while "Waiting for the slots" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate()
    assert process.returncode == 130, said + rest
    assert "No node runs." in rest
    assert "`nixl-efa deploy prod` continues" in rest
    assert ids(ec2, "prod") == {}

    aws.clock.run(60)
    done = prod("--auto-approve", ami_id=other)
    aws.clock.run()

    assert "WARN  reservation room" in done.text
    assert "producer is built" in done.text
    assert {node["ImageId"] for node in running(ec2, "prod").values()} == {other}


def key(ec2: EC2Client) -> str:
    """A key pair that is there."""
    if not ec2.describe_key_pairs()["KeyPairs"]:
        ec2.create_key_pair(KeyName="ann")
    return "ann"
