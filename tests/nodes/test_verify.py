"""The whole look at a pair: scripts run on stand-ins, through Run Command's oddities, to findings."""

import json
import shlex
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
from nixl_efa.nodes.parse import Nixl
from nixl_efa.nodes.transfer import Attempt, Result, attempts, diagnosis, witnesses
from nixl_efa.nodes.transfer_rules import fabric, findings, rate
from nixl_efa.settings import Settings
from tests.nodes.stand_in import (
    CONSUMER_ID,
    GIB,
    LINK,
    PRODUCER_ID,
    FakeClock,
    FakeEc2,
    FakeSsm,
    StandIn,
    first_boot,
    instance,
    nixl_document,
)
from tests.records import answer

Nodes = dict[str, StandIn]
LAUNCH = launch_of(Settings(name="prod", instance_type="p5.48xlarge", region="us-east-1"))


@pytest.fixture
def verify(ec2: Any, ssm: Any, pair: PairOutputs, clock: FakeClock) -> Any:
    """Verify the pair of the tests, with changes."""

    def run(**changes: Any) -> look.PairReport:
        options: dict[str, Any] = {"launch": LAUNCH, "measure": True, "clock": clock, "say": print}
        return look.verify(ec2, ssm, changes.pop("pair", pair), **(options | changes))

    return run


def of(report: look.PairReport, check: str) -> list[Finding]:
    return [finding for finding in report.all_findings if finding.check == check]


def test_a_pair_in_order_passes_everything_and_nixl_moves_bytes(verify: Any, ssm: FakeSsm) -> None:
    report = verify()
    assert {finding.level for finding in report.all_findings} == {Level.PASS}
    assert [one.message for one in of(report, "transfer")] == [
        f"NIXL (LIBFABRIC, {memory}): 372.0 Gbps at 256 MiB, 12% of p5.48xlarge's 3200 Gbps; 18.4 us at 64 KiB, "
        f"handshake 0.12 s, each byte as it was sent. {cards} of 32 cards in use can do {rate} Gbps."
        for memory, cards, rate in (("DRAM", 32, 3200), ("VRAM", 4, 400))
    ]
    assert [one.message for one in of(report, "fabric")] == [
        f"NIXL (LIBFABRIC, {memory}) went over EFA: the counters saw 1.0 GiB leave on {cards} and 1.0 GiB arrive on "
        f"{cards} of 32 devices; the payload was 1.0 GiB. NIXL's log says provider=efa."
        for memory, cards in (("DRAM", 32), ("VRAM", 4))
    ]
    assert len(ssm.sent) == 6  # facts and two transfers, on two nodes


def test_a_silent_fall_back_to_tcp_fails_and_says_so(verify: Any, nodes: Nodes) -> None:
    for node in nodes.values():
        node.over_tcp(GIB)
    proof, _ = of(verify(), "fabric")
    assert proof.level is Level.FAIL
    assert proof.message == (
        "silent fallback to TCP: of 1.0 GiB by NIXL (LIBFABRIC, DRAM), EFA's counters saw 0 B leave and 0 B arrive; "
        "1.0 GiB went by IP."
    )


def fails(error: str) -> str:
    """A shell script that fails as our program does at its start."""
    return f"echo '{json.dumps(nixl_document('producer', error=error, peers=[]))}'; exit 1"


def test_where_nixl_fails_the_witnesses_show_whether_efa_does(
    verify: Any, nodes: Nodes, ssm: FakeSsm
) -> None:
    for node in nodes.values():
        node.nixl(fails("libhwloc.so.15: cannot open shared object file"))
        node.without("nixlbench")
    report = verify()
    failed, witness = of(report, "transfer")
    assert failed.level is Level.FAIL
    assert failed.message == (
        "NIXL (LIBFABRIC, DRAM) failed: producer and consumer: libhwloc.so.15: cannot open shared object file."
    )
    assert "nixl-probe" in failed.command
    assert witness.level is Level.PASS
    assert witness.message.startswith("fi_pingpong (efa, one device): 59.8 Gbps at 1 MiB, 2% of")
    assert of(report, "fabric")[0].level is Level.PASS
    assert len(ssm.sent) == 6


def test_where_vram_fails_and_host_memory_does_not_that_is_a_failure_of_its_own(
    verify: Any, nodes: Nodes
) -> None:
    refused = answer("nixl/gpu-memory-without-hmem-1.5.0")
    for node in nodes.values():
        script = (node.root / "opt/nixl-efa/venv/bin/python").read_text(encoding="utf-8")
        no_memory = fails(refused["document"]["error"])
        log = f"echo {shlex.quote(refused['log'])} >&2"
        works = script.split("; exit; fi\n", 1)[1]
        node.nixl(f'if [ "$5" = VRAM ]; then {log}; {no_memory}; fi\n{works}')
    first, second = of(verify(), "transfer")
    assert first.message.startswith("NIXL (LIBFABRIC, DRAM): 372.0 Gbps")
    assert second.level is Level.FAIL
    assert second.message == (
        "NIXL (LIBFABRIC, VRAM) failed: producer and consumer: NIXL_ERR_BACKEND "
        "(Memory type 1 is not supported by libfabric backend)."
    )
    assert "`modprobe efa_nv_peermem`" in second.remedy


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        ("start", "CUDA's cuInit returned 100", "the rows accelerators and CUDA"),
        ("start", "NIXL_ERR_BACKEND (fi_getinfo failed No data available)", "offers NIXL no EFA"),
        ("start", "NIXL_ERR_NOT_FOUND", "the row NIXL"),
        ("handshake", "NIXL's first notification did not arrive", "the security group"),
        ("connect", "no consumer at 10.0.0.12 port 18600 within 60 s", "the security group"),
        ("ended", "it did not finish in time", "the row NIXL"),
        (
            "transfer",
            "1 of 64 writes of 64 KiB are not as they were sent",
            "Do not use this pair for serving",
        ),
    ],
)
def test_what_to_do_about_a_failed_transfer_follows_from_where_it_failed(
    step: str, error: str, words: str, p5_plan: Planned
) -> None:
    nothing = Moved(0, 0, 0, 0)
    failed = Result(Attempt("nixl", "LIBFABRIC", "DRAM"), LINK, (), error, nothing, nothing, step=step)
    (found,) = findings([failed], p5_plan, {})
    assert found.level is Level.FAIL
    assert words in found.remedy


def test_where_nothing_goes_over_efa_nixl_over_tcp_says_what_works_and_passes_nothing(
    verify: Any, nodes: Nodes, ssm: FakeSsm
) -> None:
    for node in nodes.values():
        script = (node.root / "opt/nixl-efa/venv/bin/python").read_text(encoding="utf-8")
        works = script.split("; exit; fi\n", 1)[1].replace("provider=efa", "provider=tcp")
        node.nixl(f'if [ "$FI_PROVIDER" = efa ]; then {fails("No data available")}; fi\n{works}')
        node.without("nixlbench")
        node.command("fi_pingpong", "echo 'fi_getinfo: -61' >&2; exit 1")
    report = verify()
    assert [(one.level, one.message) for one in of(report, "transfer")] == [
        (Level.FAIL, "NIXL (LIBFABRIC, DRAM) failed: producer and consumer: No data available."),
        (
            Level.WARN,
            "fi_pingpong (efa, one device) failed: producer: fi_getinfo: -61; consumer: fi_getinfo: -61.",
        ),
        (
            Level.WARN,
            "NIXL (LIBFABRIC over tcp, DRAM): 372.0 Gbps at 256 MiB, provider tcp. NIXL and the network between the "
            "nodes work; EFA does not.",
        ),
    ]
    assert of(report, "fabric") == []
    assert len(ssm.sent) == 8


def test_when_nothing_moves_every_reason_is_told(verify: Any, nodes: Nodes) -> None:
    for node in nodes.values():
        node.nixl("echo 'Segmentation fault' >&2; exit 139")
    nodes["producer"].command("nixlbench", "echo 'ASIO Connection timeout' >&2; exit 1")
    nodes["producer"].command("fi_pingpong", "echo 'connect(): No route to host' >&2; exit 1")
    failed = of(verify(), "transfer")
    assert [finding.level for finding in failed] == [Level.FAIL, Level.WARN, Level.WARN, Level.WARN]
    for finding, words in zip(
        failed, ("Segmentation fault", "ASIO", "No route to host", "EFA is not the only fault"), strict=True
    ):
        assert words in finding.message
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
    report = verify(pair=replace(pair, nodes=tuple(replace(one, efa_interfaces=0) for one in pair.nodes)))
    assert {finding.level for finding in report.all_findings} == {Level.PASS, Level.WARN}
    assert [one.message for one in of(report, "fabric")] == [
        f"g7e.2xlarge has no EFA: NIXL (UCX, {memory}) went over TCP, as planned."
        for memory in ("DRAM", "VRAM")
    ]
    assert of(report, "transfer")[0].message.startswith("NIXL (UCX, DRAM)")


def test_what_is_tried_follows_from_the_plan(p5_facts: NodeFacts, p5_plan: Planned) -> None:
    facts = {"producer": p5_facts, "consumer": p5_facts}

    def tried(plan: Planned) -> list[tuple[str, str]]:
        return [(one.backend, one.segment) for one in attempts(facts, plan)]

    assert tried(p5_plan) == [("LIBFABRIC", "DRAM"), ("LIBFABRIC", "VRAM")]
    assert tried(replace(p5_plan, instance_type="p5.4xlarge")) == [("UCX", "DRAM")]
    assert tried(replace(p5_plan, accelerator_kind="neuron")) == [("LIBFABRIC", "DRAM")]
    assert [one.tool for one in witnesses(facts, p5_plan)] == ["nixlbench", "fi_pingpong"]
    assert [one.provider for one in diagnosis(p5_plan)] == ["tcp"]
    assert diagnosis(replace(p5_plan, efa_interfaces=0)) == ()


def test_without_nixl_of_ours_or_another_the_witnesses_are_all(p5_facts: NodeFacts, p5_plan: Planned) -> None:
    without = replace(p5_facts, nixl=Nixl("", "", "", "No module named 'nixl'"))
    own = replace(p5_plan, nixl_version="")
    assert attempts({"producer": p5_facts, "consumer": without}, own) == ()
    assert len(attempts({"producer": p5_facts, "consumer": p5_facts}, own)) == 2
    assert len(attempts({"producer": without, "consumer": without}, p5_plan)) == 2


def result(
    gbps: float, tool: str = "nixl", sent: int = GIB, received: int = GIB, by_ip: tuple[int, int] = (0, 0)
) -> Result:
    row = Row(64 << 20, gbps, 1500.0, GIB)
    cards = 1 if tool == "fi_pingpong" else 4
    producer, consumer = Moved(sent, 0, cards, by_ip[0]), Moved(0, received, cards, by_ip[1])
    return Result(Attempt(tool, "LIBFABRIC", "VRAM"), LINK, (row,), "", producer, consumer)


@pytest.mark.parametrize(
    ("tool", "gbps", "level"),
    [
        # Four cards moved bytes, of p5.48xlarge's 32: 400 of 3200 Gbps.
        ("nixl", 200.0, Level.PASS),
        ("nixl", 199.0, Level.WARN),
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


def test_a_type_that_the_data_does_not_know_has_no_figure_to_fall_short_of(p5_plan: Planned) -> None:
    found = rate(result(1.0), replace(p5_plan, network_gbps=0.0))
    assert found.level is Level.PASS
    assert "%" not in found.message


@pytest.mark.parametrize(
    ("sent", "received", "by_ip", "level", "words"),
    [
        (GIB, GIB, (0, 0), Level.PASS, "NIXL (LIBFABRIC, VRAM) went over EFA"),
        # Neither EFA's counters nor IP's saw the payload: nothing is proved, TCP neither.
        (GIB // 2, GIB, (0, 0), Level.FAIL, "no proof"),
        (GIB, GIB // 2, (0, 0), Level.FAIL, "no proof"),
        (0, 0, (GIB, GIB), Level.FAIL, "silent fallback to TCP"),
        # A node downloads a model meanwhile, or both do: that was not this transfer.
        (GIB, GIB, (9 * GIB, 1000), Level.PASS, "NIXL (LIBFABRIC, VRAM) went over EFA"),
        (GIB, GIB, (5 * GIB // 2, 5 * GIB // 2), Level.PASS, "NIXL (LIBFABRIC, VRAM) went over EFA"),
    ],
)
def test_efa_must_have_seen_the_payload_at_both_ends_whatever_went_by_ip(
    sent: int, received: int, by_ip: tuple[int, int], level: Level, words: str, p5_plan: Planned
) -> None:
    found = fabric(result(300.0, sent=sent, received=received, by_ip=by_ip), p5_plan)
    assert (found.level, found.message.startswith(words)) == (level, True), found.message


def test_no_attempt_gives_no_finding(p5_plan: Planned) -> None:
    assert findings([], p5_plan, {}) == []


def test_the_reservation_of_the_instance_is_the_one_whose_time_counts(
    ec2: Any, ssm: Any, pair: PairOutputs, clock: FakeClock
) -> None:
    ec2.instances[0]["CapacityReservationId"] = "cr-gone"
    elsewhere = tuple(replace(one, capacity_reservation_id="cr-other") for one in pair.nodes)
    report = look.status(ec2, ssm, replace(pair, nodes=elsewhere), LAUNCH, clock)
    assert report.findings[0].message == "EC2 does not know cr-gone in us-east-1 (yet)."
