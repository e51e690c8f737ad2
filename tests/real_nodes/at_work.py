"""A project whose nodes are machines that have booted; the command line in a process of its own, as a user has it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.machines.session import write_plugin
from local_aws.server import client_environ
from nixl_efa.node_policy import ASSUMED_BY_EC2, node_policy
from nixl_efa.settings import Settings
from nixl_efa.settings.model import STACK_TAG
from tests.policies import under
from tests.real_nodes.conftest import REGION, Account

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "nixl-efa-trial-scripts"
NAMES = ("producer", "consumer")
_BYSTANDER = "#cloud-config\nruncmd: []\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """A user's machine with the project `folder`, whose environment trial is deployed: `ids` by the node's name."""

    account: Account
    folder: Path
    ids: dict[str, str]

    @property
    def environ(self) -> dict[str, str]:
        """Of a shell: our programs first on PATH, the local AWS as the only AWS, a home of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **kept,
            **client_environ(self.account.aws.endpoint, REGION),
            "HOME": str(self.folder),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
        }

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """`nixl-efa ARGUMENTS`, begun."""
        return subprocess.Popen(
            ["nixl-efa", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,
        )

    def call(self, *arguments: str) -> tuple[int, str, str]:
        """`nixl-efa ARGUMENTS`: its exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out.decode(), err.decode()

    def allow(self, command: str, never_put: Sequence[str] = ()) -> None:
        """From here on nothing more than what `nixl-efa policy COMMAND` prints, less the writing of these objects."""
        self.account.aws.allow_only(None)
        code, printed, said = self.call("policy", "--env", "trial", command)
        assert code == 0, said
        policy = json.loads(printed)
        resources = [f"arn:aws:s3:::{BUCKET}/{key}" for key in never_put]
        if resources:
            policy["Statement"].append({"Effect": "Deny", "Action": ["s3:PutObject"], "Resource": resources})
        under(self.account.aws, json.dumps(policy))

    def in_bucket(self) -> list[str]:
        """What lies in the scripts bucket."""
        found = self.account.client("s3").list_objects_v2(Bucket=BUCKET)
        return [one["Key"] for one in found.get("Contents", ())]


def desk(account: Account, folder: Path) -> Desk:
    """Boots the nodes and writes the project."""
    account.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    policy = node_policy(
        Settings(name="trial", instance_type="g7e.8xlarge", region=REGION),
        bucket_arn=f"arn:aws:s3:::{BUCKET}",
        partition="aws",
    )
    iam = account.client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_EC2))
    iam.put_role_policy(RoleName="worker", PolicyName="node", PolicyDocument=json.dumps(policy))
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    ids = dict(
        zip(NAMES, account.launch(lambda _: _BYSTANDER, count=len(NAMES), profile="worker"), strict=True)
    )
    tag: Any = [{"Key": STACK_TAG, "Value": "nixl-efa-trial local"}]
    account.ec2.create_tags(Resources=[*ids.values()], Tags=tag)
    account.wait_until_managed(*ids.values())
    _write_project(folder, ids)
    return Desk(account, folder, ids)


def _write_project(folder: Path, ids: dict[str, str]) -> None:
    """The settings, a stand-in of Terraform that knows the state, and our programs."""
    programs = folder / "bin"
    programs.mkdir()
    (folder / "environments").mkdir()
    settings = f'region = "{REGION}"\ninstance_type = "g7e.8xlarge"\n'
    (folder / "environments/trial.toml").write_text(settings, encoding="utf-8")
    (folder / "cdktf.json").write_text('{"language": "python"}', encoding="utf-8")
    outputs: dict[str, str] = {"scripts_bucket": BUCKET}
    for number, (name, instance_id) in enumerate(ids.items(), 4):
        outputs |= {f"{name}_instance_id": instance_id, f"{name}_private_ip": f"172.31.0.{number}"}
    state = {"outputs": {name: {"value": value} for name, value in outputs.items()}, "resources": []}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    texts = {
        "terraform": f'[ "$1" = init ] || cat {folder}/$1.json',
        "nixl-efa": f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m nixl_efa "$@"',
    }
    for name, text in texts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    write_plugin(programs)
