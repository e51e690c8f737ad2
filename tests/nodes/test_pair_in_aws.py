"""What EC2 and Systems Manager say of the pair: instances, the reservation's time, Run Command."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from nixl_efa.findings import Level
from nixl_efa.launch import launch_of
from nixl_efa.nodes import block, instances, run_command, verify
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.settings import Settings
from tests.nodes.stand_in import CONSUMER_ID, PRODUCER_ID, FakeClock, FakeEc2, FakeSsm, instance

NOW = FakeClock().now()
LAUNCH = launch_of(Settings(name="prod", instance_type="p5.48xlarge", region="us-east-1"))


def test_both_instances_are_found(ec2: FakeEc2, pair: PairOutputs) -> None:
    ec2.instances[0] |= {"InstanceLifecycle": "capacity-block", "CapacityReservationId": "cr-1"}
    found: Any = instances.read(ec2, pair)  # type: ignore[arg-type]
    assert (found[PRODUCER_ID].market, found[PRODUCER_ID].reservation_id) == ("capacity-block", "cr-1")
    assert (found[CONSUMER_ID].market, found[CONSUMER_ID].reservation_id) == ("on-demand", "")


def reports(ec2: Any, pair: PairOutputs) -> Any:
    return verify.node_reports(pair, instances.read(ec2, pair), {}, LAUNCH, NOW)


REASON: Any = {"StateReason": {"Code": "Client.UserInitiatedShutdown", "Message": ""}}


@pytest.mark.parametrize(
    ("consumers", "state", "message"),
    [
        ([], "unknown to EC2", "it ended so long ago that EC2 shows it no more"),
        (
            [
                instance(
                    CONSUMER_ID,
                    "",
                    "terminated",
                    StateTransitionReason="User initiated (2026-12-01 07:02:03 GMT)",
                    **REASON,
                )
            ],
            "terminated",
            "EC2 API (Client.UserInitiatedShutdown, at 2026-12-01 07:02 UTC). `nixl-efa deploy prod` builds it again",
        ),
        (
            # Another VPC with the same addresses.
            [instance(CONSUMER_ID, "", "terminated"), instance("i-0far", "10.0.0.12", VpcId="vpc-2")],
            "terminated",
            "EC2 gives no reason",
        ),
        (
            [instance(CONSUMER_ID, "10.0.0.12", "stopped")],
            "stopped",
            f"Start it: `aws ec2 start-instances --region us-east-1 --instance-ids {CONSUMER_ID}`.",
        ),
        ([instance(CONSUMER_ID, "10.0.0.12", "pending")], "pending", "Wait until it runs."),
        (
            [instance(CONSUMER_ID, "", "terminated"), instance("i-0new", "10.0.0.12")],
            "terminated",
            "it was replaced by i-0new since. Run `terraform -chdir=cdktf.out/stacks/nixl-efa-prod apply",
        ),
    ],
)
def test_a_node_that_does_not_run_is_a_failure_with_its_cause_beside_the_other_one(
    consumers: list[dict[str, Any]], state: str, message: str, ec2: FakeEc2, pair: PairOutputs
) -> None:
    ec2.instances[1:] = consumers
    producer, consumer = reports(ec2, pair)
    assert (producer.cause, [each.level for each in producer.findings]) == (None, [Level.PASS])
    (found,) = consumer.findings
    assert (found.level, consumer.instance.state) == (Level.FAIL, state)
    assert found.message.startswith(f"{CONSUMER_ID} is {state}: ")
    assert message in found.line()


def reservation(hours: float | None, state: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "CapacityReservationId": "cr-1",
        "InstanceType": "p5.48xlarge",
        "State": state,
        "ReservationType": "capacity-block",
        **({} if hours is None else {"EndDate": NOW + timedelta(hours=hours)}),
        **more,
    }


ON_DEMAND = {"ReservationType": "default"}


@pytest.mark.parametrize(
    ("payload", "level", "words"),
    [
        (reservation(50), Level.PASS, "in 2 d 1 h. The block ends at 2026-12-03 11:00 UTC."),
        (reservation(2.5), Level.PASS, "EC2 begins to terminate at 2026-12-01 11:00 UTC, in 2 h 0 min."),
        (reservation(2.45), Level.WARN, "in 1 h 57 min"),
        (reservation(2.7, InstanceType="trn2u.48xlarge"), Level.WARN, "in 1 h 42 min"),
        (
            reservation(0.25),
            Level.FAIL,
            "is at its end: EC2 began to terminate at 2026-12-01 08:45 UTC, 15 min ago.",
        ),
        (reservation(-1, "expired"), Level.FAIL, "cr-1 is expired: its time is over."),
        (reservation(30, "scheduled"), Level.FAIL, "is scheduled: it has not started yet."),
        (reservation(None, **ON_DEMAND), Level.PASS, "On-Demand reservation cr-1 is active and has no end."),
        (reservation(1, **ON_DEMAND), Level.PASS, "ends at 2026-12-01 10:00 UTC; its instances keep running"),
        (
            reservation(-1, "expired", **ON_DEMAND),
            Level.WARN,
            "cr-1 is expired: its time is over. The pair keeps running",
        ),
    ],
)
def test_the_time_that_is_left_counts_to_the_moment_at_which_ec2_begins_to_terminate(
    payload: dict[str, Any], level: Level, words: str
) -> None:
    ec2: Any = FakeEc2([], [payload])
    (found,) = block.findings(block.read(ec2, ["cr-1"], "us-east-1")["cr-1"], NOW)
    assert (found.level, words in found.message) == (level, True), found.message


@pytest.mark.parametrize(
    ("code", "level", "words"),
    [
        ("UnauthorizedOperation", Level.SKIP, "ec2:DescribeCapacityReservations"),
        ("InvalidCapacityReservationId.NotFound", Level.FAIL, "EC2 does not know cr-1 in us-east-1 (yet)."),
        ("InvalidCapacityReservationId.Malformed", Level.FAIL, "EC2 does not know cr-1 in us-east-1 (yet)."),
    ],
)
def test_a_reservation_that_can_not_be_looked_at_is_a_finding(code: str, level: Level, words: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": ""}}, "DescribeCapacityReservations")
    ec2: Any = FakeEc2([], error=error)
    (found,) = block.findings(block.read(ec2, ["cr-1"], "us-east-1")["cr-1"], NOW)
    assert (found.level, words in found.message) == (level, True), found.message


def test_other_errors_of_aws_are_not_swallowed() -> None:
    ec2: Any = FakeEc2(
        [], error=ClientError({"Error": {"Code": "AuthFailure"}}, "DescribeCapacityReservations")
    )
    with pytest.raises(ClientError):
        block.read(ec2, ["cr-1"], "us-east-1")


@pytest.mark.parametrize(
    ("payload", "markets", "level", "words"),
    [
        (None, {"on-demand"}, Level.PASS, "no reservation: the nodes have no end time."),
        (None, {"spot"}, Level.PASS, "EC2 can take them back at any time, with two minutes' notice"),
        (
            reservation(None, Interruptible=True, **ON_DEMAND),
            {"interruptible-capacity-reservation"},
            Level.WARN,
            "cr-1 is interruptible: its owner can take the capacity back at any time",
        ),
        (reservation(0.25), set(), Level.FAIL, "`nixl-efa capacity search` finds another block."),
    ],
)
def test_what_can_end_the_pair_is_said(payload: Any, markets: set[str], level: Level, words: str) -> None:
    ec2: Any = FakeEc2([], [payload] if payload else [])
    seen = block.read(ec2, ["cr-1"] if payload else [], "us-east-1")
    (found,) = block.findings(seen.get("cr-1"), NOW, markets=markets)
    assert (found.level, words in found.line()) == (level, True), found
    assert "Save what you need" not in found.remedy


SCRIPT = Script('echo "@@ $1 $2 $(hostname >/dev/null)"', ("a b", "$HOME"))


def test_a_script_runs_on_both_nodes_with_its_arguments_as_they_are(ssm: Any, clock: FakeClock) -> None:
    found = run_command.run(ssm, {PRODUCER_ID: SCRIPT, CONSUMER_ID: SCRIPT}, clock, 60, "test")
    assert found == {PRODUCER_ID: Outcome("@@ a b $HOME \n"), CONSUMER_ID: Outcome("@@ a b $HOME \n")}


def test_both_are_started_before_either_is_asked_for(ssm: FakeSsm, clock: FakeClock) -> None:
    run_command.run(ssm, {PRODUCER_ID: SCRIPT, CONSUMER_ID: SCRIPT}, clock, 60, "test")  # type: ignore[arg-type]
    assert sorted(request["InstanceIds"] for request in ssm.sent) == [[PRODUCER_ID], [CONSUMER_ID]]
    assert ssm.looks == {"command-0": 3, "command-1": 3}
    assert clock.slept == 4
    assert ssm.sent[0]["Parameters"]["executionTimeout"] == ["60"]


def test_nodes_are_asked_side_by_side(clock: FakeClock) -> None:
    ids = [f"i-{one}" for one in range(6)]
    # Each call waits until all others have begun.
    together = Barrier(len(ids), timeout=10)

    def answered(answer: dict[str, Any]) -> Callable[..., dict[str, Any]]:
        def call(**_: Any) -> dict[str, Any]:
            together.wait()
            return answer

        return call

    ssm = Mock(
        send_command=answered({"Command": {"CommandId": "c"}}),
        get_command_invocation=answered({"Status": "Success", "StandardOutputContent": "x"}),
    )
    found = run_command.run(ssm, dict.fromkeys(ids, SCRIPT), clock, 60, "test")
    assert found == dict.fromkeys(ids, Outcome("x"))
    assert clock.slept == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (("Failed", "Failed"), "ended as Failed: sh: 1: oops."),
        (("TimedOut", "ExecutionTimedOut"), "ended as ExecutionTimedOut"),
        (("TimedOut", "DeliveryTimedOut"), "could not be delivered (DeliveryTimedOut): it is not registered"),
        (("Cancelled", "Cancelled"), "ended as Cancelled"),
        (("InProgress", "InProgress"), "no answer to Run Command command-1 within 150 s."),
    ],
)
def test_one_nodes_trouble_leaves_the_others_outcome_alone(
    status: tuple[str, str], words: str, ssm: FakeSsm, clock: FakeClock
) -> None:
    ssm.statuses[CONSUMER_ID] = status
    found = run_command.run(ssm, {PRODUCER_ID: SCRIPT, CONSUMER_ID: SCRIPT}, clock, 60, "test")  # type: ignore[arg-type]
    assert found[PRODUCER_ID].problem == ""
    assert words in found[CONSUMER_ID].problem
    assert CONSUMER_ID in found[CONSUMER_ID].problem


def test_a_node_that_systems_manager_does_not_know_says_what_to_look_at(
    ssm: FakeSsm, clock: FakeClock
) -> None:
    ssm.unregistered.add(PRODUCER_ID)
    found = run_command.run(ssm, {PRODUCER_ID: SCRIPT, CONSUMER_ID: SCRIPT}, clock, 60, "test")  # type: ignore[arg-type]
    assert "not registered with Systems Manager" in found[PRODUCER_ID].problem
    assert found[CONSUMER_ID].stdout


def test_both_addresses_of_the_outputs_are_looked_up(ec2: FakeEc2, pair: PairOutputs) -> None:
    ec2.instances.append(instance("i-0other", "10.0.0.99"))
    moved = replace(pair, nodes=(pair.nodes[0], replace(pair.nodes[1], private_ip="10.0.0.99")))
    assert set(instances.read(ec2, moved)) == {PRODUCER_ID, CONSUMER_ID, "i-0other"}  # type: ignore[arg-type]
