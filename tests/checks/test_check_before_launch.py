"""What used to pass although AWS refuses it, ends it, or cuts the nodes off.

The check says it before the launch; and on the local AWS the launch, or the node's way out, fails as it does on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws import LocalAws
from tests.checks.local_project import REGION, Project
from tests.launches import launch, subnet_in

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef


class Account:
    """An account in which one thing is wrong, and a launch in it by hand."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.ec2: EC2Client = boto3.client("ec2", REGION)
        self.subnet = subnet_in(self.ec2, f"{REGION}a")
        self.vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

    def launched(self) -> InstanceTypeDef:
        """A node with an Elastic IP, as it is shown after its launch."""
        boto3.client("iam").create_instance_profile(InstanceProfileName="nodes")
        volume: Any = {"Encrypted": True, "VolumeType": "gp3", "VolumeSize": 300}
        instance = launch(
            REGION,
            "g7e.8xlarge",
            SubnetId=self.subnet,
            IamInstanceProfile={"Name": "nodes"},
            BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": volume}],
        )["InstanceId"]
        shown = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        if shown["State"]["Name"] == "running":
            address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
            self.ec2.associate_address(AllocationId=address, InstanceId=instance)
        return shown

    def is_reached(self) -> bool:
        """Whether Systems Manager knows the node."""
        self.launched()
        return bool(boto3.client("ssm", REGION).describe_instance_information()["InstanceInformationList"])

    def acl_that_denies(self) -> None:
        acl = self.ec2.create_network_acl(VpcId=self.vpc)["NetworkAcl"]["NetworkAclId"]
        for seen in self.ec2.describe_network_acls()["NetworkAcls"]:
            for link in seen["Associations"]:
                if link["SubnetId"] == self.subnet:
                    self.ec2.replace_network_acl_association(
                        AssociationId=link["NetworkAclAssociationId"], NetworkAclId=acl
                    )

    def block_public_access(self) -> None:
        self.ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-ingress")

    def no_internet_gateway(self) -> None:
        [gateway] = self.ec2.describe_internet_gateways()["InternetGateways"]
        self.ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=self.vpc)

    def closed_endpoint(self) -> None:
        group = self.ec2.create_security_group(GroupName="e", Description="e", VpcId=self.vpc)["GroupId"]
        self.ec2.create_vpc_endpoint(
            VpcId=self.vpc,
            ServiceName=f"com.amazonaws.{REGION}.ssm",
            VpcEndpointType="Interface",
            SubnetIds=[self.subnet],
            SecurityGroupIds=[group],
            PrivateDnsEnabled=True,
        )

    def no_name_servers(self) -> None:
        made = self.ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["x"]}])
        self.ec2.associate_dhcp_options(DhcpOptionsId=made["DhcpOptions"]["DhcpOptionsId"], VpcId=self.vpc)

    def disabled_key(self) -> None:
        kms = boto3.client("kms", REGION)
        key = kms.create_key()["KeyMetadata"]
        kms.disable_key(KeyId=key["KeyId"])
        self.ec2.modify_ebs_default_kms_key_id(KmsKeyId=key["Arn"])

    def foreign_key(self) -> None:
        key = f"arn:aws:kms:{REGION}:999999999999:key/0ea3fef3-80a7-4778-9d8c-1c0c6example"
        self.ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)

    def full_quota(self) -> None:
        self.aws.world.quotas["L-7A658B76"] = 0.25

    def images_not_allowed(self) -> None:
        self.ec2.replace_image_criteria_in_allowed_images_settings(
            ImageCriteria=[{"ImageProviders": ["123456789012"]}]
        )
        self.ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")


def findings(project: Project, check: str) -> list[dict[str, Any]]:
    """What the check says of one subject."""
    ran = project.run("check", "dev", "--json")
    return [one for one in json.loads(ran.out)["findings"] if one["check"] == check]


CUT_OFF = {
    "network ACL": Account.acl_that_denies,
    "public access": Account.block_public_access,
    "endpoints": Account.closed_endpoint,
    "vpc DNS": Account.no_name_servers,
}


@pytest.mark.parametrize("check", CUT_OFF)
def test_what_cuts_the_nodes_off_is_said_before_the_launch(
    project: Project, aws: LocalAws, check: str
) -> None:
    account = Account(aws)
    project.environment("dev", instance_type="g7e.8xlarge", subnet_id=account.subnet)
    assert [one["level"] for one in findings(project, check)] in ([], ["PASS"])
    CUT_OFF[check](account)
    [found] = findings(project, check)
    assert (found["level"], bool(found["remedy"])) == ("FAIL", True)
    assert not account.is_reached()


ENDED: dict[str, tuple[Callable[[Account], None], str, str, str]] = {
    "a disabled key": (Account.disabled_key, "volume key", "FAIL", "Client.InternalError"),
    "a key of another account": (Account.foreign_key, "volume key", "WARN", "Client.InternalError"),
    "a full quota": (Account.full_quota, "volume quota", "FAIL", "Client.VolumeLimitExceeded"),
}


@pytest.mark.parametrize("fault", ENDED)
def test_what_ends_the_nodes_is_said_before_the_launch(project: Project, aws: LocalAws, fault: str) -> None:
    make, check, level, reason = ENDED[fault]
    account = Account(aws)
    make(account)
    [found] = findings(project, check)
    assert (found["level"], reason in found["message"], bool(found["remedy"])) == (level, True, True)
    ended = account.launched()
    assert (ended["State"]["Name"], ended["StateReason"]["Code"]) == ("terminated", reason)


def test_the_key_of_the_settings_is_looked_at_and_not_the_accounts(project: Project, aws: LocalAws) -> None:
    account, kms = Account(aws), boto3.client("kms", REGION)
    account.disabled_key()
    made = kms.create_key()["KeyMetadata"]
    key = made["Arn"]
    project.environment("dev", instance_type="g7e.8xlarge", kms_key_id=key)
    aws.faults.add(action="GetEbsDefaultKmsKeyId", code="UnauthorizedOperation", times=None)
    [found] = findings(project, "volume key")
    assert (found["level"], key in found["message"]) == ("PASS", True)
    kms.disable_key(KeyId=made["KeyId"])
    [found] = findings(project, "volume key")
    assert (found["level"], "kms_key_id" in found["message"]) == ("FAIL", True)
    signs = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    project.environment("dev", instance_type="g7e.8xlarge", kms_key_id=signs)
    [found] = findings(project, "volume key")
    assert (found["level"], "is no key for EBS (RSA_2048)" in found["message"]) == ("FAIL", True)


REFUSED: dict[str, tuple[Callable[[Account], None], str]] = {
    "Gateway.NotAttached": (Account.no_internet_gateway, "internet gateway"),
    "InvalidAMIID.NotFound": (Account.images_not_allowed, "allowed images"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_refused_is_said_before_the_launch(project: Project, aws: LocalAws, code: str) -> None:
    from botocore.exceptions import ClientError

    make, check = REFUSED[code]
    account = Account(aws)
    make(account)
    [found] = findings(project, check)
    assert (found["level"], bool(found["remedy"])) == ("FAIL", True)
    with pytest.raises(ClientError) as refused:
        account.launched()
    assert refused.value.response["Error"]["Code"] == code


def log_in(monkeypatch: pytest.MonkeyPatch, key: Any) -> None:
    """From now on with this access key."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    if "SessionToken" in key:
        monkeypatch.setenv("AWS_SESSION_TOKEN", key["SessionToken"])


ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NO_IAM = {"Effect": "Deny", "Action": ["iam:PassRole", "iam:CreateServiceLinkedRole"], "Resource": "*"}


@pytest.mark.parametrize("by_a_role", [False, True])
def test_a_role_that_may_not_be_passed_and_spots_role_are_said_before_the_launch(
    project: Project, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, by_a_role: bool
) -> None:
    project.environment("dev", instance_type="g7e.8xlarge", spot=True)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [ALL, NO_IAM]})
    iam = boto3.client("iam")
    if by_a_role:
        # The ARN of what is assumed names the role without its path.
        role = iam.create_role(RoleName="ops", Path="/teams/ml/", AssumeRolePolicyDocument="{}")["Role"]
        iam.put_role_policy(RoleName="ops", PolicyName="p", PolicyDocument=policy)
        assumed = boto3.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="ann")
        log_in(monkeypatch, assumed["Credentials"])
    else:
        iam.create_user(UserName="ann")
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy)
        log_in(monkeypatch, iam.create_access_key(UserName="ann")["AccessKey"])
    [found] = findings(project, "permissions")
    assert (found["level"], found["message"]) == (
        "FAIL",
        "These credentials may not do iam:PassRole, by IAM's simulation.",
    )
    [spot] = findings(project, "spot role")
    assert (spot["level"], "create-service-linked-role" in spot["remedy"]) == ("FAIL", True)


def test_what_the_role_of_a_profile_of_the_users_lacks_is_said(project: Project, aws: LocalAws) -> None:
    iam = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com"]}, "Action": "sts:AssumeRole"}
    project.environment("dev", instance_type="g7e.8xlarge", instance_profile="team")
    [found] = findings(project, "instance profile")
    assert (found["level"], "is not in the account" in found["message"]) == ("FAIL", True)
    iam.create_instance_profile(InstanceProfileName="team")
    [found] = findings(project, "instance profile")
    assert (found["level"], "has no role" in found["message"]) == ("FAIL", True)
    iam.create_role(RoleName="nodes", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    iam.add_role_to_instance_profile(InstanceProfileName="team", RoleName="nodes")
    [found] = findings(project, "instance profile")
    assert found["level"] == "WARN"
    assert "ssm:UpdateInstanceInformation" in found["message"]
    assert "s3:GetObject" in found["message"]
    session = {"Effect": "Allow", "Action": ["ssm:*", "ssmmessages:*"], "Resource": "*"}
    bucket = "arn:aws:s3:::nixl-efa-dev-*"
    scripts = {"Effect": "Allow", "Action": ["s3:*"], "Resource": [bucket, f"{bucket}/*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [session, scripts]})
    iam.put_role_policy(RoleName="nodes", PolicyName="p", PolicyDocument=policy)
    assert [one["level"] for one in findings(project, "instance profile")] == ["PASS"]
    # Whose names nobody else can take, since the stack gives them to nothing.
    iam.create_role(RoleName="nixl-efa-dev-us-east-2", AssumeRolePolicyDocument="{}")
    assert [one["level"] for one in findings(project, "names")] == ["PASS"]
    aws.faults.add(action="GetInstanceProfile", code="AccessDenied", times=None)
    [found] = findings(project, "instance profile")
    assert (found["level"], "iam:GetInstanceProfile" in found["message"]) == ("SKIP", True)


def test_by_endpoints_alone_there_is_no_nixl_and_no_bucket(project: Project, aws: LocalAws) -> None:
    account = Account(aws)
    [table] = account.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [account.vpc]}])[
        "RouteTables"
    ]
    account.ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    group = account.ec2.create_security_group(GroupName="e", Description="e", VpcId=account.vpc)["GroupId"]
    account.ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="172.31.0.0/16"
    )
    for service in ("ssm", "ssmmessages"):
        account.ec2.create_vpc_endpoint(
            VpcId=account.vpc,
            ServiceName=f"com.amazonaws.{REGION}.{service}",
            VpcEndpointType="Interface",
            SubnetIds=[account.subnet],
            SecurityGroupIds=[group],
            PrivateDnsEnabled=True,
        )
    project.environment("dev", instance_type="g7e.8xlarge", elastic_ip=False)
    assert [one["level"] for one in findings(project, "way out")] == ["PASS"]
    [found] = findings(project, "installation")
    assert (found["level"], "install_nixl = false" in found["remedy"]) == ("FAIL", True)
    assert "no endpoint for s3" in findings(project, "endpoints")[0]["message"]
    project.environment("dev", instance_type="g7e.8xlarge", elastic_ip=False, install_nixl=False)
    assert findings(project, "installation") == []
