"""The identity with which both Terraform and the command line call AWS: a profile, and a role that it assumes."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from nixl_efa.settings.values import Allowed

ProfileName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_.@:/+=,-]{1,128}$"),
    Allowed("a profile's name: up to 128 letters, digits and _ . @ : / + = , -"),
]
# IAM user guide, reference_iam-quotas: names and paths. STS API reference, AssumeRole: the others.
RoleArn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]{1,576}$"),
    Allowed("a role's ARN, such as arn:aws:iam::123456789012:role/deploy"),
]
ExternalId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_+=,.@:/-]{2,1224}$"),
    Allowed("2 to 1224 letters, digits and _ + = , . @ : / -"),
]
SessionName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_+=,.@-]{2,64}$"),
    Allowed("2 to 64 letters, digits and _ + = , . @ -"),
]


class AssumeRole(BaseModel):
    """The role that is assumed.

    external_id:  the external id that the role's trust policy requires; None: none.
    session_name: the name of the session in CloudTrail; None: each program chooses one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arn: RoleArn
    external_id: ExternalId | None = None
    session_name: SessionName | None = None


def as_table(value: object) -> object:
    """The table for a role that is given only by its ARN."""
    return {"arn": value} if isinstance(value, str) and value.startswith("arn:") else value


AssumedRole = Annotated[
    AssumeRole,
    BeforeValidator(as_table),
    Allowed("a role's ARN, or a table (JSON in a variable) with arn, external_id and session_name"),
]
