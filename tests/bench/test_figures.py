"""What a run of vLLM's load tool has measured, by its own words, and whether it counts."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.bench import results
from nixl_efa.bench.page import page
from nixl_efa.bench.plan import Row
from nixl_efa.bench.results import Result, Setup
from nixl_efa.service import vllm
from nixl_efa.service.measured import percentiles
from nixl_efa.service.model import Service
from nixl_efa.service.way import EFA, IP
from tests.bench.pages import SERVICE, made
from tests.records import answer

KV, PREFILL = answer("vllm/bench-0.32-kv"), answer("vllm/bench-0.32-prefill")
ROW = Row("tcp", 512, 2, 16, 12)
AT = datetime(2026, 11, 27, tzinfo=UTC)
INFINITE = float("inf")


def of(row: Row, document: dict[str, Any]) -> Result:
    found = results.result(row, AT, document, vllm)
    assert found is not None
    return found


def test_the_figures_are_those_that_the_load_tool_has_written() -> None:
    one = vllm.measured(KV)
    told = KV["result"]
    assert (one.answered, one.failed, one.all_prompt_tokens, one.all_output_tokens) == (12, 0, 6146, 192)
    assert (one.ttft_ms.p50, one.ttft_ms.p99) == (told["median_ttft_ms"], told["p99_ttft_ms"])
    assert one.tpot_ms is not None
    assert one.itl_ms is not None
    assert (one.tpot_ms.p95, one.itl_ms.p95) == (told["p95_tpot_ms"], told["p95_itl_ms"])
    assert (one.seconds, one.tokens_per_s) == (told["duration"], told["total_token_throughput"])
    assert one.tokens_per_s == pytest.approx((6146 + 192) / one.seconds)
    assert (one.transferred, one.computed, one.cached, one.failed_transfers) == (6146, 0, 0, 0)
    assert (one.transfers, one.nixl_bytes) == (12, 25690112)
    assert one.kv_mean_ms == pytest.approx(82.05, abs=0.01)


def test_a_kv_cache_s_time_is_estimated_within_its_bucket_and_its_rate_follows() -> None:
    """Of 12 transfers 3 took at most 50 ms and 7 at most 75 ms: the sixth is 3/4 of the way between."""
    one = vllm.measured(KV)
    assert one.kv_ms is not None
    assert one.kv_gbps is not None
    # The 95th and 99th percent are in the last one, which took 200 to 300 ms.
    assert (one.kv_ms.p50, one.kv_ms.p95, one.kv_ms.p99) == pytest.approx((68.75, 240.0, 288.0))
    assert one.kv_gbps.p50 == pytest.approx(8 * 25690112 / 12 / 0.06875 / 1e9)


def test_a_prefill_alone_has_one_token_and_no_transfer() -> None:
    one = vllm.measured(PREFILL)
    assert (one.tpot_ms, one.itl_ms, one.kv_ms, one.kv_gbps, one.kv_mean_ms) == (None,) * 5
    assert (one.computed, one.cached, one.transferred, one.transfers) == (1410, 4736, 0, 0)
    assert one.ttft_ms.p50 == PREFILL["result"]["p50_ttft_ms"]


@pytest.mark.parametrize(
    ("buckets", "found"),
    [
        ({}, None),
        ({1.0: 0, INFINITE: 0}, None),
        ({1.0: 100, INFINITE: 100}, (0.5, 0.95, 0.99)),
        ({1.0: 50, 2.0: 100, INFINITE: 100}, (1.0, 1.9, 1.98)),
        ({1.0: 0, 2.0: 10, INFINITE: 10}, (1.5, 1.95, 1.99)),
        # Slower than the last bound: nothing is known but that bound.
        ({1.0: 0, 5.0: 0, INFINITE: 3}, (5.0, 5.0, 5.0)),
    ],
)
def test_percentiles_of_a_histogram(buckets: dict[float, float], found: tuple[float, ...] | None) -> None:
    told = percentiles(buckets)
    assert (told is None) == (found is None)
    if told is not None:
        assert (told.p50, told.p95, told.p99) == pytest.approx(found)


def with_metrics(**changes: float) -> dict[str, Any]:
    names = {
        "computed": "prompt_tokens_by_source_total local_compute",
        "transferred": "prompt_tokens_by_source_total external_kv_transfer",
        "lost": "nixl_num_failed_transfers_total",
    }
    return {
        **KV,
        "metrics": {**KV["metrics"], **{f"vllm:{names[name]}": value for name, value in changes.items()}},
    }


ARRIVED = "net/ens5 rx_bytes=26000000\nrdmap79s0 rx_bytes=1000"
BY_EFA = "net/ens5 rx_bytes=90000\nrdmap79s0 rdma_read_bytes=13000000\nrdmap80s0 rx_bytes=13000000"


@pytest.mark.parametrize(
    ("layer", "document", "wire", "said"),
    [
        ("tcp", {**KV, "counters": ARRIVED}, IP, ""),
        ("efa", {**KV, "counters": BY_EFA}, EFA, ""),
        (
            "efa",
            {**KV, "counters": ARRIVED},
            EFA,
            "EFA's counters saw 1000 bytes arrive, of 25690112 that NIXL moved.",
        ),
        ("tcp", {**KV, "counters": BY_EFA}, IP, "the IP interface's counters saw 90000 bytes arrive"),
        (
            "tcp",
            {**KV, "result": {**KV["result"], "completed": 11, "failed": 1}},
            IP,
            "1 of 12 requests failed.",
        ),
        (
            "efa",
            with_metrics(computed=512),
            EFA,
            "6146 prompt tokens came by KV transfer, and 512 were computed",
        ),
        ("efa", with_metrics(transferred=0), EFA, "0 prompt tokens came by KV transfer"),
        ("efa", with_metrics(lost=2), EFA, "2 transfers of KV caches failed."),
        ("unified", KV, EFA, "12 KV caches were transferred, where none should be."),
        ("baseline", PREFILL, EFA, ""),
        ("unified", PREFILL, EFA, ""),
    ],
)
def test_a_result_counts_only_if_kv_caches_went_as_its_layer_says(
    layer: str, document: dict[str, Any], wire: str, said: str
) -> None:
    told = results.fault(of(replace(ROW, layer=layer), document), wire, 1)
    assert told.startswith(said) if said else told == ""


def test_with_several_consumers_the_counters_of_one_say_nothing() -> None:
    assert results.fault(of(replace(ROW, layer="efa"), {**KV, "counters": ""}), EFA, 2) == ""


def test_prompts_that_an_engine_knew_already_make_a_result_doubtful() -> None:
    """The second record was made with the seed of the first."""
    assert results.doubt(of(ROW, KV)) == ""
    told = results.doubt(of(ROW, PREFILL))
    assert told == "4736 of 6146 prompt tokens were in a cache of the engine."


def test_what_the_devices_received_is_an_average_over_the_run() -> None:
    by_efa, by_ip = of(ROW, {**KV, "counters": BY_EFA}).received_gbps
    assert by_efa == pytest.approx(8 * 26000000 / KV["result"]["duration"] / 1e9)
    assert by_ip == pytest.approx(8 * 90000 / KV["result"]["duration"] / 1e9)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {**KV, "result": {}},
        {**KV, "result": {**KV["result"], "p99_ttft_ms": None}},
        {**KV, "metrics": {"vllm:nixl_xfer_time_seconds_count": 3}},
        {**KV, "result": {**KV["result"], "duration": 0}},
    ],
)
def test_a_document_of_another_form_is_no_result(document: dict[str, Any]) -> None:
    assert results.result(ROW, AT, document, vllm) is None


SETUP = Setup(Service("vllm", "/models/x", "0.32.0"), {"producer": "p5.48xlarge", "consumer": "p5.48xlarge"})


def test_a_result_is_found_again_for_the_same_row_service_and_machines(tmp_path: Path) -> None:
    results.write(tmp_path, SETUP, of(ROW, KV))
    assert results.read(tmp_path, SETUP, [ROW, replace(ROW, seed=1)], vllm) == {ROW: of(ROW, KV)}
    for other in (
        replace(SETUP, service=replace(SETUP.service, model="/models/y")),
        replace(SETUP, service=replace(SETUP.service, version="0.33.0")),
        replace(SETUP, service=replace(SETUP.service, flags=("--dtype", "float16"))),
        replace(SETUP, types={**SETUP.types, "consumer": "p5en.48xlarge"}),
    ):
        assert results.read(tmp_path, other, [ROW], vllm) == {}
    (path,) = tmp_path.iterdir()
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["figures"]["ttft_ms"]["p50"] == KV["result"]["p50_ttft_ms"]
    assert (told["figures"]["prompt_tokens"], told["figures"]["all_prompt_tokens"]) == (512, 6146)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_file_that_is_no_result_is_measured_again(tmp_path: Path, text: str) -> None:
    results.write(tmp_path, SETUP, of(ROW, KV))
    (path,) = tmp_path.iterdir()
    path.write_text(text, encoding="utf-8")
    assert results.read(tmp_path, SETUP, [ROW], vllm) == {}


def test_rows_that_differ_in_more_than_layer_and_prompt_are_on_plots_of_their_own() -> None:
    def titles(*rows: Row) -> list[str]:
        return re.findall(
            r"<h2[^>]*>(.* at a time.*)</h2>", page("prod", SERVICE, [made(one) for one in rows], 9)
        )

    short, long = Row("efa", 512, 4, output_tokens=16), Row("efa", 512, 4, output_tokens=128)
    assert titles(short, replace(short, layer="tcp"), replace(short, prompt_tokens=1024)) == ["4 at a time"]
    assert titles(short, long) == ["4 at a time, answers of 16 tokens", "4 at a time, answers of 128 tokens"]
    assert titles(short, replace(short, seed=1), replace(short, concurrency=1)) == [
        "1 at a time, seed 0",
        "4 at a time, seed 0",
        "4 at a time, seed 1",
    ]
