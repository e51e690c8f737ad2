"""A state against the instances that EC2 shows."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from nixl_efa.findings import Level
from nixl_efa.launch import Launch
from nixl_efa.mend.compare import Difference, Kind, Lock, Seen, compare, findings, stop_message
from nixl_efa.state import State, parse
from tests.checks.in_order import DEMAND_LAUNCH

LAUNCH = replace(DEMAND_LAUNCH, stack_identity="nixl-efa-prod s3://states/prod.tfstate")
PRODUCER, CONSUMER = "nixl-efa-prod-producer", "nixl-efa-prod-consumer"
LAUNCHED = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)
LOCK = Lock("1234", "ann@desk", "OperationTypeApply", "2026-12-01T08:00:00Z", own=True)


def stored(*tainted: str, **ids: str) -> State:
    """A state with nodes by name, some of them tainted."""
    resources = [
        {
            "mode": "managed",
            "type": "aws_instance",
            "name": name,
            "instances": [{"attributes": {"id": one}, **({"status": "tainted"} if name in tainted else {})}],
        }
        for name, one in ids.items()
    ]
    return parse({"version": 4, "resources": resources})


def runs(id: str, name: str = PRODUCER, **changes: Any) -> Seen:
    """A running node of this stack."""
    return replace(Seen(id, name, LAUNCH.stack_identity, "running", LAUNCHED, "eni-1"), **changes)


PAIR = [runs("i-p"), runs("i-c", CONSUMER)]
WHOLE = {"producer": "i-p", "consumer": "i-c"}


@pytest.mark.parametrize(
    ("state", "seen", "kinds"),
    [
        (stored(), [], []),
        (stored(**WHOLE), PAIR, []),
        # A pair from before the tag, or whose prefix was changed since: its state knows it by its id.
        (stored(**WHOLE), [runs("i-p", stack=""), runs("i-c", "old-consumer")], []),
        (stored("producer", **WHOLE), PAIR, [(Kind.TAINTED, "i-p")]),
        (stored(), PAIR, [(Kind.UNKNOWN, "i-p"), (Kind.UNKNOWN, "i-c")]),
        (stored(consumer="i-c"), [*PAIR], [(Kind.UNKNOWN, "i-p")]),
        (stored(), [runs("i-p", state="pending")], [(Kind.UNKNOWN, "i-p")]),
        (stored(), [runs("i-p", state="stopped")], [(Kind.UNKNOWN, "i-p")]),
        (stored(), [runs("i-p", state="shutting-down"), runs("i-q", state="terminated")], []),
        (stored(**WHOLE), [PAIR[1]], [(Kind.GONE, "i-p")]),
        (stored(**WHOLE), [runs("i-p", state="terminated"), PAIR[1]], [(Kind.GONE, "i-p")]),
        (stored(**WHOLE), [runs("i-p", state="stopped"), PAIR[1]], [(Kind.STOPPED, "i-p")]),
        # A node that failed while it was launched is tainted and gone: the deployment's own business.
        (stored("producer", **WHOLE), [runs("i-p", state="terminated"), PAIR[1]], [(Kind.GONE, "i-p")]),
        # The run that replaced it was killed.
        (stored(**WHOLE), [runs("i-p", state="terminated"), runs("i-q"), PAIR[1]], [(Kind.UNKNOWN, "i-q")]),
        (stored(**WHOLE), [*PAIR, runs("i-q")], [(Kind.SEVERAL, "i-q")]),
        (stored(consumer="i-c"), [*PAIR, runs("i-q")], [(Kind.SEVERAL, "i-p i-q")]),
        (stored(), [runs("i-p", stack="nixl-efa-prod local")], [(Kind.FOREIGN, "i-p")]),
        (stored(), [runs("i-p", stack="")], [(Kind.FOREIGN, "i-p")]),
        (stored(**WHOLE), [*PAIR, runs("i-x", stack="nixl-efa-prod local")], [(Kind.FOREIGN, "i-x")]),
        (stored(**WHOLE), [*PAIR, runs("i-x", "old-producer")], [(Kind.SEVERAL, "i-x")]),
    ],
)
def test_each_difference_is_told_once(state: State, seen: list[Seen], kinds: list[tuple[Kind, str]]) -> None:
    found = compare(state, seen, LAUNCH)
    assert [(one.kind, " ".join(one.ids)) for one in found] == kinds


def test_a_replaced_node_names_the_one_that_the_state_still_has() -> None:
    [one] = compare(stored(**WHOLE), [runs("i-q"), PAIR[1]], LAUNCH)
    assert (one.kind, one.known) == (Kind.UNKNOWN, "i-p")


def test_another_resource_may_be_tainted_too() -> None:
    state = parse(
        {
            "resources": [
                {
                    "mode": "managed",
                    "type": "aws_eip",
                    "name": "producer",
                    "instances": [{"status": "tainted", "attributes": {"id": "eipalloc-1"}}],
                }
            ]
        }
    )
    assert compare(state, [], LAUNCH) == (Difference(Kind.TAINTED, "aws_eip.producer", ("eipalloc-1",)),)


def test_nodes_of_another_stack_are_taken_only_when_told() -> None:
    theirs = [runs("i-p", stack="nixl-efa-prod local")]
    assert not compare(stored(), theirs, LAUNCH)[0].can_be_mended
    [one] = compare(stored(), theirs, LAUNCH, take_over=True)
    assert (one.kind, one.can_be_mended) == (Kind.UNKNOWN, True)


STOPPED = [runs("i-p", state="stopped"), PAIR[1]]


@pytest.mark.parametrize(
    ("launch", "state", "seen", "level", "words"),
    [
        (LAUNCH, stored(**WHOLE), PAIR, Level.PASS, "agree"),
        (LAUNCH, stored("producer", **WHOLE), PAIR, Level.FAIL, "producer i-p is there and tainted"),
        (LAUNCH, stored("producer", **WHOLE), PAIR, Level.FAIL, "`nixl-efa mend prod` keeps it"),
        (LAUNCH, stored(consumer="i-c"), PAIR, Level.FAIL, "running, launched 2026-12-01 08:30 UTC"),
        (LAUNCH, stored(consumer="i-c"), PAIR, Level.FAIL, "`nixl-efa mend prod` puts it into the state"),
        (LAUNCH, stored(**WHOLE), PAIR[1:], Level.FAIL, "`nixl-efa deploy prod` builds it again"),
        # A deployment is what builds it again, so it must not be stopped by this.
        (replace(LAUNCH, must_be_active=True), stored(**WHOLE), PAIR[1:], Level.WARN, "builds it again"),
        (LAUNCH, stored(**WHOLE), STOPPED, Level.FAIL, "producer i-p is stopped, and no deployment starts it"),
        (LAUNCH, stored(**WHOLE), STOPPED, Level.FAIL, "`aws ec2 start-instances --region us-east-2"),
        # One that is to be replaced need not run before.
        (replace(LAUNCH, must_be_active=True), stored(**WHOLE), STOPPED, Level.WARN, "no deployment starts it"),
        (LAUNCH, stored(**WHOLE), [*PAIR, runs("i-q")], Level.FAIL, "i-q runs beside i-p, which is the state's"),
        (
            LAUNCH,
            stored(**WHOLE),
            [*PAIR, runs("i-q")],
            Level.FAIL,
            "`aws ec2 terminate-instances --region us-east-2 --instance-ids i-q`",
        ),
        (LAUNCH, stored(), [runs("i-p"), runs("i-q")], Level.FAIL, "--instance-ids THE-ONE-TO-END"),
        (LAUNCH, stored(), [runs("i-p", stack="nixl-efa-prod local")], Level.FAIL, "belongs to 'nixl-efa-prod local'"),
        (LAUNCH, stored(), [runs("i-p", stack="")], Level.FAIL, "`nixl-efa mend prod --take-over`"),
        (LAUNCH, stored(), [runs("i-p", stack="nixl-efa-prod local")], Level.FAIL, "its state is still in local"),
        # In a clone that remembers nothing, the move alone begins an empty state and builds beside the pair.
        (LAUNCH, stored(), [runs("i-p", stack="nixl-efa-prod local")], Level.FAIL, "remember it first, with the old"),
    ],
)  # fmt: skip
def test_a_difference_names_the_node_and_the_way_out(
    launch: Launch, state: State, seen: list[Seen], level: Level, words: str
) -> None:
    [found] = findings(compare(state, seen, launch), launch)
    assert found.level is level
    assert words in found.line()


def test_nobody_is_told_to_end_the_pair_of_another_working_copy_with_its_own_prefix() -> None:
    launch = replace(LAUNCH, stack_identity="nixl-efa-prod local")
    theirs = runs("i-x", "other-prod-producer", stack="nixl-efa-prod local")
    [difference] = compare(stored(), [theirs], launch)
    [found] = findings([difference], launch)
    assert (difference.can_be_mended, found.level) == (True, Level.WARN)
    assert "other-prod-producer: i-x runs" in found.message
    assert "terminate-instances" not in found.line()


def test_a_lock_is_freed_by_its_owner_alone() -> None:
    [own] = findings(compare(stored(), [], LAUNCH, LOCK), LAUNCH)
    assert own.level is Level.FAIL
    assert "ann@desk since 2026-12-01T08:00:00Z (OperationTypeApply)" in own.message
    assert own.remedy == "`nixl-efa mend prod` unlocks it."
    theirs = compare(stored(), [], LAUNCH, replace(LOCK, own=False))
    [found] = findings(theirs, LAUNCH)
    # Their run may be at work, and Terraform waits for it by itself.
    assert found.level is Level.WARN
    assert "ann@desk runs `nixl-efa mend prod`" in found.remedy
    assert "`terraform -chdir=cdktf.out/stacks/nixl-efa-prod force-unlock 1234`" in found.remedy
    assert stop_message(theirs, LAUNCH).startswith("The state is locked by ann@desk")
