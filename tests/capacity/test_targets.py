"""For what capacity is bought and kept, where an environment has several reservations."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nixl_efa.capacity.environment import Holdings
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, Reservation
from nixl_efa.capacity.targets import targets, zone_findings
from nixl_efa.findings import Level
from nixl_efa.launch import launch_of
from nixl_efa.reservation_source import environment_of
from nixl_efa.settings import Settings
from nixl_efa.settings.parts import CapacityEntry, Group

P5 = {"instance_type": "p5.48xlarge", "use_capacity_block": True}
FIRST = {"capacity_reservation_parameter": "/first"}
SECOND = {"capacity_reservation_parameter": "/second"}
OWN_BLOCK = Group(
    instance_type="p5e.48xlarge", use_capacity_block=True, capacity_reservation_parameter="/second"
)


def entries(*shares: Mapping[str, object]) -> tuple[CapacityEntry, ...]:
    return tuple(CapacityEntry.model_validate(one) for one in shares)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, {"prod": ("p5.48xlarge", ["producer", "consumer"])}),
        (
            {"capacity": entries({**FIRST, "producers": 1}, {**SECOND, "consumers": 1})},
            {"prod": ("p5.48xlarge", ["producer"]), "prod/2": ("p5.48xlarge", ["consumer"])},
        ),
        # The only entry takes all, also before it says so.
        ({"capacity": entries(FIRST)}, {"prod": ("p5.48xlarge", ["producer", "consumer"])}),
        # Two requests into one reservation are one purchase.
        ({**FIRST, "consumer": Group(volume_size=2000)}, {"prod": ("p5.48xlarge", ["producer", "consumer"])}),
        # What is launched into no reservation, needs none to be bought.
        ({**FIRST, "producer": Group(instance_type="g6e.12xlarge")}, {"prod": ("p5.48xlarge", ["consumer"])}),
        (
            {**FIRST, "producer": OWN_BLOCK},
            {"prod/producer": ("p5e.48xlarge", ["producer"]), "prod": ("p5.48xlarge", ["consumer"])},
        ),
        (
            {"use_capacity_block": False, "producer": Group(instance_type="g6e.12xlarge")},
            {"prod": ("p5.48xlarge", ["consumer"])},
        ),
    ],
)
def test_each_reservation_is_bought_for_by_itself_with_the_number_of_its_nodes(
    settings: dict[str, object], found: dict[str, tuple[str, list[str]]]
) -> None:
    launch = launch_of(Settings.model_validate({"name": "prod", **P5, **settings}))
    by_name = targets(launch)
    assert {
        name: (one.instance_type, [node.name for node in one.nodes]) for name, one in by_name.items()
    } == found
    assert [one.environment for one in by_name.values()] == list(found)
    assert [one.reservation.environment for one in by_name.values()] == list(found)
    assert {environment_of(name) for name in found} == {"prod"}
    assert {one.count_in_reservation for one in by_name.values()} == {one.count for one in by_name.values()}


HERE, THERE = "us-east-2a", "us-east-2b"
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def block(zone: str, first: int, last: int | None, owner: str = "") -> Reservation:
    """A block of some days, bought for one."""
    return Reservation(
        id="cr-00000001",
        region="us-east-2",
        kind="capacity-block",
        state="active",
        instance_type="p5.48xlarge",
        size=1,
        free=1,
        zone=zone,
        platform="Linux/UNIX",
        start=NOW + timedelta(days=first),
        end=None if last is None else NOW + timedelta(days=last),
        tags={ENVIRONMENT_TAG: owner},
    )


@pytest.mark.parametrize(
    ("beside", "refused"),
    [
        ([block(HERE, 0, 3, "prod")], False),
        ([block(THERE, 0, 3, "prod")], True),
        ([block(THERE, 0, None, "prod")], True),
        # The block that follows is in another zone than the one that ends before.
        ([block(HERE, -3, 1, "prod"), block(THERE, 1, 3, "prod")], True),
        ([block(THERE, -3, 0, "prod"), block(HERE, 0, 3, "prod")], False),
        # Its own block, or one of another environment, is no other reservation of it.
        ([block(THERE, 0, 3, "prod/2")], False),
        ([block(THERE, 0, 3, "dev")], False),
        ([], False),
    ],
)
def test_a_reservation_in_another_zone_than_those_beside_it_at_its_time_is_refused(
    beside: list[Reservation], refused: bool
) -> None:
    launch = launch_of(
        Settings(
            name="prod",
            instance_type="p5.48xlarge",
            use_capacity_block=True,
            capacity=entries({**FIRST, "producers": 1}, {**SECOND, "consumers": 1}),
        )
    )
    source = targets(launch)["prod/2"].reservation
    held = Holdings(source, None, None, (), {}, {}, owned=tuple(beside))
    wanted, expected = block(HERE, 0, 2), [Level.FAIL] if refused else []
    assert [one.level for one in zone_findings(held, wanted)] == expected
    # EC2 shows what was just bought only after a while.
    unseen = replace(held, owned=())
    bought = [(one.tags[ENVIRONMENT_TAG], one) for one in beside]
    assert [one.level for one in zone_findings(unseen, wanted, bought)] == expected
    alone = replace(held, source=replace(source, beside=()))
    assert zone_findings(alone, wanted) == []
