"""An environment in two Capacity Blocks, of which the earlier one ends: what status and verify say of both."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nixl_efa.cli import nodes_view
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import launch_of
from nixl_efa.nodes import block
from nixl_efa.nodes import verify as look
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.settings import Settings
from nixl_efa.settings.parts import CapacityEntry
from tests.nodes.stand_in import ADDRESSES, FakeClock, FakeEc2, FakeSsm, StandIn, instance

FIRST, SECOND, NEW = "cr-00000001", "cr-00000002", "cr-00000003"
PARAMETER = "/team/second"
NOW = FakeClock().now()
SETTINGS = Settings(
    name="prod",
    instance_type="p5.48xlarge",
    region="us-east-1",
    use_capacity_block=True,
    consumers=3,
    capacity=(
        CapacityEntry(capacity_reservation_id=FIRST, producers=1, consumers=1),
        CapacityEntry(capacity_reservation_parameter=PARAMETER, consumers=2),
    ),
)
NODES = tuple(
    Node(name, name.partition("-")[0], f"i-{name}", f"10.0.1.{one}", "", 32, reservation)
    for one, (name, reservation) in enumerate(
        {"producer": FIRST, "consumer": FIRST, "consumer-2": SECOND, "consumer-3": SECOND}.items()
    )
)
FOUR = PairOutputs("prod", NODES, "nixl-efa-prod-scripts")


def a_block(block_id: str, hours: float, state: str = "active") -> dict[str, Any]:
    """A block of two that ends in so many hours."""
    return {
        "CapacityReservationId": block_id,
        "InstanceType": "p5.48xlarge",
        "State": state,
        "ReservationType": "capacity-block",
        "EndDate": NOW + timedelta(hours=hours),
        "TotalInstanceCount": 2,
    }


def an_instance(node: Node, ended: str = "none") -> dict[str, Any]:
    """Of a node; terminated where it was in the reservation that has ended."""
    state = "terminated" if node.capacity_reservation_id == ended else "running"
    more = {"CapacityReservationId": node.capacity_reservation_id, "InstanceLifecycle": "capacity-block"}
    return instance(node.instance_id, "" if state == "terminated" else node.private_ip, state, **more)


Seen = Callable[..., tuple[look.PairReport, FakeEc2]]


@pytest.fixture
def seen(clock: FakeClock) -> Seen:
    """`status` with blocks that end in so many hours, and parameters."""

    def run(
        first: float, second: float, ended: str = "none", pair: PairOutputs = FOUR, **parameters: str
    ) -> tuple[look.PairReport, FakeEc2]:
        ec2 = FakeEc2(
            [an_instance(node, ended) for node in pair.nodes],
            [a_block(FIRST, first), a_block(SECOND, second), a_block(NEW, 900)],
        )
        ssm = FakeSsm({}, parameters={PARAMETER: SECOND, **parameters})
        return look.status(ec2, ssm, pair, launch_of(SETTINGS), clock), ec2  # type: ignore[arg-type]

    return run


def capacity(report: look.PairReport) -> list[Finding]:
    return [one for one in report.findings if one.check == "capacity"]


def test_each_block_is_told_with_its_nodes_and_its_time_by_one_call(seen: Seen) -> None:
    report, ec2 = seen(50, 1.5)
    first, second = capacity(report)
    assert (first.level, second.level) == (Level.PASS, Level.WARN)
    assert first.message.startswith(f"producer, consumer: Capacity Block {FIRST} is active; EC2 begins")
    assert second.message.startswith(f"consumer-2, consumer-3: Capacity Block {SECOND} is active; EC2 begins")
    assert "in 1 h 0 min." in second.message
    assert f"`nixl-efa capacity extend {SECOND} --hours N`" in second.remedy
    assert FIRST not in second.line()
    assert ec2.asked == [[FIRST, SECOND]]


@pytest.mark.parametrize(
    ("now_named", "words"),
    [
        (
            SECOND,
            "`nixl-efa capacity search --env prod/2` finds another block, `nixl-efa capacity buy OFFERING --env prod/2`"
            " buys it; then `nixl-efa deploy prod` builds consumer-2, consumer-3 again. The other nodes keep running.",
        ),
        (
            NEW,
            f"The settings name {NEW} for prod/2 already: `nixl-efa deploy prod` builds consumer-2, consumer-3 again. "
            "The other nodes keep running.",
        ),
    ],
)
def test_nodes_whose_block_ended_are_told_with_what_to_do_and_the_others_as_they_live(
    now_named: str, words: str, seen: Seen
) -> None:
    report, _ = seen(50, 0.25, ended=SECOND, **{PARAMETER: now_named})
    first, second = capacity(report)
    assert (first.level, first.remedy) == (Level.PASS, "")
    assert (second.level, second.remedy) == (Level.FAIL, words)
    assert "consumer-2, consumer-3: Capacity Block cr-00000002 is at its end" in second.message
    lost = {one.node.name: one.cause for one in report.nodes if one.cause}
    assert list(lost) == ["consumer-2", "consumer-3"]
    for one in lost.values():
        assert f"{SECOND} is at its end" in one.why
        assert "`nixl-efa capacity search --env prod/2` finds another one" in one.remedy
        assert one.remedy.endswith("`nixl-efa deploy prod` then builds it again.")


def test_the_block_that_follows_is_that_of_its_own_entry(seen: Seen) -> None:
    report, _ = seen(50, 50, **{f"{PARAMETER}-next": NEW})
    [found] = [one for one in report.findings if one.check == "next block"]
    assert NEW in found.message
    assert [one.check for one in report.findings][:3] == ["capacity", "capacity", "next block"]


def test_a_node_without_a_reservation_is_told_beside_those_in_a_block(seen: Seen) -> None:
    bare = replace(NODES[0], capacity_reservation_id="")
    report, _ = seen(50, 50, pair=replace(FOUR, nodes=(bare, *NODES[1:])))
    assert [one.message.partition(":")[0] for one in capacity(report)] == [
        "producer",
        "consumer",
        "consumer-2, consumer-3",
    ]


def test_one_that_ec2_does_not_know_hides_no_other() -> None:
    class Picky(FakeEc2):
        def describe_capacity_reservations(self, *, CapacityReservationIds: list[str]) -> dict[str, Any]:  # noqa: N803
            if SECOND in CapacityReservationIds:
                code = "InvalidCapacityReservationId.NotFound"
                raise ClientError({"Error": {"Code": code, "Message": ""}}, "DescribeCapacityReservations")
            return super().describe_capacity_reservations(CapacityReservationIds=CapacityReservationIds)

    ec2: Any = Picky([], [a_block(FIRST, 50)])
    found: Any = block.read(ec2, [FIRST, SECOND], "us-east-1")
    assert {one: each.state for one, each in found.items()} == {FIRST: "active", SECOND: "unknown"}


def test_the_reservations_stand_in_the_document_with_their_nodes_and_ends(seen: Seen) -> None:
    document = nodes_view.document(seen(50, 3)[0])
    assert [one["capacity_reservation_id"] for one in document["nodes"]] == [FIRST, FIRST, SECOND, SECOND]
    assert document["reservations"][1] == {
        "id": SECOND,
        "target": "prod/2",
        "nodes": ["consumer-2", "consumer-3"],
        "state": "active",
        "end": "2026-12-01T12:00:00Z",
        "terminates": "2026-12-01T11:30:00Z",
    }


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, StandIn]]:
    """Stand-ins of the four nodes, by instance id."""
    pair = dict(ADDRESSES)
    ADDRESSES.clear()
    ADDRESSES.update({node.name: node.private_ip for node in NODES})
    yield {node.instance_id: StandIn(node.name, tmp_path / node.name) for node in NODES}
    ADDRESSES.clear()
    ADDRESSES.update(pair)


@pytest.mark.parametrize(
    ("ended", "asked", "links", "skipped"),
    [
        (SECOND, {"i-producer", "i-consumer"}, {"producer -> consumer"}, []),
        (FIRST, {"i-consumer-2", "i-consumer-3"}, set(), ["no producer runs: there is no link to measure."]),
    ],
)
def test_verify_measures_the_nodes_that_run_and_names_those_that_ended(
    ended: str,
    asked: set[str],
    links: set[str],
    skipped: list[str],
    machines: dict[str, StandIn],
    clock: FakeClock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = {FIRST: 50.0, SECOND: 50.0, ended: 0.25}
    ec2: Any = FakeEc2(
        [an_instance(node, ended) for node in NODES], [a_block(one, left) for one, left in hours.items()]
    )
    ssm: Any = FakeSsm(machines, parameters={PARAMETER: SECOND})
    report = look.verify(ec2, ssm, FOUR, launch=launch_of(SETTINGS), measure=True, clock=clock, say=print)
    assert {one for request in ssm.sent for one in request["InstanceIds"]} == asked
    assert {str(one.link) for one in report.transfers if one.rows} == links
    failed = {one.node.name for one in report.nodes for each in one.findings if each.level is Level.FAIL}
    assert failed == {node.name for node in NODES if node.capacity_reservation_id == ended}
    assert [one.check for one in report.findings if one.level is Level.FAIL] == ["capacity"]
    assert [one.message for one in report.findings if one.level is Level.SKIP] == skipped
    assert "Asking both nodes that run, of 4, through Run Command" in capsys.readouterr().out
    monkeypatch.setattr("nixl_efa.cli.output.PIPE_WIDTH", 80)
    nodes_view.show(report, "verify", as_json=False)
    out = capsys.readouterr().out
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(len(line) for line in lines[: lines.index("all nodes")]) <= 80
    assert out.count("`nixl-efa capacity buy OFFERING --env") == 1
