from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from local_aws.ec2.reservation import SIZE_TAG, TYPE_TAG
from tests.local_aws.conftest import NOW, shown
from tests.offerings import soonest_offering
from tests.records import answer

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PLATFORM: Any = "Linux/UNIX"


def search(ec2: EC2Client, hours: int = 24, **more: Any) -> list[Any]:
    """Every offering, as plain dicts: the stubs lag behind botocore."""
    pages = ec2.get_paginator("describe_capacity_block_offerings").paginate(
        **{"InstanceType": "p5.48xlarge", "InstanceCount": 2, "CapacityDurationHours": hours, **more}
    )
    return [offering for page in pages for offering in page["CapacityBlockOfferings"]]


def test_offerings_come_in_pages_and_each_once(ec2: EC2Client) -> None:
    first = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=24
    )
    assert first["NextToken"]
    everything = search(ec2)
    assert len(everything) > len(first["CapacityBlockOfferings"])
    assert len({offering["CapacityBlockOfferingId"] for offering in everything}) == len(everything)
    small = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=24, MaxResults=1
    )
    assert len(small["CapacityBlockOfferings"]) == 1


def test_the_length_is_hours_and_minutes_and_the_fee_a_string_for_all_of_it(ec2: EC2Client) -> None:
    found = search(ec2)
    for offering in found:
        length = timedelta(
            hours=offering["CapacityBlockDurationHours"], minutes=offering["CapacityBlockDurationMinutes"]
        )
        assert offering["EndDate"] - offering["StartDate"] == length
        hourly = float(offering["UpfrontFee"]) / (2 * length.total_seconds() / 3600)
        assert 20 < hourly < 45
        assert offering["CurrencyCode"] == "USD"
    assert any(offering["CapacityBlockDurationMinutes"] for offering in found)


def test_the_members_that_somebody_got_from_aws_are_there_in_the_same_types(ec2: EC2Client) -> None:
    (recorded, *_) = answer("offerings/p4d-asked-24h-got-24-19-43")["CapacityBlockOfferings"]
    for offering in search(ec2):
        for name, value in recorded.items():
            expected = datetime if name == "StartDate" else type(value)
            assert isinstance(offering[name], expected), name


def test_one_offering_has_two_segments(ec2: EC2Client) -> None:
    (split,) = [offering for offering in search(ec2) if offering.get("CapacityBlockOfferingSegments")]
    assert len(split["CapacityBlockOfferingSegments"]) == 2
    assert sum(float(part["UpfrontFee"]) for part in split["CapacityBlockOfferingSegments"]) == pytest.approx(
        float(split["UpfrontFee"]), abs=0.001
    )


def test_a_region_that_sells_no_blocks_of_a_type_refuses_the_question(client: Any, refused: Any) -> None:
    with refused(
        "InvalidParameterValue",
        "The instance type 'p5.48xlarge' is not supported for Capacity Blocks in 'ca-central-1'.",
    ):
        search(client("ec2", region="ca-central-1"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"InstanceType": "g7e.8xlarge"}, "not supported for Capacity Blocks"),
        ({"InstanceType": "p99.huge"}, "Invalid value 'p99.huge'"),
        ({"InstanceCount": 65}, "from 1 to 64"),
        ({"CapacityDurationHours": 25}, "multiple of 24"),
        ({"StartDateRange": NOW + timedelta(days=2), "EndDateRange": NOW}, "later than its start"),
    ],
)
def test_what_aws_does_not_sell_is_refused(
    ec2: EC2Client, refused: Any, changes: dict[str, Any], words: str
) -> None:
    with refused("InvalidParameterValue", words):
        search(ec2, **changes)


def test_a_purchase_waits_for_payment_then_for_its_start_then_is_active(
    aws: LocalAws, ec2: EC2Client, block: Any
) -> None:
    bought = block(
        TagSpecifications=[{"ResourceType": "capacity-reservation", "Tags": [{"Key": "k", "Value": "v"}]}]
    )
    identifier = bought["CapacityReservationId"]
    assert (bought["State"], bought["ReservationType"]) == ("payment-pending", "capacity-block")
    aws.clock.advance(timedelta(minutes=5))
    scheduled = shown(ec2, identifier)
    assert (scheduled["State"], scheduled["TotalInstanceCount"], scheduled["AvailableInstanceCount"]) == (
        "scheduled",
        0,
        0,
    )
    tags = {tag["Key"]: tag["Value"] for tag in scheduled["Tags"]}
    assert tags == {"k": "v", SIZE_TAG: "2", TYPE_TAG: "capacity-block"}
    aws.clock.set(bought["StartDate"])
    active = shown(ec2, identifier)
    assert (active["State"], active["TotalInstanceCount"], active["AvailableInstanceCount"]) == (
        "active",
        2,
        2,
    )
    aws.clock.set(bought["EndDate"])
    assert shown(ec2, identifier)["State"] == "expired"


def test_a_payment_can_fail(aws: LocalAws, ec2: EC2Client, block: Any) -> None:
    aws.world.payment_fails = True
    identifier = block()["CapacityReservationId"]
    aws.clock.advance(timedelta(minutes=5))
    assert shown(ec2, identifier)["State"] == "payment-failed"


def test_the_same_purchase_again_buys_again(ec2: EC2Client) -> None:
    offering = search(ec2)[0]["CapacityBlockOfferingId"]
    for _ in range(2):
        ec2.purchase_capacity_block(CapacityBlockOfferingId=offering, InstancePlatform=PLATFORM)
    assert len(ec2.describe_capacity_reservations()["CapacityReservations"]) == 2


def test_a_dry_run_buys_nothing(ec2: EC2Client, refused: Any) -> None:
    offering = search(ec2)[0]["CapacityBlockOfferingId"]
    with refused("DryRunOperation"):
        ec2.purchase_capacity_block(CapacityBlockOfferingId=offering, InstancePlatform=PLATFORM, DryRun=True)
    assert ec2.describe_capacity_reservations()["CapacityReservations"] == []


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("nonsense", "InvalidCapacityBlockOfferingIdMalformed"),
        ("cb-0123456789abcdef0", "InvalidCapacityBlockOfferingIdNotFound"),
    ],
)
def test_an_offering_that_never_was_can_not_be_bought(
    ec2: EC2Client, refused: Any, identifier: str, code: str
) -> None:
    with refused(code):
        ec2.purchase_capacity_block(CapacityBlockOfferingId=identifier, InstancePlatform=PLATFORM)


@pytest.mark.parametrize("later", [timedelta(minutes=60), timedelta(hours=2)])
def test_an_offering_expires(aws: LocalAws, ec2: EC2Client, refused: Any, later: timedelta) -> None:
    offering = soonest_offering(ec2)["CapacityBlockOfferingId"]
    aws.clock.advance(later)
    with refused("InvalidCapacityBlockOfferingIdExpired"):
        ec2.purchase_capacity_block(CapacityBlockOfferingId=offering, InstancePlatform=PLATFORM)


def test_an_offering_far_ahead_expires_when_it_was_shown_long_ago(
    aws: LocalAws, ec2: EC2Client, refused: Any
) -> None:
    offering = max(search(ec2), key=lambda one: one["StartDate"])["CapacityBlockOfferingId"]
    aws.clock.advance(timedelta(hours=1, seconds=1))
    with refused("InvalidCapacityBlockOfferingIdExpired"):
        ec2.purchase_capacity_block(CapacityBlockOfferingId=offering, InstancePlatform=PLATFORM)


def test_a_search_needs_a_type(ec2: EC2Client, refused: Any) -> None:
    with refused("MissingParameter", "InstanceType"):
        ec2.describe_capacity_block_offerings(CapacityDurationHours=24)


def test_a_fee_can_rise_between_search_and_purchase(aws: LocalAws, ec2: EC2Client) -> None:
    before = search(ec2)[0]
    aws.world.price_factor = 1.5
    after = search(ec2)[0]
    for member in ("AvailabilityZone", "StartDate", "EndDate", "InstanceCount"):
        assert after[member] == before[member]
    assert float(after["UpfrontFee"]) == pytest.approx(1.5 * float(before["UpfrontFee"]), abs=0.001)


def test_a_split_offering_is_bought_as_two_reservations_in_one_block(ec2: EC2Client) -> None:
    (split,) = [offering for offering in search(ec2) if offering.get("CapacityBlockOfferingSegments")]
    bought: Any = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=split["CapacityBlockOfferingId"], InstancePlatform=PLATFORM
    )
    assert len(bought["CapacityReservations"]) == 2
    (described,) = ec2.describe_capacity_blocks()["CapacityBlocks"]
    assert described["CapacityReservationIds"] == [
        item["CapacityReservationId"] for item in bought["CapacityReservations"]
    ]
    assert described == bought["CapacityBlocks"][0]


def test_blocks_are_found_by_id_and_filter(ec2: EC2Client, block: Any, refused: Any) -> None:
    identifier = block()["CapacityBlockId"]
    other = block()["CapacityBlockId"]
    assert [
        found["CapacityBlockId"]
        for found in ec2.describe_capacity_blocks(CapacityBlockIds=[identifier])["CapacityBlocks"]
    ] == [identifier]
    filters: Any = [{"Name": "capacity-block-id", "Values": [other]}]
    assert len(ec2.describe_capacity_blocks(Filters=filters)["CapacityBlocks"]) == 1
    filters = [{"Name": "state", "Values": ["active"]}]
    assert ec2.describe_capacity_blocks(Filters=filters)["CapacityBlocks"] == []
    with refused("InvalidCapacityBlockId.NotFound"):
        ec2.describe_capacity_blocks(CapacityBlockIds=["cb-00000000000000000"])


def test_a_block_can_be_neither_cancelled_nor_modified(ec2: EC2Client, block: Any, refused: Any) -> None:
    identifier = block()["CapacityReservationId"]
    with refused("OperationNotPermitted", "can't be cancelled"):
        ec2.cancel_capacity_reservation(CapacityReservationId=identifier)
    with refused("OperationNotPermitted", "can't be modified"):
        ec2.modify_capacity_reservation(CapacityReservationId=identifier, InstanceCount=1)


def test_an_account_has_256_instances_in_blocks_at_most_in_all_regions(
    ec2: EC2Client, client: Any, block: Any, refused: Any
) -> None:
    west = client("ec2", region="us-west-2")
    for region in (ec2, ec2, west, west):
        offering = soonest_offering(region, count=63)["CapacityBlockOfferingId"]
        region.purchase_capacity_block(CapacityBlockOfferingId=offering, InstancePlatform=PLATFORM)
    block(count=4)
    with refused("InstanceLimitExceeded", "up to 256 instances across Capacity Blocks"):
        block(count=1)


def test_a_new_block_is_not_shown_for_a_while(
    aws: LocalAws, ec2: EC2Client, block: Any, refused: Any
) -> None:
    aws.world.visible_delay = timedelta(seconds=300)
    identifier = block()["CapacityReservationId"]
    aws.clock.advance(timedelta(seconds=299))
    assert ec2.describe_capacity_reservations()["CapacityReservations"] == []
    assert ec2.describe_capacity_blocks()["CapacityBlocks"] == []
    with refused("InvalidCapacityReservationId.NotFound"):
        shown(ec2, identifier)
    aws.clock.advance(timedelta(seconds=1))
    assert shown(ec2, identifier)["State"] == "scheduled"
    assert len(ec2.describe_capacity_blocks()["CapacityBlocks"]) == 1
