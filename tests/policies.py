"""The local AWS under the policy that `nixl-efa policy` prints, and what of that policy was used."""

import json
from collections.abc import Mapping
from typing import Any

from local_aws import LocalAws
from nixl_efa.policy.actions import ROWS
from nixl_efa.policy.model import Command

DENIALS = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


def under(aws: LocalAws, printed: str) -> None:
    """From here on only what the printed policy allows is answered."""
    policy = json.loads(printed)
    assert set(policy) == {"Version", "Statement"}
    aws.allow_only(policy)
    aws.calls.clear()


def denied(aws: LocalAws) -> list[tuple[str, str]]:
    """The calls that the policy lacked."""
    return [(call.service, call.action) for call in aws.calls.all() if call.code in DENIALS]


def used(aws: LocalAws) -> set[str]:
    """The permissions that the calls since `under` needed."""
    return set(aws.world.permissions)


def of_command(*commands: Command) -> set[str]:
    """The actions of the table that these commands need themselves."""
    return {action for row in ROWS if set(commands) & set(row.commands) for action in row.actions}


def in_policy(policy: Mapping[str, Any]) -> set[str]:
    """The actions of a printed policy."""
    return {action for statement in policy["Statement"] for action in statement["Action"]}
