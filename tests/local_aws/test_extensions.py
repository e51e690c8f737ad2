from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import on_demand, shown
from tests.records import answer

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import CapacityBlockExtensionOfferingTypeDef


def offer(ec2: EC2Client, identifier: str, hours: int = 24) -> CapacityBlockExtensionOfferingTypeDef:
    return ec2.describe_capacity_block_extension_offerings(
        CapacityReservationId=identifier, CapacityBlockExtensionDurationHours=hours
    )["CapacityBlockExtensionOfferings"][0]


def buy(ec2: EC2Client, identifier: str, offering: str) -> str:
    return ec2.purchase_capacity_block_extension(
        CapacityReservationId=identifier, CapacityBlockExtensionOfferingId=offering
    )["CapacityBlockExtensions"][0]["CapacityBlockExtensionStatus"]


def history(ec2: EC2Client, identifier: str) -> list[str]:
    found = ec2.describe_capacity_block_extension_history(CapacityReservationIds=[identifier])
    return [item["CapacityBlockExtensionStatus"] for item in found["CapacityBlockExtensions"]]


def test_a_paid_extension_moves_the_end_and_keeps_the_reservation(
    aws: LocalAws, ec2: EC2Client, active: Any
) -> None:
    identifier = active["CapacityReservationId"]
    offering = offer(ec2, identifier)
    assert offering["CapacityBlockExtensionStartDate"] == active["EndDate"]
    assert buy(ec2, identifier, offering["CapacityBlockExtensionOfferingId"]) == "payment-pending"
    assert shown(ec2, identifier)["EndDate"] == active["EndDate"]
    aws.clock.advance(timedelta(minutes=5))
    assert history(ec2, identifier) == ["payment-succeeded"]
    assert shown(ec2, identifier)["EndDate"] == active["EndDate"] + timedelta(hours=24)


def test_an_extension_whose_payment_fails_changes_nothing(aws: LocalAws, ec2: EC2Client, active: Any) -> None:
    identifier = active["CapacityReservationId"]
    aws.world.payment_fails = True
    buy(ec2, identifier, offer(ec2, identifier)["CapacityBlockExtensionOfferingId"])
    aws.clock.advance(timedelta(minutes=5))
    assert history(ec2, identifier) == ["payment-failed"]
    assert shown(ec2, identifier)["EndDate"] == active["EndDate"]


def test_no_second_extension_while_the_first_is_being_paid(
    aws: LocalAws, ec2: EC2Client, active: Any, refused: Any
) -> None:
    identifier = active["CapacityReservationId"]
    offering = offer(ec2, identifier)["CapacityBlockExtensionOfferingId"]
    buy(ec2, identifier, offering)
    with refused("IncorrectState", "pending"):
        buy(ec2, identifier, offering)
    aws.clock.advance(timedelta(minutes=5))
    with refused("InvalidCapacityBlockExtensionOfferingIdExpired"):
        buy(ec2, identifier, offering)


@pytest.mark.parametrize(
    ("before_end", "code"),
    [(timedelta(minutes=59), "IncorrectState"), (timedelta(0), "InvalidCapacityReservationState")],
)
def test_the_last_hour_is_too_late(
    aws: LocalAws, ec2: EC2Client, block: Any, refused: Any, before_end: timedelta, code: str
) -> None:
    bought = block()
    aws.clock.set(bought["EndDate"] - before_end)
    with refused(code):
        offer(ec2, bought["CapacityReservationId"])


def test_an_unpaid_block_can_not_be_extended(ec2: EC2Client, block: Any, refused: Any) -> None:
    with refused("InvalidCapacityReservationState"):
        offer(ec2, block()["CapacityReservationId"])


def test_only_a_block_can_be_extended_and_only_by_what_is_sold(
    ec2: EC2Client, block: Any, refused: Any
) -> None:
    plain = on_demand(ec2)["CapacityReservationId"]
    with refused("InvalidParameterValue", "not a Capacity Block"):
        offer(ec2, plain)
    with refused("InvalidParameterValue", "not sold"):
        offer(ec2, block()["CapacityReservationId"], hours=7)


def test_offerings_of_another_block_or_of_none_are_refused(
    aws: LocalAws, ec2: EC2Client, block: Any, refused: Any
) -> None:
    first, second = block(), block()
    aws.clock.set(first["StartDate"])
    mine = offer(ec2, first["CapacityReservationId"])["CapacityBlockExtensionOfferingId"]
    with refused("InvalidCapacityBlockExtensionOfferingIdNotFound"):
        buy(ec2, second["CapacityReservationId"], mine)
    with refused("InvalidCapacityBlockExtensionOfferingIdMalformed"):
        buy(ec2, first["CapacityReservationId"], "nonsense")


def test_a_dry_run_extends_nothing(ec2: EC2Client, active: Any, refused: Any) -> None:
    identifier = active["CapacityReservationId"]
    offering = offer(ec2, identifier)["CapacityBlockExtensionOfferingId"]
    with refused("DryRunOperation"):
        ec2.purchase_capacity_block_extension(
            CapacityReservationId=identifier, CapacityBlockExtensionOfferingId=offering, DryRun=True
        )
    assert history(ec2, identifier) == []


def test_an_extension_that_is_not_paid_in_time_leaves_the_old_end(
    aws: LocalAws, ec2: EC2Client, block: Any
) -> None:
    bought = block()
    identifier, old_end = bought["CapacityReservationId"], bought["EndDate"]
    aws.clock.set(old_end - timedelta(hours=2))
    offering = offer(ec2, identifier)["CapacityBlockExtensionOfferingId"]
    aws.world.payment = timedelta(hours=11)
    buy(ec2, identifier, offering)
    aws.clock.set(old_end - timedelta(minutes=36))
    assert history(ec2, identifier) == ["payment-pending"]
    aws.clock.set(old_end - timedelta(minutes=35))
    assert history(ec2, identifier) == ["payment-failed"]
    aws.clock.set(old_end)
    assert shown(ec2, identifier)["State"] == "expired"


def test_the_history_tells_every_extension_with_its_dates_and_its_fee(
    aws: LocalAws, ec2: EC2Client, active: Any
) -> None:
    identifier = active["CapacityReservationId"]
    for fails in (True, False):
        aws.world.payment_fails = fails
        buy(ec2, identifier, offer(ec2, identifier)["CapacityBlockExtensionOfferingId"])
        aws.clock.advance(timedelta(minutes=5))
    aws.world.payment_fails = False
    last = offer(ec2, identifier, hours=48)
    buy(ec2, identifier, last["CapacityBlockExtensionOfferingId"])
    answer = ec2.describe_capacity_block_extension_history()["CapacityBlockExtensions"]
    old_end, day = active["EndDate"], timedelta(days=1)
    assert [
        (
            one["CapacityBlockExtensionStatus"],
            one["CapacityBlockExtensionStartDate"],
            one["CapacityBlockExtensionEndDate"],
        )
        for one in answer
    ] == [
        ("payment-failed", old_end, old_end + day),
        ("payment-succeeded", old_end, old_end + day),
        ("payment-pending", old_end + day, old_end + 3 * day),
    ]
    assert answer[2]["UpfrontFee"] == last["UpfrontFee"]
    assert answer[2]["CapacityBlockExtensionPurchaseDate"] == active["StartDate"] + timedelta(minutes=10)


def test_a_block_lasts_182_days_at_most_with_its_extensions(
    ec2: EC2Client, active: Any, refused: Any
) -> None:
    offer(ec2, active["CapacityReservationId"], hours=4200)
    with refused("InvalidParameterValue", "can't last more than 182 days"):
        offer(ec2, active["CapacityReservationId"], hours=4368)


def test_the_states_are_those_that_the_user_guide_names(aws: LocalAws, ec2: EC2Client, block: Any) -> None:
    rules = answer("extensions/rules-of-the-user-guide")
    bought = block()
    aws.clock.advance(timedelta(minutes=5))
    states = []
    for moment in (aws.clock.now(), bought["StartDate"]):
        aws.clock.set(moment)
        offer(ec2, bought["CapacityReservationId"])
        found = ec2.describe_capacity_reservations()["CapacityReservations"]
        states.append(found[0]["State"])
    assert sorted(states) == sorted(rules["states_that_can_be_extended"])
