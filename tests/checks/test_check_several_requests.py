"""An environment of several requests to EC2: what is found for all is said once, what for one names its nodes."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.capacity.room import Use, awaits_places
from nixl_efa.checks.facts import Facts, Running
from nixl_efa.checks.ownership import owned
from nixl_efa.checks.rules import judge
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch
from nixl_efa.node_names import nodes_of
from nixl_efa.state import parse
from tests import states
from tests.checks.in_order import (
    BLOCK,
    BLOCK_FACTS,
    BLOCK_LAUNCH,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    IN_BLOCK,
    NOW,
    known,
    type_in_ec2,
)
from tests.checks.judging import FAIL, PASS
from tests.checks.local_project import REGION, Project

NODES = nodes_of("nixl-efa-prod", 1, 3)
SECOND_ID = "cr-0123456789abcdef1"
SECOND = replace(BLOCK, id=SECOND_ID)


def requests(
    *parts: tuple[Launch, Mapping[str, Any], Facts, Mapping[str, Any]],
) -> list[tuple[Launch, Facts]]:
    """The producer with the first consumer, and the two others, each with its launch and what was seen for it."""
    launches = [
        replace(launch, nodes=nodes, **changes)
        for nodes, (launch, changes, _, _) in zip((NODES[:2], NODES[2:]), parts, strict=True)
    ]
    whole = replace(launches[0], nodes=NODES, parts=tuple(launches))
    return [
        (request, replace(facts, **changes))
        for request, (_, _, facts, changes) in zip(whole.requests, parts, strict=True)
    ]


def blocks(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[Launch, Facts]]:
    """Two entries of capacity, whose blocks are changed."""
    seen = (replace(BLOCK, **first), replace(SECOND, **second))
    return requests(
        (BLOCK_LAUNCH, {}, BLOCK_FACTS, {"reservations": seen}),
        (
            BLOCK_LAUNCH,
            {"reservation": replace(IN_BLOCK, id=SECOND_ID, part="2")},
            BLOCK_FACTS,
            {"reservations": seen, "reservation_id": SECOND_ID},
        ),
    )


def of(found: list[Finding], check: str) -> list[tuple[Any, str]]:
    return [(one.level, one.message) for one in found if one.check == check]


def test_what_is_the_same_for_all_is_said_once() -> None:
    found = judge(blocks({}, {}), NOW)
    twice = {check for check, count in Counter(one.check for one in found).items() if count > 1}
    # What is bought for a reservation, who is in it, and whether EC2 lets the nodes in.
    assert {one for one in twice if not one.startswith("reservation")} == {
        "purchase",
        "image platform",
        "dry run",
    }
    assert {one.level for one in found} == {PASS}


def test_reservations_of_two_zones_are_one_failure_with_both_and_no_advice_to_move_to_one() -> None:
    found = judge(blocks({}, {"zone": "us-east-2c"}), NOW)
    assert of(found, "reservation zone") == [
        (
            FAIL,
            f"The reservations are in 2 zones: {BLOCK.id} (producer, consumer) in us-east-2a; {SECOND_ID} (consumer-2,"
            " consumer-3) in us-east-2c. All nodes are in one subnet, and EFA does not leave a zone.",
        )
    ]
    # One that is over is no reason to move.
    over = of(judge(blocks({}, {"zone": "us-east-2c", "state": "expired"}), NOW), "reservation zone")
    assert [level for level, _ in over] == [PASS, FAIL]


def test_nodes_are_known_by_the_state_where_their_tags_have_an_earlier_prefix() -> None:
    """Each runs in its own block, and none of them is one of the other request."""
    running = tuple(
        Running(
            f"i-{node.name}",
            "p5.48xlarge",
            "capacity-block",
            "running",
            block,
            f"old-{node.name}",
            own=False,
            vcpu=192,
            reservation_target=block,
        )
        for node, block in zip(NODES, (BLOCK.id, BLOCK.id, SECOND_ID, SECOND_ID), strict=True)
    )
    state = parse(
        {"resources": states.nodes(**{one.name.replace("-", "_"): f"i-{one.name}" for one in NODES})}
    )
    found = judge(
        [
            (launch, owned(replace(facts, running=running, state=state), launch))
            for launch, facts in blocks({}, {})
        ],
        NOW,
    )
    assert of(found, "running nodes") == [(PASS, "2 nodes run as the settings say.")]
    assert {level for level, _ in of(found, "reservation switch")} == {PASS}


def test_another_block_is_searched_for_the_nodes_whose_block_is_over() -> None:
    found = judge(blocks({}, {"end": NOW}), NOW)
    [over] = [one for one in found if one.check == "reservation time" and one.level is FAIL]
    assert "`nixl-efa capacity search --env prod/2`" in over.remedy


@pytest.mark.parametrize(
    ("second", "check", "words"),
    [
        (
            {"size": 1, "free": 1},
            "reservation room",
            f"1 of 1 instance in {SECOND_ID} are free; the launch needs 2.",
        ),
        ({"instance_type": "p5e.48xlarge"}, "reservation type", f"{SECOND_ID} is for p5e.48xlarge, but"),
        ({"kind": "on-demand"}, "reservation kind", f"{SECOND_ID} is an On-Demand Capacity Reservation, but"),
    ],
)
def test_what_is_wrong_with_one_reservation_names_the_nodes_that_it_is_for(
    second: dict[str, Any], check: str, words: str
) -> None:
    found = of(judge(blocks({}, second), NOW), check)
    assert found[0][0] is PASS
    assert (found[1][0], found[1][1].startswith(f"consumer-2, consumer-3: {words}")) == (FAIL, True), found


def of_two_types(**changes: Any) -> list[Finding]:
    """On-Demand: a pair of g7e.8xlarge, and two g7e.12xlarge."""
    facts = replace(DEMAND_FACTS, **changes)
    other = {"instance_type": "g7e.12xlarge", "type_facts": known("g7e.12xlarge")}
    return judge(
        requests(
            (DEMAND_LAUNCH, {}, facts, {}),
            (DEMAND_LAUNCH, other, facts, {"type_in_ec2": type_in_ec2("g7e.12xlarge")}),
        ),
        NOW,
    )


def test_requests_on_demand_count_together_against_their_quota() -> None:
    vcpu = 2 * known("g7e.8xlarge").vcpu + 2 * known("g7e.12xlarge").vcpu
    [quota] = DEMAND_FACTS.quotas  # type: ignore[misc]
    enough = of(of_two_types(quotas=(replace(quota, value=float(vcpu)),)), "quota")
    assert [(level, f"the nodes take {vcpu}." in message) for level, message in enough] == [(PASS, True)]
    short = of(of_two_types(quotas=(replace(quota, value=float(vcpu - 1)),)), "quota")
    assert {level for level, _ in short} == {FAIL}


def test_all_types_must_be_offered_in_the_one_zone() -> None:
    found = of(of_two_types(zone="us-east-2b", offered_zones=("us-east-2c",)), "type offered")
    assert found == [
        (
            FAIL,
            "us-east-2b does not offer g7e.8xlarge and g7e.12xlarge, and all nodes are in one zone; us-east-2c does.",
        )
    ]


def test_nodes_of_two_requests_in_one_reservation_wait_for_places_together() -> None:
    first, second = (
        launch
        for launch, _ in requests((BLOCK_LAUNCH, {}, BLOCK_FACTS, {}), (BLOCK_LAUNCH, {}, BLOCK_FACTS, {}))
    )
    full = replace(BLOCK, size=4, free=2)
    assert awaits_places(full, first, Use())
    assert awaits_places(full, second, Use())


def test_more_requests_ask_aws_little_more(project: Project, aws: LocalAws) -> None:
    ec2 = boto3.client("ec2", REGION)
    entries: list[dict[str, Any]] = []
    counts = []
    for consumers in (1, 2, 3):
        made = ec2.create_capacity_reservation(
            InstanceType="g6e.12xlarge",
            InstancePlatform="Linux/UNIX",
            AvailabilityZone="us-east-2a",
            InstanceCount=2,
            InstanceMatchCriteria="targeted",
        )["CapacityReservation"]["CapacityReservationId"]
        entries.append({"capacity_reservation_id": made, "consumers": 1, "producers": int(not entries)})
        text = f'region = "{REGION}"\ninstance_type = "g6e.12xlarge"\navailability_zone = "us-east-2a"\n'
        text += f"consumers = {consumers}\n"
        for entry in entries:
            text += "[[capacity]]\n" + "".join(
                f"{key} = {json.dumps(value)}\n" for key, value in entry.items()
            )
        (project.folder / "environments/dev.toml").write_text(text, encoding="utf-8")
        aws.calls.clear()
        ran = project.run("check", "dev")
        assert ran.code == 0, ran.out
        counts.append(Counter(aws.calls.actions()))
    first, second, third = counts
    # Whether EC2 lets the nodes into each reservation, and who is in it; of all together, how near they are.
    of_each = {"RunInstances": 1, "GetCapacityReservationUsage": 1}
    assert second - first == of_each | {"DescribeCapacityReservationTopology": 1}
    assert third - second == of_each


def test_a_reservation_that_two_parameters_hold_is_told_with_both_names() -> None:
    """Each request alone would find room in it."""
    first, (second, seen) = blocks({}, {})
    found = of(judge([first, (second, replace(seen, reservation_id=BLOCK.id))], NOW), "reservation")
    name = first[0].environment
    assert (FAIL, f"{BLOCK.id} is the reservation of {name}, {name}/2.") in found
    assert not [
        one for one in of(judge(blocks({}, {}), NOW), "reservation") if "is the reservation of" in one[1]
    ]
