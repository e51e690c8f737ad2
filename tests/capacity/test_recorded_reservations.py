"""What AWS and others recorded of reservations (tests/recorded), through the parser and the judge."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from nixl_efa.capacity.judge import MEANINGS, judge
from nixl_efa.capacity.reservation import DEAD_STATES, Reservation, from_api
from nixl_efa.findings import Finding, Level
from tests.checks.in_order import BLOCK_ID as ID
from tests.checks.in_order import BLOCK_LAUNCH as LAUNCH
from tests.checks.in_order import NOW
from tests.records import answer, names

FAIL, WARN, SKIP, PASS = Level.FAIL, Level.WARN, Level.SKIP, Level.PASS


def of(findings: list[Finding], check: str) -> Finding:
    (found,) = [each for each in findings if each.check == f"reservation {check}".strip()]
    return found


@pytest.mark.parametrize("shape", ["CapacityReservationState", "CapacityBlockResourceState"])
def test_every_state_of_ec2_has_a_meaning(shape: str) -> None:
    model: Any = botocore.session.get_session().get_service_model("ec2")
    states = {*answer("reservations/states-and-types-in-the-model")[shape], *model.shape_for(shape).enum}
    assert states <= set(MEANINGS)
    assert set(answer("reservations/filters-in-the-model")["states_named_for_the_filter"]) <= set(MEANINGS)
    assert set(MEANINGS) >= DEAD_STATES


# kubectl's names in one record, against EC2's.
KUBECTL = {
    "availabilityZone": "AvailabilityZone",
    "endTime": "EndDate",
    "id": "CapacityReservationId",
    "instanceType": "InstanceType",
    "ownerID": "OwnerId",
    "reservationType": "ReservationType",
    "state": "State",
}


def parsed(found: Any) -> Reservation:
    """What from_api makes of a record, whose dates are texts and whose last names may be kubectl's."""
    payload: Mapping[str, Any] = found[0] if isinstance(found, list) else found
    payload = {KUBECTL.get(key, key): value for key, value in payload.items()}
    for key in {"StartDate", "EndDate"} & set(payload):
        payload[key] = datetime.fromisoformat(payload[key].strip())
    zone = payload.get("AvailabilityZone", "us-east-2a")
    return from_api(payload, zone[:-1])


ANSWERS: dict[str, tuple[datetime, dict[str, Any], dict[str, tuple[Level, str]]]] = {
    "reservations/block-active-in-eks-auto": (
        datetime(2026, 3, 18, 8, tzinfo=UTC),
        {"is_block": True, "state": "active"},
        {"kind": (PASS, "a Capacity Block"), "time": (PASS, "3 h 0 min"), "platform": (SKIP, "no platform")},
    ),
    "reservations/block-active-with-tags": (
        datetime(2023, 11, 15, 12, tzinfo=UTC),
        {"is_block": True, "size": 1, "free": 1},
        {"state": (PASS, "is active"), "room": (FAIL, "1 of 1 instance"), "time": (PASS, "23 h 0 min")},
    ),
    "reservations/block-payment-pending-typed": (
        datetime(2023, 7, 29, 15, tzinfo=UTC),
        {"is_block": True, "size": 16, "free": 0},
        {"state": (WARN, "is payment-pending"), "room": (PASS, "16 of 16 instances in it once it is active")},
    ),
    # StartDate in the future tells more than the word in State.
    "reservations/block-pending-zero-counts": (
        datetime(2023, 11, 6, 13, tzinfo=UTC),
        {"is_block": True, "size": 4, "free": 0},
        {
            "state": (
                WARN,
                "It starts at 2023-11-20 11:30 UTC, in 13 d 22 h. EC2 refuses a launch before that.",
            ),
            "room": (PASS, "4 of 4 instances in it once it is active"),
            "time": (PASS, "23 h 30 min of use are left"),
        },
    ),
    "reservations/odcr-active-open": (
        datetime(2024, 10, 24, tzinfo=UTC),
        {"is_block": False, "end": None},
        {"": (FAIL, "'cr-1234abcd56EXAMPLE ' is not a reservation's id")},
    ),
    "reservations/odcr-targeted": (
        datetime(2019, 8, 17, tzinfo=UTC),
        {"is_block": False, "size": 3},
        {"": (FAIL, "'cr-1234abcd56EXAMPLE ' is not a reservation's id")},
    ),
    "reservations/shared-usage": (
        NOW,
        {"is_block": False, "size": 5, "free": 4, "owner": ""},
        {"": (FAIL, "'cr-1234abcd56EXAMPLE ' is not a reservation's id")},
    ),
}
OF_THE_MODEL = {"reservations/states-and-types-in-the-model", "reservations/filters-in-the-model"}


def test_every_record_of_a_reservation_is_judged() -> None:
    assert set(names("reservations")) == set(ANSWERS) | OF_THE_MODEL


@pytest.mark.parametrize("name", ANSWERS)
def test_what_aws_and_others_recorded_is_read_and_judged(name: str) -> None:
    now, read, said = ANSWERS[name]
    reservation = parsed(answer(name))
    assert {key: getattr(reservation, key) for key in read} == read
    findings = judge(reservation, LAUNCH, now)
    for check, (level, words) in said.items():
        found = of(findings, check)
        assert (found.level, words in found.message) == (level, True), found


@pytest.mark.parametrize("name", ["reservations/odcr-active-open", "reservations/odcr-targeted"])
def test_an_on_demand_reservation_of_aws_examples_is_none_for_a_block(name: str) -> None:
    # AWS's example ids are no ids; under a real one the rest is judged.
    reservation = replace(parsed(answer(name)), id=ID)
    findings = judge(reservation, LAUNCH, NOW)
    assert of(findings, "kind").level is FAIL
    assert of(findings, "state").level is PASS
    assert "reservation time" not in {each.check for each in findings}


@pytest.mark.parametrize("state", ["payment-pending", "payment-failed"])
def test_a_reservation_that_waits_for_its_payment_is_a_block(state: str) -> None:
    # ReservationType and tags can be absent, and only blocks have these states.
    recorded = answer("reservations/block-payment-pending-typed")
    bare = {name: value for name, value in recorded.items() if name not in ("ReservationType", "Tags")}
    assert parsed({**bare, "State": state}).is_block
