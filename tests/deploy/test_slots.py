"""Waiting for slots, what a second plan may do, and what is asked before."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from nixl_efa.capacity.reservation import Reservation
from nixl_efa.deploy.agreement import question
from nixl_efa.deploy.causes import Cause
from nixl_efa.deploy.plan import Action, NodeChange, Plan, beyond
from nixl_efa.deploy.slots import LIMIT, wait_for_slots
from nixl_efa.deploy.words import lines
from nixl_efa.failure import Failure
from tests.checks.deploying import MovingClock
from tests.checks.in_order import BLOCK, BLOCK_ID, NOW, ON_DEMAND_RESERVATION


def waited(seen: Iterator[Reservation | None], needed: int = 2) -> tuple[MovingClock, list[str]]:
    clock, said = MovingClock(), list[str]()
    wait_for_slots(lambda: next(seen), needed, clock, said.append)
    return clock, said


def coming_back(after: timedelta) -> Iterator[Reservation]:
    """A block whose slots are free again some time after the first look; looks are 15 s apart."""
    for number in range(1000):
        yield replace(BLOCK, free=2 if number * timedelta(seconds=15) >= after else 0)


def test_slots_that_are_free_are_not_waited_for() -> None:
    clock, said = waited(iter([replace(BLOCK, free=2)]))
    assert (clock.waits, said) == ([], [])


def test_slots_are_waited_for_with_a_line_a_minute() -> None:
    clock, said = waited(coming_back(timedelta(minutes=5)))
    assert clock.now() - NOW == timedelta(minutes=5)
    spans = [line.partition(" after ")[2].partition(".")[0] for line in said]
    assert spans == ["0 s", "1 min", "2 min", "3 min", "4 min"]
    assert "0 of 2 are free" in said[0]


@pytest.mark.parametrize(
    ("reservation", "waits", "words"),
    [
        (replace(BLOCK, free=1), LIMIT, "1 of the 2 slots that are needed in cr-"),
        # EC2 terminates what runs in a block from 30 minutes before its end.
        (replace(BLOCK, free=0, end=NOW + timedelta(minutes=40)), timedelta(minutes=10), "is at its end"),
        (replace(BLOCK, free=2, end=NOW + timedelta(minutes=20)), timedelta(0), "is at its end"),
        (replace(BLOCK, free=0, state="expired"), timedelta(0), "is expired, not active"),
        (None, timedelta(0), "not known to EC2"),
    ],
)
def test_a_wait_ends(reservation: Reservation | None, waits: timedelta, words: str) -> None:
    clock = MovingClock()
    with pytest.raises(Failure, match=words):
        wait_for_slots(lambda: reservation, 2, clock, lambda _: None)
    assert clock.now() - NOW == waits


PRODUCER = NodeChange(
    "producer",
    Action.REPLACE,
    instance_id="i-1",
    reservation_id=BLOCK_ID,
    target_id=BLOCK_ID,
    alive=True,
    causes=(Cause("key_name", "none", "ann", "variable K"),),
    launch=(("instance_type", "p5.48xlarge"), ("reservation", BLOCK_ID)),
)
CONSUMER = NodeChange("consumer", Action.KEEP, instance_id="i-2", reservation_id=BLOCK_ID, alive=True)
AGREED = Plan(
    nodes=(PRODUCER, CONSUMER),
    added=1,
    changed=0,
    destroyed=1,
    missed=(),
    ended=frozenset({"aws_instance.producer", "aws_network_interface.producer"}),
    is_empty=False,
)
BUILT = replace(PRODUCER, action=Action.BUILD, alive=False)


@pytest.mark.parametrize(
    ("nodes", "ended", "words"),
    [
        ((BUILT, CONSUMER), (), ()),
        ((BUILT, CONSUMER), ("aws_network_interface.producer",), ()),
        ((BUILT, replace(CONSUMER, action=Action.CHANGE)), (), ()),
        (
            (BUILT, replace(CONSUMER, action=Action.REPLACE)),
            ("aws_instance.consumer",),
            ("it destroys consumer i-2",),
        ),
        ((BUILT, replace(CONSUMER, action=Action.BUILD)), (), ("it builds consumer",)),
        ((BUILT, CONSUMER), ("aws_eip.consumer",), ("it destroys aws_eip.consumer",)),
        (
            (replace(BUILT, launch=(("reservation", "cr-2"),)), CONSUMER),
            (),
            (f"reservation of producer is cr-2 and was {BLOCK_ID}",),
        ),
    ],
)
def test_a_second_plan_builds_what_was_agreed_and_nothing_else(
    nodes: tuple[NodeChange, ...], ended: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert beyond(AGREED, replace(AGREED, nodes=nodes, ended=frozenset(ended))) == words


def test_nodes_that_have_ended_need_no_number() -> None:
    gone = replace(AGREED, nodes=(replace(PRODUCER, alive=False), CONSUMER))
    assert question(gone, "prod", auto_approve=True, replace_nodes=False) is None
    asked = question(AGREED, "prod", auto_approve=True, replace_nodes=False)
    assert asked is not None
    assert (asked.agrees, "producer i-1" in asked.unasked) == ("1", True)


def test_a_plan_says_where_a_node_runs_and_for_how_long() -> None:
    told = lines(AGREED, {BLOCK_ID: BLOCK}, NOW)
    assert told == [
        f"producer i-1 is REPLACED: destroyed, then built again, in Capacity Block {BLOCK_ID} with 1 d 3 h left "
        "(EC2 terminates from 2026-12-02 11:00 UTC).",
        "    because: key_name went from none to ann (variable K)",
        "consumer i-2 stays as it is.",
        "Beside the nodes: 0 added, 0 changed, 0 destroyed.",
    ]
    moved = replace(AGREED, nodes=(replace(PRODUCER, target_id="cr-2"),))
    other = replace(ON_DEMAND_RESERVATION, id="cr-2")
    assert "; it runs in Capacity Block cr-" in lines(moved, {BLOCK_ID: BLOCK, "cr-2": other}, NOW)[0]
    assert "its successor in the reservation cr-2." in lines(moved, {BLOCK_ID: BLOCK, "cr-2": other}, NOW)[0]
