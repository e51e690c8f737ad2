"""Requests that prove or measure a vLLM service, from a consumer's node: what was answered and counted meanwhile.

A node runs it with the standard library. Argument: a JSON document. To prove:
  own          URL of this node's engine
  producers    name, url and address of each
  consumers    url of each
  router       its URL; empty: each producer is paired with this node by hand, as the router does it
  vocabulary   how many tokens the model knows; 0: not known
stdout is one JSON document, in which `proofs` has one of each producer, or of the router:
  name            the producer's; "router"
  step, error     where it failed and why; empty when it did not
  tokens          of the prompt
  alone           what the producer answered by itself
  answer          what came by way of both
  seconds         the second answer's
  metrics_before, metrics_after      of this node's engine (of all consumers), the lines that count
  counters_before, counters_after    of the EFA devices, and of the IP interface that leads to the producer
Prompts are tokens by chance, new in each run, so that no engine has them in a cache.
To measure:
  own          as above; url: whom vLLM's own load tool asks; load: its flags
  unit         of systemd, in which it runs, so that it can be ended; seconds: after which it is
  warm_up      whether one request goes before, which is not counted
  engines      URLs whose metrics count; address: to which the IP interface leads whose bytes are counted
stdout: error (empty: none), seconds, result (what the tool has written, but for its lists), and what was counted
meanwhile: metrics (name and label, of all engines together), counters (as above).
Nothing is decided here.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

# Tokens of a prompt, where the model takes so many; of an answer. Both engines get the same request.
PROMPT_TOKENS, ANSWER_TOKENS = 1000, 16
# The first request between two engines makes their connection, which may take longer than vLLM waits for it.
WARM_UPS = 3
ANSWER_SECONDS, COUNT_SECONDS = 300.0, 5.0
_METRICS = ("vllm:prompt_tokens_by_source_total", "vllm:nixl_")
# Of these, what a measurement tells.
COUNTED = (
    r"vllm:(prompt_tokens_by|nixl_xfer_time_seconds_|nixl_bytes_transferred_|nixl_num_(failed|kv_expired))"
)
_SIOCGIFADDR = 0x8915
# A proxy of the environment is for the hub.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# What a producer is asked to keep for somebody else (vLLM, NixlConnector usage guide; the router sends the same).
_REMOTE_DECODE = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}


class ProofError(Exception):
    """Why a request has no answer, and at which step."""

    def __init__(self, step: str, text: str) -> None:
        super().__init__(text)
        self.step = step


def ask(step: str, url: str, body: dict[str, Any] | None = None) -> Any:
    """An answer's document; without a body, what is there. ProofError when there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with _DIRECTLY.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = " ".join(error.read().decode("utf-8", "replace").split())
        raise ProofError(step, f"HTTP {error.code} from {url}: {said[:300]}") from None
    except (OSError, ValueError) as error:
        raise ProofError(step, f"no answer from {url}: {error}") from None


def metrics(urls: list[str], *, buckets: bool = False) -> str:
    """The lines that count, of engines."""
    found = []
    for url in urls:
        try:
            with _DIRECTLY.open(f"{url}/metrics", timeout=10) as answer:
                lines = answer.read().decode("utf-8", "replace").splitlines()
        except OSError as error:
            raise ProofError("metrics", f"no metrics from {url}: {error}") from None
        found += [one for one in lines if one.startswith(_METRICS) and (buckets or "_bucket{" not in one)]
    return "\n".join(found)


def counters(address: str, root: str = "") -> str:
    """A line for each EFA device, and one for the IP interface that leads to the address."""
    lines = []
    folder = f"{root}/sys/class/infiniband"
    for device in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if _read(f"{folder}/{device}/device/vendor") != "0x1d0f":
            continue
        counted = f"{folder}/{device}/ports/1/hw_counters"
        # Bytes alone: 32 devices, with all that they count, are more than Run Command gives.
        names = sorted(one for one in os.listdir(counted) if one.endswith("_bytes"))
        values = [f"{name}={_read(f'{counted}/{name}')}" for name in names]
        lines.append(" ".join([device, *values]))
    if interface := leading_to(address):
        statistics = f"{root}/sys/class/net/{interface}/statistics"
        lines.append(
            f"net/{interface} tx_bytes={_read(f'{statistics}/tx_bytes')} rx_bytes={_read(f'{statistics}/rx_bytes')}"
        )
    return "\n".join(lines)


def difference(before: str, after: str) -> str:
    """Counters that have moved, in the same form."""
    known = {one.split()[0]: dict(_pairs(one)) for one in before.splitlines()}
    lines = []
    for device, values in ((one.split()[0], _pairs(one)) for one in after.splitlines()):
        moved = [(name, value - known.get(device, {}).get(name, value)) for name, value in values]
        lines.append(" ".join([device, *(f"{name}={value}" for name, value in moved if value)]))
    return "\n".join(lines)


def _pairs(line: str) -> list[tuple[str, int]]:
    pairs = (one.partition("=") for one in line.split()[1:])
    return [(name, int(value)) for name, _, value in pairs if value.isdecimal()]


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def leading_to(address: str) -> str:
    """The interface by which an address is reached; empty where none is found."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # a datagram's socket sends nothing yet
        except OSError:
            return ""
        own = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            asked = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, asked)
            except OSError:
                continue
            if socket.inet_ntoa(answer[20:24]) == own:
                return name
    return ""


class Prompts:
    """Requests of one model."""

    def __init__(self, url: str, vocabulary: int) -> None:
        listed = ask("models", f"{url}/v1/models")["data"][0]
        self._model = listed["id"]
        longest = listed.get("max_model_len") or PROMPT_TOKENS + ANSWER_TOKENS
        self.tokens = max(1, min(PROMPT_TOKENS, longest - 2 * ANSWER_TOKENS))
        # Neither end of a vocabulary: there are the tokens with a meaning of their own, such as an image's place.
        self._among = range(vocabulary // 8, vocabulary // 2) if vocabulary >= 64 else range(10, 50)
        self._chance = random.Random(time.time_ns())

    def new(self) -> dict[str, Any]:
        """A request: greedy, of so many tokens, whatever the model would rather say."""
        return {
            "model": self._model,
            "prompt": self._chance.choices(self._among, k=self.tokens),
            "temperature": 0,
            "seed": 0,
            "max_tokens": ANSWER_TOKENS,
            "ignore_eos": True,
        }


def text(answer: Any) -> str:
    """What was answered."""
    return str(answer["choices"][0]["text"])


def by_hand(producer: str, consumer: str, request: dict[str, Any]) -> str:
    """The answer of a consumer with the KV cache of a producer, as the router asks for it."""
    first = {**request, "max_tokens": 1, "kv_transfer_params": _REMOTE_DECODE}
    params = ask("prefill", f"{producer}/v1/completions", first).get("kv_transfer_params")
    if not params:
        raise ProofError("prefill", f"{producer} gave no kv_transfer_params: it is no producer of KV caches")
    return text(ask("decode", f"{consumer}/v1/completions", {**request, "kv_transfer_params": params}))


def proof(
    name: str,
    alone: str,
    address: str,
    urls: list[str],
    prompts: Prompts,
    way: Callable[[dict[str, Any]], str],
) -> dict[str, Any]:
    """One proof. alone: the URL of the producer that answers by itself; urls: whose metrics count."""
    found: dict[str, Any] = {"name": name, "step": "", "error": "", "tokens": prompts.tokens}
    try:
        for last in reversed(range(WARM_UPS)):
            try:
                way(prompts.new())
                break
            except ProofError:
                if not last:
                    raise
        request = prompts.new()
        found["alone"] = text(ask("alone", f"{alone}/v1/completions", request))
        found["metrics_before"], found["counters_before"] = metrics(urls), counters(address)
        begun = time.monotonic()
        found["answer"] = way(request)
        found["seconds"] = round(time.monotonic() - begun, 3)
        found["metrics_after"] = _settled(urls, found["metrics_before"])
        found["counters_after"] = counters(address)
    except ProofError as error:
        found.update(step=error.step, error=str(error))
    return found


def _settled(urls: list[str], before: str) -> str:
    """The metrics once the transfer is in them: an engine writes them with its next step."""
    end = time.monotonic() + COUNT_SECONDS
    while True:
        found = metrics(urls)
        if _transfers(found) > _transfers(before) or time.monotonic() >= end:
            return found
        time.sleep(0.2)


def _transfers(lines: str) -> float:
    counts = [one for one in lines.splitlines() if one.startswith("vllm:nixl_bytes_transferred_count")]
    return sum(float(one.rpartition(" ")[2]) for one in counts)


def samples(urls: list[str]) -> dict[str, float]:
    """What is counted of KV transfers, the histograms' buckets too: by name and by the label that tells samples of one
    engine apart, the sum of all engines."""
    found: dict[str, float] = {}
    for name, labels, value in re.findall(
        r"^(\S+)\{(.*)\} (\S+)$", metrics(urls, buckets=True), re.MULTILINE
    ):
        if re.match(COUNTED, name) and not name.endswith("_created"):
            label = re.search(r'\b(?:source|le)="([^"]*)"', labels)
            key = f"{name} {label[1]}" if label else name
            found[key] = found.get(key, 0.0) + float(value)
    return found


def environment() -> list[str]:
    """Of the load tool's unit: this program's own variables, which those of /etc/nixl-efa are among, and where the
    engine keeps models. By name: the value of a token is in no command line."""
    told = run("systemctl", "show", "nixl-efa-engine.service", "--property=Environment", "--value")
    for one in shlex.split(told):
        name, _, value = one.partition("=")
        os.environ.setdefault(name, value)
    return [f"--setenv={name}" for name in sorted(os.environ) if re.fullmatch(r"[A-Za-z]\w*", name)]


def run(*command: str) -> str:
    """What a command prints; of one that can't be run nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def measured(given: dict[str, Any]) -> dict[str, Any]:
    """One run of the load tool."""
    url, urls, address = given["url"], given["engines"], given["address"]
    try:
        served = ask("models", f"{given['own']}/v1/models")["data"][0]
        if given["warm_up"]:
            ask("warm-up", f"{url}/v1/completions", Prompts(given["own"], 0).new())
            time.sleep(COUNT_SECONDS)  # it is counted with the engine's next step
        before, seen = samples(urls), counters(address)
    except ProofError as error:
        return {"error": str(error)}
    vllm = f"{os.path.dirname(sys.executable)}/vllm"
    with tempfile.TemporaryDirectory() as folder:
        told = f"{folder}/result.json"
        command = [
            *("systemd-run", "--quiet", "--wait", "--collect", "--pipe", f"--unit={given['unit']}"),
            f"--property=RuntimeMaxSec={given['seconds']}",
            *environment(),
            # A proxy is for the hub, whose files are there by now.
            *("--setenv=no_proxy=*", "--setenv=HF_HUB_OFFLINE=1"),
            *(vllm, "bench", "serve", "--base-url", url, *given["load"]),
            # The tokenizer is where the engine has it.
            *("--model", served.get("root") or served["id"], "--served-model-name", served["id"]),
            *("--save-result", "--result-dir", folder, "--result-filename", "result.json"),
        ]
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        seconds = round(time.monotonic() - begun, 3)
        lines = [one.strip() for one in (done.stderr or done.stdout).splitlines() if one.strip()]
        if seconds >= given["seconds"]:
            return {"error": f"it has not ended after {given['seconds']} s"}
        if done.returncode or not os.path.exists(told):
            return {"error": "".join(lines[-1:]) or f"exit code {done.returncode}"}
        with open(told, encoding="utf-8") as file:
            result = {key: value for key, value in json.load(file).items() if not isinstance(value, list)}
    time.sleep(COUNT_SECONDS)  # an engine writes what it has counted with its next step
    try:
        after = samples(urls)
    except ProofError as error:
        return {"error": str(error)}
    return {
        "error": "",
        "seconds": seconds,
        "result": result,
        "metrics": {key: value - before.get(key, 0.0) for key, value in after.items()},
        "counters": difference(seen, counters(address)),
    }


def main(given: dict[str, Any]) -> dict[str, Any]:
    """One measurement, or all proofs."""
    if "load" in given:
        return measured(given)
    own, router, producers = given["own"], given["router"], given["producers"]
    try:
        prompts = Prompts(own, given["vocabulary"])
    except ProofError as error:
        return {
            "proofs": [{"name": one["name"], "step": error.step, "error": str(error)} for one in producers]
        }
    if router:
        first = producers[0]
        urls = [one["url"] for one in given["consumers"]]

        def by_router(request: dict[str, Any]) -> str:
            return text(ask("router", f"{router}/v1/completions", request))

        return {"proofs": [proof("router", first["url"], first["address"], urls, prompts, by_router)]}
    return {
        "proofs": [
            proof(one["name"], one["url"], one["address"], [own], prompts, partial(by_hand, one["url"], own))
            for one in producers
        ]
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
