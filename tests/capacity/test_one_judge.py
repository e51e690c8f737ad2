"""Whoever judges a reservation says the same of it: check (and so deploy), and status (and so verify)."""

import ast
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.account import Account
from nixl_efa.capacity.judge import MEANINGS, judge
from nixl_efa.capacity.reservation import UNKNOWN, Reservation, unknown
from nixl_efa.capacity.room import Use
from nixl_efa.checks.facts import Facts
from nixl_efa.checks.rules import reservation as rules
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import Launch
from nixl_efa.nodes import block
from tests.checks.in_order import ACCOUNT, BLOCK, BLOCK_ID, BLOCK_LAUNCH, NOW

KINDS = ("capacity-block", "on-demand")
# At once, and for no longer than a minute: all that may differ between those who ask is how much time they want.
AT_ONCE = replace(BLOCK_LAUNCH, must_be_active=True, min_hours=0.0)
ODD: dict[str, dict[str, Any]] = {
    "a state of tomorrow": {"state": "a-state-of-tomorrow"},
    "over by the clock": {"end": NOW - timedelta(minutes=1)},
    "its instances are being terminated": {"end": NOW + timedelta(minutes=30)},
    "an UltraServer's, which end earlier": {
        "end": NOW + timedelta(minutes=60),
        "instance_type": "trn2u.48xlarge",
    },
    "active, without an end": {"end": None},
    "for Windows": {"platform": "Windows"},
    "of another type": {"instance_type": "p5e.48xlarge"},
    "in another zone": {"zone": "us-east-2c"},
    "of another account": {"owner": "999999999999"},
    "too small": {"size": 1, "free": 1},
    "full": {"free": 0},
    "with dedicated tenancy": {"tenancy": "dedicated"},
    "in a placement group": {"placement_group_arn": "arn:aws:ec2:us-east-2:1:placement-group/mine"},
    "with an id of ten digits": {"id": "cr-0123456789"},
}
RESERVATIONS: dict[str, Reservation] = {
    **{f"{kind}, {state}": replace(BLOCK, kind=kind, state=state) for kind in KINDS for state in MEANINGS},
    **{f"{kind}, {name}": replace(BLOCK, kind=kind, **odd) for kind in KINDS for name, odd in ODD.items()},
    UNKNOWN: unknown(BLOCK_ID, "us-east-2"),
}
TIME_AND_STATE = ("reservation time", "reservation state")


def launch_for(reservation: Reservation) -> Launch:
    return AT_ONCE if reservation.is_block else replace(AT_ONCE, market="on-demand")


def of_check(reservation: Reservation) -> list[Finding]:
    facts = Facts(account=Account(ACCOUNT, "arn"), reservation_id=reservation.id, reservations=(reservation,))
    found = rules.check(launch_for(reservation), facts, NOW)
    return [each for each in found if each.check not in ("reservation switch", "block health")]


@pytest.mark.parametrize("name", RESERVATIONS)
def test_check_says_of_a_reservation_what_the_judge_says(name: str) -> None:
    reservation = RESERVATIONS[name]
    own = judge(reservation, launch_for(reservation), NOW, account=ACCOUNT, use=Use())
    assert [(each.check, each.level) for each in of_check(reservation)] == [
        (each.check, each.level) for each in own
    ]


@pytest.mark.parametrize("name", [name for name in RESERVATIONS if "ten digits" not in name])
def test_status_says_of_state_and_time_what_the_judge_says(name: str) -> None:
    reservation = RESERVATIONS[name]
    found = judge(reservation, launch_for(reservation), NOW)
    levels = {each.check: each.level for each in found if each.check in TIME_AND_STATE}
    expected = min(levels.values(), key=lambda level: level.rank)
    # The one difference between a launch and nodes that run: the end of an On-Demand reservation, in whatever state,
    # lets no new instance in, and terminates none (EC2 user guide, capacity-reservations-using).
    if reservation.kind == "on-demand" and expected is Level.FAIL:
        expected = Level.WARN if levels["reservation state"] is Level.FAIL else Level.PASS
    (said,) = block.findings(reservation, NOW)
    assert said.level is expected, said


SOURCES = Path(rules.__file__).parents[2]
# Words that are a reservation's state and nothing else.
STATES = set(MEANINGS) - {"active", "pending", "failed"}


def state_words(path: Path) -> set[str]:
    """The states that a module tells apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in STATES
    }


def test_no_other_module_tells_the_states_of_a_reservation_apart() -> None:
    modules = [path for path in SOURCES.rglob("*.py") if "capacity" not in path.relative_to(SOURCES).parts]
    assert len(modules) > 50
    assert {path.name: words for path in modules if (words := state_words(path))} == {}
    assert state_words(SOURCES / "capacity" / "judge.py") == STATES
