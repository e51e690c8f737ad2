"""Resources with the names that the stack would use, whoever owns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import ask_all, unless_missing
from nixl_efa.checks.facts import Named

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient

Asked = Callable[[], list[Named]]


def in_ec2(ec2: EC2Client, names: Mapping[str, str]) -> tuple[Named, ...]:
    """Launch templates, security groups and placement groups. names: by address in Terraform."""
    asked: dict[str, Asked] = {}
    for kind, call, key, name_filter, member in (
        (
            "aws_launch_template",
            "describe_launch_templates",
            "LaunchTemplates",
            "launch-template-name",
            "LaunchTemplateName",
        ),
        ("aws_security_group", "describe_security_groups", "SecurityGroups", "group-name", "GroupName"),
        ("aws_placement_group", "describe_placement_groups", "PlacementGroups", "group-name", "GroupName"),
    ):
        wanted = [name for address, name in names.items() if address.startswith(f"{kind}.")]
        if wanted:
            filters = [{"Name": name_filter, "Values": wanted}]
            asked[kind] = partial(_described, getattr(ec2, call), filters, key, kind, member)
    return _all(asked)


def in_iam(iam: IAMClient, names: Mapping[str, str]) -> tuple[Named, ...]:
    """The role and the instance profile; none for a stack that creates neither."""
    role, profile = names.get("aws_iam_role.node"), names.get("aws_iam_instance_profile.node")
    if role is None or profile is None:
        return ()
    return _all(
        {
            "aws_iam_role": partial(_got, partial(iam.get_role, RoleName=role), "aws_iam_role", role),
            "aws_iam_instance_profile": partial(
                _got,
                partial(iam.get_instance_profile, InstanceProfileName=profile),
                "aws_iam_instance_profile",
                profile,
            ),
        }
    )


def _all(asked: Mapping[str, Asked]) -> tuple[Named, ...]:
    answers, errors = ask_all(asked, lambda kind: asked[kind]())
    for error in errors.values():
        raise error
    return tuple(one for found in answers.values() for one in found)


def _described(call: Any, filters: Any, key: str, kind: str, member: str) -> list[Named]:
    return [
        Named(kind, one[member], one.get("VpcId", ""))
        for one in call(Filters=filters)[key]
        if one.get("State") not in ("deleting", "deleted")
    ]


def _got(ask: Callable[[], object], kind: str, name: str) -> list[Named]:
    return [Named(kind, name)] if unless_missing(ask) is not None else []
