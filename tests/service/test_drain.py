"""What is told of drains: before a service starts, and when the nodes are drained."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nixl_efa.capacity.reservation import from_api
from nixl_efa.findings import Level, skipped
from nixl_efa.nodes.block import Held
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.nodes.verify import PairReport
from nixl_efa.service import drain
from nixl_efa.service.drain import BlockEnd
from nixl_efa.service.engines import ENGINES
from nixl_efa.service.model import ENGINE_UNIT, ROUTER_UNIT
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.units import DRAIN_UNIT
from tests.nodes.stand_in import FakeClock
from tests.records import answer
from tests.service.pretended import PAIR, Pretended

END = datetime(2026, 12, 1, 11, 30, tzinfo=UTC)
BLOCK = BlockEnd("cr-1", END, timedelta(minutes=30))


def on(pair: Pretended, **ends: drain.End) -> OnNodes:
    return OnNodes(PAIR, pair.ask, ENGINES["vllm"], ends=ends)


def lines(found: list[tuple[str, Any]]) -> list[str]:
    return [f"{one.level.value} {one.check} ({where}): {one.line()}" for where, one in found]


@pytest.mark.parametrize(
    ("instance_type", "drains"),
    # EC2 user guide, capacity-blocks-monitor: EC2's warning comes 40 minutes before the end; it terminates 10 later, in
    # UltraServers 60 minutes before the end.
    [("p5.48xlarge", "10:50"), ("p6e-gb200.36xlarge", "10:20")],
)
def test_a_node_drains_ten_minutes_before_ec2_terminates_it(instance_type: str, drains: str) -> None:
    payload: Mapping[str, Any] = {
        "CapacityReservationId": "cr-1",
        "InstanceType": instance_type,
        "ReservationType": "capacity-block",
        "State": "active",
        "EndDate": END,
    }
    held = Held("cr-1", from_api(payload, "us-east-2"), ("producer",), frozenset(), None)
    without = Held("", None, ("consumer",), frozenset(), None)
    [(name, end)] = drain.ends_of(PairReport(PAIR, (), (), held=(held, without))).items()
    assert isinstance(end, BlockEnd)
    assert (name, f"{end.drains:%H:%M}") == ("producer", drains)


@pytest.mark.parametrize(
    ("now", "late"), [("10:49", False), ("10:50", True), ("11:29", True), ("11:30", False)]
)
def test_nothing_is_started_that_would_be_drained_at_once(now: str, late: bool) -> None:
    found = drain.too_late({"producer": BLOCK}, datetime.fromisoformat(f"2026-12-01T{now}+00:00"))
    assert [one.message for one in found.values()] == late * [
        "cr-1 ends at 2026-12-01 11:30 UTC, and EC2 begins to terminate at 2026-12-01 11:00 UTC: a service that starts "
        "now would be drained at once."
    ]


def test_a_start_too_late_asks_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pretended(
        ends={"consumer": BlockEnd("cr-1", FakeClock().now() + timedelta(minutes=35), BLOCK.lead)}
    )
    report = pair.start()
    assert ([where for where, _ in report.found], pair.asked) == (["consumer"], [])


def test_each_node_is_told_its_own_end_before_the_engines_start() -> None:
    pair, given = Pretended(), {}

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        given.update({one: json.loads(base64.b64decode(two.arguments[1])) for one, two in scripts.items()})
        return pair.ask(scripts, seconds, what)

    found = drain.arm(OnNodes(PAIR, ask, ENGINES["vllm"], ends={"producer": BLOCK}))
    assert lines(found) == [
        "PASS drain (producer): by itself at 2026-12-01 10:50 UTC, before cr-1 ends, or when EC2 warns earlier; the "
        "node asks EC2 first whether the block was extended",
        "PASS drain (consumer): by itself when EC2 warns that the instance ends",
    ]
    assert given["i-p"]["block"] == {"id": "cr-1", "end": "2026-12-01T11:30:00+00:00", "lead": 1800.0}
    assert (given["i-p"]["own"], given["i-p"]["has_router"]) == ("http://10.0.0.11:8100", False)
    # A consumer can't see what a producer computes for it; a producer that drains alone waits for no traffic of others.
    assert given["i-p"]["engines"] == ["http://10.0.0.11:8100"]
    assert given["i-c"]["engines"] == ["http://10.0.0.11:8100", "http://10.0.0.12:8200"]
    assert given["i-c"]["block"] is None
    assert (given["i-c"]["own"], given["i-c"]["has_router"]) == ("http://10.0.0.12:8200", True)
    pair = Pretended()
    assert pair.start().ready
    assert pair.asked.index("drain") < pair.asked.index("start")


def test_with_several_producers_a_node_leaves_the_list_of_the_router_that_knows_the_engines() -> None:
    second = replace(PAIR.nodes[0], name="producer-2", instance_id="i-p2", private_ip="10.0.0.13")
    one = on(Pretended())
    two = replace(one, pair=replace(PAIR, nodes=(*PAIR.nodes, second)))
    told = [drain.config(nodes, PAIR.nodes[0])["router"] for nodes in (one, two)]
    assert told == ["http://10.0.0.12:8000", "http://10.0.0.12:8001"]


def test_a_node_that_can_not_ask_ec2_is_told_with_what_to_do() -> None:
    pair = Pretended(answers={"producer": "An error occurred (UnauthorizedOperation)"})
    (where, one), _ = drain.arm(on(pair, producer=BLOCK))
    assert (where, one.level) == ("producer", Level.WARN)
    assert "The node can't ask EC2 whether the block was extended: An error" in one.message
    assert "`nixl-efa deploy trial` lets the stack's role ask" in one.remedy


def test_an_end_that_aws_does_not_tell_us_is_no_pass() -> None:
    denied = skipped(
        "capacity", "no permission to look: ec2:DescribeCapacityReservations.", command="aws ec2"
    )
    held = Held("cr-1", denied, ("producer",), frozenset(), None)
    pair = Pretended(ends=dict(drain.ends_of(PairReport(PAIR, (), (), held=(held,)))))
    report = pair.start()
    assert report.ready
    assert [one for one in lines(report.found) if "drain (producer)" in one] == [
        "WARN drain (producer): if the node is in a Capacity Block, it does not know when that ends: no permission to "
        "look: ec2:DescribeCapacityReservations. `nixl-efa policy verify` prints the permission; then start the "
        "service again."
    ]


def test_a_drain_ends_all_and_says_where_it_is() -> None:
    pair = Pretended()
    assert pair.start().ready
    told: list[str] = []
    assert lines(drain.drain(on(pair), 60, FakeClock(), told.append)) == [
        "PASS requests (producer): none is left",
        "PASS copy (producer): s3://b/producer/",
        "PASS requests (consumer): none is left",
        "PASS copy (consumer): s3://b/consumer/",
    ]
    assert told == ["Draining both nodes: requests have 60 s to end; then results and logs are copied ..."]
    assert not any(pair.runs(name, ENGINE_UNIT) for name in ("producer", "consumer"))
    assert not pair.runs("consumer", ROUTER_UNIT)
    assert pair.start().ready


def test_while_requests_end_a_drain_says_how_many_still_run() -> None:
    """What real engines counted under load; the consumer's drain ends after the producer's."""
    pair, told = Pretended(), list[str]()
    assert pair.start().ready

    def drains() -> None:
        for name, line in (
            ("producer", "Copying; no request is left"),
            ("consumer", "Draining, for 60 s at most"),
        ):
            after = "\n".join(answer("vllm/metrics-0.32-load")[name]["after"])
            pair.begin(name, ENGINE_UNIT, metrics=after)
            pair.begin(name, DRAIN_UNIT, state="activating", end=line)

    def ends(name: str) -> None:
        del pair.units[name, DRAIN_UNIT]

    looks = pair.asked.count("look")
    pair.before["look", looks] = drains
    pair.before["look", looks + 3] = lambda: ends("producer")
    pair.before["look", looks + 5] = lambda: ends("consumer")
    found = drain.drain(on(pair), 60, FakeClock(), told.append)
    assert [where for where, _ in found] == ["producer", "producer", "consumer", "consumer"]
    consumer = "  consumer: 3 requests running, 0 waiting. Draining, for 60 s at most"
    assert told[1:] == [
        "  producer: 0 requests running, 0 waiting. Copying; no request is left",
        consumer,
        consumer,
    ]


def test_a_node_that_ends_during_its_drain_is_waited_for_for_a_while() -> None:
    pair = Pretended()

    def drains() -> None:
        for name in ("producer", "consumer"):
            pair.begin(name, DRAIN_UNIT, state="activating")

    def one_is_gone() -> None:
        pair.silent.add("producer")
        del pair.units["consumer", DRAIN_UNIT]

    pair.before["look", 0], pair.before["look", 1] = drains, one_is_gone
    clock, told = FakeClock(), list[str]()
    begun = clock.now()
    found = drain.drain(on(pair), 60, clock, told.append)
    assert [one.partition(": ")[0] for one in lines(found)] == [
        "FAIL drain (producer)",
        "PASS requests (consumer)",
        "PASS copy (consumer)",
    ]
    assert clock.now() - begun == timedelta(seconds=drain.SILENT_SECONDS)
    assert told[1:3] == [
        "  producer: no answer for 10 s. i-p: it is not registered.",
        "  producer: no answer for 20 s. i-p: it is not registered.",
    ]


def test_a_node_that_hangs_is_not_waited_for_for_a_quarter_of_an_hour() -> None:
    """Run Command tries for a minute to reach such a node, at every look."""
    pair, clock = Pretended(), FakeClock()
    pair.before["look", 0] = lambda: pair.silent.add("producer")

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        if what == "look" and "i-p" in scripts:
            clock.sleep(60)
        return pair.ask(scripts, seconds, what)

    begun = clock.now()
    found = drain.drain(OnNodes(PAIR, ask, ENGINES["vllm"]), 60, clock, lambda _: None)
    assert [one.level for _, one in found] == [Level.FAIL, Level.PASS, Level.PASS]
    assert clock.now() - begun < timedelta(minutes=3)


def test_a_drain_that_did_not_begin_or_that_was_ended_is_told() -> None:
    """What an earlier one has saved is not of this one."""
    pair = Pretended()
    pair.before["look", 0] = lambda: pair.begin("producer", DRAIN_UNIT, state="failed", end="Killed")
    found = drain.drain(on(pair), 60, FakeClock(), lambda _: None)
    assert lines(found)[0] == ("FAIL drain (producer): it did not come to its end: Killed. Look at its log.")


def test_a_node_that_has_booted_meanwhile_has_logged_nothing() -> None:
    pair = Pretended()
    pair.before["look", 0] = lambda: pair.told_at_drain.clear()
    found = drain.drain(on(pair), 60, FakeClock(), lambda _: None)
    assert lines(found)[0] == (
        "FAIL drain (producer): it did not come to its end: it has logged nothing since the node booted; a boot, or "
        "another start of the service, ends a drain. Look at its log."
    )


def test_a_drain_with_a_node_that_is_gone_and_one_that_can_not_copy() -> None:
    pair = Pretended(silent={"producer"})
    pair.drained["consumer"] = {"left": "http://10.0.0.12:8200", "problems": ["s3://b/x: AccessDenied"]}
    nodes = on(pair)
    nodes = replace(nodes, pair=replace(nodes.pair, scripts_bucket="bucket"))
    found = drain.drain(nodes, 60, FakeClock(), lambda _: None)
    assert lines(found) == [
        "FAIL drain (producer): it does not say what it has saved: i-p: it is not registered. `aws s3 ls "
        "s3://bucket/nixl-efa-drain/trial/producer/` shows what it has copied, also by itself before; the rest of its "
        "disk is lost with the instance. `nixl-efa serve drain` again if it comes back.",
        "WARN requests (consumer): still ran after the limit and were ended, at http://10.0.0.12:8200.",
        "FAIL copy (consumer): s3://b/x: AccessDenied. Fix that; then `nixl-efa serve drain` copies again what is on "
        "consumer.",
    ]
