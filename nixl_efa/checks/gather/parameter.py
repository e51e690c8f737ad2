"""Values that the settings leave to Parameter Store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixl_efa.aws_errors import error_code

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# Parameter Store also answers the second one for a public parameter of another region.
_ABSENT = {"ParameterNotFound", "ParameterVersionNotFound"}


def value(ssm: SSMClient, name: str) -> str | None:
    """A parameter's value without spaces around it, None when there is no such parameter."""
    from botocore.exceptions import ClientError

    try:
        answer = ssm.get_parameter(Name=name)
    except ClientError as error:
        if error_code(error) in _ABSENT:
            return None
        raise
    return answer["Parameter"].get("Value", "").strip()
