"""The actions of a deployment besides RunInstances, which the dry run tests, by resource. Pure.

They are tested with IAM's simulation: a dry run of RunInstances does not show whether the role may be created or
passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nixl_efa.account import Account
from nixl_efa.launch import Launch

# An example of an id: a policy that allows the action on all resources of a kind allows it on this one.
_SOME = "0123456789abcdef0"
_TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Actions on one resource, and the values of context keys in the request."""

    resource: str
    actions: tuple[str, ...]
    context: Mapping[str, str] = field(default_factory=dict)


def wanted(launch: Launch, account: Account, role_arn: str = "") -> tuple[Wanted, ...]:
    """The actions of a first deployment of the launch's environment, by resource, with the stack's names.

    role_arn: the role of the profile that the settings name, if it was seen.
    """
    iam = f"arn:{account.partition}:iam::{account.id}"
    ec2 = f"arn:{account.partition}:ec2:{launch.region}:{account.id}"
    name = launch.name_of(launch.region)[:64]
    # Policies may have conditions on the tags in the request and on the resource (those of nixl_efa.policy have).
    tags = {
        f"{key}/{tag}": value
        for key in ("aws:RequestTag", "aws:ResourceTag")
        for tag, value in launch.tags.items()
    }
    here = {"aws:RequestedRegion": launch.region, "ec2:CreateAction": "CreateLaunchTemplate", **tags}
    bounded = {"iam:PermissionsBoundary": launch.permissions_boundary} if launch.permissions_boundary else {}
    role = [
        Wanted(
            f"{iam}:role/{name}",
            ("iam:CreateRole", "iam:PutRolePolicy", "iam:PassRole"),
            {**_TO_EC2, **bounded},
        ),
        Wanted(
            f"{iam}:instance-profile/{name}", ("iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile")
        ),
    ]
    if launch.instance_profile:
        role = [Wanted(role_arn, ("iam:PassRole",), _TO_EC2)] if role_arn else []
    found = [
        *role,
        Wanted(
            _some_bucket(launch, account.partition),
            (
                "s3:CreateBucket",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutEncryptionConfiguration",
            ),
            here,
        ),
        Wanted(f"{ec2}:launch-template/lt-{_SOME}", ("ec2:CreateLaunchTemplate", "ec2:CreateTags"), here),
    ]
    if not launch.security_group_id:
        actions: tuple[str, ...] = (
            "ec2:CreateSecurityGroup",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
        )
        found.append(Wanted(f"{ec2}:security-group/sg-{_SOME}", actions, here))
    if launch.elastic_ip:
        actions = ("ec2:AllocateAddress", "ec2:AssociateAddress")
        found.append(Wanted(f"{ec2}:elastic-ip/eipalloc-{_SOME}", actions, here))
    if any(one.placement_group for one in launch.beside):
        group = f"{ec2}:placement-group/{launch.name_of('pair')}"
        found.append(Wanted(group, ("ec2:CreatePlacementGroup",), here))
    if any(one.market == "spot" for one in launch.beside):
        spot = "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
        context = {"iam:AWSServiceName": "spot.amazonaws.com"}
        found.append(Wanted(f"{iam}:{spot}", (CREATE_SPOT_ROLE,), context))
    return tuple(found)


def wanted_of_nodes(launch: Launch, account: Account) -> tuple[Wanted, ...]:
    """The actions that the role of a user's own profile must allow in every case (a part of node_policy.py)."""
    instance = f"arn:{account.partition}:ec2:{launch.region}:{account.id}:instance/i-{_SOME}"
    bucket = _some_bucket(launch, account.partition)
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    return (
        Wanted(instance, ("ssm:UpdateInstanceInformation",)),
        Wanted("*", tuple(f"ssmmessages:{each}" for each in channels)),
        Wanted(bucket, ("s3:GetBucketLocation", "s3:ListBucket")),
        Wanted(f"{bucket}/some", ("s3:GetObject", "s3:PutObject")),
    )


def _some_bucket(launch: Launch, partition: str) -> str:
    """An example of the bucket's ARN: AWS adds the end of the name at creation."""
    return f"arn:{partition}:s3:::{launch.name_of('')}{_SOME}"


CREATE_SPOT_ROLE = "iam:CreateServiceLinkedRole"
