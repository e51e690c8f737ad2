"""vLLM as the engine: its package, its command, what its log and its metrics say. Pure.

Seen with 0.32.0 (tests/recorded/vllm).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nixl_efa.nodes import nixl_log
from nixl_efa.service.engine import Counted, Log
from nixl_efa.service.model import ENGINE_PORTS, Service
from nixl_efa.service.units import VENV, Variable

NAME, WORDS = "vllm", "vLLM"
PACKAGE = "vllm"
# The versions that were tested with the router and with NIXL 1.5.0 (docs/serve.md).
VERSION = "0.32.0"
HEALTH = "/health"
_OURS = "it follows from the node's role."
_HTTP = "the router and the proof ask each engine by plain HTTP."
REFUSED: Mapping[str, str] = {
    "--kv-transfer-config": "it is PAIR_KV_TRANSFER_CONFIG of /etc/nixl-efa/env (docs/nodes.md).",
    "--port": _OURS,
    "--host": _OURS,
    "--model": "give --model before the two dashes.",
    "--api-key": "it would stand in Run Command's history; who reaches the ports is the security group's.",
    "--hf-token": "it would stand in Run Command's history: set HF_TOKEN in /etc/nixl-efa/service.env on each node.",
    "--uds": "the nodes reach each other by TCP.",
    "--ssl-keyfile": _HTTP,
    "--ssl-certfile": _HTTP,
    "--grpc": _HTTP,
    "--headless": _HTTP,
}
# NIXL names libfabric's provider only at this level.
VARIABLES: tuple[str, ...] = ("NIXL_LOG_LEVEL=INFO", "VLLM_NO_USAGE_STATS=1")
# The lines of a log that are read here. Not every line with "rails": there is one for each layer of each rank.
LOG_LINES = r"Backend [A-Z_]+ was instantiated|rails using provider|TCP fallback"
# The lines of /metrics that are counted.
METRICS = r"vllm:(prompt_tokens_by_source_total|nixl_\w+_(sum|total))\{"

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
    sums: dict[str, float] = {}
    for name, labels, value in _SAMPLE.findall(text):
        source = re.search(r'source="(\w+)"', labels)
        key = f"{name} {source[1]}" if source else name
        sums[key] = sums.get(key, 0.0) + float(value)
    transferred, computed, cached = (int(sums.get(f"{_TOKENS} {source}", 0)) for source in _SOURCES)
    failures = (*_FAILURES, "nixl_num_kv_expired_reqs_total")
    return Counted(
        transferred=transferred,
        computed=computed,
        cached=cached,
        nixl_bytes=int(sums.get("nixl_bytes_transferred_sum", 0)),
        failed=int(sum(sums.get(one, 0) for one in failures)),
    )


def command(service: Service, path: str, role: str) -> tuple[str | Variable, ...]:
    """The words that start the engine on a node of this role. path: where the model is."""
    return (
        f"{VENV}/bin/vllm",
        "serve",
        path,
        *("--served-model-name", service.model),
        *("--host", "0.0.0.0"),  # the security group decides who can reach it
        *("--port", str(ENGINE_PORTS[role])),
        *("--kv-transfer-config", Variable("PAIR_KV_TRANSFER_CONFIG")),
        *service.flags,
    )


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


def program() -> str:
    """The program that sends the requests of the proof on a consumer's node."""
    return Path(__file__).with_name("vllm_prove.py").read_text(encoding="utf-8")
