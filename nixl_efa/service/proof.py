"""Whether a service is what was requested: from its engines' logs, its answers and the counters. Pure.

NIXL falls back to UCX, and libfabric to TCP, without an error: an answer alone proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nixl_efa.findings import Finding, failed, listed, passed
from nixl_efa.nodes.counters import IP as IP_COUNTER
from nixl_efa.nodes.counters import counters, moved
from nixl_efa.service.before import gib
from nixl_efa.service.engine import Engine
from nixl_efa.service.way import EFA, Way

# How much the bytes of the network devices may differ from those that NIXL counts.
TOLERANCE = 0.05

# Why an engine does not start, from its log, and what to do: the first match is used. Messages of vLLM, NIXL, PyTorch
# and CUDA.
_REMEDIES = (
    (
        r"out of memory|No available memory for the cache blocks",
        "The accelerators' memory is too small for it: give `-- --tensor-parallel-size N`, a smaller --max-model-len, "
        "or a smaller model; `nvidia-smi` shows whether another program has some of it.",
    ),
    (
        r"larger than the maximum number of tokens that can be stored in KV cache|To serve at least one request",
        "Give `-- --max-model-len N` of fewer tokens, or `--tensor-parallel-size N` of more accelerators.",
    ),
    (
        r"Failed to load plugin|NIXL_ERR_NOT_FOUND|NIXL_ERR_BACKEND|fi_getinfo",
        "NIXL makes no backend: `nixl-efa verify` names why in its row NIXL.",
    ),
    (r"Address already in use", "Another program has the port: `ss -ltnp` on the node names it."),
    (
        r"gated repo|401 Client Error|403 Client Error",
        "The hub wants a token that may read the model: HF_TOKEN=... in /etc/nixl-efa/service.env on each node.",
    ),
    (
        r"is not a local folder|Repository Not Found|LocalEntryNotFoundError|Connection error",
        "The model is not there: look at its name, and at the node's way out.",
    ),
    (
        r"system not yet initialized|CUDA driver version is insufficient|cudaErrorSystemNotReady",
        "CUDA does not start on the node: see the rows CUDA and accelerators of `nixl-efa verify`.",
    ),
    (
        # vllm-project/vllm#27083, and its pull request 41863.
        r"engine ID mismatch|[Hh]andshake failed|handshake_setup_failed",
        "The consumer reached another engine than the producer, or none: VLLM_NIXL_SIDE_CHANNEL_HOST in "
        "/etc/nixl-efa/env must be each node's own address (`nixl-efa nodes sync` writes it).",
    ),
    (
        r"unrecognized arguments|error: argument",
        "This engine's version does not have one of the flags after the two dashes.",
    ),
)
_ELSE = "`nixl-efa serve logs` shows the whole log."


def not_started(end: str) -> Finding:
    """An engine that ended at its start, by the last lines of its log."""
    lines = [one.strip() for one in end.splitlines() if one.strip()]
    line, remedy = _cause(lines)
    told = line or "".join(lines[-1:]) or "it says nothing"
    return failed("start", f"the engine ended: {told}", remedy)


def _cause(lines: list[str]) -> tuple[str, str]:
    """The line that says why, and what to do: a known cause, else the last error; empty without any."""
    for pattern, remedy in _REMEDIES:
        if found := next((one for one in lines if re.search(pattern, one)), ""):
            return found, remedy
    errors = [one for one in lines if re.search(r"\b\w*(Error|Exception)\b.*:", one)]
    return "".join(errors[-1:]), _ELSE


def log_findings(environment: str, log: str, way: Way, engine: Engine) -> tuple[Finding, ...]:
    """What NIXL reports in the log of an engine that has started."""
    read = engine.read_log(log)
    again = f"then `nixl-efa serve restart {environment}`"
    if not read.backends:
        return (
            failed(
                "backend",
                "the log names no backend of NIXL: the engine has no KV transfer, or the journal has lost its start.",
                f"Remove NIXL_LOG_LEVEL from /etc/nixl-efa/service.env, {again}.",
            ),
        )
    if set(read.backends) != {way.backend}:
        return (
            failed(
                "backend",
                f"NIXL uses {read.backends[-1]}, and {way.backend} is planned: {read.backend_line}",
                f"`nixl-efa nodes sync {environment}` writes the settings, {again}.",
            ),
        )
    found = [passed("backend", f"{way.backend}: {read.backend_line}")]
    if not way.provider:
        return tuple(found)
    remedy = (
        f"Set FI_PROVIDER={way.provider} in /etc/nixl-efa/env (`nixl-efa nodes sync {environment}`), {again}."
    )
    if read.fallback and way.provider != "tcp":
        found.append(failed("provider", f"NIXL has fallen back to TCP: {read.fallback}", remedy))
    elif not read.providers:
        message = f"the log does not name libfabric's provider, so nothing says that it is {way.provider}."
        found.append(failed("provider", message, "Set NIXL_LOG_LEVEL=INFO, and take NIXL 1.0 or newer."))
    elif others := [one for one in read.providers if one != way.provider]:
        message = f"NIXL uses {others[0]}, not {way.provider}: {read.providers[others[0]]}"
        found.append(failed("provider", message, remedy))
    else:
        found.append(passed("provider", read.providers[way.provider]))
    return tuple(found)


def pair_findings(
    environment: str, consumer: str, one: Mapping[str, Any], way: Way, engine: Engine, end: str = ""
) -> tuple[Finding, ...]:
    """A producer and a consumer, from what the engine's program has found. end: of the log of the engine that gave no
    answer."""
    link = f"{one['name']} -> {consumer}"
    if one["error"]:
        return (_no_answer(environment, link, one, end),)
    answered = _answer(environment, link, one)
    tokens = _tokens(environment, link, one, engine)
    return (answered, tokens, _bytes(environment, link, one, way, engine))


def router_findings(
    environment: str, one: Mapping[str, Any], engine: Engine, end: str = ""
) -> tuple[Finding, ...]:
    """An answer through the router. end: of its log."""
    if one["error"]:
        return (_no_answer(environment, "router", one, end),)
    return (_answer(environment, "router", one), _tokens(environment, "router", one, engine))


# Steps for which the producer's engine knows the cause; for the others, the consumer's engine does.
OF_PRODUCER = ("alone", "prefill")
_STEPS = {
    "models": "the engine does not name its model",
    "alone": "the producer does not answer by itself",
    "prefill": "the producer computes no KV cache for another",
    "decode": "the consumer does not answer with the producer's KV cache",
    "router": "the router does not answer",
    "metrics": "the engine gives no metrics",
}


def _no_answer(environment: str, who: str, one: Mapping[str, Any], end: str) -> Finding:
    line, remedy = _cause([each.strip() for each in end.splitlines() if each.strip()])
    message = f"{who}: {_STEPS.get(one['step'], one['step'])}: {one['error']}"
    if line:
        message = f"{message.rstrip('.')}. Its log: {line}"
    if remedy == _ELSE:
        router = " --router" if one["step"] == "router" else ""
        remedy = (
            f"`nixl-efa serve logs {environment}{router}` has more; `nixl-efa verify {environment}` measures NIXL "
            "between the nodes without an engine."
        )
    return failed("answer", message, remedy)


def _answer(environment: str, who: str, one: Mapping[str, Any]) -> Finding:
    alone, answer = str(one["alone"]), str(one["answer"])
    if not alone:
        return failed(
            "answer", f"{who}: the producer's own answer is empty.", "Is this model one that writes text?"
        )
    if alone != answer:
        place = next(
            (place for place, (a, b) in enumerate(zip(alone, answer, strict=False)) if a != b),
            min(len(alone), len(answer)),
        )
        return failed(
            "answer",
            f"{who}: not the producer's own greedy answer, from character {place + 1} on: "
            f"{answer[place : place + 40]!r} and not {alone[place : place + 40]!r}.",
            "The KV cache arrived changed, or the engines compute differently: same type, dtype, flags and driver on "
            f"all nodes? `nixl-efa verify {environment}` compares bytes; "
            f"`nixl-efa serve restart {environment}` proves it "
            "again.",
        )
    return passed("answer", f"{who}: equal to the producer's own, in {one['seconds']} s")


def _tokens(environment: str, who: str, one: Mapping[str, Any], engine: Engine) -> Finding:
    found = engine.counted(one["metrics_after"]).since(engine.counted(one["metrics_before"]))
    if absent := engine.lacking(one["metrics_before"]) or engine.lacking(one["metrics_after"]):
        return failed(
            "KV transfer",
            f"{who}: the consumer's metrics lack {listed(absent)}.",
            f"Take --engine-version {engine.VERSION}, which was tried, and no flag --disable-log-stats.",
        )
    told = f"of {one['tokens']} prompt tokens {found.transferred} came by KV transfer"
    if found.failed:
        return failed(
            "KV transfer",
            f"{who}: {found.failed} transfers or notifications failed; {told}.",
            f"`nixl-efa serve logs {environment}` on the consumer has NIXL's words.",
        )
    if found.transferred != one["tokens"] or found.computed or found.cached:
        return failed(
            "KV transfer",
            f"{who}: {told}, {found.computed} were computed on the consumer, {found.cached} were in its cache.",
            "Does somebody else send requests meanwhile? Else the consumer does the producer's work: look at "
            "kv_load_failure_policy in PAIR_KV_TRANSFER_CONFIG, which must be fail.",
        )
    return passed("KV transfer", f"{who}: {told}, none was computed on the consumer; {gib(found.nixl_bytes)}")


def _bytes(environment: str, who: str, one: Mapping[str, Any], way: Way, engine: Engine) -> Finding:
    """The bytes that the network device received at the consumer, compared with those that NIXL counts."""
    counted = engine.counted(one["metrics_after"]).since(engine.counted(one["metrics_before"])).nixl_bytes
    before, after = counters(one["counters_before"]), counters(one["counters_after"])
    by_efa = moved(before, after).received_bytes
    by_ip = sum(
        after[name].get("rx_bytes", 0) - before[name].get("rx_bytes", 0)
        for name in before.keys() & after.keys()
        if name.startswith(IP_COUNTER)
    )
    if not counted:
        remedy = "This engine's version counts no bytes: use the one that was tried."
        return failed("wire", f"{who}: the engine counts no byte that NIXL moved.", remedy)
    seen, where = (by_efa, "EFA's counters") if way.wire == EFA else (by_ip, "the interface's counters")
    ratio = seen / counted
    told = f"{who}: {where} saw {gib(seen)} arrive, NIXL moved {gib(counted)} (ratio {ratio:.3f})"
    if abs(ratio - 1) <= TOLERANCE:
        return passed("wire", told)
    if way.wire == EFA and seen < counted:
        over_tcp = abs(by_ip / counted - 1) <= 2 * TOLERANCE
        went = f"; {gib(by_ip)} came by IP: a silent fallback to TCP" if over_tcp else ""
        return failed(
            "wire",
            f"{told}{went}.",
            f"`nixl-efa verify {environment}` measures NIXL over EFA between the nodes and names what is wrong.",
        )
    return failed(
        "wire",
        f"{told}.",
        "Does something else use the network meanwhile (another transfer, a download of weights)? Prove it again: "
        f"`nixl-efa serve restart {environment}`.",
    )
