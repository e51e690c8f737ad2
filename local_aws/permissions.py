"""What identity policies decide about an action (pure), and which policies belong to a request's key.

IAM user guide, reference_policies_evaluation-logic: a denial wins, then one permission is enough.
"""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Document = Mapping[str, Any]


def decide(
    documents: Iterable[Document], action: str, resource: str, context: Mapping[str, str]
) -> tuple[Decision, list[str]]:
    """The decision, and the context keys that a statement needs and that are not known here; such a statement does not
    apply."""
    missing: set[str] = set()
    effects = set()
    for statement in (one for document in documents for one in _list(document.get("Statement", []))):
        if not _is_about(statement, action, resource):
            continue
        keys = [key for of_operator in statement.get("Condition", {}).values() for key in of_operator]
        unknown = [key for key in keys if key not in context]
        missing.update(unknown)
        if not unknown and _holds(statement, context):
            effects.add(statement["Effect"])
    if "Deny" in effects:
        return "explicitDeny", sorted(missing)
    return ("allowed" if "Allow" in effects else "implicitDeny"), sorted(missing)


def policies_of_arn(account: str, partition: str, arn: str) -> list[Document] | None:
    """The policies of a user or a role; None if it does not exist."""
    iam = iam_backends[account][partition]
    for one in (*iam.users.values(), *iam.roles.values()):
        if one.arn == arn:
            groups = [group for group in iam.groups.values() if one in group.users]
            return [document for holder in (one, *groups) for document in _documents(holder)]
    return None


def policies_of_key(account: str, partition: str, access_key: str) -> list[Document] | None:
    """The policies of a request's key; None for a key that was not created here, which may do everything."""
    iam = iam_backends[account][partition]
    for user in iam.users.values():
        if any(key.access_key_id == access_key for key in user.access_keys):
            return policies_of_arn(account, partition, user.arn)
    for assumed in sts_backends[account][partition].assumed_roles:
        if assumed.access_key_id == access_key:
            return policies_of_arn(account, partition, assumed.role_arn)
    return None


def _documents(holder: Any) -> list[Document]:
    inline = [json.loads(text) if isinstance(text, str) else text for text in holder.policies.values()]
    managed = [
        json.loads(version.document)
        for policy in holder.managed_policies.values()
        for version in policy.versions
        if version.is_default
    ]
    return [*inline, *managed]


def _is_about(statement: Document, action: str, resource: str) -> bool:
    if "NotAction" in statement:
        fits = not _matches(_list(statement["NotAction"]), action.lower())
    else:
        fits = _matches([one.lower() for one in _list(statement["Action"])], action.lower())
    if "NotResource" in statement:
        return fits and not _matches(_list(statement["NotResource"]), resource)
    return fits and _matches(_list(statement.get("Resource", "*")), resource)


def _holds(statement: Document, context: Mapping[str, str]) -> bool:
    """Operators for equal and similar strings; any other operator counts as true."""
    for operator, wanted in statement.get("Condition", {}).items():
        for key, values in wanted.items():
            if operator.startswith(("StringEquals", "StringLike", "ArnLike", "ArnEquals")) and not _matches(
                _list(values), context[key]
            ):
                return False
    return True


def _matches(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
