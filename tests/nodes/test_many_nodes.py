"""Two producers and four consumers: on which links bytes are moved, what is told of them, how they are shown."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.cli import nodes_view
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import launch_of
from nixl_efa.nodes import pair_rules, transfer, transfer_rules
from nixl_efa.nodes import verify as look
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.sections import Section
from nixl_efa.nodes.transfer import DRAM, NIXL, Attempt
from nixl_efa.settings import Settings
from tests.nodes.stand_in import (
    ADDRESSES,
    GIB,
    RAILS,
    FakeClock,
    FakeEc2,
    FakeSsm,
    StandIn,
    instance,
    nixl_document,
)

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS
ATTEMPT = Attempt(NIXL, "LIBFABRIC", DRAM)
NAMES = ("producer", "producer-2", "consumer", "consumer-2", "consumer-3", "consumer-4")
NODES = {
    name: Node(name, name.partition("-")[0], f"i-{name}", f"10.0.1.{one}", "", 32)
    for one, name in enumerate(NAMES)
}
LINKS = transfer.links(
    *([one for one in NODES.values() if one.role == role] for role in ("producer", "consumer"))
)
MANY = PairOutputs("prod", tuple(NODES.values()), "nixl-efa-prod-scripts")


def of_role(role: str, count: int) -> list[Node]:
    return [Node(f"{role}-{one}", role, f"i-{role}-{one}", f"{role}.{one}", "") for one in range(count)]


@pytest.mark.parametrize(
    ("producers", "consumers", "links"),
    [
        (1, 1, 1),
        (1, 4, 4),
        (4, 1, 4),
        (2, 4, 8),
        (3, 5, 15),
        (4, 4, 16),
        (5, 5, 15),
        (1, 15, 15),
        (2, 14, 16),
        (7, 9, 14),
    ],
)
def test_every_node_is_in_a_link_and_in_one_at_a_time(producers: int, consumers: int, links: int) -> None:
    """Of more than 16 links a part, in which every node is."""
    ends = of_role("producer", producers), of_role("consumer", consumers)
    chosen = transfer.links(*ends)
    assert len(chosen) == len(set(chosen)) == links
    assert {end for link in chosen for end in link.ends} == {*ends[0], *ends[1]}
    assert all((link.producer.role, link.consumer.role) == ("producer", "consumer") for link in chosen)
    size = min(producers, consumers)
    for first in range(0, links, size):
        in_round = [end for link in chosen[first : first + size] for end in link.ends]
        assert len(in_round) == len(set(in_round))


def test_an_end_waits_longer_where_the_other_one_has_more_links() -> None:
    alone, many = (transfer.scripts(ATTEMPT, links) for links in ([LINKS[0]], LINKS))
    assert alone["i-producer"].arguments[:4] == ("nixl", "producer", "10.0.1.0", "10.0.1.2")
    assert many["i-producer"].arguments[3] == "10.0.1.2 10.0.1.4 10.0.1.3 10.0.1.5"
    assert many["i-consumer-4"].arguments[1:4] == ("consumer", "10.0.1.5", "10.0.1.1 10.0.1.0")
    assert (alone["i-producer"].arguments[7], many["i-producer"].arguments[7]) == ("60", "120")
    assert transfer.limit_seconds(LINKS) > transfer.limit_seconds(LINKS[:1])


def peers_of(node: Node) -> list[Node]:
    return [end for link in LINKS if node in link.ends for end in link.ends if end != node]


def measured(
    plan: Planned, change: Callable[[dict[str, Any]], None], sent: Mapping[str, int]
) -> dict[str, Finding]:
    """The findings where the nodes' documents, by name, are changed, and EFA's counters saw so many GiB of a node; else
    those that it has moved."""
    documents = {
        name: nixl_document(node.role, *(one.private_ip for one in peers_of(node)))
        for name, node in NODES.items()
    }
    change(documents)
    ends: dict[str, Mapping[str, Section] | str] = {}
    for name, node in NODES.items():
        seen = sent.get(name, len(peers_of(node))) * GIB
        way = "tx_bytes" if node.role == "producer" else "rx_bytes"
        ends[name] = {
            "counters_before": Section("rdmap0s0 tx_bytes=0 rx_bytes=0", 0),
            "counters_after": Section(f"rdmap0s0 tx_bytes=0 rx_bytes=0 {way}={seen}", 0),
            "transfer": Section(json.dumps(documents[name]), 0),
            "log": Section(RAILS, 0),
        }
    found = transfer_rules.findings(transfer.results(ATTEMPT, LINKS, ends), plan, {})
    return {one.check: one for one in found}


def unchanged(_documents: dict[str, Any]) -> None:
    pass


def between(documents: dict[str, Any], one: str, other: str) -> dict[str, Any]:
    """A node's part on the transfer with another one."""
    return next(each for each in documents[one]["peers"] if each["address"] == NODES[other].private_ip)


def one_is_lost(documents: dict[str, Any]) -> None:
    part = between(documents, "producer-2", "consumer-3")
    part |= {"step": "connect", "error": "the other end is gone: reset"}
    other = between(documents, "consumer-3", "producer-2")
    other |= {"step": "transfer", "error": "1 of 64 writes of 64 KiB are not as they were sent"}


def one_is_slow(documents: dict[str, Any]) -> None:
    part = between(documents, "producer", "consumer-2")
    part["rows"] = [{**row, "gbps": row["gbps"] / 4} for row in part["rows"]]


@pytest.mark.parametrize(
    ("change", "sent", "check", "level", "message"),
    [
        (
            unchanged,
            {},
            "transfer",
            PASS,
            "NIXL (LIBFABRIC, DRAM): 8 links with 372.0 (producer -> consumer) to 372.0 Gbps; 18.4 us at most at ",
        ),
        (unchanged, {}, "fabric", PASS, "8 links: NIXL (LIBFABRIC, DRAM) went over EFA"),
        (unchanged, {}, "small writes", PASS, "8 links: NIXL (LIBFABRIC, DRAM): 1546 of 8 KiB"),
        (
            one_is_lost,
            {"producer-2": 3, "consumer-3": 1},
            "transfer",
            FAIL,
            "1 of 8 links of NIXL (LIBFABRIC, DRAM): producer-2 -> consumer-3: NIXL (LIBFABRIC, DRAM) failed: "
            "consumer-3: 1 of 64 writes of 64 KiB are not as they were sent.",
        ),
        (one_is_lost, {"producer-2": 3, "consumer-3": 1}, "fabric", PASS, "7 links: NIXL"),
        (
            one_is_slow,
            {},
            "transfer",
            WARN,
            "1 of 8 links of NIXL (LIBFABRIC, DRAM): producer -> consumer-2: 93.0 Gbps, where half of the links have "
            "372.0 or more.",
        ),
        (
            unchanged,
            {"producer-2": 3, "consumer-4": 1},
            "fabric",
            FAIL,
            "1 of 8 links of NIXL (LIBFABRIC, DRAM): producer-2 -> consumer-4: no proof that it went over EFA",
        ),
        (
            unchanged,
            {"consumer-4": 0},
            "fabric",
            FAIL,
            "2 of 8 links of NIXL (LIBFABRIC, DRAM): producer-2 -> consumer-4, producer -> consumer-4: no proof",
        ),
    ],
)
def test_of_many_links_the_worst_are_named(
    change: Callable[[dict[str, Any]], None],
    sent: dict[str, int],
    check: str,
    level: Level,
    message: str,
    p5_plan: Planned,
) -> None:
    found = measured(p5_plan, change, sent)[check]
    assert (found.level, found.message[: len(message)]) == (level, message)


def test_a_node_that_prints_nothing_fails_its_links_alone(p5_plan: Planned) -> None:
    ends: dict[str, Mapping[str, Section] | str] = dict.fromkeys(NODES, "")
    for name, node in NODES.items():
        document = nixl_document(node.role, *(one.private_ip for one in peers_of(node)))
        ends[name] = {"transfer": Section(json.dumps(document), 0)}
    ends["consumer-2"] = "i-consumer-2: no answer"
    failed = [one for one in transfer.results(ATTEMPT, LINKS, ends) if not one.rows]
    assert {(str(one.link), one.error) for one in failed} == {
        (f"{producer} -> consumer-2", "i-consumer-2: no answer") for producer in ("producer", "producer-2")
    }


def test_versions_are_told_with_the_nodes_that_have_them(p5_facts: NodeFacts) -> None:
    facts = dict.fromkeys(NODES, p5_facts) | {"consumer-3": replace(p5_facts, libfabric="2.4.0amzn5.0")}
    assert pair_rules.versions(MANY, facts).message == (
        "differ: libfabric 2.1.0amzn3.0 (producer, producer-2, consumer and 2 more) and 2.4.0amzn5.0 (consumer-3)."
    )


@pytest.mark.parametrize(
    ("consumers", "message"),
    [
        (4, ""),
        (6, "consumer-5, consumer-6 of the settings are not deployed."),
        (1, "consumer-2, consumer-3, consumer-4 are deployed and not in the settings."),
    ],
)
def test_nodes_that_are_not_those_of_the_settings_are_told(consumers: int, message: str) -> None:
    settings = Settings(
        name="prod", instance_type="p5.48xlarge", region="us-east-1", producers=2, consumers=consumers
    )
    found = pair_rules.as_settings(MANY, launch_of(settings))
    assert (found.message if found else "") == message
    assert found is None or (found.level is WARN and "`nixl-efa deploy prod`" in found.remedy)


def test_what_only_some_nodes_answered_is_not_said_of_all(p5_facts: NodeFacts) -> None:
    some = {name: p5_facts for name in NAMES if name != "consumer-3"}
    assert pair_rules.versions(MANY, some).message == "the same on the 5 of 6 nodes that answered"


class Silent(FakeSsm):
    """Run Command that no answer of one node reaches any more, once it has told its facts."""

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> dict[str, Any]:  # noqa: N803
        request = self.sent[int(CommandId.removeprefix("command-"))]
        if InstanceId == "i-consumer-3" and request["Comment"].endswith("transfer"):
            return {"Status": "InProgress", "StatusDetails": "InProgress"}
        return super().get_command_invocation(CommandId=CommandId, InstanceId=InstanceId)


@pytest.fixture
def six(tmp_path: Path) -> Iterator[dict[str, StandIn]]:
    """Stand-ins of six nodes, by instance id."""
    pair = dict(ADDRESSES)
    ADDRESSES.clear()
    ADDRESSES.update({name: node.private_ip for name, node in NODES.items()})
    yield {NODES[name].instance_id: StandIn(name, tmp_path / name) for name in NODES}
    ADDRESSES.clear()
    ADDRESSES.update(pair)


def verified(ssm: FakeSsm, clock: FakeClock) -> look.PairReport:
    """The whole look at six nodes."""
    ec2: Any = FakeEc2([instance(node.instance_id, node.private_ip) for node in NODES.values()])
    launch = launch_of(
        Settings(name="prod", instance_type="p5.48xlarge", region="us-east-1", producers=2, consumers=4)
    )
    return look.verify(ec2, ssm, MANY, launch=launch, measure=True, clock=clock, say=print)  # type: ignore[arg-type]


def test_a_node_that_ceases_to_answer_costs_one_wait_and_the_links_of_the_others_are_measured(
    six: dict[str, StandIn], clock: FakeClock
) -> None:
    ssm = Silent(six)
    found = verified(ssm, clock)
    asked = [one["Comment"] for one in ssm.sent if one["InstanceIds"] == ["i-consumer-3"]]
    assert asked == ["nixl-efa verify: node facts", "nixl-efa verify: transfer"]
    # The polls of one command, and some of those that were answered.
    once = transfer.limit_seconds(LINKS) + 90
    assert once <= clock.slept <= once + 30
    with_rows = [(str(one.link), one.attempt.segment) for one in found.transfers if one.rows]
    others = [str(link) for link in LINKS if "consumer-3" not in str(link)]
    assert with_rows == [(link, segment) for segment in ("DRAM", "VRAM") for link in others]
    (failed,) = (one for one in found.findings if one.level is FAIL)
    assert "2 of 8 links" in failed.message
    assert re.search(
        r" failed: i-consumer-3: no answer to Run Command command-\d+ within 530 s\.$", failed.message
    )
    assert failed.remedy.startswith("A node gave no answer")


@pytest.fixture
def report(six: dict[str, StandIn], clock: FakeClock) -> look.PairReport:
    """Verified: one of six nodes has a fault."""
    six["i-consumer-3"].memlock("8192")
    return verified(FakeSsm(six), clock)


def test_six_nodes_are_verified_with_one_command_for_all_links_of_a_kind(report: look.PairReport) -> None:
    assert {(one.check, one.level) for one in report.all_findings if one.level is not PASS} == {
        ("memlock", FAIL)
    }
    assert len(report.transfers) == 2 * len(LINKS)
    assert {str(one.link) for one in report.transfers} == {str(link) for link in LINKS}
    document = nodes_view.document(report)
    assert {(one["producer"], one["consumer"]) for one in document["transfers"]} == {
        (link.producer.name, link.consumer.name) for link in LINKS
    }


def test_nodes_with_a_problem_are_shown_first_within_80_columns(
    report: look.PairReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    nodes_view.show(report, "verify", as_json=False)
    out = capsys.readouterr().out
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(len(line) for line in lines[: lines.index("all nodes")]) <= 80
    rows = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in NODES]
    assert rows == ["consumer-3", *(name for name in NAMES if name != "consumer-3")]
    assert "FAIL memlock (consumer-3): Restart the SSM agent" in out
