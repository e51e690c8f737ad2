"""The real routers of a service with two producers, by the commands of their units: a producer ends under load."""

from __future__ import annotations

import json
import os
import platform
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.service import look_at_units, vllm
from nixl_efa.service.model import ROUTER_UNIT
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.router import ATTEMPTS, pd_command, retry_command
from tests.real_nodes.conftest import wait_until
from tests.service.programs import Server, text

ROLES = {"producer": "producer", "producer-2": "producer", "consumer": "consumer"}
# Addresses of the loopback interface that no other run on this machine has: the routers' ports are fixed.
NET = f"127.{128 + os.getpid() % 127}.{os.getpid() // 127 % 256}"
PAIR = PairOutputs(
    "trial",
    tuple(Node(name, role, name, f"{NET}.{at}", "") for at, (name, role) in enumerate(ROLES.items(), 11)),
)
FIRST, LOST, CONSUMER = (node.private_ip for node in PAIR.nodes)
RETRIES, PAIRS = f"http://{CONSUMER}:8000", f"http://{CONSUMER}:8001"
# What /opt/nixl-efa/venv/bin/vllm-router does, without the packages that only its other parts need.
LAUNCH = """
import argparse
from vllm_router.router import Router
from vllm_router.router_args import RouterArgs
parser = argparse.ArgumentParser()
RouterArgs.add_cli_args(parser)
Router.from_args(RouterArgs.from_cli_args(parser.parse_args())).start()
"""


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory, router_wheels: list[Path]) -> Iterator[None]:
    """Both, at the consumer's address."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the router's wheel is for Linux on x86_64")
    folder = tmp_path_factory.mktemp("router")
    (wheel,) = [one for one in router_wheels if one.name.startswith("vllm_router-")]
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    running = []
    for name, command in (("pairs", pd_command(PAIR)), ("retries", retry_command(PAIR))):
        words = [one.replace("0.0.0.0", CONSUMER).replace("127.0.0.1", CONSUMER) for one in command[1:]]
        with (folder / f"{name}.log").open("wb") as log:
            environ = {**os.environ, "PYTHONPATH": str(folder)}
            running.append(
                subprocess.Popen([sys.executable, "-c", LAUNCH, *words], env=environ, stdout=log, stderr=log)
            )
    yield
    for one in running:
        one.kill()
        one.wait()


def posted(url: str, seconds: float = 60, **body: object) -> dict[str, Any]:
    """The answer to a request; empty if it fails."""
    request = urllib.request.Request(url, json.dumps({"model": "tiny", **body}).encode())
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as told:
            return dict(json.load(told))
    except OSError:
        return {}


def answers(url: str, seconds: float = 60) -> bool:
    """Whether a request with a prompt of its own is answered."""
    told = posted(f"{url}/v1/completions", seconds, prompt=random.randbytes(40).hex(), max_tokens=4)
    return bool(told) and bool(told["choices"][0]["text"] == "own")


def is_well(url: str) -> bool:
    """Whether a look at the units, as for `nixl-efa serve status`, finds a router of this URL well."""
    asked: list[dict[str, str]] = []

    def ask(scripts: Mapping[str, Script], *_: object) -> Mapping[str, Outcome]:
        asked.extend(json.loads(scripts["consumer"].arguments[1])["units"])
        return dict.fromkeys(scripts, Outcome("", "not asked"))

    OnNodes(PAIR, ask, vllm).look()
    [told] = [one["url"] for one in asked if one["name"] == ROUTER_UNIT]
    return look_at_units.get(told.replace("http://127.0.0.1:8000", url)) is not None


def engine(address: str, port: int) -> Server:
    return Server([text("own", kv_transfer_params={"do_remote_prefill": True})], address=(address, port))


@contextmanager
def silence(address: str, port: int) -> Iterator[None]:
    """Nothing answers at an address, as at that of a lost instance: Linux drops connections to a full queue."""
    with socket.socket() as full, ExitStack() as queue:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((address, port))
        full.listen(0)
        for _ in range(2):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield


# A router waits 10 s for a connection; a producer that is silent is excluded after three checks of 5 s.
LOSSES = [("an engine ends", 4.0), pytest.param("an instance is lost", 25.0, marks=pytest.mark.matrix)]


@pytest.mark.parametrize(("loss", "seconds"), LOSSES)
def test_no_request_is_lost_with_one_of_two_producers(routers: None, loss: str, seconds: float) -> None:
    """The router of the pairs alone loses some: once it tries another producer, the other router can go."""
    lost, again, consumer = engine(LOST, 8100), engine(LOST, 8100), engine(CONSUMER, 8200)
    failed = {RETRIES: 0, PAIRS: 0}
    over = threading.Event()

    def asked(url: str) -> int:
        """How often the consumer is asked because of one request."""
        before = len(consumer.requests)
        assert answers(url)
        return len(consumer.requests) - before

    def ask(url: str) -> None:
        while not over.is_set():
            if not answers(url):
                failed[url] += 1
                time.sleep(0.05)

    with engine(FIRST, 8100), consumer:
        with lost:
            wait_until(lambda: answers(RETRIES), "both routers", 30)
            # Nothing but the request itself is passed on.
            assert asked(RETRIES) == asked(PAIRS)
            threads = [threading.Thread(target=ask, args=(url,)) for url in failed for _ in range(4)]
            for one in threads:
                one.start()
            time.sleep(1)
        assert lost.requests  # it has had its part
        with silence(LOST, 8100) if loss == "an instance is lost" else nullcontext():
            time.sleep(seconds)
            # The router of the pairs is that of a service with one producer and several consumers, too.
            assert (is_well(RETRIES), is_well(PAIRS)) == (True, True)
        with again:
            wait_until(lambda: bool(again.requests), "requests at the producer that is back", 5)
            over.set()
            for one in threads:
                one.join()
    wait_until(lambda: not is_well(PAIRS), "a router without engines", 20)
    assert failed[PAIRS] > 0
    assert failed[RETRIES] == 0


def test_what_the_page_says_of_refused_requests_and_of_other_paths(routers: None) -> None:
    """Once /v1/rerank is answered through both, the page need not name it."""
    full = Server([(503, {"error": {"message": "full"}})], address=(FIRST, 8100))
    with full, engine(CONSUMER, 8200):
        wait_until(lambda: is_well(PAIRS), "the first router", 30)
        wait_until(lambda: is_well(RETRIES), "both routers", 30)
        full.requests.clear()
        assert not answers(RETRIES)
        often = len(full.requests)
        full.requests.clear()
        assert not answers(PAIRS)
        assert often == ATTEMPTS * len(full.requests)
        full.requests.clear()
        # The second attempt comes after 0.3 s, the third one after 0.9 s, the last one after 4.5 s.
        assert not answers(RETRIES, 0.6)
        time.sleep(5)
        assert len(full.requests) * ATTEMPTS <= often * 3
    # As vLLM answers.
    one = {"index": 0, "document": {"text": "a"}, "relevance_score": 0.9}
    ranked = {"id": "rerank-1", "model": "tiny", "usage": {"total_tokens": 3}, "results": [one]}
    with Server([(200, ranked)], address=(FIRST, 8100)), Server([(200, ranked)], address=(CONSUMER, 8200)):
        wait_until(lambda: is_well(RETRIES), "both routers", 30)
        found = [
            bool(posted(f"{url}/{path}", query="q", documents=["a"]))
            for url in (PAIRS, RETRIES)
            for path in ("v1/rerank", "v2/rerank")
        ]
        assert found == [True, True, False, True]
