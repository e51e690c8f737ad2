"""Which regions to ask. Where blocks are sold can't be derived from where a type runs: EC2 is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nixl_efa.capacity.patience import patiently
from nixl_efa.failure import BadInput

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from nixl_efa.aws import Clients

ALL = "all"
# DescribeRegions answers the same everywhere; this one is on in every account.
ANYWHERE = "us-east-1"


def chosen_regions(asked: Sequence[str], clients: Clients, sleep: Callable[[float], None]) -> tuple[str, ...]:
    """The regions to ask: those given, every enabled one for "all", else the default region.

    BadInput when no region is given and none is configured.
    """
    if ALL in asked:
        return enabled_regions(clients.ec2(clients.region or ANYWHERE), sleep)
    if asked:
        return tuple(dict.fromkeys(asked))
    if clients.region is None:
        raise BadInput("no AWS region is chosen: give --region NAME or --region all, or set AWS_REGION")
    return (clients.region,)


def enabled_regions(ec2: EC2Client, sleep: Callable[[float], None]) -> tuple[str, ...]:
    """The names of the regions that are enabled for the account, sorted."""
    answer = patiently(lambda: ec2.describe_regions(AllRegions=False), sleep)
    return tuple(sorted(region["RegionName"] for region in answer["Regions"]))
