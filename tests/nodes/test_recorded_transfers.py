"""What NIXL, nixlbench and fi_pingpong printed on real machines (tests/recorded), from a transfer to its findings."""

import json
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes import bench, nixl_log, nixl_transfer, transfer, transfer_rules
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.sections import Section
from nixl_efa.nodes.transfer import DRAM, FI_PINGPONG, NIXL, NIXLBENCH, VRAM, Attempt
from tests.nodes.stand_in import ADDRESSES, LINK, nixl_document
from tests.records import answer

FAIL, WARN, SKIP, PASS = Level.FAIL, Level.WARN, Level.SKIP, Level.PASS
LOG = "\n".join
BEFORE, AFTER = (f"rdmap0s0 tx_bytes={size} rx_bytes={size}" for size in (0, 1 << 40))


def fails(step: str, error: str, other: str = "") -> Section:
    """What nixl_transfer.py prints that failed at the start, or with another node; a consumer may know of none."""
    if step == "start":
        return Section(json.dumps({"error": error, "peers": []}), 1)
    peer = {"address": ADDRESSES.get(other, ""), "step": step, "error": error}
    return Section(json.dumps({"error": "", "peers": [peer]}), 1)


@pytest.fixture
def p5en_plan(p5_plan: Planned) -> Planned:
    """A p5en.48xlarge: 16 EFA interfaces for 8 GPUs."""
    return replace(p5_plan, instance_type="p5en.48xlarge", efa_interfaces=16)


def measured(
    plan: Planned, attempt: Attempt, printed: str, code: int = 0, counted: tuple[str, str] = (BEFORE, AFTER)
) -> dict[str, Finding]:
    """The findings on a transfer of which the producer printed this; consumer and counters saw it."""
    sections = {"counters_before": Section(counted[0], 0), "counters_after": Section(counted[1], 0)}
    ends = {"producer": {**sections, "transfer": Section(printed, code)}}
    ends["consumer"] = {**sections, "transfer": Section("", code)}
    found = transfer_rules.findings(transfer.results(attempt, [LINK], ends), plan, {})
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize(
    ("name", "sizes", "best_gbps"),
    [
        ("nixlbench/columns-ucx", [4096, 8192, 16384], 3.6136),
        ("nixlbench/p5en-libfabric-efa-dram", [1048576], 468.065312),
        ("nixlbench/1.1-three-rows", [65536, 1048576, 67108864], 193.991856),
        ("nixlbench/before-1.0", [4096, 67108864], 196.6264),
    ],
)
def test_nixlbenchs_table_is_read_with_and_without_dashes(
    name: str, sizes: list[int], best_gbps: float
) -> None:
    rows = bench.nixlbench(answer(name))
    assert [row.size_bytes for row in rows] == sizes
    assert max(row.gbps for row in rows) == pytest.approx(best_gbps)


def test_host_memory_over_true_efa_is_no_fault(p5en_plan: Planned) -> None:
    printed = answer("nixlbench/p5en-libfabric-efa-dram")
    every = tuple("\n".join(f"rdmap{card}s0 tx_bytes={size}" for card in range(16)) for size in (0, 1 << 40))
    attempt = Attempt(NIXLBENCH, "LIBFABRIC", DRAM)
    found = measured(p5en_plan, attempt, printed, counted=(every[0], every[1]))["transfer"]
    assert found.level is PASS
    assert "468.1 Gbps at 1 MiB, 15% of p5en.48xlarge's 3200 Gbps" in found.message
    assert "16 of 16 cards in use can do 3200 Gbps." in found.message
    # A p6-b300 has the double, and no faster memory.
    b300 = replace(p5en_plan, instance_type="p6-b300.48xlarge", network_gbps=6400.0)
    assert measured(b300, attempt, printed, counted=(every[0], every[1]))["transfer"].level is PASS


def test_the_rate_of_ucx_on_efa_is_called_what_tcp_gives(p5_plan: Planned) -> None:
    rate = answer("nixlbench/ucx-on-efa-is-tcp-speed")["nixlbench_GBps"]
    head = answer("nixlbench/columns-ucx").splitlines()[0]
    printed = f"{head}\n67108864 1 {rate} 206000 1 1 1 1 1 1\n"
    found = measured(p5_plan, Attempt(NIXLBENCH, "UCX", VRAM), printed)["transfer"]
    assert (found.level, "2.6 Gbps" in found.message) == (WARN, True)
    assert found.message.endswith("That is below 50 Gbps, 50% of it. One TCP flow gives as much.")
    assert found.remedy.startswith("Use LIBFABRIC over EFA and FI_PROVIDER=efa")


def test_pingpong_between_two_nodes_is_read(p5_plan: Planned) -> None:
    found = measured(p5_plan, Attempt(FI_PINGPONG, "efa", DRAM), answer("fi_pingpong/two-nodes"))
    assert found["transfer"].message.startswith("fi_pingpong (efa, one device): 17.5 Gbps at 1 MiB")
    assert found["transfer"].level is PASS


@pytest.mark.parametrize(
    ("name", "rails", "provider"),
    [
        ("nixl/backend-starts-0.7", 1, ""),
        ("nixl/backend-starts-0.9", 1, ""),
        ("nixl/works-with-a-warning-p5", 0, ""),
    ],
)
def test_nixls_log_names_no_provider_until_1_0_and_its_warnings_are_no_errors(
    name: str, rails: int, provider: str
) -> None:
    assert nixl_log.read(LOG(answer(name))) == nixl_log.NixlLog(rails, provider, ())


@pytest.mark.parametrize(
    ("line", "rails", "provider"),
    [
        # NIXL's libfabric_rail_manager.cpp, its versions from 0.8 to 1.5.
        ("I0101 00:00:00.0 1 libfabric_rail_manager.cpp:5] Created 32 rails using provider=efa", 32, "efa"),
        (
            "Successfully created 16 data rails and 1 control rails using provider: efa-direct",
            16,
            "efa-direct",
        ),
        ("Successfully created 1 data rails and 1 control rails using provider=tcp", 1, "tcp"),
    ],
)
def test_a_later_log_names_the_provider(line: str, rails: int, provider: str) -> None:
    assert nixl_log.read(line) == nixl_log.NixlLog(rails, provider, ())


@pytest.mark.parametrize(
    ("provider", "level", "words"),
    [
        ("efa", PASS, "NIXL's log says provider=efa."),
        ("tcp", FAIL, "NIXL's log says provider=tcp: the transfer did not go over EFA."),
    ],
)
def test_the_provider_that_nixl_names_is_part_of_the_proof(
    provider: str, level: Level, words: str, p5_plan: Planned
) -> None:
    log = f"I0101 00:00:00.0 1 libfabric_rail_manager.cpp:5] Created 4 rails using provider={provider}\n"
    found = measured(p5_plan, Attempt(NIXLBENCH, "LIBFABRIC", VRAM), log + answer("nixlbench/1.1-three-rows"))
    assert (found["fabric"].level, words in found["fabric"].message) == (level, True), found["fabric"]


def test_libfabric_that_offers_no_efa_is_told_by_nixls_first_error(p5_plan: Planned) -> None:
    text = (
        answer("fi_info/efa-list-empty")
        + "terminate called after throwing an instance of 'std::runtime_error'\n"
    )
    found = measured(p5_plan, Attempt(NIXLBENCH, "LIBFABRIC", VRAM), text, code=1)["transfer"]
    assert found.level is FAIL
    assert "failed: producer: fi_getinfo failed for rail 0: No data available;" in found.message


def test_small_writes_that_hang_where_large_ones_went_fail(p5_plan: Planned) -> None:
    seen = answer("nixl/small-writes-hang")
    assert seen["libfabric_error"] is None
    error = (
        "1 of 1 notifications did not arrive within 20 s; 5 of 10 writes of 8 KiB are not as they were sent"
    )
    found = by_nixl(p5_plan, small={"writes": 1546, "size_bytes": 8192, "seconds": 0.0, "error": error})
    assert (found["fabric"].level, found["transfer"].level, found["small writes"].level) == (PASS, PASS, FAIL)
    assert found["small writes"].message == (
        f"NIXL (LIBFABRIC, DRAM): not complete, although the large ones were: {error}."
    )
    assert "ai-dynamo/nixl#1862" in found["small writes"].remedy


def test_what_our_program_measured_between_gpu_memories_is_read(p5_plan: Planned) -> None:
    (seen,) = answer("nixl/gpu-memory-over-ucx-h200")["peers"]
    found = by_nixl(p5_plan, **{name: seen[name] for name in ("rows", "small", "handshake_seconds", "error")})
    assert (found["transfer"].level, found["small writes"].level) == (PASS, PASS), found
    assert "each byte as it was sent" in found["transfer"].message


def by_nixl(plan: Planned, **more: Any) -> dict[str, Finding]:
    """The findings on a transfer with our own program, of which the producer says this."""
    document = nixl_document("producer")
    document["peers"][0] |= more
    sections = {"counters_before": Section(BEFORE, 0), "counters_after": Section(AFTER, 0)}
    ends = {
        "producer": {**sections, "transfer": Section(json.dumps(document), 0)},
        "consumer": {**sections, "transfer": Section(json.dumps(nixl_document("consumer")), 0)},
    }
    results = transfer.results(Attempt(NIXL, "LIBFABRIC", DRAM), [LINK], ends)
    return {finding.check: finding for finding in transfer_rules.findings(results, plan, {})}


@pytest.mark.parametrize(
    ("error", "level", "words"),
    [
        ("CUDA's cuMemAlloc_v2 returned 2", WARN, "An engine has taken that GPU's memory"),
        ("CUDA's cuDevicePrimaryCtxRetain returned 2", WARN, "An engine has taken that GPU's memory"),
        ("CUDA's cuInit returned 299", FAIL, "CUDA fails"),
        ("can't listen on 10.0.0.12 port 18600: Address already in use", FAIL, "`ss -ltnp`"),
    ],
)
def test_what_an_end_had_no_room_for_is_no_fault_of_nixl(
    error: str, level: Level, words: str, p5_plan: Planned
) -> None:
    """A pair that serves has its GPUs' memory full."""
    ends = {
        "producer": {"transfer": fails("connect", "no consumer", "consumer")},
        "consumer": {"transfer": fails("start", error)},
    }
    results = transfer.results(Attempt(NIXL, "LIBFABRIC", VRAM), [LINK], ends)
    [found] = transfer_rules.findings(results, p5_plan, {})
    assert (found.level, words in found.remedy) == (level, True), found.line()


def test_small_writes_that_were_not_made_are_said_not_to_be(p5_plan: Planned) -> None:
    found = measured(p5_plan, Attempt(FI_PINGPONG, "efa", DRAM), answer("fi_pingpong/one-instance"))
    assert (found["small writes"].level, "not made" in found["small writes"].message) == (SKIP, True)


def test_small_writes_are_made_with_fewer_and_with_more_descriptors_than_hung() -> None:
    few = answer("nixl/small-writes-hang")["expected_completions"]
    posted_at_once = int(answer("nixl/hang-after-sixteen-descriptors")["target"].partition("/")[0])
    (_, first), (requests, last) = nixl_transfer.SMALL
    assert first == few < posted_at_once < last
    assert requests > 1
    # NIXL stripes over rails from this many bytes on: below it a write is small.
    striped = int(answer("nixl/backend-starts-0.7")[2].rpartition("threshold: ")[2].split()[0])
    assert striped > nixl_transfer.SMALL_BYTES


def test_messages_that_end_at_4_kib_tell_no_rate(p5_plan: Planned) -> None:
    """From libfabric 2.1 on fi_pingpong ends there: a healthy pair has no bad rate for it."""
    printed = "".join(answer("fi_pingpong/two-nodes").splitlines(keepends=True)[:5])
    found = measured(p5_plan, Attempt(FI_PINGPONG, "efa", DRAM), printed)
    assert found["transfer"] == Finding(
        PASS,
        "transfer",
        "fi_pingpong (efa, one device): 2049.7 us at 64 B. 4 KiB at most: this gives no rate.",
    )
    assert found["fabric"].level is PASS


HANGS = Section("", 124)


@pytest.mark.parametrize(
    ("producer", "consumer", "step", "error"),
    [
        (
            fails("connect", "the other end is gone: it ended the connection", "consumer"),
            fails("start", "no memory"),
            "start",
            "consumer: no memory",
        ),
        (
            fails("start", "no memory"),
            fails("start", "no memory"),
            "start",
            "producer and consumer: no memory",
        ),
        (
            fails("start", "no memory"),
            fails("connect", "no producer came to port 18600 within 60 s"),
            "start",
            "producer: no memory",
        ),
        (HANGS, fails("handshake", "no notification", "producer"), "handshake", "consumer: no notification"),
        (HANGS, fails("connect", "timed out", "producer"), "ended", "producer: it did not finish in time"),
        (
            fails("connect", "no consumer at 10.0.0.12 port 18600 within 60 s", "consumer"),
            fails("connect", "no producer came to port 18600 within 60 s"),
            "connect",
            "producer: no consumer at 10.0.0.12 port 18600 within 60 s",
        ),
    ],
)
def test_a_failure_is_told_once_by_the_end_that_knows_the_cause(
    producer: Section, consumer: Section, step: str, error: str
) -> None:
    ends = {"producer": {"transfer": producer}, "consumer": {"transfer": consumer}}
    [found] = transfer.results(Attempt(NIXL, "LIBFABRIC", DRAM), [LINK], ends)
    assert (found.rows, found.step, found.error) == ((), step, error)
