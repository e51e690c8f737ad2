"""vLLM as the engine: its package, its command, what its log and its metrics say. Pure.

Seen with 0.32.0 (tests/recorded/vllm).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nixl_efa.nixl_backend import UCX
from nixl_efa.nodes import nixl_log
from nixl_efa.service.engine import Activity, Counted, Log
from nixl_efa.service.measured import PERCENTS, Measured, Percentiles, percentiles
from nixl_efa.service.model import BY_TCP, ENGINE_PORTS, NO_TRANSFER, PLANNED, Service
from nixl_efa.service.units import VENV, Variable

NAME, WORDS = "vllm", "vLLM"
PACKAGE = "vllm"
# The versions that were tested with the router and with NIXL 1.5.0 (docs/serve.md).
VERSION = "0.32.0"
# The package is for NVIDIA GPUs, or for CPUs if the index of a node has that build. vLLM Neuron is installed from its
# own repository, beside the compiler of Neuron's image (Neuron documentation, vLLM Neuron setup guide).
ACCELERATORS: tuple[str, ...] = ("nvidia", "none")
HEALTH = "/health"
_OURS = "it follows from the node's role."
_HTTP = "the router and the proof ask each engine by plain HTTP."
REFUSED: Mapping[str, str] = {
    "--kv-transfer-config": "it is PAIR_KV_TRANSFER_CONFIG of /etc/nixl-efa/env (docs/nodes.md).",
    "--port": _OURS,
    "--host": _OURS,
    "--model": "the model is named by --model before the two dashes, or by service.model in the settings.",
    "--api-key": "it would be visible in Run Command's history; the security group decides who reaches the ports.",
    "--hf-token": "it would be visible in Run Command's history: set HF_TOKEN in /etc/nixl-efa/service.env "
    "on each node.",
    "--uds": "the nodes reach each other by TCP.",
    "--ssl-keyfile": _HTTP,
    "--ssl-certfile": _HTTP,
    "--grpc": _HTTP,
    "--headless": _HTTP,
}
# What vLLM compares before it takes a KV cache from another engine (compute_nixl_compatibility_hash), and the name by
# which the router and the proof ask for the model.
_ALIKE = "it must be the same on all nodes: give it in the flags of all."
ALIKE: Mapping[str, str] = dict.fromkeys(("--served-model-name", "--dtype", "--kv-cache-dtype"), _ALIKE)
# NIXL names libfabric's provider only at this level.
VARIABLES: tuple[str, ...] = ("NIXL_LOG_LEVEL=INFO", "VLLM_NO_USAGE_STATS=1")
# The lines of a log that are read here. Not every line with "rails": there is one for each layer of each rank.
LOG_LINES = r"Backend [A-Z_]+ was instantiated|rails using provider|TCP fallback"
# The lines of /metrics that are read.
METRICS = (
    r"vllm:((prompt_tokens_by_source|prompt_tokens|generation_tokens|nixl_num_\w+)_total"
    r"|num_requests_(running|waiting)|nixl_(bytes_transferred|xfer_time_seconds)_sum)\{"
)
# Those that wait for a KV cache count as waiting. A producer has blocks in use until the consumer has fetched them, or
# their lease is over (vLLM 0.32, v1/core/sched/scheduler.py: get_request_counts, has_finished_requests).
BUSY = r"vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc)\{"

_BACKEND = re.compile(r"Backend ([A-Z_]+) was instantiated")
_SAMPLE = re.compile(r"^vllm:(\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)


def read_log(text: str) -> Log:
    """The log of one start."""
    lines = text.splitlines()
    return Log(
        tuple(_BACKEND.findall(text)),
        _last(lines, _BACKEND.pattern),
        {named: one.strip() for one in lines if (named := nixl_log.read(one).provider)},
        _last(lines, r"TCP fallback"),
    )


def _last(lines: list[str], pattern: str) -> str:
    return next((one.strip() for one in reversed(lines) if re.search(pattern, one)), "")


_TOKENS = "prompt_tokens_by_source_total"
_SOURCES = ("external_kv_transfer", "local_compute", "local_cache_hit")
_FAILURES = ("nixl_num_failed_transfers_total", "nixl_num_failed_notifications_total")
_EXPIRED = "nixl_num_kv_expired_reqs_total"
_FAILED = (*_FAILURES, _EXPIRED)


def lacking(text: str) -> tuple[str, ...]:
    """Counters of the proof that the text of /metrics does not have: what is not counted is not 0."""
    names = (*(f'{_TOKENS}{{source="{one}"}}' for one in _SOURCES), *_FAILURES)
    there = {
        f'{name}{{source="{source[1]}"}}' if (source := re.search(r'source="(\w+)"', labels)) else name
        for name, labels, _ in _SAMPLE.findall(text)
    }
    return tuple(f"vllm:{one}" for one in names if one not in there)


def counted(text: str) -> Counted:
    """The counters in the text of /metrics, of all engines that it names together."""
    sums = _sums(text)
    transferred, computed, cached = (int(sums.get(f"{_TOKENS} {source}", 0)) for source in _SOURCES)
    return Counted(
        transferred=transferred,
        computed=computed,
        cached=cached,
        nixl_bytes=int(sums.get("nixl_bytes_transferred_sum", 0)),
        failed=int(sum(sums.get(one, 0) for one in _FAILED)),
    )


def activity(before: str, text: str, seconds: float) -> Activity:
    """What the engines in the text of /metrics do together. before: the text of so many seconds before."""
    now, then = _sums(text), _sums(before)

    def a_second(name: str) -> float | None:
        known = seconds > 0 and name in now and name in then
        # Fewer than before: the engine has started again meanwhile.
        return (now[name] - then[name]) / seconds if known and now[name] >= then[name] else None

    def whole(name: str) -> int | None:
        return int(now[name]) if name in now else None

    kv_bytes, kv_seconds = whole("nixl_bytes_transferred_sum"), now.get("nixl_xfer_time_seconds_sum")
    return Activity(
        prompt_tokens=a_second("prompt_tokens_total"),
        generated_tokens=a_second("generation_tokens_total"),
        running=whole("num_requests_running"),
        waiting=whole("num_requests_waiting"),
        kv_bytes=kv_bytes,
        kv_gbps=kv_bytes * 8 / kv_seconds / 1e9 if kv_bytes and kv_seconds else None,
        failed_transfers=whole("nixl_num_failed_transfers_total"),
        expired=whole(_EXPIRED),
    )


def _sums(text: str) -> dict[str, float]:
    """The values of all engines together, by their names; those of prompt tokens by source, also by that."""
    sums: dict[str, float] = {}
    for name, labels, value in _SAMPLE.findall(text):
        source = re.search(r'source="(\w+)"', labels)
        key = f"{name} {source[1]}" if source else name
        sums[key] = sums.get(key, 0.0) + float(value)
    return sums


def command(service: Service, path: str, role: str, planned: str) -> tuple[str | Variable, ...]:
    """The words that start the engine on a node of this role. path: where the model is. planned: the node's
    PAIR_KV_TRANSFER_CONFIG."""
    return (
        # UCX's own choice among several transports may be EFA; cuda_copy is for the memory of GPUs.
        *(("/usr/bin/env", "UCX_TLS=tcp,cuda_copy,sm,self") if service.transfer == BY_TCP else ()),
        f"{VENV}/bin/vllm",
        "serve",
        path,
        *("--served-model-name", service.model),
        *("--host", "0.0.0.0"),  # the security group decides who can reach it
        *("--port", str(ENGINE_PORTS[role])),
        *_kv_transfer(service, planned),
        *service.flags_of(role),
    )


def _kv_transfer(service: Service, planned: str) -> tuple[str | Variable, ...]:
    """The flag that says how KV caches go; none for an engine that does prefill and decode alone."""
    if service.transfer == NO_TRANSFER:
        return ()
    if service.transfer == PLANNED:
        return ("--kv-transfer-config", Variable("PAIR_KV_TRANSFER_CONFIG"))
    told = json.loads(planned)
    told["kv_connector_extra_config"]["backends"] = [UCX]
    return ("--kv-transfer-config", json.dumps(told, separators=(",", ":")))


def served_as(service: Service) -> str:
    """The name by which requests ask for the model: the user's own flag comes last, and has precedence."""
    return _value(service.flags, ("--served-model-name",)) or service.model


def accelerators(flags: tuple[str, ...]) -> int:
    """On how many accelerators of a node the model's weights are divided."""
    total = 1
    for names in (("--tensor-parallel-size", "-tp"), ("--pipeline-parallel-size", "-pp")):
        given = _value(flags, names)
        total *= max(1, int(given)) if given.isdecimal() else 1
    return total


def context(flags: tuple[str, ...]) -> int:
    """The most tokens of a prompt and its answer, as --max-model-len says; 0 if the model's own length counts.

    vLLM reads "32k" as 32,000 and "32K" as 32,768 (human_readable_int of 0.32.0).
    """
    given = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", _value(flags, ("--max-model-len",)))
    return (
        int(float(given[1]) * {"": 1, "k": 10**3, "K": 2**10, "m": 10**6, "M": 2**20}[given[2]])
        if given
        else 0
    )


def dtype(flags: tuple[str, ...], config: Mapping[str, object]) -> str:
    """What the weights are computed in, as vLLM decides it: the flag, else the model's own."""
    given = _value(flags, ("--dtype",))
    return (
        given
        if given and given != "auto"
        else str(config.get("dtype") or config.get("torch_dtype") or "auto")
    )


def _value(flags: tuple[str, ...], names: tuple[str, ...]) -> str:
    """A flag's value, "--flag value" or "--flag=value", the last one given; empty without it."""
    found = ""
    for place, one in enumerate(flags):
        name, equals, value = one.partition("=")
        if name.replace("_", "-") in names:
            found = value if equals else next(iter(flags[place + 1 :]), "")
    return found


def load(
    *, prompt_tokens: int, output_tokens: int, concurrency: int, requests: int, seed: int
) -> tuple[str, ...]:
    """The flags of `vllm bench serve`: random prompts, and answers of exactly this length."""
    return (
        *("--backend", "openai", "--endpoint", "/v1/completions", "--dataset-name", "random"),
        *("--random-input-len", str(prompt_tokens), "--random-output-len", str(output_tokens)),
        *("--num-prompts", str(requests), "--max-concurrency", str(concurrency), "--seed", str(seed)),
        *("--ignore-eos", "--temperature", "0", "--disable-tqdm"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el"),
        *("--metric-percentiles", ",".join(map(str, PERCENTS))),
    )


def measured(document: Mapping[str, Any]) -> Measured:
    """What vllm_prove.py has measured: the result of `vllm bench serve`, and the metrics that moved meanwhile."""
    result, moved = document["result"], document["metrics"]
    by_source = (int(moved.get(f"vllm:{_TOKENS} {source}", 0)) for source in _SOURCES)
    transferred, computed, cached = by_source
    transfers = int(moved.get("vllm:nixl_xfer_time_seconds_count", 0))
    bucket = "vllm:nixl_xfer_time_seconds_bucket "
    seconds = {
        float(name.removeprefix(bucket)): float(count)
        for name, count in moved.items()
        if name.startswith(bucket)
    }
    kv = percentiles(seconds)
    mean = moved["vllm:nixl_xfer_time_seconds_sum"] / transfers * 1000 if transfers else None
    has_more = result["total_output_tokens"] > result["completed"]

    def of(what: str) -> Percentiles:
        return Percentiles(*(float(result[f"p{one}_{what}_ms"]) for one in PERCENTS))

    return Measured(
        seconds=float(result["duration"]),
        answered=int(result["completed"]),
        failed=int(result["failed"]),
        all_prompt_tokens=int(result["total_input_tokens"]),
        all_output_tokens=int(result["total_output_tokens"]),
        requests_per_s=float(result["request_throughput"]),
        output_tokens_per_s=float(result["output_throughput"]),
        tokens_per_s=float(result["total_token_throughput"]),
        ttft_ms=of("ttft"),
        tpot_ms=of("tpot") if has_more else None,
        itl_ms=of("itl") if has_more else None,
        e2el_ms=of("e2el"),
        transferred=transferred,
        computed=computed,
        cached=cached,
        transfers=transfers,
        nixl_bytes=int(moved.get("vllm:nixl_bytes_transferred_sum", 0)),
        kv_ms=Percentiles(kv.p50 * 1000, kv.p95 * 1000, kv.p99 * 1000) if kv else None,
        kv_mean_ms=mean,
        failed_transfers=int(sum(moved.get(f"vllm:{one}", 0) for one in _FAILED)),
    )


def program() -> str:
    """The program that sends the requests of the proof, or of a measurement, on a consumer's node."""
    return Path(__file__).with_name("vllm_prove.py").read_text(encoding="utf-8")
