from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import NOW, on_demand

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def names(ec2: EC2Client, *filters: tuple[str, str]) -> list[str]:
    asked: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    pages = ec2.get_paginator("describe_capacity_reservations").paginate(Filters=asked)
    return [item["CapacityReservationId"] for page in pages for item in page["CapacityReservations"]]


def test_an_on_demand_reservation_is_active_at_once_and_has_no_reservation_type(ec2: EC2Client) -> None:
    made = on_demand(ec2, InstanceCount=2)
    assert (made["State"], made["TotalInstanceCount"], made["AvailableInstanceCount"]) == ("active", 2, 2)
    assert (made["EndDateType"], made["InstanceMatchCriteria"]) == ("unlimited", "open")
    assert "ReservationType" not in made
    assert made["AvailabilityZoneId"] == "use2-az1"


def test_a_reservation_ends_when_it_says(aws: LocalAws, ec2: EC2Client) -> None:
    on_demand(ec2, EndDateType="limited", EndDate=NOW + timedelta(hours=2))
    aws.clock.advance(timedelta(hours=2))
    assert ec2.describe_capacity_reservations()["CapacityReservations"][0]["State"] == "expired"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"InstanceType": "p99.huge"}, "InvalidParameterValue", "p99.huge"),
        ({"AvailabilityZone": "us-east-2z"}, "InvalidParameterValue", "us-east-2z"),
        ({"InstanceCount": 0}, "InvalidParameterValue", "instanceCount"),
        (
            {"InstanceType": "trn2.3xlarge"},
            "Unsupported",
            "not supported in your requested Availability Zone",
        ),
        ({"InstancePlatform": "BeOS"}, "InvalidParameterValue", "Invalid value 'BeOS' for InstancePlatform."),
        ({"InstanceMatchCriteria": "maybe"}, "InvalidParameterValue", "for InstanceMatchCriteria."),
        ({"EndDateType": "limited"}, "InvalidParameterCombination", "EndDate"),
        ({"DryRun": True}, "DryRunOperation", "would have succeeded"),
    ],
)
def test_a_reservation_that_can_not_be_is_refused(
    ec2: EC2Client, refused: Any, changes: dict[str, Any], code: str, words: str
) -> None:
    with refused(code, words):
        on_demand(ec2, **changes)
    assert names(ec2) == []


def test_reservations_are_found_by_filters(ec2: EC2Client) -> None:
    tags: Any = [
        {"ResourceType": "capacity-reservation", "Tags": [{"Key": "nixl-efa:purchase", "Value": "abc"}]}
    ]
    tagged = on_demand(ec2, TagSpecifications=tags)["CapacityReservationId"]
    other = on_demand(ec2, InstanceType="p5.48xlarge")["CapacityReservationId"]
    assert names(ec2, ("tag:nixl-efa:purchase", "abc")) == [tagged]
    assert names(ec2, ("tag-key", "nixl-efa:*")) == [tagged]
    assert names(ec2, ("instance-type", "p5.48xlarge")) == [other]
    assert names(ec2, ("instance-type", "p5*"), ("state", "active")) == [other]
    assert names(ec2, ("state", "scheduled")) == []
    assert names(ec2, ("start-date", f"{NOW:%Y-%m-%d}*"), ("instance-type", "p5*")) == [other]
    ends = NOW + timedelta(days=3)
    ec2.modify_capacity_reservation(CapacityReservationId=other, EndDateType="limited", EndDate=ends)
    assert names(ec2, ("end-date", f"{ends:%Y-%m-%dT%H:%M:%S}*")) == [other]


def test_there_is_no_filter_for_the_reservation_type(ec2: EC2Client, refused: Any) -> None:
    with refused("InvalidParameterValue", "reservation-type"):
        names(ec2, ("reservation-type", "capacity-block"))


def test_tags_can_be_changed_later(ec2: EC2Client) -> None:
    identifier = on_demand(ec2)["CapacityReservationId"]
    ec2.create_tags(Resources=[identifier], Tags=[{"Key": "used-by", "Value": "prod"}])
    assert names(ec2, ("tag:used-by", "prod")) == [identifier]
    ec2.delete_tags(Resources=[identifier], Tags=[{"Key": "used-by"}])
    assert names(ec2, ("tag:used-by", "prod")) == []


def test_reservations_come_in_pages(ec2: EC2Client) -> None:
    made = {on_demand(ec2)["CapacityReservationId"] for _ in range(3)}
    first = ec2.describe_capacity_reservations(MaxResults=2)
    rest = ec2.describe_capacity_reservations(MaxResults=2, NextToken=first["NextToken"])
    found = first["CapacityReservations"] + rest["CapacityReservations"]
    assert {item["CapacityReservationId"] for item in found} == made
    assert "NextToken" not in rest


def test_a_page_has_1000_at_most(ec2: EC2Client, refused: Any) -> None:
    with refused("InvalidParameterValue", "( 1001 ) for parameter maxResults"):
        ec2.describe_capacity_reservations(MaxResults=1001)


def test_a_zone_is_needed_by_name_or_id(ec2: EC2Client, refused: Any) -> None:
    given: Any = {"InstanceType": "g7e.8xlarge", "InstancePlatform": "Linux/UNIX", "InstanceCount": 1}
    made = ec2.create_capacity_reservation(AvailabilityZoneId="use2-az2", **given)["CapacityReservation"]
    assert made["AvailabilityZone"] == "us-east-2b"
    with refused("MissingParameter", "AvailabilityZone"):
        ec2.create_capacity_reservation(**given)


def test_a_made_up_page_is_refused(ec2: EC2Client, refused: Any) -> None:
    with refused("InvalidPaginationToken"):
        ec2.describe_capacity_reservations(NextToken="page two, please")


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("cr-00000000000000000", "InvalidCapacityReservationId.NotFound"),
        ("r-1", "InvalidCapacityReservationId.Malformed"),
        ("cr-my-block", "InvalidCapacityReservationId.Malformed"),
    ],
)
def test_a_reservation_that_is_not_there(ec2: EC2Client, refused: Any, identifier: str, code: str) -> None:
    with refused(code):
        ec2.describe_capacity_reservations(CapacityReservationIds=[identifier])


def test_a_new_reservation_can_be_slow_to_appear(aws: LocalAws, ec2: EC2Client, refused: Any) -> None:
    aws.world.visible_after = 2
    identifier = on_demand(ec2)["CapacityReservationId"]
    assert names(ec2) == []
    with refused("InvalidCapacityReservationId.NotFound"):
        ec2.describe_capacity_reservations(CapacityReservationIds=[identifier])
    assert names(ec2) == [identifier]


def test_cancel_and_modify(ec2: EC2Client, refused: Any) -> None:
    identifier = on_demand(ec2)["CapacityReservationId"]
    ec2.modify_capacity_reservation(CapacityReservationId=identifier, InstanceCount=5)
    with refused("InvalidParameterValue", "instanceCount"):
        ec2.modify_capacity_reservation(CapacityReservationId=identifier, InstanceCount=0)
    end = NOW + timedelta(days=1)
    ec2.modify_capacity_reservation(CapacityReservationId=identifier, EndDateType="limited", EndDate=end)
    (changed,) = ec2.describe_capacity_reservations()["CapacityReservations"]
    assert (changed["TotalInstanceCount"], changed["EndDate"]) == (5, end)
    ec2.cancel_capacity_reservation(CapacityReservationId=identifier)
    assert ec2.describe_capacity_reservations()["CapacityReservations"][0]["State"] == "cancelled"
    with refused("InvalidCapacityReservationState"):
        ec2.cancel_capacity_reservation(CapacityReservationId=identifier)
    with refused("InvalidCapacityReservationState"):
        ec2.modify_capacity_reservation(CapacityReservationId=identifier, InstanceCount=1)


def test_a_tag_for_something_else_is_refused(ec2: EC2Client, refused: Any) -> None:
    with refused("InvalidParameterValue", "'instance' is not a valid taggable resource type"):
        on_demand(ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": []}])


def test_regions_do_not_see_each_others_reservations(ec2: EC2Client, client: Any) -> None:
    on_demand(ec2)
    assert names(client("ec2", region="us-west-2")) == []
