"""An environment's Terraform state, read through its backend: local, S3 or Terraform Cloud alike.

Read in a folder of its own that names the backend and nothing else: no synthesis, no provider, cdktf.out untouched.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nixl_efa.settings import Settings
from nixl_efa.settings.backend import CloudBackend, LocalBackend, S3Backend
from nixl_efa.terraform import Capture, Terraform, TerraformError, capture

STATE_FOLDER = "state"
# In a stack's folder: what `terraform workspace select` writes.
SELECTED_WORKSPACE = Path(".terraform", "environment")
# Of the folders in which a state is only read.
READERS_PREFIX = "nixl-efa-state-"
# What Terraform says where a state can't be read, and what to do (seen with 1.11; {hostname}: Terraform Cloud's).
_REMEDIES = {
    ("NoSuchBucket",): "Name the bucket that holds the state (the setting backend), or make it.",
    ("No valid credential sources", "ExpiredToken", "InvalidClientTokenId", "SSO session"): (
        "Run `aws sso login` or `aws configure`, set AWS_PROFILE, or give --profile."
    ),
    ("shared config profile",): (
        "Give a profile of this machine by --profile: `aws configure list-profiles` shows them."
    ),
    ("AccessDenied", "StatusCode: 403"): (
        "Let your role read it: `nixl-efa policy --env {environment} verify` prints what that needs."
    ),
    ("token could not be found", "unauthorized"): "Run `terraform login {hostname}`.",
    ("discovery document",): "This machine must reach {hostname}.",
    ("Unsupported state file format",): (
        "Put back the one before: the file of that name with .backup, or a version of the bucket's object."
    ),
    ("No workspaces found", "elected workspace"): "Name the workspace in TF_WORKSPACE.",
}


class LeastTerraform(NamedTuple):
    """The oldest Terraform, or OpenTofu, that a stack can be deployed with, and what of the stack needs it."""

    version: tuple[int, ...]
    why: str


# Terraform's changelog: terraform_data in 1.4, the S3 backend's assume_role as one value in 1.6, its use_lockfile in
# 1.10. OpenTofu begins with 1.6 and has use_lockfile from 1.10 on, too (its changelog).
STACKS_TERRAFORM = LeastTerraform((1, 4), "the stack's terraform_data")


@dataclass(frozen=True, slots=True)
class Resource:
    """One managed resource of a state. `id` is empty where it has none; `attributes` as the provider wrote them."""

    address: str
    type: str
    name: str
    id: str
    tainted: bool
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """A state. `document` is the whole of it, {} when there is none; resources are by address."""

    document: Mapping[str, Any]
    resources: Mapping[str, Resource]

    @property
    def nodes(self) -> dict[str, Resource]:
        """The nodes' instances by the node's name in Terraform ("producer")."""
        return {one.name: one for one in self.resources.values() if one.type == "aws_instance"}

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name."""
        return {name: one.get("value") for name, one in self.document.get("outputs", {}).items()}


def parse(document: Mapping[str, Any]) -> State:
    """A State from the stored form, version 4 (Terraform's `state pull`)."""
    resources = {}
    for one in document.get("resources", ()):
        if one["mode"] != "managed":
            continue
        for instance in one["instances"]:
            key = instance.get("index_key")
            index = "" if key is None else f"[{json.dumps(key)}]"
            module = f"{one['module']}." if one.get("module") else ""
            address = f"{module}{one['type']}.{one['name']}{index}"
            attributes = instance.get("attributes") or {}
            resources[address] = Resource(
                address=address,
                type=one["type"],
                name=one["name"],
                id=attributes.get("id") or "",
                tainted=instance.get("status") == "tainted",
                attributes=attributes,
            )
    return State(document, resources)


def read(settings: Settings, project: Path, environ: Mapping[str, str], run: Capture = capture) -> State:
    """The environment's state as its backend holds it. Failure, in one line, when the backend does not answer.

    project: the folder of cdktf.json, below which a local state lives.
    """
    with tempfile.TemporaryDirectory(prefix=READERS_PREFIX) as folder:
        try:
            terraform = at_backend(settings, project, Path(folder), environ, run)
            return parse(terraform.state())
        except TerraformError as error:
            remedy = _remedy(error.text, settings)
            message = f"{error.message} The state of {settings.stack_name} is in {place(settings, project)}. {remedy}"
            raise TerraformError(message, error.text) from error


def place(settings: Settings, project: Path) -> str:
    """Where the environment's state lives, in words: a file of this machine, or as Settings.state_place."""
    local = isinstance(settings.backend, LocalBackend)
    return str(local_state(settings, project.resolve())) if local else settings.state_place


def _remedy(text: str, settings: Settings) -> str:
    """What to do where a state can't be read. text: what Terraform said."""
    for words, remedy in _REMEDIES.items():
        if any(word in text for word in words):
            return remedy.format(
                environment=settings.name, hostname=getattr(settings.backend, "hostname", "")
            )
    return "Look whether the backend is there and the credentials for it are right."


def at_backend(
    settings: Settings, project: Path, folder: Path, environ: Mapping[str, str], run: Capture = capture
) -> Terraform:
    """Terraform in `folder`, made ready for the commands that read or change the state and need no provider
    (`state pull`, `state push`, `force-unlock`)."""
    block = backend_block(settings, local_path=str(local_state(settings, project).resolve()))
    (folder / "main.tf.json").write_text(json.dumps({"terraform": block}), encoding="utf-8")
    terraform = Terraform(folder, environ, capture=run)
    selected = project / "cdktf.out" / "stacks" / settings.stack_name / SELECTED_WORKSPACE
    if selected.exists() and not isinstance(settings.backend, LocalBackend):
        (folder / SELECTED_WORKSPACE).parent.mkdir()
        shutil.copyfile(selected, folder / SELECTED_WORKSPACE)
    # Terraform readies the backend first, then looks for the providers of the resources in the state. Those commands
    # need none: an empty folder instead of the registry ends the search at once.
    providers = folder / "providers"
    providers.mkdir()
    try:
        terraform.ask("init", "-input=false", "-no-color", f"-plugin-dir={providers}")
    except TerraformError:
        if not (folder / ".terraform" / "terraform.tfstate").exists():
            raise
    return terraform


def least_terraform(settings: Settings) -> LeastTerraform:
    """The oldest that can deploy an environment's stack."""
    if isinstance(settings.backend, S3Backend):
        if settings.backend.use_lockfile:
            return LeastTerraform((1, 10), "use_lockfile of the backend in S3")
        if settings.assume_role:
            return LeastTerraform((1, 6), "assume_role of the backend in S3")
    return STACKS_TERRAFORM


def local_state(settings: Settings, project: Path) -> Path:
    """Where the environment's state lies with a local backend."""
    return project / STATE_FOLDER / f"{settings.stack_name}.tfstate"


def backend_block(settings: Settings, *, local_path: str) -> dict[str, Any]:
    """The members of Terraform's `terraform` block that say where the state lives."""
    chosen = settings.backend
    if isinstance(chosen, S3Backend):
        values: dict[str, Any] = {
            "bucket": chosen.bucket,
            "key": settings.state_key,
            "region": chosen.region or settings.region,
            "encrypt": chosen.encrypt,
        }
        if chosen.dynamodb_table:
            values["dynamodb_table"] = chosen.dynamodb_table
        if chosen.use_lockfile:
            values["use_lockfile"] = True
        if chosen.kms_key_id:
            values["kms_key_id"] = chosen.kms_key_id
        if settings.profile:
            values["profile"] = settings.profile
        if role := settings.assume_role:
            # Terraform 1.6 and later (its documentation, Backend Type: s3).
            values["assume_role"] = {
                name: value
                for name, value in (
                    ("role_arn", role.arn),
                    ("external_id", role.external_id),
                    ("session_name", role.session_name),
                )
                if value
            }
        return {"backend": {"s3": values}}
    if isinstance(chosen, CloudBackend):
        workspaces: dict[str, Any] = (
            {"tags": list(chosen.tags)} if chosen.tags else {"name": settings.cloud_workspace}
        )
        if chosen.project:
            workspaces["project"] = chosen.project
        return {
            "cloud": {
                "hostname": chosen.hostname,
                "organization": chosen.organization,
                "workspaces": workspaces,
            }
        }
    return {"backend": {"local": {"path": local_path}}}
