from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def test_an_account_sees_the_regions_of_its_partition_alone(ec2: EC2Client) -> None:
    names = [region["RegionName"] for region in ec2.describe_regions()["Regions"]]
    assert {"us-east-1", "us-east-2", "eu-north-1"} <= set(names)
    assert not [name for name in names if name.startswith(("cn-", "us-gov-"))]


def test_a_region_can_be_asked_for_by_name(ec2: EC2Client) -> None:
    (found,) = ec2.describe_regions(RegionNames=["us-west-2"])["Regions"]
    assert found["RegionName"] == "us-west-2"


def test_regions_that_the_account_has_not_enabled_are_shown_when_all_are_asked_for(ec2: EC2Client) -> None:
    enabled = {region["RegionName"] for region in ec2.describe_regions(AllRegions=False)["Regions"]}
    every = {
        region["RegionName"]: region["OptInStatus"]
        for region in ec2.describe_regions(AllRegions=True)["Regions"]
    }
    assert set(every) - enabled == {name for name, status in every.items() if status == "not-opted-in"}
    assert every["ap-south-2"] == "not-opted-in"


def test_a_region_speaks_of_its_own_types_until_it_is_asked_for_the_others_too(ec2: EC2Client) -> None:
    both: Any = [{"Name": "instance-type", "Values": ["p5.48xlarge", "trn2.3xlarge"]}]
    own = ec2.describe_instance_types(Filters=both)["InstanceTypes"]
    every = ec2.describe_instance_types(Filters=both, IncludeUnsupportedInRegion=True)["InstanceTypes"]
    assert [one["InstanceType"] for one in own] == ["p5.48xlarge"]
    shown = {one["InstanceType"]: one["SupportedInRegion"] for one in every}
    assert shown == {"p5.48xlarge": True, "trn2.3xlarge": False}


def test_a_type_of_another_region_does_not_exist_here(ec2: EC2Client) -> None:
    with pytest.raises(ClientError, match=r"InvalidInstanceType.*do not exist: \[trn2.3xlarge\]"):
        ec2.describe_instance_types(InstanceTypes=["trn2.3xlarge"])
    [found] = ec2.describe_instance_types(InstanceTypes=["trn2.3xlarge"], IncludeUnsupportedInRegion=True)[
        "InstanceTypes"
    ]
    assert found["NetworkInfo"]["EfaInfo"]["MaximumEfaInterfaces"] == 1
