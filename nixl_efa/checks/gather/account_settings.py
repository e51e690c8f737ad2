"""Settings and permissions of the account: Allowed AMIs, the EBS key, the Spot role, and IAM's simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nixl_efa.account import Account
from nixl_efa.aws_calls import ask_all, unless_missing
from nixl_efa.aws_errors import error_code, missing_permission
from nixl_efa.checks.facts import Profile, Simulated, VolumeKey
from nixl_efa.checks.permissions import Wanted

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient

# EC2's name for the key that AWS keeps in each account (EC2 API reference, GetEbsDefaultKmsKeyId).
AWS_KEY = "alias/aws/ebs"
# EBS encrypts only with keys of this kind (EC2 API reference, ModifyEbsDefaultKmsKeyId; KMS API reference,
# KeyMetadata).
_SYMMETRIC = "SYMMETRIC_DEFAULT"
SPOT_ROLE = "AWSServiceRoleForEC2Spot"


def allowed_images(ec2: EC2Client) -> str:
    """The state of Allowed AMIs: "disabled", "audit-mode" or "enabled"."""
    answer: Mapping[str, Any] = ec2.get_allowed_images_settings()
    return str(answer.get("State", "disabled"))


def default_key(ec2: EC2Client) -> str:
    """The id of the key with which EBS encrypts when a request names none."""
    answer: Mapping[str, Any] = ec2.get_ebs_default_kms_key_id()
    return str(answer.get("KmsKeyId", AWS_KEY))


def volume_key(kms: Callable[[], Any], key_id: str, account_id: str) -> VolumeKey:
    """A key by its id, ARN or alias. AWS's own key is never looked up.

    For a key of another account that KMS doesn't show, the result has only the account.
    """
    from botocore.exceptions import ClientError

    if key_id.endswith(AWS_KEY):
        return VolumeKey(key_id)
    owner = key_id.split(":")[4] if key_id.count(":") > 4 else ""
    try:
        found = kms().describe_key(KeyId=key_id)["KeyMetadata"]
    except ClientError as error:
        gone = error_code(error) == "NotFoundException"
        if owner not in ("", account_id) and (gone or missing_permission(error)):
            return VolumeKey(key_id, owner)
        if not gone:
            raise
        return VolumeKey(key_id, owner, "gone")
    if found.get("KeyManager") == "AWS":
        return VolumeKey(key_id)
    spec = found.get("KeySpec", _SYMMETRIC)
    state = found.get("KeyState", "") if spec == _SYMMETRIC else f"no key for EBS ({spec})"
    return VolumeKey(key_id, found.get("AWSAccountId", owner), state)


def has_spot_role(iam: IAMClient) -> bool:
    """Whether the role that EC2 uses to request Spot Instances exists."""
    return unless_missing(partial(iam.get_role, RoleName=SPOT_ROLE)) is not None


def profile(iam: IAMClient, name: str) -> Profile | None:
    """An instance profile and its role, None when it isn't there."""
    found = unless_missing(partial(iam.get_instance_profile, InstanceProfileName=name))
    if found is None:
        return None
    role: Mapping[str, Any] = next(iter(found["InstanceProfile"]["Roles"]), {})
    return Profile(name, role.get("Arn", ""), _is_for_ec2(role.get("AssumeRolePolicyDocument", {})))


def _is_for_ec2(trust: Mapping[str, Any] | str) -> bool:
    """Whether a statement of a role's trust policy is for EC2. In China EC2 is also called ec2.amazonaws.com.cn (IAM
    user guide, reference_policies_elements_principal)."""
    document = trust if isinstance(trust, Mapping) else {}
    statements = document.get("Statement", [])
    for one in statements if isinstance(statements, list) else [statements]:
        principal = one.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, Mapping) else []
        named = services if isinstance(services, list) else [services]
        if one.get("Effect") == "Allow" and (
            principal == "*" or any(each.startswith("ec2.amazonaws.com") for each in named)
        ):
            return True
    return False


def simulated(iam: IAMClient, account: Account, wanted: tuple[Wanted, ...]) -> tuple[Simulated, ...]:
    """The results of IAM's simulation for the identity of these credentials; empty for an identity without policies of
    its own: an account's root, a federated user."""
    return simulated_for(iam, _policy_source(iam, account), wanted)


def simulated_for(iam: IAMClient, source: str, wanted: tuple[Wanted, ...]) -> tuple[Simulated, ...]:
    """The results of IAM's simulation for a user or a role, with one call for each resource."""
    if not source:
        return ()

    def ask(one: Wanted) -> list[Simulated]:
        answer = iam.simulate_principal_policy(
            PolicySourceArn=source,
            ActionNames=list(one.actions),
            ResourceArns=[one.resource],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in one.context.items()
            ],
        )
        return [
            Simulated(
                each["EvalActionName"],
                one.resource,
                each["EvalDecision"],
                tuple(each.get("MissingContextValues", ())),
            )
            for each in answer["EvaluationResults"]
        ]

    by_resource = {one.resource: one for one in wanted}
    answers, errors = ask_all(by_resource, lambda resource: ask(by_resource[resource]))
    for error in errors.values():
        raise error
    return tuple(each for found in answers.values() for each in found)


def _policy_source(iam: IAMClient, account: Account) -> str:
    """The ARN of the user or role whose policies count. An assumed role's ARN has the role's name without its path (IAM
    user guide, reference_identifiers), so the role's own ARN is requested."""
    kind, _, rest = account.arn.rpartition(":")[2].partition("/")
    if kind == "assumed-role":
        return iam.get_role(RoleName=rest.partition("/")[0])["Role"]["Arn"]
    return account.arn if kind == "user" else ""
