"""What the account sets and allows: Allowed AMIs, the EBS key, the Spot role, and what IAM's simulation says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa.account import Account
from nixl_efa.aws_calls import ask_all
from nixl_efa.aws_errors import error_code, missing_permission
from nixl_efa.checks.facts import Simulated, VolumeKey
from nixl_efa.checks.permissions import Wanted

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient

# What EC2 calls the key that AWS keeps in each account (EC2 API reference, GetEbsDefaultKmsKeyId).
AWS_KEY = "alias/aws/ebs"
# EBS encrypts with no other (EC2 API reference, ModifyEbsDefaultKmsKeyId; KMS API reference, KeyMetadata).
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
    """A key by its id, ARN or alias. AWS's own is never looked at.

    Of a key of another account that KMS doesn't show, no more than its account.
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
    """Whether the role is there with which EC2 asks for Spot Instances."""
    from botocore.exceptions import ClientError

    try:
        iam.get_role(RoleName=SPOT_ROLE)
    except ClientError as error:
        if error_code(error) == "NoSuchEntity":
            return False
        raise
    return True


def simulated(iam: IAMClient, account: Account, wanted: tuple[Wanted, ...]) -> tuple[Simulated, ...]:
    """What IAM's simulation says of each action, a call for each resource; empty for who has no policies of their own:
    an account's root, a federated user."""
    source = _policy_source(iam, account)
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
    """The user or role whose policies count. An assumed role's ARN names the role without its path (IAM user guide,
    reference_identifiers), so the role itself is asked for."""
    kind, _, rest = account.arn.rpartition(":")[2].partition("/")
    if kind == "assumed-role":
        return iam.get_role(RoleName=rest.partition("/")[0])["Role"]["Arn"]
    return account.arn if kind == "user" else ""
