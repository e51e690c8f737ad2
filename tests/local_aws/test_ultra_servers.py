"""UltraServers as EC2 sells them: by their own name, as a whole, in blocks of several reservations."""

from datetime import timedelta
from typing import Any

import pytest

from local_aws import LocalAws
from local_aws.control import Control
from local_aws.ec2.ultra_servers import ULTRA_SERVERS
from tests.records import answer

PLATFORM: Any = "Linux/UNIX"
DALLAS = "us-east-1-dfw-2a"


@pytest.fixture
def us_east_1(client: Any) -> Any:
    """EC2 of us-east-1, opted in to Dallas, where p6e-gb200 is sold (EC2 user guide, ec2-capacity-blocks)."""
    ec2 = client("ec2", region="us-east-1")
    ec2.modify_availability_zone_group(GroupName="us-east-1-dfw-2", OptInStatus="opted-in")
    return ec2


def offered(ec2: Any, **wish: Any) -> list[Any]:
    pages = ec2.get_paginator("describe_capacity_block_offerings").paginate(CapacityDurationHours=24, **wish)
    return [one for page in pages for one in page["CapacityBlockOfferings"]]


def bought(ec2: Any, name: str = "u-p6e-gb200x72", count: int = 1) -> Any:
    soonest = min(
        offered(ec2, UltraserverType=name, UltraserverCount=count), key=lambda one: one["StartDate"]
    )
    identifier = soonest["CapacityBlockOfferingId"]
    return ec2.purchase_capacity_block(CapacityBlockOfferingId=identifier, InstancePlatform=PLATFORM)


@pytest.mark.parametrize(
    ("wish", "code", "words"),
    [
        (
            {"InstanceType": "p6e-gb200.36xlarge", "InstanceCount": 2},
            "InvalidParameterValue",
            "not supported for Capacity Blocks",
        ),
        (
            {"InstanceType": "trn2u.48xlarge", "InstanceCount": 4},
            "InvalidParameterValue",
            "not supported for Capacity Blocks",
        ),
        (
            {"InstanceType": "p6e-gb200.36xlarge", "UltraserverType": "u-p6e-gb200x36"},
            "InvalidParameterCombination",
            "can't both",
        ),
        ({"UltraserverType": "u-p5x8"}, "InvalidParameterValue", "u-p5x8"),
        ({"UltraserverType": "u-p6e-gb200x72", "UltraserverCount": 15}, "InvalidParameterValue", "1 to 256"),
    ],
)
def test_what_no_ultra_server_is_sold_by_is_refused(
    us_east_1: Any, refused: Any, wish: dict[str, Any], code: str, words: str
) -> None:
    with refused(code, words):
        offered(us_east_1, **wish)


def test_an_offering_is_of_ultra_servers_in_the_local_zone_that_sells_them(us_east_1: Any) -> None:
    for one in offered(us_east_1, UltraserverType="u-p6e-gb200x36", UltraserverCount=2):
        assert (one["UltraserverType"], one["UltraserverCount"], one["InstanceCount"]) == (
            "u-p6e-gb200x36",
            2,
            18,
        )
        assert (one["AvailabilityZone"], one["ZoneType"]) == (DALLAS, "local-zone")
        assert not one.get("CapacityBlockOfferingSegments")


def test_who_has_not_opted_in_sees_offerings_of_all_zones_alone_and_buys_none(
    client: Any, refused: Any
) -> None:
    ec2 = client("ec2", region="us-east-1")
    wish = {"UltraserverType": "u-p6e-gb200x72"}
    assert offered(ec2, **wish) == []
    (first, *_) = offered(ec2, AllAvailabilityZones=True, **wish)
    with refused("OptInRequired", DALLAS):
        ec2.purchase_capacity_block(
            CapacityBlockOfferingId=first["CapacityBlockOfferingId"], InstancePlatform=PLATFORM
        )


@pytest.mark.parametrize(
    ("name", "count"), [("u-p6e-gb200x72", 1), ("u-p6e-gb200x36", 1), ("u-p6e-gb200x72", 2)]
)
def test_a_purchase_gives_a_block_for_each_ultra_server_and_several_reservations(
    us_east_1: Any, name: str, count: int
) -> None:
    answered = bought(us_east_1, name, count)
    blocks, reservations = answered["CapacityBlocks"], answered["CapacityReservations"]
    assert len(blocks) == count
    assert {block["UltraserverType"] for block in blocks} == {name}
    listed = [one for block in blocks for one in block["CapacityReservationIds"]]
    assert listed == [one["CapacityReservationId"] for one in reservations]
    assert len(listed) > count
    shown = us_east_1.describe_capacity_reservations()["CapacityReservations"]
    sizes = {tag["Value"] for one in shown for tag in one["Tags"] if "Quantity" in tag["Key"]}
    assert sum(map(int, (ULTRA_SERVERS[name].sizes))) == ULTRA_SERVERS[name].instances
    assert sizes == {*map(str, ULTRA_SERVERS[name].sizes)}


def test_an_ultra_server_is_as_large_as_another_page_of_aws_says() -> None:
    (capacity,) = answer("offerings/ultraserver-training-plan")["TrainingPlanOfferings"][0][
        "ReservedCapacityOfferings"
    ]
    known = ULTRA_SERVERS[capacity["UltraServerType"].removeprefix("ml.")]
    assert (f"ml.{known.instance_type}", known.instances) == (
        capacity["InstanceType"],
        capacity["InstanceCount"],
    )
    sizes = answer("block_status/scheduled-block-has-no-status")["allowed_sizes"]["p6e-gb200"]
    assert sizes == [one.instances for one in ULTRA_SERVERS.values() if "gb200" in one.name]


def test_it_can_be_launched_into_and_has_a_status_once_it_is_active(
    aws: LocalAws, us_east_1: Any, refused: Any
) -> None:
    answered = bought(us_east_1)
    (block,) = answered["CapacityBlocks"]
    assert {one["LaunchStatus"] for one in answered["CapacityReservations"]} == {"unlaunchable"}
    with refused("IncorrectState"):
        us_east_1.describe_capacity_block_status(CapacityBlockIds=[block["CapacityBlockId"]])
    assert us_east_1.describe_capacity_block_status()["CapacityBlockStatuses"] == []

    aws.clock.set(block["StartDate"] + timedelta(minutes=1))

    (status,) = us_east_1.describe_capacity_block_status()["CapacityBlockStatuses"]
    assert (status["InterconnectStatus"], status["TotalCapacity"], status["TotalAvailableCapacity"]) == (
        "ok",
        18,
        18,
    )
    parts = [one["CapacityReservationId"] for one in status["CapacityReservationStatuses"]]
    assert parts == block["CapacityReservationIds"]
    shown = us_east_1.describe_capacity_reservations()["CapacityReservations"]
    assert {one["LaunchStatus"] for one in shown} == {"launchable"}
    Control(aws.endpoint).settings(interconnect="impaired")
    shown = us_east_1.describe_capacity_reservations()["CapacityReservations"]
    assert {one["LaunchStatus"] for one in shown} == {"unlaunchable"}


def test_an_extension_makes_all_of_a_block_longer(aws: LocalAws, us_east_1: Any) -> None:
    answered = bought(us_east_1)
    (block,) = answered["CapacityBlocks"]
    aws.clock.advance(timedelta(minutes=10))
    first = block["CapacityReservationIds"][0]
    (offer,) = us_east_1.describe_capacity_block_extension_offerings(
        CapacityReservationId=first, CapacityBlockExtensionDurationHours=24
    )["CapacityBlockExtensionOfferings"]
    assert offer["InstanceCount"] == 18
    extended = us_east_1.purchase_capacity_block_extension(
        CapacityBlockExtensionOfferingId=offer["CapacityBlockExtensionOfferingId"],
        CapacityReservationId=first,
    )["CapacityBlockExtensions"]
    assert [one["CapacityReservationId"] for one in extended] == block["CapacityReservationIds"]
    aws.clock.advance(timedelta(minutes=10))
    ends = {one["EndDate"] for one in us_east_1.describe_capacity_reservations()["CapacityReservations"]}
    assert ends == {block["EndDate"] + timedelta(hours=24)}
