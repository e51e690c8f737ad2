"""The real cdktf, Terraform and provider under the policies that `nixl-efa policy` prints.

What a policy lacks is refused; and each action of the table is called, or stands here with what needs it."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from local_aws.server import LocalAws
from tests.end_to_end.conftest import REGION, ROOT, Project, assert_nothing_left, client
from tests.policies import denied, of_command, under, used

pytestmark = [pytest.mark.end_to_end, pytest.mark.matrix]

BUCKET = "team-terraform-state"
LOCKS = "team-terraform-locks"
BACKEND = json.dumps({"type": "s3", "bucket": BUCKET, "dynamodb_table": LOCKS})
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
# Actions that this environment does not need, and the setting or command that does.
ELSEWHERE = {
    "kms:Decrypt": "kms_key_id, of the volumes and of the backend; KMS is called by EC2 and S3",
    "kms:DescribeKey": "kms_key_id",
    "kms:GenerateDataKey": "backend: kms_key_id",
    "kms:GenerateDataKeyWithoutPlaintext": "kms_key_id",
    "kms:ReEncryptFrom": "kms_key_id",
    "kms:ReEncryptTo": "kms_key_id",
    "kms:CreateGrant": "kms_key_id",
    "iam:DetachRolePolicy": "a pair of an earlier version: AWS's managed policy goes",
    "s3:ListAllMyBuckets": "mend, with a lost state",
    "s3:GetBucketLocation": "mend, with a lost state",
    "ec2:DescribeAvailabilityZones": "a Local Zone",
    "ec2:DetachNetworkInterface": "an interface that is still attached when it goes",
    "s3:DeleteObjectVersion": "empty_scripts_bucket, where somebody has turned on versions",
}


def run(project: Project, aws: LocalAws, policy: str, *command: str, **settings: str) -> set[str]:
    """Runs a command under the policy of `policy`; the permissions that it needed. Settings are those of dev."""
    environ = {
        **project.environ,
        **{f"NIXL_EFA_DEV_{name.upper()}": value for name, value in {"backend": BACKEND, **settings}.items()},
        "NIXL_EFA_ENVIRONMENTS": "dev",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{project.environ['PATH']}",
    }

    def ran(*arguments: str) -> str:
        done = subprocess.run(
            arguments, cwd=project.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    product = (sys.executable, "-m", "nixl_efa")
    under(aws, ran(*product, "policy", policy, "--env", "dev"))
    ran(*(product if command[0] != "cdktf" else ()), *command)
    needed = used(aws)
    assert denied(aws) == []
    aws.allow_only(None)
    return needed


def test_deploy_and_destroy_need_what_their_policies_hold_and_nothing_else(
    make_project: Any, aws: LocalAws
) -> None:
    project: Project = make_project("dev")
    s3 = client(aws, "s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client(aws, "ec2").create_key_pair(KeyName="mine")
    client(aws, "dynamodb").create_table(
        TableName=LOCKS,
        KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    boundary = client(aws, "iam").create_policy(PolicyName="bound", PolicyDocument=json.dumps(EVERYTHING))

    deploy = ("deploy", "dev", "--no-verify", "--auto-approve")
    first = {"owner": "me"}
    needed = run(project, aws, "deploy", *deploy, **first)
    # A tag that goes, a boundary that comes, ports and a version of the templates in place; then other nodes.
    changed = {
        "service_ports": "8000,8300",
        "permissions_boundary": boundary["Policy"]["Arn"],
        "key_name": "mine",
        "empty_scripts_bucket": "true",
    }
    needed |= run(project, aws, "deploy", *deploy, "--replace-nodes", **changed)
    [scripts] = [one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"] != BUCKET]
    s3.put_object(Bucket=scripts, Key="result.json", Body=b"{}")
    needed |= run(project, aws, "destroy", "cdktf", "destroy", "nixl-efa-dev", "--auto-approve", **changed)

    assert_nothing_left(client(aws, "ec2"), "dev")
    assert of_command("deploy", "destroy") - needed == set(ELSEWHERE)
