"""A session of Session Manager: opened with StartSession and passed to AWS's plugin, as the AWS CLI does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_errors import error_code
from nixl_efa.failure import Failure
from nixl_efa.nodes.run_command import NOT_REGISTERED

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PLUGIN = "session-manager-plugin"
# A newer plugin reads the answer, which contains a token, from this variable, so that other users can't see it; an
# older one gets it as its first argument (aws/aws-cli, awscli/customizations/sessionmanager.py).
_VARIABLE = "AWS_SSM_START_SESSION_RESPONSE"
_LAST_WITHOUT_VARIABLE = (1, 2, 497, 0)


# AWS's documents for sessions that are not a shell (Systems Manager user guide, start a session).
FORWARDING, SSH = "AWS-StartPortForwardingSession", "AWS-StartSSHSession"


def plugin_command(
    ssm: SSMClient,
    target: str,
    profile: str,
    plugin_version: str,
    document: str = "",
    parameters: Mapping[str, Sequence[str]] | None = None,
) -> tuple[list[str], Mapping[str, str]]:
    """Open a session; returns the command that connects to it, and the variables to add to its environment.

    profile: where the plugin finds credentials; empty: in its environment. plugin_version: as `--version` prints it.
    document: what kind of session it is, with its parameters; empty for a shell.
    Failure when the node's agent does not report.
    """
    asked: dict[str, Any] = {"Target": target}
    if document:
        asked |= {"DocumentName": document, "Parameters": dict(parameters or {})}
    try:
        answer = ssm.start_session(**asked)
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
            json.dumps(asked),
            ssm.meta.endpoint_url,
        ),
    ], {_VARIABLE: opened} if by_variable else {}


def _version(text: str) -> tuple[int, ...]:
    """The numbers of a version; none if it is not a version."""
    parts = text.strip().split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
