"""Reservations that other accounts use or lend, a VPC with dedicated tenancy, and what all that counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws import LocalAws
from tests.launches import subnet_in
from tests.local_aws.conftest import REGION, ZONE, on_demand, show, shown

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

OWN, OTHER = "123456789012", "999999999999"
G = "L-DB2E81BA"


@pytest.fixture
def other(aws: LocalAws, client: Any) -> Callable[[str], Any]:
    """Makes clients of another account."""
    role = f"arn:aws:iam::{OTHER}:role/team"
    keys = client("sts", checked=False).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]

    def make(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=aws.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    return make


def reserve(ec2: EC2Client, count: int = 2, match: Any = "targeted", **more: Any) -> str:
    return on_demand(ec2, InstanceCount=count, InstanceMatchCriteria=match, **more)["CapacityReservationId"]


def run(ec2: EC2Client, image: str, count: int = 1, into: str = "", **more: Any) -> list[str]:
    """Launches instances in the default subnet of the zone, into a reservation where one is named."""
    target = {"CapacityReservationTarget": {"CapacityReservationId": into}} if into else {}
    answer = ec2.run_instances(
        **{
            "ImageId": image,
            "InstanceType": "g7e.8xlarge",
            "SubnetId": subnet_in(ec2, ZONE),
            "MinCount": count,
            "MaxCount": count,
            **({"CapacityReservationSpecification": target} if target else {}),
            **more,
        }
    )
    return [each["InstanceId"] for each in answer["Instances"]]


@pytest.fixture
def shared(other: Any, refused: Any, ec2: EC2Client) -> Callable[..., str]:
    """Another account's reservation, which RAM shares with this one."""

    def share(**more: Any) -> str:
        made = reserve(other("ec2"), **more)
        with refused("InvalidCapacityReservationId.NotFound"):
            shown(ec2, made)
        arn = f"arn:aws:ec2:{REGION}:{OTHER}:capacity-reservation/{made}"
        other("ram").create_resource_share(name="share", resourceArns=[arn], principals=[OWN])
        return made

    return share


# Four unused g7e.8xlarge hold the whole quota of 128 vCPUs: EC2 user guide, ec2-on-demand-instances.
def test_unused_reservations_count_and_only_open_ones_take_a_launch_in(
    aws: LocalAws, ec2: EC2Client, image: str, refused: Any
) -> None:
    aws.world.quotas[G] = 128
    targeted = reserve(ec2, 4)
    with refused("VcpuLimitExceeded"):
        run(ec2, image)
    run(ec2, image, 4, into=targeted)
    ec2.cancel_capacity_reservation(CapacityReservationId=targeted)


def test_an_open_reservation_takes_as_many_as_it_has_places_for(
    aws: LocalAws, ec2: EC2Client, image: str, refused: Any
) -> None:
    aws.world.quotas[G] = 96
    opened = reserve(ec2, 2, "open")
    with refused("VcpuLimitExceeded"):
        run(ec2, image, 4)
    run(ec2, image, 3)
    assert shown(ec2, opened)["AvailableInstanceCount"] == 0
    with refused("VcpuLimitExceeded"):
        run(ec2, image)


def test_a_shared_reservation_counts_against_its_owners_quota_and_shows_who_uses_it(
    aws: LocalAws, ec2: EC2Client, image: str, shared: Any, other: Any, refused: Any
) -> None:
    aws.world.quotas[G] = 64
    theirs = shared()
    assert shown(ec2, theirs)["OwnerId"] == OTHER
    run(ec2, image, into=theirs)
    for asking in (ec2, other("ec2")):
        usage = asking.get_capacity_reservation_usage(CapacityReservationId=theirs)
        assert {each["AccountId"]: each["UsedInstanceCount"] for each in usage["InstanceUsages"]} == {
            OTHER: 0,
            OWN: 1,
        }
        assert (usage["TotalInstanceCount"], usage["AvailableInstanceCount"]) == (2, 1)
    run(ec2, image, 2)
    with refused("VcpuLimitExceeded"):
        run(ec2, image)
    with refused("InvalidCapacityReservationId.NotFound"):
        ec2.cancel_capacity_reservation(CapacityReservationId=theirs)


def test_an_open_shared_reservation_is_taken_up_by_itself(ec2: EC2Client, image: str, shared: Any) -> None:
    theirs = shared(match="open")
    run(ec2, image)
    assert shown(ec2, theirs)["AvailableInstanceCount"] == 1


@pytest.fixture
def lent(ec2: EC2Client) -> tuple[str, str]:
    """A reservation of three, two places of which are lent; and the interruptible one that has them."""
    source = reserve(ec2, 3)
    ec2.create_interruptible_capacity_reservation_allocation(CapacityReservationId=source, InstanceCount=2)
    (found,) = [
        each["CapacityReservationId"]
        for each in ec2.describe_capacity_reservations()["CapacityReservations"]
        if each.get("Interruptible")
    ]
    return source, found


MARKET = {"MarketType": "interruptible-capacity-reservation"}


def test_lent_places_go_over_and_count_once(
    aws: LocalAws, ec2: EC2Client, image: str, lent: tuple[str, str], refused: Any
) -> None:
    source, found = lent
    assert (shown(ec2, source)["TotalInstanceCount"], shown(ec2, found)["TotalInstanceCount"]) == (1, 2)
    assert shown(ec2, found)["InstanceMatchCriteria"] == "targeted"
    aws.world.quotas[G] = 96
    run(ec2, image, 2, into=found, InstanceMarketOptions=MARKET)
    with refused("VcpuLimitExceeded"):
        run(ec2, image)


def test_an_interruptible_reservation_lets_in_its_own_market_alone(
    ec2: EC2Client, image: str, lent: tuple[str, str], refused: Any
) -> None:
    source, found = lent
    with refused("InvalidParameterValue", "market type"):
        run(ec2, image, into=found)
    with refused("InvalidParameterValue", "market type"):
        run(ec2, image, into=source, InstanceMarketOptions=MARKET)
    with refused("MissingParameter"):
        run(ec2, image, InstanceMarketOptions=MARKET)
    run(ec2, image, into=found, InstanceMarketOptions=MARKET)


def test_places_that_are_taken_back_end_their_instances_after_two_minutes(
    aws: LocalAws, ec2: EC2Client, image: str, lent: tuple[str, str], refused: Any
) -> None:
    source, found = lent
    (inside,) = run(ec2, image, into=found, InstanceMarketOptions=MARKET)
    ec2.update_interruptible_capacity_reservation_allocation(
        CapacityReservationId=source, TargetInstanceCount=0
    )
    with refused("InvalidCapacityReservationState.Unavailable"):
        run(ec2, image, into=found, InstanceMarketOptions=MARKET)
    aws.clock.advance(timedelta(seconds=119))
    assert show(ec2, inside)["State"]["Name"] == "running"
    aws.clock.advance(timedelta(seconds=1))
    assert show(ec2, inside)["State"]["Name"] == "terminated"
    assert shown(ec2, source)["TotalInstanceCount"] == 3
    assert shown(ec2, found)["State"] == "cancelled"


@pytest.mark.parametrize(("tenancy", "fits"), [("default", False), ("dedicated", True)])
def test_what_is_launched_into_a_dedicated_vpc_is_dedicated(
    ec2: EC2Client, image: str, refused: Any, tenancy: Any, fits: bool
) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", InstanceTenancy="dedicated")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone=ZONE)["Subnet"][
        "SubnetId"
    ]
    target = reserve(ec2, Tenancy=tenancy)
    opened = reserve(ec2, match="open", Tenancy=tenancy)
    (inside,) = run(ec2, image, SubnetId=subnet)
    found = show(ec2, inside)
    assert found["Placement"]["Tenancy"] == "dedicated"
    assert found.get("CapacityReservationId") == (opened if fits else None)
    if fits:
        run(ec2, image, into=target, SubnetId=subnet)
    else:
        with refused("InvalidParameterValue", "Attribute: Tenancy"):
            run(ec2, image, into=target, SubnetId=subnet)


def test_a_count_that_can_not_be_lent_is_refused(ec2: EC2Client, refused: Any) -> None:
    source = reserve(ec2, 1)
    with refused("InvalidParameterValue", "instanceCount"):
        ec2.create_interruptible_capacity_reservation_allocation(
            CapacityReservationId=source, InstanceCount=2
        )
    with refused("InvalidParameterValue", "targetInstanceCount"):
        ec2.update_interruptible_capacity_reservation_allocation(
            CapacityReservationId=source, TargetInstanceCount=0
        )
