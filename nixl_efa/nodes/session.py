"""A session of Session Manager: opened with StartSession and handed to AWS's plugin, as the AWS CLI does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nixl_efa.aws_errors import error_code
from nixl_efa.failure import Failure
from nixl_efa.nodes.run_command import NOT_REGISTERED

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PLUGIN = "session-manager-plugin"
# A later plugin takes the answer, which holds a token, from this variable, where other users can't read it; an earlier
# one as its first argument (aws/aws-cli, awscli/customizations/sessionmanager.py).
_VARIABLE = "AWS_SSM_START_SESSION_RESPONSE"
_LAST_WITHOUT_VARIABLE = (1, 2, 497, 0)


def plugin_command(
    ssm: SSMClient, target: str, profile: str, plugin_version: str
) -> tuple[list[str], Mapping[str, str]]:
    """Open a session; the command that takes it up, and what is added to its environment.

    profile: where the plugin finds credentials; empty: in its environment. plugin_version: as `--version` prints it.
    Failure when the node's agent does not report.
    """
    try:
        answer = ssm.start_session(Target=target)
    except Exception as error:
        if error_code(error) != "TargetNotConnected":
            raise
        raise Failure(f"{target}: {NOT_REGISTERED}") from error
    opened = json.dumps({name: answer[name] for name in ("SessionId", "TokenValue", "StreamUrl")})
    by_variable = _version(plugin_version) > _LAST_WITHOUT_VARIABLE
    return [
        PLUGIN,
        _VARIABLE if by_variable else opened,
        *(
            ssm.meta.region_name,
            "StartSession",
            profile,
            json.dumps({"Target": target}),
            ssm.meta.endpoint_url,
        ),
    ], {_VARIABLE: opened} if by_variable else {}


def _version(text: str) -> tuple[int, ...]:
    """A version's numbers; none for what is no version."""
    parts = text.strip().split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
