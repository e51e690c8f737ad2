"""Terraform and the AWS provider against the local AWS: what only they show to be right."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from tests.launches import IMAGE
from tests.local_aws.conftest import MakeClient

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = pytest.mark.end_to_end

PROVIDER = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
variable "size" { default = 80 }
variable "owner" { default = "a" }
"""
NODE = f"""
data "aws_ssm_parameter" "image" {{
  name = "{IMAGE}"
}}
resource "aws_launch_template" "node" {{
  name = "node"
  tags = {{ Owner = var.owner }}
}}
resource "aws_instance" "node" {{
  ami                     = nonsensitive(data.aws_ssm_parameter.image.value)
  instance_type           = "g7e.8xlarge"
  disable_api_termination = true
  tags                    = {{ Owner = var.owner }}
  launch_template {{
    id      = aws_launch_template.node.id
    version = aws_launch_template.node.latest_version
  }}
  root_block_device {{
    volume_size = var.size
  }}
  lifecycle {{
    ignore_changes = [launch_template]
  }}
}}
"""
STATE = """
terraform {
  backend "s3" {
    bucket         = "states"
    key            = "nixl-efa/prod.tfstate"
    region         = "us-east-2"
    use_lockfile   = true
    dynamodb_table = "locks"
  }
}
variable "seconds" { default = 0 }
resource "terraform_data" "slow" {
  triggers_replace = var.seconds
  provisioner "local-exec" {
    command = "sleep ${var.seconds}"
  }
}
"""


@dataclass(frozen=True)
class Terraform:
    """Terraform in a folder of its own."""

    folder: Path
    environ: dict[str, str]

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["terraform", words[0], "-no-color", *words[1:]],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, program: subprocess.Popen[str]) -> tuple[int, str]:
        text, _ = program.communicate(timeout=120)
        return program.returncode, text

    def run(self, *words: str, code: int = 0) -> str:
        found, text = self.end(self.begin(*words))
        assert found == code, text
        return text

    def apply(self, *words: str, code: int = 0) -> str:
        return self.run("apply", "-auto-approve", *words, code=code)

    def plan(self, *words: str, code: int = 0) -> str:
        """0: nothing to change; 2: something."""
        return self.run("plan", "-detailed-exitcode", *words, code=code)


@pytest.fixture(scope="module")
def plain() -> Iterator[dict[str, str]]:
    with terraform_environ(os.environ) as environ:
        yield environ


@pytest.fixture
def terraform(aws: LocalAws, plain: dict[str, str], tmp_path: Path) -> Callable[[str], Terraform]:
    def make(text: str) -> Terraform:
        (tmp_path / "main.tf").write_text(text)
        kept = {name: value for name, value in plain.items() if not name.startswith("AWS_")}
        local = {name: value for name, value in aws.environ("us-east-2").items() if name not in plain}
        made = Terraform(tmp_path, {**kept, **local, "TF_INPUT": "0"})
        made.run("init")
        return made

    return make


def waits_for(what: Callable[[], bool]) -> None:
    for _ in range(600):
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come in a minute")


def instances(ec2: EC2Client) -> list[Any]:
    return [one for launch in ec2.describe_instances()["Reservations"] for one in launch["Instances"]]


def test_tags_and_sizes_change_in_place_and_every_plan_after_is_empty(
    aws: LocalAws, ec2: EC2Client, terraform: Callable[[str], Terraform]
) -> None:
    node = terraform(PROVIDER + NODE)
    aws.faults.add("RunInstances", lose_answer=True)
    node.apply()
    (first,) = instances(ec2)  # the provider asks again with the same client token
    node.apply("-var=owner=b", "-var=size=100")
    assert "0 destroyed" in node.apply("-var=owner=b", "-var=size=120")
    node.plan("-var=owner=b", "-var=size=120")
    assert [one["InstanceId"] for one in instances(ec2)] == [first["InstanceId"]]
    # Provider 5.100 takes the protection away by itself before it terminates.
    node.run("destroy", "-auto-approve")
    assert [one["State"]["Name"] for one in instances(ec2)] == ["terminated"]


def test_an_apply_that_is_interrupted_while_a_node_is_pending_leaves_it_tainted(
    aws: LocalAws, ec2: EC2Client, terraform: Callable[[str], Terraform]
) -> None:
    node = terraform(PROVIDER + NODE)
    aws.world.pending_seconds = 3600
    begun = node.begin("apply", "-auto-approve")
    # The provider's first question after the launch: the answer of RunInstances has come.
    waits_for(lambda: aws.calls.actions().count("DescribeInstances") > 0)
    begun.send_signal(signal.SIGINT)
    code, text = node.end(begun)
    assert code == 1
    assert "context canceled" in text
    assert "aws_instance.node is tainted, so must be replaced" in node.plan(code=2)
    node.run("untaint", "aws_instance.node")
    node.plan()
    assert len(instances(ec2)) == 1


def test_a_state_in_a_bucket_is_locked_and_freed(
    client: MakeClient, terraform: Callable[[str], Terraform]
) -> None:
    s3, table = client("s3", checked=False), client("dynamodb", checked=False)
    s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    table.create_table(
        TableName="locks",
        KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def keys() -> list[str]:
        return [one["Key"] for one in s3.list_objects_v2(Bucket="states").get("Contents", [])]

    state = terraform(STATE)
    state.apply()
    state.plan()
    assert keys() == ["nixl-efa/prod.tfstate"]

    slow = state.begin("apply", "-auto-approve", "-var=seconds=8")
    waits_for(lambda: "nixl-efa/prod.tfstate.tflock" in keys())
    assert "Error acquiring the state lock" in state.plan(code=1)
    state.plan("-lock-timeout=300s", "-var=seconds=8")
    assert state.end(slow)[0] == 0

    killed = state.begin("apply", "-auto-approve", "-var=seconds=1")
    waits_for(lambda: "nixl-efa/prod.tfstate.tflock" in keys())
    killed.kill()
    state.end(killed)
    told = re.search(r"ID: +(\S+)", state.plan(code=1))
    assert told is not None
    state.run("force-unlock", "-force", told[1])
    assert "nixl-efa/prod.tfstate.tflock" not in keys()
    state.run("plan")
