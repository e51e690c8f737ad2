"""Volumes that are modified: EC2 API reference, ModifyVolume and DescribeVolumesModifications."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import ZONE, Refused

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@pytest.fixture
def volume(ec2: EC2Client) -> str:
    return ec2.create_volume(AvailabilityZone=ZONE, Size=80, VolumeType="gp3")["VolumeId"]


def size_of(ec2: EC2Client, volume: str) -> int:
    return ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"]


def test_only_the_most_recent_modification_is_shown(ec2: EC2Client, volume: str) -> None:
    ec2.modify_volume(VolumeId=volume, Size=100)
    ec2.modify_volume(VolumeId=volume, Size=120)
    (shown,) = ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
    assert (shown["OriginalSize"], shown["TargetSize"]) == (100, 120)
    assert size_of(ec2, volume) == 120


def test_a_volume_does_not_shrink(ec2: EC2Client, volume: str, refused: Refused) -> None:
    with refused("InvalidParameterValue", "New size cannot be smaller than existing size"):
        ec2.modify_volume(VolumeId=volume, Size=79)
    assert size_of(ec2, volume) == 80


def test_a_volume_is_modified_four_times_a_day_at_most(
    aws: LocalAws, ec2: EC2Client, volume: str, refused: Refused
) -> None:
    for size in (81, 82, 83, 84):
        ec2.modify_volume(VolumeId=volume, Size=size)
    with refused("VolumeModificationRateExceeded"):
        ec2.modify_volume(VolumeId=volume, Size=85)
    aws.clock.advance(timedelta(days=1))
    ec2.modify_volume(VolumeId=volume, Size=85)
    assert size_of(ec2, volume) == 85
