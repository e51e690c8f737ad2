"""For what capacity is bought and kept, where an environment has several reservations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from nixl_efa.capacity.environment import Holdings
from nixl_efa.capacity.parameters import Stored
from nixl_efa.capacity.targets import environment_of, targets, zone_findings
from nixl_efa.findings import Level
from nixl_efa.launch import launch_of
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
        (
            {**FIRST, "consumer": Group(volume_size=2000)},
            {"prod": ("p5.48xlarge", ["producer", "consumer"])},
        ),
        # What is launched into no reservation, needs none to be bought.
        (
            {**FIRST, "producer": Group(instance_type="g6e.12xlarge")},
            {"prod": ("p5.48xlarge", ["consumer"])},
        ),
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


@pytest.mark.parametrize(
    ("there", "owners", "zone", "level"),
    [
        ("us-east-2a", {"cr-1": "prod"}, "us-east-2a", None),
        ("us-east-2a", {"cr-1": "prod"}, "us-east-2b", Level.FAIL),
        ("", {"cr-1": "prod"}, "us-east-2b", None),
        # Its own block, or one of another environment, is no other reservation of it.
        ("us-east-2a", {"cr-1": "prod/2"}, "us-east-2b", None),
        ("us-east-2a", {"cr-1": "dev"}, "us-east-2b", None),
        ("us-east-2a", {}, "us-east-2b", None),
    ],
)
def test_a_reservation_in_another_zone_than_the_living_ones_beside_it_is_refused(
    there: str, owners: dict[str, str], zone: str, level: Level | None
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
    stored = {source.zone_parameter: Stored(source.zone_parameter, there, 1)}
    held = Holdings(source, None, None, (), stored, {}, owners=owners)
    assert [one.level for one in zone_findings(held, zone)] == ([level] if level else [])
    alone = replace(held, source=replace(source, one_of_several=False))
    assert zone_findings(alone, zone) == []
