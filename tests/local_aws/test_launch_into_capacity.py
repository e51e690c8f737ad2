"""Launches into reservations and Capacity Blocks, and what happens to them along the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.launches import subnet_in
from tests.local_aws.conftest import ZONE, into, on_demand, show, shown
from tests.offerings import soonest_offering

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import CapacityReservationTypeDef

Launch = Callable[..., list[str]]


@pytest.fixture
def launch(ec2: EC2Client, image: str) -> Launch:
    def run(zone: str = ZONE, instance_type: str = "p5.48xlarge", count: int = 1, **more: Any) -> list[str]:
        given = {"ImageId": image, "InstanceType": instance_type, "SubnetId": subnet_in(ec2, zone)}
        answer = ec2.run_instances(**{"MinCount": count, "MaxCount": count, **given, **more})
        return [instance["InstanceId"] for instance in answer["Instances"]]

    return run


def free(ec2: EC2Client, reservation: CapacityReservationTypeDef) -> int:
    return int(shown(ec2, reservation["CapacityReservationId"])["AvailableInstanceCount"])


def test_an_instance_in_a_block_says_so(
    ec2: EC2Client, launch: Launch, active: CapacityReservationTypeDef
) -> None:
    (identifier,) = launch(active["AvailabilityZone"], **into(active))
    instance = show(ec2, identifier)
    assert instance["InstanceLifecycle"] == "capacity-block"
    assert instance["CapacityReservationId"] == active["CapacityReservationId"]
    assert instance["CapacityReservationSpecification"] == {
        "CapacityReservationTarget": {"CapacityReservationId": active["CapacityReservationId"]}
    }
    assert free(ec2, active) == 1


def test_a_block_that_has_not_begun_is_refused(
    aws: LocalAws, launch: Launch, block: Any, refused: Any
) -> None:
    bought = block()
    for wait in (timedelta(0), timedelta(minutes=6)):  # payment-pending, then scheduled
        aws.clock.advance(wait)
        with refused("InvalidCapacityReservationState.PendingActivation", "not active yet"):
            launch(bought["AvailabilityZone"], **into(bought))


def test_a_block_that_has_ended_is_refused(
    aws: LocalAws, launch: Launch, active: CapacityReservationTypeDef, refused: Any
) -> None:
    aws.clock.set(active["EndDate"])
    with refused("InvalidCapacityReservationState", "expired"):
        launch(active["AvailabilityZone"], **into(active))


def test_both_halves_are_needed(launch: Launch, active: CapacityReservationTypeDef, refused: Any) -> None:
    halves = into(active)
    for one in halves:
        with refused("InvalidParameterValue" if one.startswith("Cap") else "MissingParameter"):
            launch(active["AvailabilityZone"], **{one: halves[one]})


def test_no_preference_beside_a_target(
    launch: Launch, active: CapacityReservationTypeDef, refused: Any
) -> None:
    halves = into(active)
    halves["CapacityReservationSpecification"]["CapacityReservationPreference"] = "open"
    with refused("InvalidParameterCombination"):
        launch(active["AvailabilityZone"], **halves)


def test_the_zone_must_match(launch: Launch, active: CapacityReservationTypeDef, refused: Any) -> None:
    elsewhere = next(zone for zone in ("us-east-2a", "us-east-2b") if zone != active["AvailabilityZone"])
    with refused("InvalidParameterValue", "Attribute: AvailabilityZone"):
        launch(elsewhere, **into(active))


def test_the_type_must_match(launch: Launch, active: CapacityReservationTypeDef, refused: Any) -> None:
    with refused("ReservationCapacityExceeded"):
        launch(active["AvailabilityZone"], "p5.4xlarge", **into(active))


def test_the_platform_must_match(aws: LocalAws, ec2: EC2Client, launch: Launch, refused: Any) -> None:
    offering = soonest_offering(ec2)["CapacityBlockOfferingId"]
    bought = ec2.purchase_capacity_block(CapacityBlockOfferingId=offering, InstancePlatform="Windows")
    reservation = bought["CapacityReservation"]
    aws.clock.set(reservation["StartDate"])
    with refused("InvalidParameterValue", "Attribute: InstancePlatform"):
        launch(reservation["AvailabilityZone"], **into(reservation))


def test_a_full_block_takes_no_more(launch: Launch, active: CapacityReservationTypeDef, refused: Any) -> None:
    launch(active["AvailabilityZone"], count=2, **into(active))
    with refused("ReservationCapacityExceeded", "sufficient compatible and available capacity"):
        launch(active["AvailabilityZone"], **into(active))


def test_a_reservation_that_is_not_there(launch: Launch, refused: Any) -> None:
    with refused("InvalidCapacityReservationId.NotFound"):
        launch(**into({"CapacityReservationId": "cr-00000000000000000"}))
    with refused("InvalidCapacityReservationId.Malformed"):
        launch(**into({"CapacityReservationId": "my-block"}))


def test_a_type_without_blocks_has_no_such_market(
    launch: Launch, active: CapacityReservationTypeDef, refused: Any
) -> None:
    with refused("InvalidParameterValue", "market type"):
        launch(active["AvailabilityZone"], "g7e.8xlarge", **into(active))


def test_a_launch_with_a_placement_group_finds_no_place_in_a_reservation_made_without_it(
    ec2: EC2Client, launch: Launch, active: CapacityReservationTypeDef, refused: Any
) -> None:
    # terraform-aws-eks 3730; eksctl 7949.
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    with refused("InsufficientInstanceCapacity", "sufficient p5.48xlarge capacity"):
        launch(active["AvailabilityZone"], Placement={"GroupName": "pair"}, **into(active))


def test_a_dry_run_checks_the_block_and_takes_nothing(
    ec2: EC2Client, launch: Launch, active: CapacityReservationTypeDef, refused: Any
) -> None:
    with refused("DryRunOperation"):
        launch(active["AvailabilityZone"], DryRun=True, **into(active))
    with refused("ReservationCapacityExceeded"):
        launch(active["AvailabilityZone"], count=3, DryRun=True, **into(active))
    assert free(ec2, active) == 2


@pytest.mark.parametrize("ending", ["terminate_instances", "stop_instances"])
def test_a_slot_comes_back_some_minutes_after_its_instance_ends(
    aws: LocalAws,
    ec2: EC2Client,
    launch: Launch,
    active: CapacityReservationTypeDef,
    refused: Any,
    ending: str,
) -> None:
    instances = launch(active["AvailabilityZone"], count=2, **into(active))
    getattr(ec2, ending)(InstanceIds=instances)
    assert free(ec2, active) == 0
    with refused("ReservationCapacityExceeded"):
        launch(active["AvailabilityZone"], **into(active))
    aws.clock.advance(timedelta(minutes=5))
    assert free(ec2, active) == 2
    launch(active["AvailabilityZone"], count=2, **into(active))


def test_instances_of_a_block_end_half_an_hour_before_it(
    aws: LocalAws, ec2: EC2Client, launch: Launch, active: CapacityReservationTypeDef
) -> None:
    (inside,) = launch(active["AvailabilityZone"], **into(active))
    (outside,) = launch(active["AvailabilityZone"], "g7e.8xlarge")
    aws.clock.set(active["EndDate"] - timedelta(minutes=31))
    assert show(ec2, inside)["State"]["Name"] == "running"
    aws.clock.advance(timedelta(minutes=1))
    ended = show(ec2, inside)
    assert ended["State"]["Name"] == "terminated"
    assert ended["StateReason"]["Code"] == "Server.CapacityBlockExpiration"
    assert show(ec2, outside)["State"]["Name"] == "running"


def test_a_block_does_not_count_against_the_quota(
    aws: LocalAws, launch: Launch, active: CapacityReservationTypeDef, refused: Any
) -> None:
    aws.world.quotas["L-417A185B"] = 0
    launch(active["AvailabilityZone"], count=2, **into(active))
    with refused("VcpuLimitExceeded"):
        launch(active["AvailabilityZone"])


def test_an_open_reservation_is_taken_up_by_itself_and_a_targeted_one_is_not(
    ec2: EC2Client, launch: Launch
) -> None:
    targeted = on_demand(ec2, InstanceMatchCriteria="targeted")
    (first,) = launch(instance_type="g7e.8xlarge")
    assert "CapacityReservationId" not in show(ec2, first)
    opened = on_demand(ec2, InstanceMatchCriteria="open")
    (second,) = launch(instance_type="g7e.8xlarge")
    assert show(ec2, second)["CapacityReservationId"] == opened["CapacityReservationId"]
    assert (free(ec2, targeted), free(ec2, opened)) == (1, 0)


def test_an_open_reservation_is_left_alone_by_who_asks_for_none(ec2: EC2Client, launch: Launch) -> None:
    opened = on_demand(ec2, InstanceMatchCriteria="open")
    launch(
        instance_type="g7e.8xlarge",
        CapacityReservationSpecification={"CapacityReservationPreference": "none"},
    )
    assert free(ec2, opened) == 1


def test_an_on_demand_reservation_is_targeted_without_a_market(
    ec2: EC2Client, launch: Launch, refused: Any
) -> None:
    targeted = on_demand(ec2, InstanceMatchCriteria="targeted")
    specification = into(targeted)["CapacityReservationSpecification"]
    with refused("InvalidParameterValue", "market type"):
        launch(instance_type="g7e.8xlarge", **into(targeted))
    (identifier,) = launch(instance_type="g7e.8xlarge", CapacityReservationSpecification=specification)
    assert show(ec2, identifier)["CapacityReservationId"] == targeted["CapacityReservationId"]
    ec2.cancel_capacity_reservation(CapacityReservationId=targeted["CapacityReservationId"])
    with refused("InvalidCapacityReservationState", "cancelled"):
        launch(instance_type="g7e.8xlarge", CapacityReservationSpecification=specification)
