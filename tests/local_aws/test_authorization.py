"""The local AWS under a policy: what it does not allow is refused, in each service's words; without one, nothing is."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws, gate
from local_aws.control import Control
from tests.launches import IMAGE
from tests.local_aws.conftest import REGION, MakeClient

USER = "User: arn:aws:iam::123456789012:user/moto is not authorized to perform:"
TAGS: Any = [{"ResourceType": "security-group", "Tags": [{"Key": "Project", "Value": "mine"}]}]


def allow(*actions: str, resource: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    extra = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **extra}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def refused(call: Any, **request: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_each_service_refuses_in_its_own_words(aws: LocalAws, client: MakeClient) -> None:
    aws.allow_only(policy(allow("ec2:DescribeRegions")))
    bucket = "arn:aws:s3:::reports"
    parameter = f"arn:aws:ssm:{REGION}:123456789012:parameter/a/b"
    role = "arn:aws:iam::123456789012:role/node"

    assert client("ec2").describe_regions()["Regions"]
    assert refused(client("ec2").describe_subnets) == (
        "UnauthorizedOperation",
        f"You are not authorized to perform this operation. {USER} ec2:DescribeSubnets because no identity-based "
        "policy allows the ec2:DescribeSubnets action",
        403,
    )
    made = refused(client("ec2").create_security_group, GroupName="x", Description="x")
    group = f"arn:aws:ec2:{REGION}:123456789012:security-group/*"
    assert f"{USER} ec2:CreateSecurityGroup on resource: {group} because no identity-based" in made[1]
    assert "Encoded authorization failure message: " in made[1]
    assert refused(client("s3").list_objects_v2, Bucket="reports") == (
        "AccessDenied",
        f'{USER} s3:ListBucket on resource: "{bucket}" because no identity-based policy allows the s3:ListBucket '
        "action",
        403,
    )
    assert refused(client("iam").get_role, RoleName="node") == (
        "AccessDenied",
        f"{USER} iam:GetRole on resource: {role} because no identity-based policy allows the iam:GetRole action",
        403,
    )
    assert refused(client("ssm").get_parameter, Name="/a/b") == (
        "AccessDeniedException",
        f"{USER} ssm:GetParameter on resource: {parameter} because no identity-based policy allows the "
        "ssm:GetParameter action",
        400,
    )
    assert client("sts", checked=False).get_caller_identity()["Account"] == "123456789012"


def test_a_denial_wins(aws: LocalAws, client: MakeClient) -> None:
    denial = {**allow("ec2:DescribeVpcs"), "Effect": "Deny"}
    aws.allow_only(policy(allow("ec2:*"), denial))
    assert client("ec2").describe_subnets()["Subnets"]
    assert "with an explicit deny in an identity-based policy" in refused(client("ec2").describe_vpcs)[1]


def test_tags_at_creation_need_a_permission_of_their_own(aws: LocalAws, client: MakeClient) -> None:
    ec2 = client("ec2")
    request: Any = {"GroupName": "x", "Description": "x", "TagSpecifications": TAGS}
    aws.allow_only(policy(allow("ec2:CreateSecurityGroup")))
    assert "ec2:CreateTags on resource" in refused(ec2.create_security_group, **request)[1]

    made_with = allow(
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        resource=f"arn:aws:ec2:{REGION}:*:*/*",
        StringEquals={"aws:RequestTag/Project": "mine"},
    )
    aws.allow_only(policy(made_with, allow("ec2:CreateSecurityGroup", resource="arn:aws:ec2:*:*:vpc/*")))
    assert ec2.create_security_group(**request)["GroupId"]
    other: Any = [{"ResourceType": "security-group", "Tags": [{"Key": "Project", "Value": "theirs"}]}]
    assert (
        refused(ec2.create_security_group, **{**request, "GroupName": "y", "TagSpecifications": other})[2]
        == 403
    )


def test_what_a_thing_is_tagged_with_decides(aws: LocalAws, client: MakeClient) -> None:
    ec2 = client("ec2")
    mine, theirs = (
        ec2.create_security_group(GroupName=name, Description="x", TagSpecifications=tags)["GroupId"]
        for name, tags in (("mine", TAGS), ("theirs", []))
    )
    aws.allow_only(policy(allow("ec2:DeleteSecurityGroup", StringEquals={"aws:ResourceTag/Project": "mine"})))
    assert refused(ec2.delete_security_group, GroupId=theirs)[0] == "UnauthorizedOperation"
    ec2.delete_security_group(GroupId=mine)


def test_an_association_and_an_attachment_are_known_by_what_they_join(
    aws: LocalAws, client: MakeClient
) -> None:
    ec2 = client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    joined = ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)["AssociationId"]
    aws.allow_only(policy(allow("ec2:DisassociateAddress", StringEquals={"aws:ResourceTag/Project": "mine"})))
    assert f"elastic-ip/{address} because" in refused(ec2.disassociate_address, AssociationId=joined)[1]
    aws.allow_only(policy(allow("ec2:DisassociateAddress", resource=f"arn:aws:ec2:*:*:elastic-ip/{address}")))
    ec2.disassociate_address(AssociationId=joined)


def test_an_attachment_that_is_gone_is_told_as_gone(aws: LocalAws, client: MakeClient) -> None:
    tagged = allow("ec2:DetachNetworkInterface", StringEquals={"aws:ResourceTag/Project": "mine"})
    aws.allow_only(policy(tagged))

    gone = refused(client("ec2").detach_network_interface, AttachmentId="eni-attach-0123456789abcdef0")

    assert gone[0] == "InvalidAttachmentID.NotFound"


def test_a_fault_of_the_judge_is_an_answer_and_no_lost_connection(
    aws: LocalAws, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "asked", lambda *_: 1 / 0)
    aws.allow_only(policy(allow("ec2:DescribeRegions")))

    assert refused(client("ec2").describe_regions)[:2] == (
        "LocalAwsFailure",
        "ZeroDivisionError: division by zero",
    )


def test_a_launch_needs_all_that_it_is_made_of_and_the_role_that_it_passes(
    aws: LocalAws, client: MakeClient
) -> None:
    ec2, iam = client("ec2"), client("iam", checked=False)
    iam.create_role(RoleName="node", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="node")
    iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="node")
    image = client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
    request: Any = {
        "ImageId": image,
        "InstanceType": "g7e.8xlarge",
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": "node"},
    }
    aws.allow_only(policy(allow("ec2:RunInstances", resource=f"arn:aws:ec2:{REGION}:123456789012:*/*")))
    assert f"on resource: arn:aws:ec2:{REGION}::image/{image}" in refused(ec2.run_instances, **request)[1]
    aws.allow_only(policy(allow("ec2:RunInstances")))
    assert (
        "iam:PassRole on resource: arn:aws:iam::123456789012:role/node"
        in refused(ec2.run_instances, **request)[1]
    )
    passing = allow("iam:PassRole", StringEquals={"iam:PassedToService": "ec2.amazonaws.com"})
    aws.allow_only(policy(allow("ec2:RunInstances"), passing))
    assert ec2.run_instances(**request)["Instances"]


def test_it_is_set_read_and_taken_back_from_another_process(aws: LocalAws, client: MakeClient) -> None:
    control = Control(aws.endpoint)
    control.allow_only(policy(allow("ec2:DescribeVpcs")))
    client("ec2").describe_vpcs()
    assert refused(client("ec2").describe_subnets)[2] == 403
    assert control.permissions() == ["ec2:DescribeVpcs", "ec2:DescribeSubnets"]
    control.allow_only(None)
    assert client("ec2").describe_subnets()["Subnets"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"Statement": []}, "Version must be 2012-10-17"),
        (policy(), "Statement must be a list of statements"),
        (policy({"Effect": "Maybe"}), "Effect must be Allow or Deny"),
        (policy({**allow("ec2:*"), "NotAction": "x"}), "unknown element NotAction"),
        (policy({**allow(), "Action": []}), "Action must be"),
        (policy(allow("ec2:*", NumericLessThan={"a": "1"})), "NumericLessThan is not evaluated here"),
    ],
)
def test_what_is_no_policy_is_refused_and_changes_nothing(
    aws: LocalAws, client: MakeClient, document: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Control(aws.endpoint).allow_only(document)
    assert client("ec2").describe_vpcs()["Vpcs"]
