"""What a deployment does in AWS beside RunInstances, which the dry run tries: actions, by what they are done to. Pure.

IAM's simulation is asked for them. A dry run of RunInstances can't tell whether the role may be made or passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nixl_efa.account import Account
from nixl_efa.launch import Launch

# Any policy that allows the action on a whole kind of resource allows it on this one.
_SOME = "0123456789abcdef0"
_TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Actions on one resource, and what the request says beside it, by context key."""

    resource: str
    actions: tuple[str, ...]
    context: Mapping[str, str] = field(default_factory=dict)


def wanted(launch: Launch, account: Account, role_arn: str = "") -> tuple[Wanted, ...]:
    """What a first deployment of the launch's environment needs, by resource; names as the stack gives them.

    role_arn: of the profile that the settings name, where it was seen.
    """
    iam = f"arn:{account.partition}:iam::{account.id}"
    ec2 = f"arn:{account.partition}:ec2:{launch.region}:{account.id}"
    name = launch.name_of(launch.region)[:64]
    # Conditions may be on the tags with which things are made, and which they then have (nixl_efa.policy's are).
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
    """What the role of a profile of the user's own has to allow (node_policy.py), as far as no pair does without."""
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
    """AWS completes the bucket's name when it is made."""
    return f"arn:{partition}:s3:::{launch.name_of('')}{_SOME}"


CREATE_SPOT_ROLE = "iam:CreateServiceLinkedRole"
