"""The offering that a test buys: AWS's answer has no order, and some of it is shorter than asked or in two segments."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import CapacityBlockOfferingTypeDef


def soonest_offering(
    ec2: EC2Client, instance_type: str = "p5.48xlarge", count: int = 2, zone: str | None = None
) -> CapacityBlockOfferingTypeDef:
    """The block to start first that lasts a day or more in one piece; in `zone`, where that is given."""
    pages = ec2.get_paginator("describe_capacity_block_offerings").paginate(
        InstanceType=instance_type, InstanceCount=count, CapacityDurationHours=24
    )
    found: list[Any] = [offering for page in pages for offering in page["CapacityBlockOfferings"]]
    chosen: CapacityBlockOfferingTypeDef = min(
        (
            offering
            for offering in found
            if offering["EndDate"] - offering["StartDate"] >= timedelta(hours=24)
            and not offering.get("CapacityBlockOfferingSegments")
            and zone in (None, offering["AvailabilityZone"])
        ),
        key=lambda offering: (offering["StartDate"], offering["AvailabilityZone"]),
    )
    return chosen
