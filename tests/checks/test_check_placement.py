"""How near an environment's reservations are to each other, before anything is launched."""

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.checks.facts import Answer
from nixl_efa.checks.rules import placement
from nixl_efa.findings import Level
from nixl_efa.nodes.topology import NetworkNodes
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, BROKEN, DENIED, NOW
from tests.checks.local_project import REGION, Project

A, B, C = ("cr-0000000a", "cr-0000000b", "cr-0000000c")


@pytest.mark.parametrize(
    ("told", "level", "words"),
    [
        ({}, None, ""),
        # One alone is told, or the top node alone: that says nothing of where they are below it.
        ({A: ("nn-1", "nn-2"), B: ()}, None, ""),
        ({A: ("nn-1", "nn-2"), B: ("nn-1",)}, None, ""),
        (
            {A: ("nn-1", "nn-2"), B: ("nn-1", "nn-2", "nn-3")},
            Level.PASS,
            f"{A}, {B} share network nodes below",
        ),
        (
            {A: ("nn-1", "nn-2"), B: ("nn-1", "nn-3")},
            Level.WARN,
            f"{A} and {B} share no network node below the top",
        ),
        (
            {A: ("nn-1", "nn-2"), B: ("nn-1", "nn-2"), C: ("nn-1", "nn-3")},
            Level.WARN,
            f"{A} and {C}, {B} and {C} share no network node",
        ),
        (DENIED, Level.SKIP, "No permission to look"),
        (BROKEN, Level.SKIP, "is not known: Something was refused"),
    ],
)
def test_reservations_that_share_only_the_top_network_node_are_a_warning(
    told: Answer[dict[str, NetworkNodes]], level: Level | None, words: str
) -> None:
    _, *found = placement.check(BLOCK_LAUNCH, replace(BLOCK_FACTS, network_nodes=told), NOW)
    assert [one.level for one in found] == ([level] if level else [])
    assert all(words in one.message for one in found)


@pytest.mark.parametrize(("blocks", "level"), [((0, 1), "PASS"), ((0, 2), "WARN")])
def test_two_blocks_are_looked_at_once_they_are_active(
    blocks: tuple[int, ...], level: str, project: Project, aws: LocalAws
) -> None:
    bought: list[Any] = [project.buy_block(zone="us-east-2a") for _ in range(3)]
    chosen = [bought[one]["capacity_reservation_id"] for one in blocks]
    entries = "".join(
        f'[[capacity]]\ncapacity_reservation_id = "{one}"\n{role} = 1\n'
        for one, role in zip(chosen, ("producers", "consumers"), strict=True)
    )
    text = f'instance_type = "p5.48xlarge"\nregion = "{REGION}"\navailability_zone = "us-east-2a"\n'
    (project.folder / "environments/dev.toml").write_text(
        f"{text}use_capacity_block = true\n{entries}", encoding="utf-8"
    )
    assert placed(project) == []
    found = boto3.client("ec2", REGION).describe_capacity_reservations()["CapacityReservations"]
    aws.clock.set(max(one["StartDate"] for one in found))
    assert placed(project) == [level]


def placed(project: Project) -> list[str]:
    """The levels of what check says of the network nodes."""
    ran = project.run("check", "dev", "--json")
    found = json.loads(ran.out)["findings"]
    return [one["level"] for one in found if one["check"] == "placement" and "network node" in one["message"]]
