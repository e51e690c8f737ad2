"""Why an instance ended: EC2 API reference, StateReason."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import Control, LocalAws
from tests.local_aws.conftest import Launch, Refused, show

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

SPOT: dict[str, Any] = {"InstanceMarketOptions": {"MarketType": "spot"}}
TERMINATES: dict[str, Any] = {"InstanceInitiatedShutdownBehavior": "terminate"}


def told(ec2: EC2Client, instance: str) -> tuple[str, str, str, str]:
    found = show(ec2, instance)
    reason = found["StateReason"]
    return found["State"]["Name"], reason["Code"], reason["Message"], found["StateTransitionReason"]


@pytest.mark.parametrize(
    ("call", "state"), [("terminate_instances", "terminated"), ("stop_instances", "stopped")]
)
def test_a_call_of_the_user_says_so_with_its_time(
    ec2: EC2Client, launch: Launch, call: str, state: str
) -> None:
    instance = launch()["InstanceId"]
    getattr(ec2, call)(InstanceIds=[instance])
    assert told(ec2, instance) == (
        state,
        "Client.UserInitiatedShutdown",
        "Client.UserInitiatedShutdown: User initiated shutdown",
        "User initiated (2026-12-01 08:00:00 GMT)",
    )


@pytest.mark.parametrize(
    ("cause", "launched", "expected"),
    [
        (
            "spot",
            SPOT,
            (
                "terminated",
                "Server.SpotInstanceTermination",
                "Server.SpotInstanceTermination: Spot instance termination",
                "Server.SpotInstanceTermination",
            ),
        ),
        (
            "shutdown",
            TERMINATES,
            (
                "terminated",
                "Client.InstanceInitiatedShutdown",
                "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
                "User initiated",
            ),
        ),
        (
            "shutdown",
            {},
            (
                "stopped",
                "Client.InstanceInitiatedShutdown",
                "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
                "User initiated",
            ),
        ),
        (
            "volume-key",
            {},
            (
                "terminated",
                "Client.InternalError",
                "Client.InternalError: Client error on launch",
                "Server.InternalError",
            ),
        ),
    ],
)
def test_an_end_without_a_call_can_be_asked_for(
    aws: LocalAws, ec2: EC2Client, launch: Launch, cause: Any, launched: Any, expected: Any
) -> None:
    instance, other = launch(**launched)["InstanceId"], launch(**launched)["InstanceId"]
    Control(aws.endpoint).end(instance, cause)
    assert told(ec2, instance) == expected
    assert show(ec2, other)["State"]["Name"] == "running"
    assert Control(aws.endpoint).request("GET", "endings") == {"endings": {}}


def test_what_ended_stays_as_it_ended(aws: LocalAws, ec2: EC2Client, launch: Launch) -> None:
    instance = launch()["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    aws.end(instance, "spot")
    assert told(ec2, instance)[1] == "Client.UserInitiatedShutdown"


@pytest.mark.parametrize(
    ("ended", "code"), [(True, "instance-terminated-no-capacity"), (False, "instance-terminated-by-user")]
)
def test_a_spot_request_tells_who_ended_its_instance(
    aws: LocalAws, ec2: EC2Client, launch: Launch, ended: bool, code: str
) -> None:
    instance = launch(**SPOT)["InstanceId"]
    if ended:
        aws.end(instance, "spot")
    else:
        ec2.terminate_instances(InstanceIds=[instance])
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (request["State"], request["Status"]["Code"]) == ("closed", code)


def test_a_terminated_instance_is_shown_for_an_hour(
    aws: LocalAws, ec2: EC2Client, launch: Launch, refused: Refused
) -> None:
    instance = launch()["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    aws.clock.advance(timedelta(minutes=59))
    assert show(ec2, instance)["State"]["Name"] == "terminated"
    aws.clock.advance(timedelta(minutes=1))
    assert ec2.describe_instances()["Reservations"] == []
    with refused("InvalidInstanceID.NotFound"):
        show(ec2, instance)


@pytest.mark.parametrize("body", [{"instance_id": "producer", "cause": "spot"}, {"cause": "spot"}, {}])
def test_an_ending_without_an_instance_is_refused(aws: LocalAws, body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="instance_id"):
        Control(aws.endpoint).request("POST", "endings", body)


def test_a_launch_can_be_pending_for_a_while(
    aws: LocalAws, ec2: EC2Client, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = 1000.0
    monkeypatch.setattr("local_aws.ec2.instances.monotonic", lambda: machine)
    aws.world.pending_seconds = 30
    instance = launch()["InstanceId"]
    assert show(ec2, instance)["State"] == {"Code": 0, "Name": "pending"}
    assert ec2.describe_instance_status()["InstanceStatuses"] == []
    machine += 30
    assert show(ec2, instance)["State"] == {"Code": 16, "Name": "running"}


def test_a_pending_instance_can_be_terminated(aws: LocalAws, ec2: EC2Client, launch: Launch) -> None:
    aws.world.pending_seconds = 3600
    instance = launch()["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    assert show(ec2, instance)["State"]["Name"] == "terminated"
