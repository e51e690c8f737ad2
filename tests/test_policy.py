"""The printed policies: IAM's form and sizes, the names and tags of the environment, AWS's own reference of actions."""

import json
import re
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest

from local_aws.authorization.asked import reference
from local_aws.authorization.policy import read
from nixl_efa.account import Account
from nixl_efa.checks.permissions import CREATE_SPOT_ROLE, wanted
from nixl_efa.launch import launch_of
from nixl_efa.policy import COMMANDS, LARGEST, Command, document, size
from nixl_efa.policy.actions import ROWS
from nixl_efa.settings.backend import S3Backend
from nixl_efa.settings.parts import CapacityEntry, Group
from tests.policies import of_command
from tests.synthesis import settings_of

ROOT = Path(__file__).resolve().parents[1]
KEY = "arn:aws:kms:us-east-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"
ALL_SETTINGS: dict[str, Any] = {
    "account_id": "123456789012",
    "key_name": "mine",
    "kms_key_id": KEY,
    "spot": True,
    "empty_scripts_bucket": True,
    "permissions_boundary": "arn:aws:iam::123456789012:policy/bound",
    "backend": S3Backend(bucket="acme-terraform-state", dynamodb_table="locks", kms_key_id=KEY),
}
# Newer than the reference: without resources here.
NEWER = {
    "ec2:PurchaseCapacityBlockExtension",
    "ec2:DescribeCapacityBlockStatus",
    "ec2:GetAllowedImagesSettings",
}


def of(command: Command, environment: str = "dev", **settings: Any) -> dict[str, Any]:
    chosen = settings_of(environment).model_copy(update=settings)
    return document(chosen, launch_of(chosen), command)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one != "all"])
@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_each_policy_is_one_that_iam_takes_and_fits_a_managed_policy(
    environment: str, command: Command
) -> None:
    found = of(command, environment)
    assert read(found) == found
    assert size(found) <= LARGEST
    names = [one["Sid"] for one in found["Statement"] if "Sid" in one]
    assert len(names) == len(set(names))
    # IAM JSON grammar, Sid.
    assert all(re.fullmatch(r"[A-Za-z0-9]+", name) for name in names)


def test_deploys_policy_is_of_its_environment_alone() -> None:
    others = {"prod", "staging"}
    for statement in of("deploy", account_id="123456789012")["Statement"]:
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            assert not any(name in resource for name in others)
            if resource == "*":
                assert all(re.match(r"\w+:(Describe|Get|List|Simulate)", one) for one in statement["Action"])
            elif resource.startswith("arn:aws:ec2:") and "image/" not in resource:
                assert resource.startswith("arn:aws:ec2:us-east-2:123456789012:")
    ended = next(one for one in of("destroy")["Statement"] if "ec2:TerminateInstances" in one["Action"])
    assert ended["Condition"] == {"StringEquals": {"aws:ResourceTag/nixl-efa:stack": "nixl-efa-dev local"}}


def test_what_each_request_of_an_environment_is_launched_from_is_allowed() -> None:
    """A producer on Spot from an image of its own, consumers in a reservation and in what a parameter names."""
    settings: dict[str, Any] = {
        "consumers": 3,
        "producer": Group(ami_id="ami-0123456789abcdef0", spot=True),
        "capacity": (
            CapacityEntry(capacity_reservation_id="cr-00000001", consumers=1),
            CapacityEntry(capacity_reservation_parameter="/team/second", consumers=2),
        ),
    }
    told: dict[str, str] = {}
    for one in of("deploy", **settings)["Statement"]:
        for action in one["Action"]:
            told[action] = told.get(action, "") + json.dumps(one["Resource"])
    launched, read_from = told["ec2:RunInstances"], told["ssm:GetParametersByPath"]
    for part in ("capacity-reservation/cr-00000001", "capacity-reservation/*"):
        assert f'{part}"' in launched
    assert "::image/ami-0123456789abcdef0" in launched
    assert "::image/*" in launched
    assert "AWSServiceRoleForEC2Spot" in told["iam:GetRole"]
    for name in ("team/second", "team/second-next", "team"):
        assert f'parameter/{name}"' in read_from
    kept = {
        action: json.dumps(one["Resource"])
        for one in of("capacity", **settings)["Statement"]
        for action in one["Action"]
    }
    assert 'parameter/team/second"' in kept["ssm:PutParameter"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("settings", [{}, ALL_SETTINGS], ids=["defaults", "every setting"])
def test_each_action_has_such_resources_and_condition_keys_by_aws_reference(
    settings: dict[str, Any], command: Command
) -> None:
    for statement in of(command, **settings)["Statement"]:
        resources = statement["Resource"]
        kinds = {_kind(one) for one in ([resources] if isinstance(resources, str) else resources)}
        keys = {key for of_operator in statement.get("Condition", {}).values() for key in of_operator}
        for action in statement["Action"]:
            if action.endswith("*") or action in NEWER or action.startswith("kms:"):
                continue
            types = reference().get(action, {"*": {"keys": []}})
            if resources == "*":
                continue
            fitting = [facts for kind, facts in types.items() if kind in kinds or "*" in kinds]
            assert fitting, (action, kinds)
            for key in keys:
                name = f"{key.partition('/')[0]}/" if "/" in key else key
                assert any(name in facts["keys"] for facts in fitting), (action, key)


def _kind(arn: str) -> str:
    """The resource type that an ARN, or a pattern of ARNs, is of."""
    if arn == "*":
        return "*"
    service, rest = arn.split(":")[2], arn.split(":", 5)[5]
    if service == "s3":
        return "object" if "/" in rest else "bucket"
    return rest.partition("/")[0]


@pytest.mark.parametrize(
    ("page", "heading", "command"),
    [("check.md", "## What is looked at", "check"), ("capacity.md", "## Permissions", "capacity")],
)
def test_the_permissions_that_a_page_names_are_those_of_the_table(
    page: str, heading: str, command: Command
) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(heading)[2].partition("\n## ")[0]
    told = set(re.findall(r"\b(?:ec2|iam|ssm|s3|servicequotas|kms):[A-Z]\w+", text))
    # Of no row: what EC2 does for a launch, and what is said not to be needed.
    assert told - of_command(command) - {"ssm:DeleteParameter", CREATE_SPOT_ROLE, "iam:PassRole"} == set()


def test_what_check_lets_iam_simulate_is_in_the_table() -> None:
    launch = launch_of(settings_of("dev"))
    asked = {
        action
        for one in wanted(launch, Account("123456789012", "arn:aws:iam::1:user/x"))
        for action in one.actions
    }
    assert asked - of_command("deploy") == set()


# Of other commands: `instance-types refresh` needs ec2:DescribeInstanceTypes alone, a rehearsal asks no AWS.
_OTHER_COMMANDS = ("instance_types", "rehearse")
# Everybody may; in the names of permissions, S3's own.
_OTHER_NAMES = {
    "sts:GetCallerIdentity": "",
    "sts:AssumeRole": "",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
}


@pytest.mark.parametrize("service", ["ec2", "ssm", "iam", "s3", "sts", "kms", "service-quotas"])
def test_every_call_of_the_product_is_in_the_table(service: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    methods = {botocore.xform_name(name): name for name in model.operation_names}
    prefix = service.replace("-", "")
    called = set()
    for path in (ROOT / "nixl_efa").rglob("*.py"):
        if path.relative_to(ROOT / "nixl_efa").parts[0] in _OTHER_COMMANDS:
            continue
        words = re.findall(
            r"(?:\.|\")([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?=[(\",)])", path.read_text(encoding="utf-8")
        )
        called |= {f"{prefix}:{methods[word]}" for word in words if word in methods}
    needed = {_OTHER_NAMES.get(one, one) for one in called} - {""}
    table = {action for row in ROWS for action in row.actions}
    assert called
    assert needed - table == set()


def test_every_row_says_what_for() -> None:
    assert all(row.why and row.commands and row.actions for row in ROWS)


def test_a_policy_that_is_too_large_for_a_managed_one_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nixl_efa.cli import main

    (tmp_path / "environments").mkdir()
    text = f'instance_type = "p5.48xlarge"\naccount_id = "123456789012"\nkms_key_id = "{KEY}"\n'
    text += 'project_prefix = "a-team-of-some-name"\n[backend]\ntype = "s3"\nbucket = "acme-terraform"\n'
    (tmp_path / "environments/prod.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["policy", "--env", "prod"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["Version"] == "2012-10-17"
    assert "a managed policy may have 6144" in said.err
