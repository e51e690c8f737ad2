"""A policy that is set for every caller. Its form is checked when it is set, so that nothing has to be guessed
later."""

from collections.abc import Mapping, Sequence
from typing import Any

VERSION = "2012-10-17"
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}
_OPERATORS = {"StringEquals", "StringLike", "ArnLike", "Bool"}

Document = Mapping[str, Any]


def read(document: Document) -> Document:
    """The document, unchanged. ValueError, with the reason, if IAM does not accept it (IAM user guide,
    reference_policies_grammar), or if `local_aws.permissions` can't evaluate it."""
    if document.get("Version") != VERSION:
        raise ValueError(f"policy: Version must be {VERSION}, not {document.get('Version')!r}")
    statements = document.get("Statement")
    if not isinstance(statements, list) or not statements:
        raise ValueError("policy: Statement must be a list of statements")
    for one in statements:
        _check(one)
    return document


def _check(statement: Any) -> None:
    if not isinstance(statement, Mapping):
        raise ValueError("policy: a statement must be an object")
    if unknown := set(statement) - _ELEMENTS:
        raise ValueError(f"policy: unknown element {', '.join(sorted(unknown))} of a statement")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"policy: Effect must be Allow or Deny, not {statement.get('Effect')!r}")
    for name in ("Action", "Resource"):
        given = statement.get(name)
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, Sequence) or not texts or not all(isinstance(one, str) for one in texts):
            raise ValueError(f"policy: {name} must be a text or a list of them")
    if unknown := set(statement.get("Condition", {})) - _OPERATORS:
        raise ValueError(f"policy: the condition operator {', '.join(sorted(unknown))} is not evaluated here")
