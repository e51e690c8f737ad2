"""The key of EBS, the quota of gp3, Allowed AMIs, and the role of Spot: what a launch comes to by them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import REGION, Launch, MakeClient, Refused
from tests.records import answer

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

ENCRYPTED = [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "VolumeType": "gp3", "VolumeSize": 1000}}]
PLAIN = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp3", "VolumeSize": 1000}}]


def unusable(kms: Any, how: str) -> str:
    """A customer key that can't be used, and why."""
    key: dict[str, str] = kms.create_key()["KeyMetadata"]
    if how == "disabled":
        kms.disable_key(KeyId=key["KeyId"])
    if how == "pending deletion":
        kms.schedule_key_deletion(KeyId=key["KeyId"])
    return key["Arn"].replace("123456789012", "999999999999") if how == "foreign" else key["Arn"]


@pytest.mark.parametrize("how", ["disabled", "pending deletion", "foreign"])
def test_an_encrypted_volume_by_a_key_that_can_t_be_used_ends_its_instance(
    ec2: EC2Client, client: MakeClient, launch: Launch, how: str
) -> None:
    """With encryption by default off, as recorded."""
    recorded = answer("run_instances_errors/ebs-key-no-grant-after-launch")
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=unusable(client("kms", checked=False), how))
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    ended = launch(BlockDeviceMappings=ENCRYPTED)
    assert ended["State"]["Name"] == recorded["State"]
    assert ended["StateReason"] == recorded["StateReason"]
    assert ended["StateTransitionReason"] == recorded["StateTransitionReason"]
    assert launch(BlockDeviceMappings=PLAIN)["State"]["Name"] == "running"


def test_an_enabled_key_does(ec2: EC2Client, client: MakeClient, launch: Launch) -> None:
    key = unusable(client("kms", checked=False), "not at all")
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
    assert launch(BlockDeviceMappings=ENCRYPTED)["State"]["Name"] == "running"


def test_a_launch_beyond_the_quota_of_gp3_is_taken_and_ends(aws: LocalAws, launch: Launch) -> None:
    aws.world.quotas["L-7A658B76"] = 1.5
    assert launch(BlockDeviceMappings=PLAIN)["State"]["Name"] == "running"
    ended = launch(BlockDeviceMappings=PLAIN)
    assert ended["State"]["Name"] == "terminated"
    assert ended["StateReason"]["Message"] == "Client.VolumeLimitExceeded: Volume limit exceeded"


def test_allowed_images_are_told_in_audit_mode_and_hide_the_others_once_they_are_enabled(
    aws: LocalAws, ec2: EC2Client, image: str, launch: Launch, refused: Refused
) -> None:
    def seen() -> list[Any]:
        found = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [image]}])["Images"]
        return [one.get("ImageAllowed") for one in found]

    assert seen() == [None]
    ec2.replace_image_criteria_in_allowed_images_settings(
        ImageCriteria=[{"ImageProviders": ["123456789012"]}]
    )
    ec2.enable_allowed_images_settings(AllowedImagesSettingsState="audit-mode")
    assert seen() == [False]
    launch()
    ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    assert seen() == []
    with refused("InvalidAMIID.NotFound"):
        launch()
    assert "launch-of-an-image-that-is-not-allowed" in aws.world.inferred
    ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": ["amazon"]}])
    assert seen() == [True]


def user(client: MakeClient, *statements: dict[str, Any]) -> tuple[str, boto3.Session]:
    """A user with one policy: its ARN, and a session with its key."""
    iam = client("iam", checked=False)
    arn = iam.create_user(UserName="ann")["User"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    return arn, boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)


ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ROLE = "arn:aws:iam::123456789012:role/r"


@pytest.mark.parametrize(
    ("statements", "context", "decision", "missing"),
    [
        ([ALL], {}, "allowed", []),
        ([{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}], {}, "implicitDeny", []),
        ([ALL, {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}], {}, "explicitDeny", []),
        (
            [{"Effect": "Allow", "Action": "iam:passrole", "Resource": "arn:aws:iam::*:role/*"}],
            {},
            "allowed",
            [],
        ),
        (
            [{"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:user/*"}],
            {},
            "implicitDeny",
            [],
        ),
        (
            [{**ALL, "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}],
            {},
            "implicitDeny",
            ["iam:PassedToService"],
        ),
        (
            [{**ALL, "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}],
            {"iam:PassedToService": "ec2.amazonaws.com"},
            "allowed",
            [],
        ),
    ],
)
def test_the_simulator_says_what_the_policies_say(
    client: MakeClient,
    statements: list[dict[str, Any]],
    context: dict[str, str],
    decision: str,
    missing: list[str],
) -> None:
    arn, _ = user(client, *statements)
    [found] = client("iam", checked=False).simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=["iam:PassRole"],
        ResourceArns=[ROLE],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ],
    )["EvaluationResults"]
    assert (found["EvalDecision"], found["MissingContextValues"]) == (decision, missing)


@pytest.mark.parametrize("may_make_it", [True, False])
def test_the_first_spot_request_makes_the_role_where_it_may(
    aws: LocalAws, client: MakeClient, image: str, subnet: str, refused: Refused, may_make_it: bool
) -> None:
    only_ec2 = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    _, session = user(client, ALL if may_make_it else only_ec2)
    ec2: EC2Client = session.client("ec2", endpoint_url=aws.endpoint)

    def ask() -> None:
        ec2.run_instances(
            ImageId=image,
            InstanceType="g7e.8xlarge",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            InstanceMarketOptions={"MarketType": "spot"},
        )

    if not may_make_it:
        with refused("AuthFailure.ServiceLinkedRoleCreationNotPermitted"):
            ask()
        client("iam", checked=False).create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    ask()
    assert client("iam", checked=False).get_role(RoleName="AWSServiceRoleForEC2Spot")["Role"]


def test_an_exclusion_that_is_gone_or_of_nothing_is_refused_by_a_code_that_is_inferred(
    aws: LocalAws, ec2: EC2Client, refused: Refused
) -> None:
    with refused("InvalidVpcBlockPublicAccessExclusionId.NotFound"):
        ec2.delete_vpc_block_public_access_exclusion(ExclusionId="vpcbpa-exclude-0123456789abcdef0")
    with refused("InvalidParameterCombination"):
        ec2.create_vpc_block_public_access_exclusion(InternetGatewayExclusionMode="allow-egress")
    assert "public-access-exclusion-refused" in aws.world.inferred
