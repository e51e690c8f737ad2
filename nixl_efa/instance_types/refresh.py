"""Making the data file anew from EC2: `nixl-efa instance-types refresh`. The clients are handed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nixl_efa.instance_types.data import DataSource, encode
from nixl_efa.instance_types.describe import from_pages

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import DescribeInstanceTypesResultTypeDef


def refresh(clients: Iterable[EC2Client], source: DataSource) -> str:
    """The data file's new text, from the regions of these EC2 clients together.

    No one region offers every type, hence several. Needs the permission ec2:DescribeInstanceTypes; botocore's
    errors pass through.
    """
    return encode(from_pages(_pages(clients)), source)


def _pages(clients: Iterable[EC2Client]) -> Iterator[DescribeInstanceTypesResultTypeDef]:
    for client in clients:
        yield from client.get_paginator("describe_instance_types").paginate()
