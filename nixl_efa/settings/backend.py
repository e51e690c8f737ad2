"""Where an environment's Terraform state lives: on this machine, in S3 or in Terraform Cloud."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from nixl_efa.settings.values import Allowed, KmsKeyArn, Region, YesNo

# S3 user guide, bucketnamingrules.
BucketName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    Allowed("a bucket's name: 3 to 63 lower-case letters, digits, hyphens and dots"),
]
# S3 user guide, object-keys: the characters that are safe in a key.
StateKey = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9!_.*'()-][a-zA-Z0-9!_.*'()/-]*$", max_length=1024),
    Allowed("an object's key, such as nixl-efa/prod.tfstate"),
]
TableName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{3,255}$"),
    Allowed("a DynamoDB table's name: 3 to 255 letters, digits, underscores, hyphens and dots"),
]
HostName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$", max_length=253),
    Allowed("a host's name, such as app.terraform.io"),
]
CloudName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,90}$"),
    Allowed("at most 90 letters, digits, underscores and hyphens"),
]
ProjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_-]([a-zA-Z0-9 _-]{0,38}[a-zA-Z0-9_-])?$"),
    Allowed("a project's name: at most 40 letters, digits, underscores, hyphens and spaces within"),
]


class _Backend(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LocalBackend(_Backend):
    """State in a file on this machine."""

    type: Literal["local"] = "local"


class S3Backend(_Backend):
    """State in an S3 bucket.

    key:            the state's object; None: a default key that contains the environment's name.
    region:         the bucket's region; None: the environment's.
    dynamodb_table: a table that holds the lock, for a team that has one already.
    use_lockfile:   a lock file next to the state in the bucket (Terraform 1.10 and later).
    encrypt:        server-side encryption of the state. kms_key_id: with this KMS key; None: with S3's own.
    """

    type: Literal["s3"] = "s3"
    bucket: BucketName
    key: StateKey | None = None
    region: Region | None = None
    dynamodb_table: TableName | None = None
    use_lockfile: YesNo = True
    encrypt: YesNo = True
    kms_key_id: KmsKeyArn | None = None

    @model_validator(mode="after")
    def _key_encrypts(self) -> S3Backend:
        if self.kms_key_id and not self.encrypt:
            raise ValueError("has kms_key_id and encrypt = false: leave one of them out")
        return self


class CloudBackend(_Backend):
    """State, and runs, in Terraform Cloud (HCP Terraform) or Terraform Enterprise.

    workspace: None with a project: a workspace with the stack's name in that project.
    tags:      selects the workspaces that have all of these; can't be used with `workspace`.
    """

    type: Literal["cloud"] = "cloud"
    hostname: HostName = "app.terraform.io"
    organization: CloudName
    workspace: CloudName | None = None
    project: ProjectName | None = None
    tags: Annotated[tuple[CloudName, ...], Allowed("a list of a workspace's tags")] = ()

    @model_validator(mode="after")
    def _names_a_workspace(self) -> CloudBackend:
        if self.workspace and self.tags:
            raise ValueError("has both workspace and tags: give one of them")
        if not (self.workspace or self.project or self.tags):
            raise ValueError("needs a workspace or a project (or tags)")
        return self


def as_table(value: object) -> object:
    """The table for a backend that is given only by the name of its type."""
    return {"type": value} if isinstance(value, str) and value.isalnum() else value


Backend = Annotated[
    LocalBackend | S3Backend | CloudBackend,
    Field(discriminator="type"),
    BeforeValidator(as_table),
    Allowed('"local", or a table (JSON in a variable) with the type "local", "s3" or "cloud"'),
]
BACKENDS: dict[str, type[_Backend]] = {"local": LocalBackend, "s3": S3Backend, "cloud": CloudBackend}
