"""The control API over HTTP, as another process uses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import Control, LocalAws
from tests.local_aws.conftest import NOW

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@pytest.fixture
def control(aws: LocalAws) -> Control:
    return Control(aws.endpoint)


def test_the_clock_is_read_set_moved_and_run(control: Control, aws: LocalAws) -> None:
    assert control.clock.now() == NOW
    control.clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    control.clock.advance(timedelta(hours=3))
    assert aws.clock.now() == datetime(2027, 1, 1, 3, tzinfo=UTC)
    control.clock.run(speed=60)
    assert aws.clock.speed == 60
    control.clock.reset()
    assert abs(aws.clock.now() - datetime.now(UTC)) < timedelta(hours=1)


def test_faults_are_added_shown_and_cleared(control: Control, ec2: EC2Client, refused: Any) -> None:
    control.faults.add("DescribeVpcs", code="UnauthorizedOperation", times=2)
    with refused("UnauthorizedOperation"):
        ec2.describe_vpcs()
    (pending,) = control.request("GET", "faults")["faults"]
    assert (pending["action"], pending["times"]) == ("DescribeVpcs", 1)
    control.faults.clear()
    ec2.describe_vpcs()


def test_the_calls_are_read_and_cleared(control: Control, ec2: EC2Client) -> None:
    ec2.describe_vpcs()
    assert control.calls.actions() == ("DescribeVpcs",)
    assert control.calls.all()[0]["region"] == "us-east-2"
    control.calls.clear()
    assert control.calls.actions() == ()


def test_knobs_are_turned_and_read_back(control: Control, aws: LocalAws) -> None:
    given = {
        "payment_minutes": 30.0,
        "slot_return_minutes": 2.0,
        "offering_life_minutes": 5.0,
        "payment_fails": True,
        "price_factor": 1.25,
        "visible_after": 3,
        "visible_delay_minutes": 5.0,
        "one_spot_p_quota": True,
        "account_alias": "kv-transfer",
        "pending_seconds": 0.5,
        "image_generation": 2,
        "interconnect": "impaired",
        "quotas": {"L-417A185B": 0.0},
        "machines_lack": ["gpu"],
    }
    assert control.settings(**given) == given
    assert control.settings() == given
    assert (aws.world.payment, aws.world.price_factor) == (timedelta(minutes=30), 1.25)


def test_command_outputs_are_set(control: Control, aws: LocalAws) -> None:
    control.command_output("i-1", stdout="text", response_code=1)
    assert aws.world.command_outputs["i-1"].status == "Failed"
    assert control.request("GET", "commands")["i-1"]["stdout"] == "text"
    control.request("DELETE", "commands")
    assert aws.world.command_outputs == {}


def test_a_reset_empties_everything(control: Control, aws: LocalAws, ec2: EC2Client) -> None:
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    control.settings(price_factor=2)
    control.faults.add("DescribePlacementGroups", code="InternalError")
    control.reset()
    assert ec2.describe_placement_groups()["PlacementGroups"] == []
    assert (aws.world.price_factor, aws.clock.speed) == (1.0, 1.0)
    assert control.calls.actions() == ("DescribePlacementGroups",)


@pytest.mark.parametrize(
    ("method", "resource", "body", "words"),
    [
        ("POST", "clock", {"now": "tomorrow"}, "now: .*, not 'tomorrow'"),
        ("POST", "clock", {"hour": 1}, "unknown: hour; there are advance_seconds, now, speed"),
        ("POST", "clock", {"speed": -1}, "speed: Input should be greater than or equal to 0"),
        ("POST", "clock", {"speed": float("nan")}, "speed: Input should be a finite number"),
        ("POST", "clock", {"speed": 1e9}, "less than or equal to 1000000"),
        ("POST", "clock", {"advance_seconds": 1e300}, "advance_seconds: Input should be less than"),
        ("POST", "clock", {"now": "9999-12-31T23:59"}, "from 2000 to 2199"),
        ("POST", "clock", {"now": 5}, "now: Input should be a valid datetime"),
        ("POST", "clock", ["now"], "should be an object"),
        ("POST", "faults", {"code": "X", "times": "3"}, "times: Input should be a valid integer"),
        ("POST", "faults", {"code": "X", "times": 0}, "times is at least 1"),
        ("POST", "faults", {"code": 5}, "code: Input should be a valid string"),
        ("POST", "faults", {"delay": -1}, "delay is from 0"),
        ("POST", "faults", {"late": 3601}, "late is from 0"),
        ("POST", "faults", {"answer": "nice"}, "answer: Input should be '', 'html', 'empty' or 'endless'"),
        ("POST", "faults", {"code": "X", "status": 200}, "from 400 to 599"),
        ("POST", "settings", {"payment_fails": "false"}, "payment_fails: Input should be a valid boolean"),
        ("POST", "settings", {"payment_minutes": 1e300}, "payment_minutes: Input should be less than"),
        ("POST", "settings", {"price_factor": -1}, "price_factor: Input should be greater than"),
        ("POST", "settings", {"account_alias": "No!"}, "account_alias: String should match pattern"),
        ("POST", "settings", {"quotas": []}, "quotas: Input should be"),
        ("POST", "settings", {"quotas": {"L-0": 1}}, "quotas.L-0"),
        ("POST", "commands", {"status": "Nice"}, "status: Input should be 'Success'"),
        ("POST", "faults", {"action": "RunInstances"}, "needs one of code"),
        ("POST", "faults", {"actoin": "RunInstances"}, "actoin"),
        ("POST", "settings", {"price": 2}, "unknown: price"),
        ("POST", "calls", {}, "not written"),
        ("DELETE", "settings", None, "nothing to clear"),
        ("PUT", "clock", {}, "GET, POST, DELETE"),
        (
            "GET",
            "weather",
            None,
            "there are calls, clock, commands, endings, faults, inferred, launches, machines, notices, policy, "
            "settings",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(
    control: Control, method: str, resource: str, body: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        control.request(method, resource, body)


def test_a_request_that_is_wrong_in_part_changes_nothing(control: Control, aws: LocalAws) -> None:
    with pytest.raises(ValueError, match="speed"):
        control.request("POST", "clock", {"now": "2027-01-01T00:00", "speed": -1})
    with pytest.raises(ValueError, match="visible_after"):
        control.settings(price_factor=2, visible_after=1.5)
    assert (aws.clock.now(), aws.world.price_factor) == (NOW, 1.0)
