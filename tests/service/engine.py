"""A stand-in of vLLM: its commands, its HTTP interface, its metrics; the KV caches go by the real NIXL.

A prompt's "KV cache" is 4 KiB a token that follow from the tokens; an answer follows from those bytes. So the
consumer's answer is the producer's only if each byte has arrived. It takes 2 ms a token. A producer keeps a KV cache
until the consumer says that it has it. Faults, a flag: --fault corrupt (a byte of what arrived is another), crash (the
engine ends at its start). A program of its own, for any Python.
"""

# mypy: ignore-errors

import base64
import ctypes
import hashlib
import json
import os
import random
import sys
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN_BYTES, SLOTS, SLOT_TOKENS = 4096, 32, 1024
COUNTS = {"external_kv_transfer": 0, "local_compute": 0, "local_cache_hit": 0}
MOVED = {"bytes": 0, "count": 0, "seconds": 0.0, "failed": 0}
REQUESTS = {"running": 0, "generated": 0}
# When each KV cache was made that nobody has fetched; the lease of one is over after so many seconds.
KEPT, LEASE = [], 10
LOCK = threading.Lock()


def option(name, default=""):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def cache(prompt):
    """The bytes of a prompt's KV cache."""
    seed = hashlib.sha256(json.dumps(prompt).encode()).digest()
    return hashlib.shake_256(seed).digest(len(prompt) * TOKEN_BYTES)


def answer(held, count):
    """So many "tokens" that follow from a KV cache."""
    return hashlib.shake_256(held).hexdigest(count)


class Engine:
    def __init__(self, config):
        self.role = ""
        if not config:
            return  # one engine that does all
        from nixl._api import nixl_agent, nixl_agent_config

        self.role, self.id = config["kv_role"], str(uuid.uuid4())
        backends = config["kv_connector_extra_config"]["backends"]
        self.agent = nixl_agent(self.id, nixl_agent_config(backends=backends))
        self.memory = ctypes.create_string_buffer(SLOTS * SLOT_TOKENS * TOKEN_BYTES)
        self.base = ctypes.addressof(self.memory)
        self.agent.register_memory([(self.base, len(self.memory), 0, "")], "DRAM")
        self.next, self.peers = 0, {}

    def slot(self):
        self.next = (self.next + 1) % SLOTS
        return self.base + self.next * SLOT_TOKENS * TOKEN_BYTES

    def prefill(self, prompt):
        """Puts a KV cache where others can read it; how to find it."""
        held, place = cache(prompt), self.slot()
        ctypes.memmove(place, held, len(held))
        KEPT.append(time.monotonic())
        return {
            "do_remote_prefill": True,
            "do_remote_decode": False,
            "remote_block_ids": [[place, len(held)]],
            "remote_engine_id": self.id,
            "remote_host": os.environ["VLLM_NIXL_SIDE_CHANNEL_HOST"],
            "remote_port": int(os.environ["VLLM_NIXL_SIDE_CHANNEL_PORT"]),
        }

    def fetch(self, params):
        """Reads a KV cache from another engine."""
        peer = params["remote_engine_id"]
        url = f"http://{params['remote_host']}:{params['remote_port']}/"
        if peer not in self.peers:
            with urllib.request.urlopen(url, timeout=5) as told:
                self.peers[peer] = self.agent.add_remote_agent(base64.b64decode(told.read()))
        [[there, size]] = params["remote_block_ids"]
        here = self.slot()
        ours = self.agent.get_xfer_descs([(here, size, 0)], "DRAM")
        theirs = self.agent.get_xfer_descs([(there, size, 0)], "DRAM")
        handle = self.agent.initialize_xfer("READ", ours, theirs, self.peers[peer])
        begun = time.monotonic()
        try:
            # Of an end that was killed nothing comes.
            state, end = self.agent.transfer(handle), time.monotonic() + 3
            while state != "DONE":
                if state == "ERR" or time.monotonic() > end:
                    raise RuntimeError(f"NIXL transfer failure: {state}")
                time.sleep(0.001)
                state = self.agent.check_xfer_state(handle)
        except Exception:
            MOVED["failed"] += 1
            self.agent.release_xfer_handle(handle)
            self.agent.remove_remote_agent(self.peers.pop(peer))
            raise
        self.agent.release_xfer_handle(handle)
        MOVED["bytes"] += size
        MOVED["count"] += 1
        MOVED["seconds"] += time.monotonic() - begun
        urllib.request.urlopen(f"{url}fetched", timeout=5).close()
        return ctypes.string_at(here, size)

    def complete(self, request):
        prompt, params = request["prompt"], request.get("kv_transfer_params") or {}
        fault = option("--fault")
        if params.get("do_remote_prefill"):
            held = self.fetch(params)
            COUNTS["external_kv_transfer"] += len(prompt)
            if fault == "corrupt":
                held = bytes([held[0] ^ 1]) + held[1:]
        else:
            held = cache(prompt)
            COUNTS["local_compute"] += len(prompt)
        found = {
            "choices": [{"index": 0, "text": answer(held, request["max_tokens"])}],
            "model": request["model"],
        }
        REQUESTS["generated"] += request["max_tokens"]
        found["kv_transfer_params"] = self.prefill(prompt) if params.get("do_remote_decode") else None
        return {"id": "cmpl-1", "object": "text_completion", "usage": {"prompt_tokens": len(prompt)}, **found}


def metrics():
    label = 'engine="0",model_name="stand-in"'
    lines = [
        f'vllm:prompt_tokens_by_source_total{{{label},source="{one}"}} {n}.0' for one, n in COUNTS.items()
    ]
    lines += [f"vllm:prompt_tokens_total{{{label}}} {sum(COUNTS.values())}.0"]
    lines += [f"vllm:generation_tokens_total{{{label}}} {REQUESTS['generated']}.0"]
    lines += [f"vllm:num_requests_running{{{label}}} {REQUESTS['running']}.0"]
    lines += [f"vllm:num_requests_waiting{{{label}}} 0.0"]
    lines += [f"vllm:nixl_xfer_time_seconds_sum{{{label}}} {MOVED['seconds']!r}"]
    lines += [f"vllm:nixl_xfer_time_seconds_count{{{label}}} {MOVED['count']}.0"]
    lines += [
        f'vllm:nixl_xfer_time_seconds_bucket{{{label},le="{one}"}} {MOVED["count"]}.0'
        for one in ("5.0", "+Inf")
    ]
    lines += [f"vllm:nixl_bytes_transferred_sum{{{label}}} {float(MOVED['bytes'])!r}"]
    lines += [f"vllm:nixl_bytes_transferred_count{{{label}}} {MOVED['count']}.0"]
    lines += [f"vllm:nixl_num_failed_transfers_total{{{label}}} {MOVED['failed']}.0"]
    lines += [f"vllm:nixl_num_failed_notifications_total{{{label}}} 0.0"]
    kept = sum(time.monotonic() - made < LEASE for made in KEPT)
    lines += [f"vllm:kv_cache_usage_perc{{{label}}} {kept / SLOTS!r}"]
    return "\n".join(lines) + "\n"


def handler(engine):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def reply(self, code, body, kind="application/json"):
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            if self.path == "/health":
                self.reply(200, "", "text/plain")
            elif self.path == "/metrics":
                self.reply(200, metrics(), "text/plain")
            elif self.path == "/v1/models":
                self.reply(
                    200,
                    {
                        "object": "list",
                        "data": [{"id": option("--served-model-name"), "max_model_len": 2048}],
                    },
                )
            else:
                self.reply(404, {"error": self.path})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            REQUESTS["running"] += 1
            try:
                with LOCK:
                    found = engine.complete(request)
                time.sleep(0.002 * request["max_tokens"])
            except Exception as error:
                sys.stderr.write(f"ERROR {error}\n")
                self.reply(500, {"error": {"message": str(error)}})
                return
            finally:
                REQUESTS["running"] -= 1
            self.reply(200, found)

    return Handler


def side_channel(engine):
    """Where other engines get this one's metadata."""

    class Metadata(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if self.path == "/fetched" and KEPT:
                KEPT.pop()
            data = base64.b64encode(engine.agent.get_agent_metadata())
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    address = os.environ["VLLM_NIXL_SIDE_CHANNEL_HOST"], int(os.environ["VLLM_NIXL_SIDE_CHANNEL_PORT"])
    threading.Thread(target=ThreadingHTTPServer(address, Metadata).serve_forever, daemon=True).start()


def bench():
    """`vllm bench serve`: the members of its result that are read (tests/recorded/vllm/bench-0.32-kv.json)."""
    tokens, count = int(option("--random-input-len")), int(option("--random-output-len"))
    requests, chance = int(option("--num-prompts")), random.Random(int(option("--seed")))
    seconds = []
    begun = time.monotonic()

    def ask(prompt):
        body = {"model": option("--served-model-name"), "prompt": prompt, "max_tokens": count}
        request = urllib.request.Request(f"{option('--base-url')}/v1/completions", json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        started = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as told:
            told.read()
        seconds.append(time.monotonic() - started)

    prompts = [chance.choices(range(2048), k=tokens) for _ in range(requests)]
    with ThreadPoolExecutor(int(option("--max-concurrency"))) as several:
        list(several.map(ask, prompts))
    took = time.monotonic() - begun
    milliseconds = max(seconds) * 1000
    result = {
        "duration": took,
        "completed": len(seconds),
        "failed": requests - len(seconds),
        "total_input_tokens": requests * tokens,
        "total_output_tokens": requests * count,
        "request_throughput": requests / took,
        "output_throughput": requests * count / took,
        "total_token_throughput": requests * (tokens + count) / took,
        "latencies": seconds,
        **{f"p{p}_{what}_ms": milliseconds for p in (50, 95, 99) for what in ("ttft", "tpot", "itl", "e2el")},
    }
    with open(f"{option('--result-dir')}/{option('--result-filename')}", "w") as file:
        json.dump(result, file)


def main():
    if sys.argv[1] == "bench":
        bench()
        return
    if option("--fault") == "crash":
        raise SystemExit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
    config = option("--kv-transfer-config")
    engine = Engine(json.loads(config) if config else None)
    if config:
        side_channel(engine)
    time.sleep(float(option("--seconds", "0.5")))
    ThreadingHTTPServer((option("--host"), int(option("--port"))), handler(engine)).serve_forever()
