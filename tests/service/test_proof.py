"""What engines' logs, answers and counters prove: by what real engines said, and by what people met."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.findings import Finding, Level
from nixl_efa.service import proof, vllm
from nixl_efa.service.engine import Counted
from nixl_efa.service.way import EFA, IP, Way
from tests.records import answer

OVER_EFA, OVER_UCX = Way("LIBFABRIC", "efa", EFA), Way("UCX", "", IP)
UCX_LOG = "\n".join(answer("vllm/engine-start-0.32-ucx"))
INSTANTIATED = "2026-11-26 19:30:05 NIXL INFO    _api.py:405 Backend LIBFABRIC was instantiated"
LIBFABRIC_LOG = answer("nixl/backend-starts-1.5-tcp")
# Its words of the rails (those before 1.0, in tests/recorded/nixl, name no provider).
RAILS = "I1126 20:37:31.895855     465 libfabric_rail_manager.cpp:232] Created {count} rails using provider={provider}"
# libplugin_LIBFABRIC.so of NIXL 1.5.0 ends a line of its topology so, where it has found no EFA.
FALLBACK = "I1126 19:30:05.0   28690 libfabric_topology.cpp:90] Discovered 1 tcp devices (TCP fallback)"
BEFORE, AFTER = ("\n".join(answer("vllm/metrics-0.32-decode")[when]) for when in ("before", "after"))
MIB = 1 << 20


def log(*lines: str) -> str:
    return "\n".join(("INFO: Loading", *lines, "INFO:     Application startup complete."))


def levels(findings: tuple[Finding, ...]) -> dict[str, Level]:
    return {one.check: one.level for one in findings}


def test_a_log_that_names_what_is_planned_is_in_order_and_its_lines_are_shown() -> None:
    found = proof.log_findings(
        "prod", log(RAILS.format(count=32, provider="efa"), INSTANTIATED), OVER_EFA, vllm
    )
    assert levels(found) == {"backend": Level.PASS, "provider": Level.PASS}
    assert "Created 32 rails using provider=efa" in found[1].message
    assert levels(proof.log_findings("prod", UCX_LOG, OVER_UCX, vllm)) == {"backend": Level.PASS}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # vllm-project/vllm#41814, #29369: UCX where nobody named a backend.
        (
            "\n".join(answer("vllm/engine-start-ucx")),
            "NIXL uses UCX, and LIBFABRIC is planned: (EngineCore_DP0 pid=594)",
        ),
        (UCX_LOG, "NIXL uses UCX, and LIBFABRIC is planned: 2026-11-26 19:30:05 NIXL INFO"),
        (log(), "the log names no backend of NIXL"),
        (log(INSTANTIATED), "the log does not name libfabric's provider"),
        (log(*answer("nixl/backend-starts-0.9"), INSTANTIATED), "the log does not name libfabric's provider"),
        (log(RAILS.format(count=1, provider="tcp"), INSTANTIATED), "NIXL uses tcp, not efa: I1126"),
        # One worker of several, whichever is last.
        (
            log(*(RAILS.format(count=1, provider=one) for one in ("efa", "tcp", "efa")), INSTANTIATED),
            "NIXL uses tcp, not efa: I1126",
        ),
        (
            log(FALLBACK, RAILS.format(count=1, provider="tcp"), INSTANTIATED),
            f"fallen back to TCP: {FALLBACK}",
        ),
    ],
)
def test_a_log_that_does_not_prove_what_is_planned_is_refused_with_its_line(text: str, said: str) -> None:
    found = proof.log_findings("prod", text, OVER_EFA, vllm)
    assert found[-1].level is Level.FAIL
    assert said in found[-1].message
    assert found[-1].remedy


def test_a_rehearsal_over_tcp_asks_for_tcp() -> None:
    assert RAILS.format(count=1, provider="tcp") in LIBFABRIC_LOG
    for more in ((), (FALLBACK,)):
        found = proof.log_findings("dev", log(*more, *LIBFABRIC_LOG), Way("LIBFABRIC", "tcp", IP), vllm)
        assert levels(found)["provider"] is Level.PASS
    assert levels(proof.log_findings("dev", log(*LIBFABRIC_LOG), OVER_EFA, vllm))["provider"] is Level.FAIL


def test_what_a_real_decode_counted_is_read() -> None:
    counted = vllm.counted(AFTER).since(vllm.counted(BEFORE))
    assert counted == Counted(transferred=1000, computed=0, cached=0, nixl_bytes=4 * MIB, failed=0)
    prefill = vllm.counted("\n".join(answer("vllm/metrics-0.32-prefill")))
    assert (prefill.transferred, prefill.computed, prefill.cached) == (0, 1104, 896)


def counters(efa: int = 0, ip: int = 0) -> str:
    devices = [f"rdmap{one}s0 rx_bytes={efa // 4} tx_bytes=0 rdma_read_bytes={efa // 4}" for one in range(4)]
    return "\n".join([*devices, f"net/ens32 tx_bytes=500 rx_bytes={1000 + ip}"])


def proven(**changes: Any) -> dict[str, Any]:
    """A producer's part, in order: as it is measured over EFA."""
    return {
        "name": "producer",
        "step": "",
        "error": "",
        "tokens": 1000,
        "alone": "a word",
        "answer": "a word",
        "seconds": 0.2,
        "metrics_before": BEFORE,
        "metrics_after": AFTER,
        "counters_before": counters(),
        "counters_after": counters(efa=4 * MIB),
        **changes,
    }


def test_a_pair_in_order() -> None:
    found = proof.pair_findings("prod", "consumer", proven(), OVER_EFA, vllm)
    assert levels(found) == dict.fromkeys(("answer", "KV transfer", "wire"), Level.PASS)
    assert all("producer -> consumer: " in one.message for one in found)
    by_ip = proof.pair_findings(
        "dev", "consumer", proven(counters_after=counters(ip=int(4.04 * MIB))), OVER_UCX, vllm
    )
    assert by_ip[-1].message.endswith(
        "the interface's counters saw 4 MiB arrive, NIXL moved 4 MiB (ratio 1.010)"
    )


def _more(text: str, name: str, count: int) -> str:
    """The metrics with another value of one of them."""
    lines = [one.rpartition(" ")[0] + f" {count}.0" if name in one else one for one in text.splitlines()]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("changes", "check", "said"),
    [
        # ai-dynamo/dynamo#4185, vllm-project/vllm#27055: the bytes went by TCP, and the answers were right.
        ({"counters_after": counters(ip=4 * MIB)}, "wire", "came by IP: a silent fallback to TCP"),
        ({"counters_after": counters()}, "wire", "saw 0 MiB arrive, NIXL moved 4 MiB (ratio 0.000)."),
        ({"counters_after": counters(efa=int(4.3 * MIB))}, "wire", "(ratio 1.075)."),
        ({"counters_after": counters(efa=int(3.7 * MIB))}, "wire", "(ratio 0.925)."),
        ({"counters_before": "", "counters_after": ""}, "wire", "EFA's counters saw 0 MiB arrive"),
        ({"metrics_after": _more(AFTER, "nixl_bytes", 0)}, "wire", "the engine counts no byte"),
        (
            {"metrics_after": _more(AFTER, "local_compute", 1000)},
            "KV transfer",
            "1000 were computed on the consumer",
        ),
        ({"metrics_after": _more(AFTER, "local_cache", 128)}, "KV transfer", "128 were in its cache"),
        (
            {"metrics_after": _more(AFTER, "external_kv", 872)},
            "KV transfer",
            "of 1000 prompt tokens 872 came",
        ),
        (
            {"metrics_after": _more(AFTER, "failed_transfers_total", 2)},
            "KV transfer",
            "2 transfers or notifications",
        ),
        # Another version has another name for it: what is not counted is not 0.
        (
            {"metrics_after": AFTER.replace("failed_transfers", "transfers_failed")},
            "KV transfer",
            "the consumer's metrics lack vllm:nixl_num_failed_transfers_total.",
        ),
        (
            {"metrics_before": BEFORE.replace("local_compute", "computed")},
            "KV transfer",
            'lack vllm:prompt_tokens_by_source_total{source="local_compute"}.',
        ),
        ({"answer": "a wond"}, "answer", "from character 5 on: 'nd' and not 'rd'."),
        ({"answer": "a word and"}, "answer", "from character 7 on: ' and' and not ''."),
        ({"alone": "", "answer": ""}, "answer", "the producer's own answer is empty"),
    ],
)
def test_what_is_not_proven_fails_and_says_what_was_seen(
    changes: dict[str, Any], check: str, said: str
) -> None:
    found = {
        one.check: one for one in proof.pair_findings("prod", "consumer", proven(**changes), OVER_EFA, vllm)
    }
    assert {name for name, one in found.items() if one.level is Level.FAIL} == {check}
    assert said in found[check].message
    assert found[check].remedy


@pytest.mark.parametrize(
    ("step", "said", "remedy"),
    [
        ("decode", "the consumer does not answer with the producer's KV cache: HTTP 500", "serve logs prod"),
        ("prefill", "the producer computes no KV cache for another: HTTP 500", "serve logs prod"),
        ("router", "the router does not answer: HTTP 500", "--router"),
    ],
)
def test_a_request_without_an_answer_names_its_step(step: str, said: str, remedy: str) -> None:
    part = {"name": "producer", "step": step, "error": "HTTP 500 from http://10.0.0.12:8200: no"}
    for found in (
        proof.pair_findings("prod", "consumer", part, OVER_EFA, vllm),
        proof.router_findings("prod", part, vllm),
    ):
        assert [one.level for one in found] == [Level.FAIL]
        assert said in found[0].message
        assert remedy in found[0].remedy


def test_a_request_without_an_answer_has_the_line_of_the_log_that_tells_why() -> None:
    part = {"name": "producer", "step": "decode", "error": "HTTP 500 from http://10.0.0.12:8200: no"}
    end = "\n".join(answer("vllm/handshake-without-a-host"))
    (found,) = proof.pair_findings("prod", "consumer", part, OVER_EFA, vllm, end)
    assert (
        "HTTP 500 from http://10.0.0.12:8200: no. Its log: (Worker_DP0_EP0 pid=2823482) ERROR 10-16"
        in found.message
    )
    assert "VLLM_NIXL_SIDE_CHANNEL_HOST" in found.remedy
    # A log without an error tells nothing of it.
    assert (
        "Its log"
        not in proof.pair_findings("prod", "consumer", part, OVER_EFA, vllm, "GET /health 200")[0].message
    )


def test_the_router_is_held_to_the_same_answer_and_the_same_tokens() -> None:
    assert levels(proof.router_findings("prod", proven(), vllm)) == {
        "answer": Level.PASS,
        "KV transfer": Level.PASS,
    }
    wrong = proof.router_findings(
        "prod", proven(answer="b", metrics_after=_more(AFTER, "local_compute", 1)), vllm
    )
    assert levels(wrong) == {"answer": Level.FAIL, "KV transfer": Level.FAIL}


@pytest.mark.parametrize(
    ("lines", "said", "remedy"),
    [
        (
            answer("vllm/context-too-long-for-the-cache"),
            "ValueError: The model's max seq len (131072)",
            "--max-model-len",
        ),
        (
            ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "ended"],
            "out of memory",
            "tensor",
        ),
        (answer("nixl/backend-starts-0.9"), "", "serve logs"),
        (
            ["E1126 nixl_agent.cpp:342] createBackend", "nixlBackendError: NIXL_ERR_BACKEND"],
            "NIXL_ERR_BACKEND",
            "verify",
        ),
        (
            ["vllm: error: unrecognized arguments: --tensor-paralel-size 8"],
            "unrecognized",
            "This engine's version does not have",
        ),
        (["OSError: [Errno 98] Address already in use"], "Address already in use", "ss -ltnp"),
        (
            ["RuntimeError: one", "RuntimeError: two", "bye"],
            "the engine ended: RuntimeError: two",
            "serve logs",
        ),
        (["bye"], "the engine ended: bye", "serve logs"),
        ([], "the engine ended: it says nothing", "serve logs"),
    ],
)
def test_an_engine_that_ended_is_told_by_its_line(lines: list[str], said: str, remedy: str) -> None:
    found = proof.not_started("\n".join(lines))
    assert found.level is Level.FAIL
    assert said in found.message
    assert remedy in found.remedy


def test_of_a_log_the_lines_are_read_that_prove_something() -> None:
    read = [one for one in (*LIBFABRIC_LOG, FALLBACK) if re.search(vllm.LOG_LINES, one)]
    assert len(read) == 3
    assert vllm.read_log("\n".join(read)) == vllm.read_log("\n".join((*LIBFABRIC_LOG, FALLBACK)))


def test_several_engines_of_a_node_are_counted_together() -> None:
    """Data parallel: each rank has a label of its own."""
    second = AFTER.replace('engine="0"', 'engine="1"')
    assert vllm.counted(f"{AFTER}\n{second}") == replace(
        vllm.counted(AFTER), transferred=2000, nixl_bytes=8 * MIB
    )
