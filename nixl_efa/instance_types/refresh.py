"""Making the data file anew from EC2: `nixl-efa instance-types refresh`. The clients are handed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from nixl_efa.instance_types.data import DataSource, encode
from nixl_efa.instance_types.describe import from_pages


class Paginator(Protocol):
    """The part of boto3's paginator that is used here."""

    def paginate(self) -> Iterable[dict[str, Any]]:
        """The pages of all types that the client's region offers."""


class Ec2Client(Protocol):
    """The part of boto3's EC2 client that is used here."""

    def get_paginator(self, operation_name: str) -> Any:
        """A `Paginator` for the operation."""


def refresh(clients: Iterable[Ec2Client], source: DataSource) -> str:
    """The data file's new text, from the regions of these EC2 clients together.

    No one region offers every type, hence several. Needs the permission ec2:DescribeInstanceTypes; botocore's
    errors pass through.
    """
    return encode(from_pages(_pages(clients)), source)


def _pages(clients: Iterable[Ec2Client]) -> Iterator[dict[str, Any]]:
    for client in clients:
        paginator: Paginator = client.get_paginator("describe_instance_types")
        yield from paginator.paginate()
