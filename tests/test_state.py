"""The state of an environment: read through its backend by the real Terraform, and parsed."""

import json
import os
from pathlib import Path

import pytest

from nixl_efa import state
from nixl_efa.failure import Failure
from nixl_efa.settings import AssumeRole, Settings
from nixl_efa.settings.backend import CloudBackend, S3Backend

LOCAL = Settings(name="prod", instance_type="p5.48xlarge")
S3 = LOCAL.model_copy(update={"backend": S3Backend(bucket="states", dynamodb_table="locks")})
CLOUD = LOCAL.model_copy(update={"backend": CloudBackend(organization="acme", project="kv")})
KEY = "arn:aws:kms:us-east-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"
ROLE = "arn:aws:iam::123456789012:role/deploy"
AS_A_ROLE = LOCAL.model_copy(
    update={
        "backend": S3Backend(bucket="states", kms_key_id=KEY),
        "profile": "team",
        "assume_role": AssumeRole(arn=ROLE, external_id="team-7"),
    }
)

INSTANCE = {
    "mode": "managed",
    "type": "aws_instance",
    "name": "producer",
    "provider": 'provider["registry.terraform.io/hashicorp/aws"]',
    "instances": [{"schema_version": 1, "status": "tainted", "attributes": {"id": "i-1", "ami": "ami-1"}}],
}
DOCUMENT = {
    "version": 4,
    "terraform_version": "1.11.4",
    "serial": 7,
    "lineage": "0c5a1f8e-0000-0000-0000-000000000000",
    "outputs": {"producer_instance_id": {"value": "i-1", "type": "string"}},
    "resources": [
        INSTANCE,
        {**INSTANCE, "mode": "data", "type": "aws_vpc", "name": "vpc"},
        {
            **INSTANCE,
            "type": "aws_eip",
            "name": "a",
            "module": "module.m",
            "instances": [{"index_key": 0, "attributes": None}],
        },
    ],
}


def test_managed_resources_are_known_by_their_addresses() -> None:
    found = state.parse(DOCUMENT)
    assert list(found.resources) == ["aws_instance.producer", "module.m.aws_eip.a[0]"]
    assert found.nodes["producer"].id == "i-1"
    assert found.nodes["producer"].tainted
    assert found.outputs == {"producer_instance_id": "i-1"}


def test_a_local_state_is_read_by_terraform_and_left_as_it_is(tmp_path: Path) -> None:
    file = state.local_state(LOCAL, tmp_path)
    file.parent.mkdir()
    file.write_text(json.dumps(DOCUMENT))
    before = file.read_bytes()
    assert state.read(LOCAL, tmp_path, os.environ).nodes["producer"].id == "i-1"
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["nixl-efa-prod.tfstate", "state"]


def test_without_a_state_there_is_nothing(tmp_path: Path) -> None:
    found = state.read(LOCAL, tmp_path, os.environ)
    assert (found.document, found.resources) == ({}, {})


IN_S3 = {
    "bucket": "states",
    "key": "nixl-efa/prod.tfstate",
    "region": "us-east-2",
    "encrypt": True,
    "use_lockfile": True,
}
AS_TEAM = {"profile": "team", "assume_role": {"role_arn": ROLE, "external_id": "team-7"}}
IN_CLOUD = {
    "hostname": "app.terraform.io",
    "organization": "acme",
    "workspaces": {"name": "nixl-efa-prod", "project": "kv"},
}


@pytest.mark.parametrize(
    ("settings", "place", "block"),
    [
        (LOCAL, "local", {"backend": {"local": {"path": "P"}}}),
        (
            AS_A_ROLE,
            "s3://states/nixl-efa/prod.tfstate",
            {"backend": {"s3": {**IN_S3, "kms_key_id": KEY, **AS_TEAM}}},
        ),
        (S3, "s3://states/nixl-efa/prod.tfstate", {"backend": {"s3": {**IN_S3, "dynamodb_table": "locks"}}}),
        (CLOUD, "app.terraform.io/acme/nixl-efa-prod", {"cloud": IN_CLOUD}),
    ],
)
def test_each_backend_has_its_place_and_its_block(
    settings: Settings, place: str, block: dict[str, object]
) -> None:
    assert state.backend_block(settings, local_path="P") == block
    assert settings.state_place == place
    assert settings.stack_identity == f"nixl-efa-prod {place}"


def test_an_identity_that_ec2_would_refuse_as_a_tag_is_a_digest() -> None:
    long = LOCAL.model_copy(update={"backend": S3Backend(bucket="states", key="k" * 300)})
    odd = LOCAL.model_copy(update={"backend": S3Backend(bucket="states", key="kv(1).tfstate")})
    for one in (long, odd):
        assert one.stack_identity.startswith("nixl-efa-prod ")
        assert len(one.stack_identity) == len("nixl-efa-prod ") + 32
    assert long.stack_identity != odd.stack_identity


@pytest.mark.parametrize(
    ("settings", "said", "remedy"),
    [
        (S3, "Error loading state\n│\n│ StatusCode: 403", "Let your role read it: `nixl-efa policy"),
        (S3, "No valid credential sources found", "Run `aws sso login` or `aws configure`"),
        (S3, "error loading state: something", "Look whether the backend is there"),
        (CLOUD, "Required token could not be found", "Run `terraform login app.terraform.io`."),
        (CLOUD, "Failed to request discovery document", "This machine must reach app.terraform.io."),
    ],
)
def test_a_backend_that_does_not_answer_is_one_line_with_the_remedy(
    settings: Settings, said: str, remedy: str, tmp_path: Path
) -> None:
    def run(command: object, folder: Path, environ: object) -> tuple[int, str, str]:
        return 1, "", f"╷\n│ Error: {said}\n╵\n"

    with pytest.raises(Failure) as stopped:
        state.read(settings, tmp_path, {}, run)
    said = said.partition("\n")[0]
    where = f"The state of nixl-efa-prod is in {settings.state_place}."
    assert stopped.value.message.startswith(f"`terraform init` failed: {said}. {where} {remedy}")


@pytest.mark.parametrize("environ", [{}, {"TF_CLI_CONFIG_FILE": "/nowhere/terraformrc"}])
def test_a_state_that_is_no_state_is_said_so_whatever_else_terraform_says(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Terraform says it without "Error:", behind its warnings of the machine's own configuration."""
    file = state.local_state(LOCAL, tmp_path)
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(Failure) as stopped:
        state.read(LOCAL, tmp_path, {**os.environ, **environ})
    assert stopped.value.message.startswith(
        "`terraform state` failed: Unsupported state file format: The state file could not be parsed as JSON"
    )
    assert stopped.value.message.endswith(
        f"is in {file}. Put back the one before: the file of that name with .backup, "
        "or a version of the bucket's object."
    )


def test_the_workspace_that_was_selected_in_the_stacks_folder_is_read(tmp_path: Path) -> None:
    """With tags alone, Terraform Cloud's workspace is known by that."""
    selected = tmp_path / "cdktf.out/stacks/nixl-efa-prod/.terraform/environment"
    selected.parent.mkdir(parents=True)
    selected.write_text("team")
    seen: list[str] = []

    def run(command: object, folder: Path, environ: object) -> tuple[int, str, str]:
        seen.append((folder / ".terraform/environment").read_text())
        return 0, "", ""

    state.read(CLOUD, tmp_path, {}, run)
    assert seen == ["team", "team"]


def test_a_missing_terraform_names_the_variable_for_opentofu(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"no-such-program is not on PATH.*TERRAFORM_BINARY_NAME=tofu"):
        state.read(LOCAL, tmp_path, {"TERRAFORM_BINARY_NAME": "no-such-program"}, subprocess_run)


def subprocess_run(command: object, folder: Path, environ: object) -> tuple[int, str, str]:
    raise FileNotFoundError(str(command))
