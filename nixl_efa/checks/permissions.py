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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Actions on one resource, and what the request says beside it, by context key."""

    resource: str
    actions: tuple[str, ...]
    context: Mapping[str, str] = field(default_factory=dict)


def wanted(launch: Launch, account: Account) -> tuple[Wanted, ...]:
    """What a first deployment of this launch needs, by resource; names as the stack gives them."""
    iam = f"arn:{account.partition}:iam::{account.id}"
    ec2 = f"arn:{account.partition}:ec2:{launch.region}:{account.id}"
    name = launch.name_of(launch.region)[:64]
    here = {"aws:RequestedRegion": launch.region}
    found = [
        Wanted(
            f"{iam}:role/{name}",
            ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PassRole"),
            {
                "iam:PassedToService": "ec2.amazonaws.com",
                "iam:PolicyARN": f"arn:{account.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
            },
        ),
        Wanted(
            f"{iam}:instance-profile/{name}", ("iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile")
        ),
        Wanted(
            f"arn:{account.partition}:s3:::{launch.name_of('')}{_SOME}",
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
    if launch.placement_group:
        group = f"{ec2}:placement-group/{launch.name_of('pair')}"
        found.append(Wanted(group, ("ec2:CreatePlacementGroup",), here))
    if launch.market == "spot":
        role = "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
        context = {"iam:AWSServiceName": "spot.amazonaws.com"}
        found.append(Wanted(f"{iam}:{role}", (CREATE_SPOT_ROLE,), context))
    return tuple(found)


CREATE_SPOT_ROLE = "iam:CreateServiceLinkedRole"
