"""Which policy denied a call, by AWS's message, and who can change it. Pure.

IAM user guide, troubleshoot_access-denied: "... is not authorized to perform: ACTION on resource: ARN with an explicit
deny in a TYPE policy", or "because no TYPE policy allows the ACTION action"; the ARN of the policy may follow. Older
messages say "due to an explicit deny in a Service Control Policy". Where several types deny, AWS names one of them.
EC2 often names none, and gives an encoded message (STS API reference, DecodeAuthorizationMessage).
"""

import re

from nixl_efa.refusals.model import Advice, Refusal

DENIED = frozenset(
    {"UnauthorizedOperation", "Client.UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
)
_PERFORM = re.compile(r"perform: ([A-Za-z0-9-]+:\w+)")
_EXPLICIT = re.compile(
    r"explicit deny in (?:an?|the) ((?:[\w-]+ )+?(?:policy|boundary))(?!\w)", re.IGNORECASE
)
_IMPLICIT = re.compile(r"because no ((?:[\w-]+ )+?(?:policy|boundary)) allows", re.IGNORECASE)
# Causes that are not a type of policy: a setting of S3, a key in another region or account, a one-time password.
_OTHER_CAUSE = re.compile(
    r"\bbecause (?!no identity-based policy allows)|does not exist|authentication failed", re.IGNORECASE
)
_ENCODED = "encoded authorization failure message"
_DECLARATIVE = "declarative policy"
_ORGANIZATION = "No permission added to your role helps: those who run the organization must allow it, or take an account, a region or a type that they allow."
# Seen by an account that requested u-trn2x64: AWS must allow each account to buy UltraServers.
_ULTRA_SERVERS = "when requesting an ec2 ultraserver"
_DECODE = "`aws sts decode-authorization-message --encoded-message ...` shows which"
# By AWS's name for the type of policy: what it is, and what to do about an explicit deny and about a missing allow.
_TYPES = {
    "service control policy": ("a service control policy of the organization", _ORGANIZATION, _ORGANIZATION),
    "resource control policy": (
        "a resource control policy of the organization",
        _ORGANIZATION,
        _ORGANIZATION,
    ),
    "permissions boundary": (
        "the permissions boundary of your role or user",
        "No permission added to its policies helps: have the Deny removed from the boundary.",
        "No permission added to its policies helps while the boundary lacks it: have it added to the boundary.",
    ),
    "session policy": (
        "the session policy with which these credentials were made",
        "No permission added to your role helps: take credentials without that session policy (another --profile).",
        "No permission added to your role helps: take credentials without that session policy (another --profile).",
    ),
    "vpc endpoint policy": (
        "the policy of the VPC endpoint through which the call went",
        "No permission added to your role helps: have the endpoint's policy changed, or call from outside its VPC.",
        "No permission added to your role helps: have it added to the endpoint's policy, or call from outside its VPC.",
    ),
    "resource-based policy": (
        "the policy of the resource itself",
        "No permission added to your role helps: have the Deny removed from the resource's own policy.",
        "Have it added to the resource's own policy, which another account may own.",
    ),
    "role trust policy": (
        "the trust policy of the role",
        "No permission added to you helps: have the Deny removed from the role's trust policy.",
        "Have yourself added to the role's trust policy.",
    ),
}
_TYPES["trust policy"] = _TYPES["role trust policy"]


def missing(refusal: Refusal, service: str = "") -> str:
    """The permission that a denial is about ("ec2:PurchaseCapacityBlock"), empty for other refusals.

    service: the one that answered, by its name in permissions; empty when it is not known.
    """
    if refusal.code not in DENIED:
        return ""
    named = _PERFORM.search(refusal.message)
    if named:
        return named.group(1)
    operation = refusal.operation or "unknown"
    # Only EC2 answers UnauthorizedOperation; its message often names no action. If the service isn't known, only the
    # operation is named: a permission that does not exist would mislead.
    service = service or ("ec2" if "UnauthorizedOperation" in refusal.code else "")
    return f"{service}:{operation}" if service else operation


def denial(refusal: Refusal, service: str = "") -> Advice | None:
    """What denied the call and who can change that; None for a refusal that is not a denial."""
    action = missing(refusal, service)
    message = refusal.message
    # Systems Manager: "No access to reserved parameter name".
    if not action or "reserved parameter name" in message.lower():
        return None
    if _DECLARATIVE in message.lower():
        return _advice(refusal, f"a declarative policy of the organization forbids {action}", _ORGANIZATION)
    if _ULTRA_SERVERS in message.lower():
        return _advice(
            refusal,
            "AWS does not sell UltraServers to this account",
            "Ask AWS's account team for access to them; no permission of a role or user gives it.",
        )
    explicit, implicit = _EXPLICIT.search(message), _IMPLICIT.search(message)
    found = explicit or implicit
    kind = " ".join(found.group(1).lower().split()) if found else ""
    if kind in _TYPES:
        what, deny, allow = _TYPES[kind]
        if explicit:
            return _advice(refusal, f"{action} is denied by {what}", deny)
        return _advice(refusal, f"{action} is not allowed by {what}", allow)
    if kind == "identity-based policy" and explicit:
        return _advice(
            refusal,
            f"{action} is denied by a policy of your role, user or its group",
            "No permission added helps while that Deny is there: have it removed, or choose another with --profile.",
        )
    if explicit:
        return _advice(
            refusal,
            f"{action} is denied by {explicit.group(0)[len('explicit deny in ') :]}",
            "No permission added to your role helps while that Deny is there: have it removed.",
        )
    if implicit:
        return _advice(
            refusal,
            f"{action} is not allowed",
            "Ask for it to be added to your role or user, or choose another with --profile.",
        )
    if _ENCODED in message.lower():
        return _advice(
            refusal,
            f"{action} is not allowed, and AWS names no policy",
            f"{_DECODE} policy denied it: one of your role's, or one of the organization's, which no role changes.",
        )
    return _advice(
        refusal,
        f"{action} is not allowed",
        "Ask for it to be added to your role or user, or choose another with --profile; a policy of the organization, which no role changes, can deny it as well.",
    )


def names_cause(refusal: Refusal) -> bool:
    """Whether AWS's message says more than that a permission is missing: which policy denied it, why, or how to find
    that out."""
    message = refusal.message
    return (
        _EXPLICIT.search(message) is not None
        or _OTHER_CAUSE.search(message) is not None
        or any(words in message.lower() for words in (_ENCODED, _DECLARATIVE, _ULTRA_SERVERS))
    )


def _advice(refusal: Refusal, meaning: str, remedy: str) -> Advice:
    return Advice((refusal.code,), meaning, remedy)
