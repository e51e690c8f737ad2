"""How each service refuses what the caller's policy does not allow, in its own words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from local_aws.authorization.asked import ACCOUNT, Asked
from local_aws.authorization.policy import Document
from local_aws.permissions import decide

USER = f"arn:aws:iam::{ACCOUNT}:user/moto"
_JSON = {"ssm", "servicequotas", "kms", "logs", "dynamodb", "pricing", "ce"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes the request: an ARN, and what it may do."""

    arn: str
    policies: Sequence[Document]


def denied(caller: Caller, needed: Iterable[Asked], service: str) -> tuple[str, str] | None:
    """Code and message for the first permission that the caller lacks; None when it has all.

    The words are those of public logs (docs/facts.md, denied-words).
    """
    for asked in needed:
        decision, _ = decide(caller.policies, asked.action, asked.resource, asked.context)
        if decision != "allowed":
            return _code(service), _words(asked, service, caller.arn, explicit=decision == "explicitDeny")
    return None


def _code(service: str) -> str:
    if service == "ec2":
        return "UnauthorizedOperation"
    return "AccessDeniedException" if service in _JSON else "AccessDenied"


def _words(asked: Asked, service: str, who: str, *, explicit: bool) -> str:
    resource = f'"{asked.resource}"' if service == "s3" else asked.resource
    where = "" if asked.resource == "*" else f" on resource: {resource}"
    why = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {asked.action} action"
    )
    words = f"User: {who} is not authorized to perform: {asked.action}{where} {why}"
    if service != "ec2":
        return words
    # EC2 adds the text that `aws sts decode-authorization-message` reads only for actions that have a resource.
    encoded = ". Encoded authorization failure message: local" if where else ""
    return f"You are not authorized to perform this operation. {words}{encoded}"
