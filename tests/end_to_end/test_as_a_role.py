"""The settings profile and assume_role: Terraform, its state and the command line call AWS as one and the same.

The role is another account's, so whatever was called without it would show in the account of the key itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws.server import LocalAws
from tests.end_to_end.conftest import REGION, ROOT, Done, client, running

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = [pytest.mark.end_to_end, pytest.mark.matrix]

ACCOUNT = "222222222222"
ROLE = {"arn": f"arn:aws:iam::{ACCOUNT}:role/deploy", "external_id": "team-7", "session_name": "nixl-efa"}
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0d990263-018e-4e65-a703-eff731de951e"
SETTINGS = {
    "account_id": ACCOUNT,
    "assume_role": json.dumps(ROLE),
    "backend": json.dumps({"type": "s3", "bucket": "states-of-a-role", "kms_key_id": KEY}),
    "profile": "team",
}


def as_the_role(aws: LocalAws, service: str) -> Any:
    taken = client(aws, "sts").assume_role(RoleArn=ROLE["arn"], RoleSessionName="test")["Credentials"]
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name=REGION,
        endpoint_url=aws.endpoint,
        aws_access_key_id=taken["AccessKeyId"],
        aws_secret_access_key=taken["SecretAccessKey"],
        aws_session_token=taken["SessionToken"],
    )


def test_terraform_its_state_and_the_command_line_call_as_the_role_of_the_profile(
    aws: LocalAws, ec2: EC2Client, make_project: Any
) -> None:
    project = make_project("dev")
    config = project.folder / "aws-config"
    config.write_text(
        "[profile team]\naws_access_key_id = team\naws_secret_access_key = team\n", encoding="utf-8"
    )
    environ = {
        **{
            name: value
            for name, value in project.environ.items()
            if not name.endswith(("_KEY_ID", "ACCESS_KEY"))
        },
        **{f"NIXL_EFA_DEV_{name.upper()}": value for name, value in SETTINGS.items()},
        "AWS_CONFIG_FILE": str(config),
        "PATH": f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{project.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }

    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam = as_the_role(aws, "iam")
    iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=trust)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="deploy", PolicyName="all", PolicyDocument=json.dumps(everything))

    def nixl_efa(*words: str) -> Done:
        command = [sys.executable, "-m", "nixl_efa", *words]
        done = subprocess.run(
            command, cwd=project.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"[-6000:]
        return Done(done.returncode, done.stdout)

    as_the_role(aws, "s3").create_bucket(
        Bucket="states-of-a-role", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    nixl_efa("deploy", "dev", "--auto-approve", "--no-verify")

    assert set(running(as_the_role(aws, "ec2"), "dev")) == {"producer", "consumer"}
    assert running(ec2, "dev") == {}
    state = as_the_role(aws, "s3").get_object(Bucket="states-of-a-role", Key="nixl-efa/dev.tfstate")
    assert state["SSEKMSKeyId"] == KEY
    # Each looks into EC2, and finds what only the role can see.
    checked = json.loads(nixl_efa("check", "dev", "--json").text)["findings"]
    said = " ".join(one["message"] for one in checked)
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/{ROLE['session_name']}" in said
    assert f"It is the account {ACCOUNT} that account_id names." in said
    nodes = json.loads(nixl_efa("status", "dev", "--json").text)["nodes"]
    assert {one["state"] for one in nodes} == {"running"}
