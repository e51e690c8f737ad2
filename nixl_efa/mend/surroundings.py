"""Reads everything in AWS that has a stack's names and tags."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import unless_missing
from nixl_efa.mend.compare import Seen
from nixl_efa.mend.parts import Part, Surroundings, names

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client

    from nixl_efa.aws import Clients


def surroundings(
    parts: Sequence[Part], nodes: Iterable[Seen], clients: Clients, region: str, identity: str
) -> Surroundings:
    """Everything with the stack's names and tags, read in parallel. AWS's errors are raised: an import on a guess is
    worse than none.

    nodes:    the living instances with the nodes' names.
    identity: see Surroundings.
    """
    ec2, iam, s3 = clients.ec2(region), clients.iam(), clients.s3(region)
    living = {one.name: one for one in nodes}
    node_names = [part.tag_name for part in parts if part.type == "aws_instance"]
    every = partial(_every, ec2)
    with ThreadPoolExecutor(8) as pool:
        interfaces = pool.submit(
            every, "describe_network_interfaces", "NetworkInterfaces", "tag:Name", node_names
        )
        addresses = pool.submit(_addresses, ec2, node_names)
        templates = pool.submit(
            every,
            "describe_launch_templates",
            "LaunchTemplates",
            "launch-template-name",
            names(parts, "aws_launch_template"),
        )
        groups = pool.submit(
            every,
            "describe_security_groups",
            "SecurityGroups",
            "group-name",
            names(parts, "aws_security_group"),
        )
        placement = pool.submit(_placement_groups, ec2, names(parts, "aws_placement_group"))
        roles = [
            name
            for name in names(parts, "aws_iam_role")
            if unless_missing(partial(iam.get_role, RoleName=name)) is not None
        ]
        profiles = [
            name
            for name in names(parts, "aws_iam_instance_profile")
            if unless_missing(partial(iam.get_instance_profile, InstanceProfileName=name)) is not None
        ]
        group_ids = [one["GroupId"] for one in groups.result()]
        rules = every("describe_security_group_rules", "SecurityGroupRules", "group-id", group_ids)
        return Surroundings(
            identity=identity,
            nodes=living,
            interfaces=tuple(interfaces.result()),
            addresses=tuple(addresses.result()),
            templates=tuple(templates.result()),
            groups=tuple(groups.result()),
            rules=tuple(rules),
            placement_groups=tuple(placement.result()),
            roles=tuple(roles),
            profiles=tuple(profiles),
            buckets=tuple(_buckets(s3, names(parts, "aws_s3_bucket", "bucket_prefix"), region)),
            user_data=_user_data(ec2, next(iter(living.values())).id) if living else "",
        )


def _every(ec2: EC2Client, call: str, key: str, name: str, values: Sequence[str]) -> list[Mapping[str, Any]]:
    """The items that a call returns for a filter; none without a value to filter for."""
    if not values:
        return []
    pages = ec2.get_paginator(call).paginate(Filters=[{"Name": name, "Values": list(values)}])  # type: ignore[call-overload]
    return [one for page in pages for one in page[key]]


def _addresses(ec2: EC2Client, node_names: Sequence[str]) -> list[Mapping[str, Any]]:
    return list(
        ec2.describe_addresses(Filters=[{"Name": "tag:Name", "Values": list(node_names)}])["Addresses"]
    )


def _placement_groups(ec2: EC2Client, wanted: Sequence[str]) -> list[Mapping[str, Any]]:
    if not wanted:
        return []
    found = ec2.describe_placement_groups(Filters=[{"Name": "group-name", "Values": list(wanted)}])
    return [one for one in found["PlacementGroups"] if one.get("State") not in ("deleting", "deleted")]


def _buckets(s3: S3Client, prefixes: Sequence[str], region: str) -> list[str]:
    """The buckets in the region whose names have one of the prefixes; ListBuckets returns those of all regions."""
    return [
        bucket["Name"]
        for prefix in prefixes
        for bucket in s3.list_buckets()["Buckets"]
        if bucket["Name"].startswith(prefix)
        # For us-east-1 the answer is empty (S3 API, GetBucketLocation).
        and (s3.get_bucket_location(Bucket=bucket["Name"])["LocationConstraint"] or "us-east-1") == region
    ]


def _user_data(ec2: EC2Client, instance_id: str) -> str:
    answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    raw = base64.b64decode(answer["UserData"].get("Value", ""))
    # The stack sets it as text; EC2 also accepts it compressed.
    return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode(errors="replace")
