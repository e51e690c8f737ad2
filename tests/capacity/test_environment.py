"""What an environment has, as what a purchase is kept for it, and who uses which reservation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from nixl_efa.capacity.environment import (
    Holdings,
    Slot,
    next_finding,
    overlap,
    overlap_of_extension,
    slot_for,
)
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, UNKNOWN, Reservation
from nixl_efa.capacity.targets import targets
from nixl_efa.capacity.users import node_names, users
from nixl_efa.findings import Level
from nixl_efa.launch import Launch, launch_of
from nixl_efa.reservation_source import ReservationSource
from nixl_efa.settings import Settings
from nixl_efa.settings.parts import CapacityEntry

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SOURCE = launch_of(Settings(name="prod", instance_type="p5.48xlarge", use_capacity_block=True)).reservation
OFFERING = Offering(
    "cb-1", "us-east-2", "p5.48xlarge", 2, "us-east-2a", NOW + DAY, NOW + 3 * DAY, Decimal(1000), "USD", 48
)


def block(**changes: Any) -> Reservation:
    given: dict[str, Any] = {
        "id": "cr-1", "region": "us-east-2", "kind": "capacity-block", "state": "active",
        "instance_type": "p5.48xlarge", "size": 2, "free": 2, "zone": "us-east-2a", "platform": "Linux/UNIX",
        "start": NOW - DAY, "end": NOW + 2 * DAY,
    }  # fmt: skip
    return Reservation(**{**given, **changes})


def held(
    current: Reservation | None = None, following: Reservation | None = None, *others: Reservation
) -> Holdings:
    return Holdings(SOURCE, current, following, others, {}, {})


@pytest.mark.parametrize(
    ("has", "slot", "level", "words"),
    [
        (held(), Slot.CURRENT, None, ""),
        (held(block(state="expired")), Slot.CURRENT, None, ""),
        (held(block(state="payment-failed")), Slot.CURRENT, None, ""),
        (held(block()), Slot.NEXT, Level.WARN, "kept as its next one. Both are paid for at once for 1 d 0 h"),
        (held(block(end=NOW + timedelta(hours=12))), Slot.NEXT, Level.WARN, "this block is kept as its next one"),
        (held(block(state="unavailable")), Slot.NEXT, Level.WARN, "this block is kept as its next one"),
        (held(block(end=NOW + 3 * DAY)), Slot.NEXT, Level.FAIL, "and this block does not end later"),
        (held(block(end=NOW + 9 * DAY)), Slot.NEXT, Level.FAIL, "and this block does not end later"),
        (held(block(kind="on-demand", end=None)), Slot.NEXT, Level.FAIL, "prod uses cr-1 (active)"),
        (held(block(state=UNKNOWN, end=None)), Slot.NEXT, Level.FAIL, "has 'cr-1' stored, which EC2 does not show"),
        (held(block(state=UNKNOWN, end=NOW - DAY)), Slot.CURRENT, None, ""),
        (held(block(), block(id="cr-2")), Slot.NEXT, Level.FAIL, "has a next block already: cr-2"),
        (held(None, block(id="cr-2")), Slot.NEXT, Level.FAIL, "has a next block already: cr-2"),
        (held(block(), block(id="cr-2", state="expired")), Slot.NEXT, Level.WARN, "kept as its next one"),
        (
            held(None, None, block(id="cr-3", region="ap-south-1")),
            Slot.NEXT,
            Level.FAIL,
            "has cr-3 (active, until 2026-12-03 08:00 UTC) already, in ap-south-1",
        ),
    ],
)  # fmt: skip
def test_a_purchase_takes_the_place_of_what_is_over_and_follows_what_lives(
    has: Holdings, slot: Slot, level: Level | None, words: str
) -> None:
    found, findings = slot_for(OFFERING, has, NOW, replace=False)
    assert found is slot
    assert [one.level for one in findings] == ([level] if level else [])
    assert all(words in one.message and one.remedy for one in findings)


def test_with_replace_what_lives_is_put_aside_and_named() -> None:
    slot, findings = slot_for(OFFERING, held(block(), block(id="cr-2")), NOW, replace=True)
    assert slot is Slot.CURRENT
    assert [one.level for one in findings] == [Level.WARN, Level.WARN]
    assert ["cr-1" in findings[0].message, "cr-2" in findings[1].message] == [True, True]


def test_what_both_blocks_cost_at_once_is_counted() -> None:
    assert overlap(OFFERING, block()) == DAY
    assert overlap(OFFERING, block(end=NOW)) == timedelta(0)
    assert overlap(OFFERING, None) == timedelta(0)


def source(name: str, **changes: Any) -> ReservationSource:
    return replace(launch_of(Settings(name=name, instance_type="p5.48xlarge")).reservation, **changes)


def test_a_reservation_is_used_by_whoever_reads_it_wherever_that_stands_and_by_whom_it_was_bought_for() -> (
    None
):
    sources = [
        source("prod", id_parameter="/team/block", reads_id=True),
        source("dev"),
        source("lab", id="cr-00000003"),
        source("far", region="us-west-2"),
    ]
    stored = {
        ("us-east-2", "/team/block"): "cr-00000001",
        ("us-east-2", "/team/block-next"): "cr-00000002",
        ("us-east-2", "/nixl-efa/dev/capacity-reservation-id"): "cr-00000001",
        ("us-east-2", "/nixl-efa/dev/capacity-reservation-id-next"): "cr-00000001",
        ("us-east-2", "/nixl-efa/far/capacity-reservation-id"): "cr-00000009",
    }
    bought = block(id="cr-00000004", tags={ENVIRONMENT_TAG: "dev"})
    assert users([bought, block(id="cr-00000002", tags={ENVIRONMENT_TAG: "prod"})], sources, stored) == {
        "cr-00000001": (("dev", "current"), ("prod", "current")),
        "cr-00000002": (("prod", "next"),),
        "cr-00000003": (("lab", "current"),),
        "cr-00000004": (("dev", "not saved"),),
    }


def test_the_nodes_of_every_environment_that_reads_the_same_parameter_are_lost_with_it() -> None:
    def launch(name: str, parameter: str) -> Launch:
        return launch_of(
            Settings(name=name, instance_type="p5.48xlarge", capacity_reservation_parameter=parameter)
        )

    prod, copy, other = launch("prod", "/block"), launch("qa", "/block"), launch("dev", "/other")
    assert node_names(copy, [prod, copy, other]) == (*copy.node_names, "qa", *prod.node_names, "prod")


def test_a_node_of_the_environment_that_runs_in_one_of_its_reservations_is_lost_with_it_whatever_its_entry() -> (
    None
):
    """It may have been launched by another entry, or under another project_prefix."""
    first, second = (
        CapacityEntry.model_validate({"capacity_reservation_parameter": name, role: 1})
        for name, role in (("/first", "producers"), ("/second", "consumers"))
    )
    prod = launch_of(Settings(name="prod", instance_type="p5.48xlarge", capacity=(first, second)))
    launch = targets(prod)["prod/2"]
    assert node_names(launch, [launch]) == (*launch.node_names, "prod")


def test_a_next_block_that_adds_no_time_is_said_to_be_useless() -> None:
    launch = launch_of(
        Settings(
            name="prod",
            instance_type="p5.48xlarge",
            use_capacity_block=True,
            capacity_reservation_id="cr-00000001",
        )
    )
    following = block(id="cr-00000002", state="scheduled", start=NOW + DAY)
    said = next_finding(following, launch, NOW, block(id="cr-00000001"))
    assert (said.level, "does not end later than the current cr-00000001" in said.message) == (
        Level.WARN,
        True,
    )
    longer = next_finding(replace(following, end=NOW + 5 * DAY), launch, NOW, block(id="cr-00000001"))
    assert longer.level is Level.PASS


def test_an_extension_over_the_next_block_is_paid_for_twice() -> None:
    following = block(id="cr-2", state="scheduled", start=NOW + 2 * DAY, end=NOW + 3 * DAY)
    extension = replace(OFFERING, extends="cr-1", start=NOW + 2 * DAY, end=NOW + 4 * DAY)
    both, said = overlap_of_extension(extension, block(), held(block(), following), NOW)
    assert both == DAY
    assert (
        "cr-2 (scheduled, until 2026-12-04 08:00 UTC), too: both are paid for at once for 1 d 0 h"
        in said[0].message
    )
    assert overlap_of_extension(extension, block(), held(block()), NOW) == (timedelta(0), [])


def test_an_extension_of_the_next_block_after_the_current_one_s_end_is_paid_for_once() -> None:
    current, following = block(end=NOW + DAY), block(id="cr-2", start=NOW + DAY, end=NOW + 2 * DAY)
    extension = replace(OFFERING, extends="cr-2", start=NOW + 2 * DAY, end=NOW + 4 * DAY)
    said = overlap_of_extension(extension, following, held(current, following), NOW)
    assert said == (timedelta(0), [])
