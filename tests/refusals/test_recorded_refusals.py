"""What EC2 refused, as recorded (tests/recorded/run_instances_errors), and what this project says of it."""

from typing import Any

import pytest

from nixl_efa.refusals import Asked, Refusal, advice_for
from tests.records import answer, names

DEMAND, BLOCK, SPOT = Asked(), Asked(reserved=True, sold_as_block=True), Asked(spot=True)
KIND = "run_instances_errors"

# What was asked for, words of the meaning, of the remedy, and words that would be no cure.
REFUSALS: dict[str, tuple[Asked, str, str, str]] = {
    "run_instances_errors/account-being-verified": (
        DEMAND,
        "still verifying the account",
        "at most four hours",
        "role",
    ),
    "run_instances_errors/device-index-too-high-p5": (
        BLOCK,
        "not laid out as the type takes",
        "instance-types refresh",
        "",
    ),
    "run_instances_errors/insufficient-capacity-p4d": (
        Asked(sold_as_block=True),
        "no free instance of this type in the zone",
        "one of those that EC2's message names",
        "",
    ),
    "run_instances_errors/interfaces-and-groups-on-one-request": (
        DEMAND,
        "must be inside them",
        "No setting leads to this",
        "",
    ),
    "run_instances_errors/market-type-missing": (
        BLOCK,
        "market type does not fit",
        "use_capacity_block = true",
        "role",
    ),
    "run_instances_errors/placement-group-other-zone": (
        DEMAND,
        "has instances in another zone",
        "End those instances first, keep the zone",
        "",
    ),
    "run_instances_errors/placement-group-type": (
        DEMAND,
        "into this placement group",
        'placement_group = "off"',
        "",
    ),
    "run_instances_errors/public-ip-with-many-interfaces": (
        DEMAND,
        "no public address by itself",
        "elastic_ip = true",
        "",
    ),
    "run_instances_errors/request-limit": (
        BLOCK,
        "throttles the account's calls",
        "in a minute",
        "capacity search",
    ),
    "run_instances_errors/reservation-capacity-exceeded": (
        BLOCK,
        "no room for the pair, or is for another type, platform or zone",
        "wait a minute if it was made just now",
        "capacity search",
    ),
    "run_instances_errors/reservation-unknown": (
        BLOCK,
        "knows no such reservation",
        "is not shown any more",
        "Buy",
    ),
    "run_instances_errors/spot-count": (SPOT, "quota of Spot vCPUs", "Service Quotas", ""),
    "run_instances_errors/tag-key-with-blank-in-imds": (
        DEMAND,
        "a tag's key",
        "Rename it in the setting tags",
        "",
    ),
    "run_instances_errors/target-and-preference": (BLOCK, "a reservation and a preference", "report it", ""),
    "run_instances_errors/too-many-interfaces": (
        DEMAND,
        "fewer network interfaces",
        "instance-types refresh",
        "volume",
    ),
    "run_instances_errors/unsupported-in-zone": (DEMAND, "not offered in this zone", "EC2's message", ""),
    "run_instances_errors/vcpu-limit": (DEMAND, "quota of vCPUs is too small", "Service Quotas", ""),
    "run_instances_errors/volume-smaller-than-image": (
        DEMAND,
        "does not fit the image",
        "Raise volume_size",
        "",
    ),
}
# Records that hold no single code and message: read by the tests below.
OTHERS = {
    "run_instances_errors/ebs-key-no-grant-after-launch",
    "run_instances_errors/error-codes-page-capacity-blocks",
    "run_instances_errors/placement-group-with-block-eleven-of-sixteen",
}


def refusal(record: dict[str, Any]) -> Refusal:
    return Refusal(record["Code"], record["Message"], record["Operation"])


def test_every_recorded_refusal_is_read() -> None:
    assert set(names(KIND)) == set(REFUSALS) | OTHERS


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_that_somebody_got_has_the_advice_that_helps(name: str) -> None:
    asked, meaning, remedy, no_cure = REFUSALS[name]
    found = advice_for(refusal(answer(name)), asked)
    assert found is not None
    assert meaning in found.meaning
    assert remedy in found.remedy
    assert not no_cure or no_cure not in found.remedy


def test_an_instance_that_died_of_its_volumes_key_is_told_so() -> None:
    reason = answer("run_instances_errors/ebs-key-no-grant-after-launch")["StateReason"]
    found = advice_for(Refusal(reason["Code"], reason["Message"]))
    assert found is not None
    assert "the key that encrypts its volume" in found.meaning


@pytest.mark.parametrize("code", answer("run_instances_errors/error-codes-page-capacity-blocks"))
def test_each_documented_code_about_blocks_has_advice(code: str) -> None:
    message = answer("run_instances_errors/error-codes-page-capacity-blocks")[code]
    found = advice_for(Refusal(code, message), BLOCK)
    assert found is not None
    expected = {"Expired": "Search again", "NotFound": "Search again", "Malformed": "Copy the whole id"}
    assert (
        next((words for end, words in expected.items() if code.endswith(end)), "when it is active")
        in found.remedy
    )


def test_a_reservation_that_is_paid_for_is_never_to_be_bought_again() -> None:
    # terraform-aws-eks 3730; the record of eksctl 7949: 11 of 16 came, by a placement group.
    fewer = answer("run_instances_errors/placement-group-with-block-eleven-of-sixteen")
    assert fewer["launched"] < fewer["asked"]
    ice = refusal(answer("run_instances_errors/insufficient-capacity-p4d"))
    found = advice_for(ice, BLOCK)
    assert found is not None
    assert "paid for" in found.meaning
    assert "Buy nothing" in found.remedy
    assert 'placement_group = "auto"' in found.remedy
    assert "capacity search" not in found.remedy
    for asked, buys in ((SPOT, False), (DEMAND, False), (Asked(sold_as_block=True), True)):
        other = advice_for(Refusal(ice.code, "Insufficient capacity."), asked)
        assert other is not None
        assert ("capacity search" in other.remedy) is buys
