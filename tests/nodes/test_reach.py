"""An environment is reached from anywhere: through its backend, by the real Terraform, with nothing synthesized."""

import json
import os
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.settings.model import STACK_TAG
from tests.nodes.local_pair import REGION, SETTINGS, Project, Run
from tests.policies import denied, under, used

IN_S3 = '[backend]\ntype = "s3"\nbucket = "states"\n'
COMMANDS = [
    ("status", "prod"),
    ("verify", "prod"),
    ("nodes", "sync", "prod", "--check"),
    ("connect", "prod", "producer", "--print"),
]


@pytest.fixture
def cloned(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The pair's project as it is in a fresh clone, with the Terraform of this machine and a state that it made."""
    (project.bin / "terraform").unlink()
    document = json.loads((project.folder / "state.json").read_text(encoding="utf-8"))
    for output in document["outputs"].values():
        output["type"] = "number" if isinstance(output["value"], int) else "string"
    for resource in document["resources"]:
        resource["provider"] = 'provider["registry.terraform.io/hashicorp/aws"]'
    head = {"version": 4, "terraform_version": "1.4.0", "serial": 7, "lineage": "0c5a1f8e"}
    (project.folder / "state.json").write_text(json.dumps({**head, **document}), encoding="utf-8")
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return project


def in_s3(project: Project) -> None:
    s3 = boto3.client("s3", REGION)
    s3.create_bucket(Bucket="states")
    body = (project.folder / "state.json").read_bytes()
    s3.put_object(Bucket="states", Key="nixl-efa/prod.tfstate", Body=body)
    # Another run holds the lock: who reads takes none.
    s3.put_object(Bucket="states", Key="nixl-efa/prod.tfstate.tflock", Body=b'{"ID": "1"}')
    (project.folder / "environments/prod.toml").write_text(SETTINGS + IN_S3, encoding="utf-8")


def here(project: Project) -> None:
    (project.folder / "state").mkdir()
    (project.folder / "state.json").rename(project.folder / "state/nixl-efa-prod.tfstate")


def files(project: Project) -> set[Path]:
    return {path for path in project.folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("keep", [here, in_s3])
def test_every_command_about_the_nodes_works_from_another_folder_and_writes_nothing(
    keep: object, cloned: Project, run: Run
) -> None:
    assert callable(keep)
    keep(cloned)
    before = files(cloned)
    for command in COMMANDS:
        code, out, err = run("--project", "..", *command)
        # The files of the stand-ins are not those of today's settings.
        assert (code, "FAIL" in out, err.startswith("nixl-efa:")) == (0, False, False), (command, out, err)
    assert cloned.ids[0] in out
    assert files(cloned) == before


def test_the_policy_of_verify_is_enough_for_a_state_in_s3(cloned: Project, run: Run, aws: LocalAws) -> None:
    in_s3(cloned)
    tag: Any = [{"Key": STACK_TAG, "Value": "nixl-efa-prod s3://states/nixl-efa/prod.tfstate"}]
    boto3.client("ec2", REGION).create_tags(Resources=cloned.ids, Tags=tag)
    _, printed, _ = run("--project", "..", "policy", "verify", "--env", "prod")
    under(aws, printed)
    for command in COMMANDS[:2]:
        code, out, err = run("--project", "..", *command)
        assert code == 0, out + err
    assert denied(aws) == []
    assert {"s3:GetObject", "s3:ListBucket"} <= used(aws)


@pytest.mark.parametrize(
    ("settings", "variables", "words"),
    [
        (IN_S3, {}, ("s3://states/nixl-efa/prod.tfstate. Name the bucket that holds the state",)),
        (IN_S3, {"AWS_PROFILE": "nobody"}, ("profile", "`aws configure list-profiles` shows them")),
        (IN_S3, {"AWS_SECRET_ACCESS_KEY": "", "AWS_ACCESS_KEY_ID": ""}, ("Run `aws sso login`",)),
        ("", {}, ("is not deployed: there is no ", "nixl-efa-prod.tfstate. Run `nixl-efa --project ")),
    ],
)
def test_a_state_that_can_not_be_read_is_one_line_with_the_remedy(
    settings: str,
    variables: dict[str, str],
    words: tuple[str, ...],
    cloned: Project,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (cloned.folder / "environments/prod.toml").write_text(SETTINGS + settings, encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, out, err = run("--project", str(cloned.folder), "connect", "prod", "producer", "--print")
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert [one for one in words if one not in err] == []
    assert not os.path.exists(cloned.folder / "cdktf.out")
