"""What EC2 refused, as recorded (tests/recorded/run_instances_errors), and what this project says of it."""

from __future__ import annotations

from typing import Any

import pytest

from nixl_efa.refusals import Asked, Refusal, advice_for
from tests.records import answer, names

DEMAND, BLOCK, SPOT = Asked(), Asked(reserved=True, sold_as_block=True), Asked(spot=True)
KIND = "run_instances_errors"

# What was asked for, words of the meaning, of the remedy, and words that would be no cure.
REFUSALS: dict[str, tuple[Asked, str, str, str]] = {
    f"{KIND}/account-being-verified": (DEMAND, "still verifying the account", "at most four hours", "role"),
    f"{KIND}/device-index-too-high-p5": (
        BLOCK,
        "not laid out as the type takes",
        "instance-types refresh",
        "",
    ),
    f"{KIND}/insufficient-capacity-p4d": (
        Asked(sold_as_block=True),
        "no free instance of this type in the zone",
        "one of those that EC2's words name",
        "",
    ),
    f"{KIND}/interfaces-and-groups-on-one-request": (
        DEMAND,
        "belong into them",
        "No setting leads to this",
        "",
    ),
    f"{KIND}/market-type-missing": (BLOCK, "way of buying does not fit", "use_capacity_block = true", "role"),
    f"{KIND}/placement-group-other-zone": (
        DEMAND,
        "has instances in another zone",
        "End those instances first, keep the zone",
        "",
    ),
    f"{KIND}/placement-group-type": (DEMAND, "into this placement group", 'placement_group = "off"', ""),
    f"{KIND}/public-ip-with-many-interfaces": (
        DEMAND,
        "no public address by itself",
        "elastic_ip = true",
        "",
    ),
    f"{KIND}/request-limit": (BLOCK, "throttles the account's calls", "in a minute", "capacity search"),
    f"{KIND}/reservation-capacity-exceeded": (
        BLOCK,
        "no room for the pair, or is for another type, platform or zone",
        "wait a minute if it was made just now",
        "capacity search",
    ),
    f"{KIND}/reservation-unknown": (BLOCK, "knows no such reservation", "is not shown any more", "Buy"),
    f"{KIND}/spot-count": (SPOT, "quota of Spot vCPUs", "Service Quotas", ""),
    f"{KIND}/tag-key-with-blank-in-imds": (DEMAND, "a tag's key", "Rename it in the setting tags", ""),
    f"{KIND}/target-and-preference": (BLOCK, "a reservation and a preference", "report it", ""),
    f"{KIND}/too-many-interfaces": (DEMAND, "fewer network interfaces", "instance-types refresh", "volume"),
    f"{KIND}/unsupported-in-zone": (DEMAND, "not offered in this zone", "EC2's words", ""),
    f"{KIND}/vcpu-limit": (DEMAND, "quota of vCPUs is too small", "Service Quotas", ""),
    f"{KIND}/volume-smaller-than-image": (DEMAND, "does not fit the image", "Raise volume_size", ""),
}
# Records that hold no single code and message: read by the tests below.
OTHERS = {
    f"{KIND}/ebs-key-no-grant-after-launch",
    f"{KIND}/error-codes-page-capacity-blocks",
    f"{KIND}/placement-group-with-block-eleven-of-sixteen",
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
    reason = answer(f"{KIND}/ebs-key-no-grant-after-launch")["StateReason"]
    found = advice_for(Refusal(reason["Code"], reason["Message"]))
    assert found is not None
    assert "the key that encrypts its volume" in found.meaning


@pytest.mark.parametrize("code", answer(f"{KIND}/error-codes-page-capacity-blocks"))
def test_each_documented_code_about_blocks_has_advice(code: str) -> None:
    message = answer(f"{KIND}/error-codes-page-capacity-blocks")[code]
    found = advice_for(Refusal(code, message), BLOCK)
    assert found is not None
    expected = {"Expired": "Search again", "NotFound": "Search again", "Malformed": "Copy the whole id"}
    assert (
        next((words for end, words in expected.items() if code.endswith(end)), "when it is active")
        in found.remedy
    )


def test_a_reservation_that_is_paid_for_is_never_to_be_bought_again() -> None:
    # terraform-aws-eks 3730; the record of eksctl 7949: 11 of 16 came, by a placement group.
    fewer = answer(f"{KIND}/placement-group-with-block-eleven-of-sixteen")
    assert fewer["launched"] < fewer["asked"]
    ice = refusal(answer(f"{KIND}/insufficient-capacity-p4d"))
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
