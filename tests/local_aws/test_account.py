"""Who the account is, and Parameter Store's pages and dates: moto's, as far as the product relies on them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import Control, LocalAws
from tests.local_aws.conftest import NOW, REGION, on_demand

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient


def test_the_caller_is_told(client: Any) -> None:
    found = client("sts", checked=False).get_caller_identity()
    assert (len(found["Account"]), found["Arn"]) == (12, f"arn:aws:sts::{found['Account']}:user/moto")


def test_the_account_has_no_alias_until_one_is_set(aws: LocalAws, client: Any) -> None:
    iam = client("iam", checked=False)
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="made-by-iam")
    assert iam.list_account_aliases()["AccountAliases"] == ["made-by-iam"]
    Control(aws.endpoint).settings(account_alias="kv-transfer")
    assert iam.list_account_aliases()["AccountAliases"] == ["kv-transfer"]


def test_a_parameters_date_follows_the_clock(aws: LocalAws, ssm: SSMClient) -> None:
    ssm.put_parameter(Name="/a", Value="1", Type="String")
    aws.clock.advance(timedelta(days=3))
    ssm.put_parameter(Name="/b", Value="1", Type="String")
    dates = [ssm.get_parameter(Name=name)["Parameter"]["LastModifiedDate"] for name in ("/a", "/b")]
    assert dates == [NOW, NOW + timedelta(days=3)]
    found = ssm.get_parameters_by_path(Path="/")["Parameters"]
    assert [one["LastModifiedDate"] for one in found] == dates


def test_an_objects_date_follows_the_clock(aws: LocalAws, client: Any) -> None:
    s3 = client("s3", checked=False)
    s3.create_bucket(Bucket="dates", CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.clock.advance(timedelta(days=3))
    s3.put_object(Bucket="dates", Key="a", Body=b"1")
    assert s3.list_objects_v2(Bucket="dates")["Contents"][0]["LastModified"] == NOW + timedelta(days=3)


def test_parameters_come_in_pages_of_ten(ssm: SSMClient) -> None:
    names = {f"/journal/prod/{number:03}" for number in range(23)}
    for name in names:
        ssm.put_parameter(Name=name, Value="1", Type="String")
    ssm.put_parameter(Name="/journal/other", Value="1", Type="String")
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/journal/prod"))
    assert [len(page["Parameters"]) for page in pages] == [10, 10, 3]
    assert {one["Name"] for page in pages for one in page["Parameters"]} == names


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("capacity-reservation-id", "", True),
        ("capacity-reservation-id", "cr-00000000000000000", False),
        ("tag:Environment", "prod", True),
        ("tag:Environment", "dev", False),
        ("tag:Envir*", "prod", False),
    ],
)
def test_instances_are_found_by_their_reservation_and_tags(
    ec2: EC2Client, launch: Any, name: str, value: str, found: bool
) -> None:
    reservation = on_demand(ec2)["CapacityReservationId"]
    tags = [{"Key": "Environment", "Value": "prod"}]
    launched = launch(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    answer = ec2.describe_instances(Filters=[{"Name": name, "Values": [value or reservation]}])
    shown = [one["InstanceId"] for part in answer["Reservations"] for one in part["Instances"]]
    assert shown == ([launched["InstanceId"]] if found else [])
