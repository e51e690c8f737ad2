"""The whole look at a pair: scripts run on stand-ins, through Run Command's oddities, to findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap.files import node_files
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import launch_of
from nixl_efa.nodes import verify as look
from nixl_efa.nodes.bench import Row
from nixl_efa.nodes.counters import Moved
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.transfer import Attempt, Result, attempts
from nixl_efa.nodes.transfer_rules import fabric, findings, rate
from nixl_efa.settings import Settings
from tests.nodes.stand_in import (
    CONSUMER_ID,
    GIB,
    PRODUCER_ID,
    FakeClock,
    FakeEc2,
    FakeSsm,
    StandIn,
    first_boot,
    instance,
)

Nodes = dict[str, StandIn]
LAUNCH = launch_of(Settings(name="prod", instance_type="p5.48xlarge", region="us-east-1"))


@pytest.fixture
def verify(ec2: Any, ssm: Any, pair: PairOutputs, clock: FakeClock) -> Any:
    """Verify the pair of the tests, with changes."""

    def run(**changes: Any) -> look.PairReport:
        options: dict[str, Any] = {
            "launch": LAUNCH,
            "measure": True,
            "clock": clock,
            "say": print,
        }
        return look.verify(ec2, ssm, changes.pop("pair", pair), **(options | changes))

    return run


def of(report: look.PairReport, check: str) -> list[Finding]:
    return [finding for finding in report.all_findings if finding.check == check]


def test_a_pair_in_order_passes_everything_and_is_measured_with_nixlbench(verify: Any, ssm: FakeSsm) -> None:
    report = verify()
    assert {finding.level for finding in report.all_findings} == {Level.PASS}
    (transfer,) = of(report, "transfer")
    assert transfer.message.startswith(
        "nixlbench (LIBFABRIC, VRAM): 372.0 Gbps at 64 MiB, 12% of p5.48xlarge's 3200 Gbps; 18.4 us at 64 KiB."
    )
    (proof,) = of(report, "fabric")
    assert proof.message.startswith(
        "over EFA: the counters saw 1.0 GiB leave on 1 and 1.0 GiB arrive on 1 of 32"
    )
    assert len(ssm.sent) == 4  # facts and transfer, on two nodes


def test_files_that_are_not_the_settings_warn_with_the_command(verify: Any, nodes: Nodes) -> None:
    script = nodes["consumer"].root / "opt/nixl-efa/bin/configure"
    script.write_text("#!/bin/bash\n", encoding="utf-8")
    nodes["producer"].file("etc/nixl-efa/env", "")
    producer, consumer = of(verify(measure=False), "node files")
    assert (producer.level, consumer.level) == (Level.WARN, Level.WARN)
    assert producer.message == "not as the settings have them: /etc/nixl-efa/env."
    assert consumer.message == "not as the settings have them: /opt/nixl-efa/bin/configure."
    assert consumer.remedy == "`nixl-efa nodes sync prod` writes them; no node is replaced."


def test_files_of_a_newer_release_are_not_called_old(verify: Any, nodes: Nodes) -> None:
    path = nodes["consumer"].root / "etc/nixl-efa/pair.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"form": ', '"form": 9'), encoding="utf-8")
    _, found = of(verify(measure=False), "node files")
    assert found.line().endswith("Bring this checkout up to date.")


def test_a_silent_fall_back_to_tcp_fails_and_says_so(verify: Any, nodes: Nodes) -> None:
    for node in nodes.values():
        node.over_tcp(GIB)
    (proof,) = of(verify(), "fabric")
    assert proof.level is Level.FAIL
    assert proof.message == (
        "silent fall-back to TCP: of 1.0 GiB, EFA's counters saw 0 B leave and 0 B arrive; 1.0 GiB went by IP."
    )


def test_without_nixlbench_on_both_nodes_fi_pingpong_measures(verify: Any, nodes: Nodes) -> None:
    nodes["consumer"].without("nixlbench")
    report = verify()
    (transfer,) = of(report, "transfer")
    assert transfer.message.startswith("fi_pingpong (efa, one device): 59.8 Gbps at 1 MiB, 2% of")
    assert transfer.level is Level.PASS


def test_where_vram_fails_host_memory_is_measured_with_a_warning(verify: Any, nodes: Nodes) -> None:
    for node in nodes.values():
        works = (node.commands / "nixlbench").read_text(encoding="utf-8").removeprefix("#!/bin/bash\n")
        node.command(
            "nixlbench", f"case $* in *VRAM*) echo 'fi_mr_reg failed: no FI_HMEM' >&2; exit 1;; esac\n{works}"
        )
    report = verify()
    first, second = of(report, "transfer")
    assert first.level is Level.WARN
    assert "nixlbench (LIBFABRIC, VRAM) failed: producer: fi_mr_reg failed: no FI_HMEM" in first.message
    assert second.message.startswith("nixlbench (LIBFABRIC, DRAM): 372.0 Gbps")
    assert of(report, "fabric")[0].level is Level.PASS


def test_when_nothing_measures_the_transfer_fails_with_every_reason(verify: Any, nodes: Nodes) -> None:
    nodes["producer"].command("nixlbench", "echo 'ASIO Connection timeout' >&2; exit 1")
    nodes["producer"].command("fi_pingpong", "echo 'connect(): No route to host' >&2; exit 1")
    failed = of(verify(), "transfer")
    assert [finding.level for finding in failed] == [Level.FAIL] * 3
    assert "ASIO Connection timeout" in failed[0].message
    assert "No route to host" in failed[2].message
    assert "security group" in failed[2].remedy


def test_a_node_that_does_not_answer_fails_beside_the_others_facts(verify: Any, ssm: FakeSsm) -> None:
    ssm.unregistered.add(CONSUMER_ID)
    report = verify()
    producer, consumer = report.nodes
    assert {finding.level for finding in producer.findings} == {Level.PASS}
    assert [finding.check for finding in consumer.findings] == ["instance", "Run Command"]
    assert of(report, "transfer") == []


def test_an_output_that_run_command_cut_is_a_failure(verify: Any, nodes: Nodes) -> None:
    nodes["producer"].command("cloud-init", "head -c 30000 /dev/zero | tr '\\0' x")
    (found,) = of(verify(), "Run Command")
    assert "24000 characters" in found.message


def test_a_node_that_prints_nothing_is_one_failure(verify: Any, nodes: Nodes) -> None:
    nodes["consumer"].run = lambda commands, environ=None: "\n"  # type: ignore[method-assign]
    (found,) = of(verify(measure=False), "Run Command")
    assert found.message == f"{CONSUMER_ID}: Run Command succeeded, and printed nothing that can be read."


def test_a_stopped_node_is_not_asked(verify: Any, ec2: FakeEc2, ssm: FakeSsm) -> None:
    ec2.instances[1]["State"]["Name"] = "stopped"
    report = verify()
    assert [finding.level for finding in of(report, "instance")] == [Level.PASS, Level.FAIL]
    assert ssm.sent == []


def test_no_transfer_leaves_the_fabric_alone(verify: Any, ssm: FakeSsm) -> None:
    assert of(verify(measure=False), "transfer") == []
    assert len(ssm.sent) == 2


def test_a_type_without_efa_is_measured_over_tcp_as_planned(
    verify: Any, ec2: FakeEc2, nodes: Nodes, pair: PairOutputs
) -> None:
    ec2.instances = [
        instance(PRODUCER_ID, "10.0.0.11", instance_type="g7e.2xlarge"),
        instance(CONSUMER_ID, "10.0.0.12", instance_type="g7e.2xlarge"),
    ]
    for node in nodes.values():
        for device in sorted((node.root / "sys/class/infiniband").rglob("*"), reverse=True):
            device.unlink() if device.is_file() else device.rmdir()
        node.efa(0)
        node.command("nvidia-smi", "echo '0, NVIDIA RTX PRO 6000, 580.65.06, 97887 MiB'")
        for written in node_files(first_boot(node.name, 0)):
            node.file(written.path.lstrip("/"), written.content)
    report = verify(pair=replace(pair, efa_interfaces=0))
    assert {finding.level for finding in report.all_findings} == {Level.PASS, Level.WARN}
    (proof,) = of(report, "fabric")
    assert proof.message == "g7e.2xlarge has no EFA: the transfer went over TCP, as planned."
    assert of(report, "transfer")[0].message.startswith("nixlbench (UCX, VRAM)")


def test_host_memory_alone_is_measured_without_nvidia_gpus(p5_facts: NodeFacts, p5_plan: Planned) -> None:
    facts = {"producer": p5_facts, "consumer": p5_facts}
    assert [one.segment for one in attempts(facts, p5_plan)] == ["VRAM", "DRAM", "DRAM"]
    without_gpudirect = replace(p5_plan, instance_type="p5.4xlarge")
    assert [(one.backend, one.segment) for one in attempts(facts, without_gpudirect)] == [
        ("UCX", "DRAM"),
        ("efa", "DRAM"),
    ]
    neuron = replace(p5_plan, accelerator_kind="neuron")
    assert [(one.tool, one.segment) for one in attempts(facts, neuron)] == [
        ("nixlbench", "DRAM"),
        ("fi_pingpong", "DRAM"),
    ]


def result(
    gbps: float,
    tool: str = "nixlbench",
    sent: int = GIB,
    received: int = GIB,
    by_ip: tuple[int, int] = (0, 0),
) -> Result:
    row = Row(64 << 20, gbps, 1500.0, GIB)
    producer, consumer = Moved(sent, 0, 4, by_ip[0]), Moved(0, received, 4, by_ip[1])
    return Result(Attempt(tool, "LIBFABRIC", "VRAM"), (row,), "", producer, consumer)


@pytest.mark.parametrize(
    ("tool", "gbps", "level"),
    [
        # A GPU of p5.48xlarge has 4 of 32 cards: 400 of 3200 Gbps.
        ("nixlbench", 200.0, Level.PASS),
        ("nixlbench", 199.0, Level.WARN),
        # fi_pingpong has one card: 100 Gbps.
        ("fi_pingpong", 10.0, Level.PASS),
        ("fi_pingpong", 9.9, Level.WARN),
    ],
)
def test_a_rate_is_measured_by_what_the_cards_in_use_can_do(
    tool: str, gbps: float, level: Level, p5_plan: Planned
) -> None:
    found = rate(result(gbps, tool), p5_plan)
    assert found.level is level
    assert f"{gbps:.1f} Gbps" in found.message


def test_a_card_that_several_accelerators_share_counts_as_one(p5_plan: Planned) -> None:
    plan = replace(p5_plan, efa_interfaces=1, accelerators=2, network_gbps=400.0)
    assert "1 of 1 cards in use can do 400 Gbps" in rate(result(300.0), plan).message


def test_a_type_that_the_data_does_not_know_has_no_figure_to_fall_short_of(p5_plan: Planned) -> None:
    found = rate(result(1.0), replace(p5_plan, network_gbps=0.0))
    assert found.level is Level.PASS
    assert "%" not in found.message


@pytest.mark.parametrize(
    ("sent", "received", "by_ip", "level", "words"),
    [
        (GIB, GIB, (0, 0), Level.PASS, "over EFA"),
        (GIB // 2, GIB // 2, (0, 0), Level.PASS, "over EFA"),
        # Neither EFA's counters nor IP's saw the payload: nothing is proved, TCP neither.
        (GIB // 2 - 1, GIB, (0, 0), Level.FAIL, "no proof"),
        (GIB, GIB // 2 - 1, (0, 0), Level.FAIL, "no proof"),
        (0, 0, (GIB, GIB), Level.FAIL, "silent fall-back to TCP"),
        # Another job is busy over EFA while this transfer went over TCP.
        (9 * GIB, 9 * GIB, (GIB, GIB), Level.FAIL, "silent fall-back to TCP"),
        # One end downloads something: that was not this transfer.
        (GIB, GIB, (9 * GIB, 1000), Level.PASS, "over EFA"),
    ],
)
def test_efa_must_have_seen_the_payload_at_both_ends_and_ip_must_not(
    sent: int, received: int, by_ip: tuple[int, int], level: Level, words: str, p5_plan: Planned
) -> None:
    found = fabric(result(300.0, sent=sent, received=received, by_ip=by_ip), p5_plan)
    assert (found.level, found.message.startswith(words)) == (level, True), found.message


def test_no_attempt_gives_no_finding(p5_plan: Planned) -> None:
    assert findings([], p5_plan) == []


def test_the_reservation_of_the_instance_is_the_one_whose_time_counts(
    ec2: Any, ssm: Any, pair: PairOutputs, clock: FakeClock
) -> None:
    ec2.instances[0]["CapacityReservationId"] = "cr-gone"
    report = look.status(ec2, ssm, replace(pair, capacity_reservation_id="cr-other"), LAUNCH, clock)
    assert report.findings[0].message == "EC2 does not know cr-gone in us-east-1 (yet)."
