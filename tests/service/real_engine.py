"""A real vLLM (its build for CPUs) on machines that have booted, served and proven by the product: `make test-serve`.

Not part of `make test`: it needs 3.7 GB and a quiet machine. Each engine has a core of its own. Figures are printed.
A test that finds another service than that of users starts it: each can run alone, and in any order.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from local_aws.machines.run import Run
from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes import run_command
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.rehearse.serving import FLAGS, MODEL, Serving
from nixl_efa.service import run, status, vllm
from nixl_efa.service.engine import Counted
from nixl_efa.service.model import BY_TCP, ENGINE_UNIT, NO_TRANSFER, ROUTER_PORT, Service
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.way import Way, engine_url, way_of
from tests.real_nodes.conftest import BUCKET, UNDER_WAY, Account, boot, place, wait_until
from tests.service.conftest import OVER_EFA, OVER_TCP, ROOT, on, status_of, three, with_efa
from tests.service.on_machines import LOAD, loaded

__all__ = ["three"]

SERVICE = Service("vllm", MODEL, vllm.VERSION, FLAGS)
REQUESTS, PROOF_SECONDS, ANSWER_SECONDS, BACK_SECONDS, WIRE = 200, 90.0, 1.0, 5.0, (1.0, 1.05)
ENV, KEPT = "/etc/nixl-efa/env", "/run/answers.json"


def told(words: str) -> None:
    """A figure: pytest is to leave the output alone (-s)."""
    sys.stderr.write(f"  {time.monotonic() - BEGUN:6.1f} s  {words}\n")


BEGUN = time.monotonic()


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """The local AWS may be asked at once; each look at the engines takes time from them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_command, "POLL_SECONDS", 0.2)
        patch.setattr(run, "LOOK_SECONDS", 2.0)
        patch.setattr(status, "ACTIVITY_SECONDS", 0.5)
        yield


@pytest.fixture(scope="module")
def aws(tree: Path) -> Iterator[LocalAws]:
    """A local AWS whose instances boot with the engine."""
    subprocess.run([ROOT / "scripts/fetch-serve"], check=True)
    with LocalAws(run=Run(place(), tree, [ROOT / ".tools/serve"])) as running:
        yield running


@pytest.fixture(scope="module")
def power_on(account: Account) -> float:
    """When the machines are started: the engine has been fetched by then."""
    return time.monotonic()


@pytest.fixture(scope="module")
def nodes(power_on: float, account: Account) -> OnNodes:
    """A pair after its first boot, each engine on a core of its own, NIXL over libfabric's tcp."""
    pair = PairOutputs("trial", tuple(boot(account, with_efa, "producer", "consumer")), BUCKET)
    told(f"booted, with NIXL's own installation, {time.monotonic() - power_on:.0f} s after power-on")
    Serving(pair, account.ssm).prepare()
    return on(account, pair)


def started(
    nodes: OnNodes, service: Service = SERVICE, way: Way = OVER_TCP, *, anew: bool = False
) -> run.Report:
    planned = {node.name: OVER_EFA for node in nodes.pair.nodes}
    begun = time.monotonic()
    report = run.start(nodes, service, planned, way, clock=SystemClock(), say=told, anew=anew)
    told(f"start: {time.monotonic() - begun:.0f} s")
    return report


def refused(report: run.Report) -> list[tuple[str, str, str]]:
    return [(where, one.check, one.message) for where, one in report.found if one.level is not Level.PASS]


def load(account: Account, nodes: OnNodes, answers: int, threads: int, after: int = 0) -> str:
    """Requests of 200 tokens through the router, on its node: the command's id."""
    router = f"http://127.0.0.1:{ROUTER_PORT}"
    words = (300, answers, threads, router, engine_url(nodes.pair.nodes[0]), MODEL, 2048, 200, after)
    return sent(account, nodes, *map(str, words))


def sent(account: Account, nodes: OnNodes, *words: str) -> str:
    script = f"nice python3 -c {shlex.quote(LOAD)} {shlex.join(words)}"
    return account.send(nodes.router_node.instance_id, script, executionTimeout=["600"])


def ended(account: Account, nodes: OnNodes, command: str) -> dict[str, Any]:
    at = nodes.router_node.instance_id
    wait_until(lambda: account.invocation(command, at)["Status"] not in UNDER_WAY, "the load's end", 500)
    answer = account.invocation(command, at)
    assert answer["Status"] == "Success", answer
    found: dict[str, Any] = json.loads(answer["StandardOutputContent"])
    return found


def counted(nodes: OnNodes) -> Counted:
    seen, _ = nodes.look()
    return vllm.counted(seen["consumer"].engine.metrics)


def pid(account: Account, instance_id: str) -> str:
    return account.out(instance_id, f"systemctl show --property=MainPID --value {ENGINE_UNIT}").strip()


def number(account: Account, instance_id: str, script: str) -> int:
    return int(account.out(instance_id, script))


@pytest.fixture(scope="module")
def first(nodes: OnNodes, power_on: float) -> tuple[run.Report, float]:
    """The first start, and how long after power-on it was proven, in seconds."""
    report = started(nodes)
    return report, time.monotonic() - power_on


@pytest.fixture
def served(nodes: OnNodes, first: tuple[run.Report, float]) -> OnNodes:
    """With the service for users, proven."""
    return serve(nodes)


def serve(nodes: OnNodes) -> OnNodes:
    seen = status_of(nodes)
    if not seen.ready or seen.service != SERVICE:
        assert started(nodes).ready
    return nodes


@pytest.fixture(scope="module")
def answers(nodes: OnNodes, first: tuple[run.Report, float], account: Account) -> dict[str, Any]:
    """What load.py and the counters say of 200 requests, 4 at a time; `KEPT` on the router's node has the answers."""
    consumer = serve(nodes).router_node.instance_id
    received = "cat /sys/class/net/host0/statistics/rx_bytes"
    written = f"journalctl --unit={ENGINE_UNIT} --output=short | wc --bytes"
    before = (
        counted(nodes),
        number(account, consumer, received),
        number(account, consumer, written),
    )
    found = ended(account, nodes, load(account, nodes, REQUESTS, 4))
    moved = counted(nodes).since(before[0])
    wire = (number(account, consumer, received) - before[1]) / moved.nixl_bytes
    logged = (number(account, consumer, written) - before[2]) / found["answered"]
    account.out(consumer, f"cp /run/load.json {KEPT}")
    return {**found, "moved": moved, "wire": wire, "logged": logged}


def test_the_first_proven_answer(first: tuple[run.Report, float]) -> None:
    report, took = first
    for where, one in report.found:
        told(f"{one.level.value} {one.check} {where}: {one.line()}")
    assert refused(report) == []
    assert report.ready
    [wire] = [one.message for _, one in report.found if one.check == "wire"]
    [ratio] = re.findall(r"ratio ([\d.]+)", wire)
    assert WIRE[0] <= float(ratio) <= WIRE[1]
    told(f"first proven answer {took:.0f} s after power-on")
    assert took <= PROOF_SECONDS


def test_a_killed_producer_comes_back_and_the_consumer_stays(served: OnNodes, account: Account) -> None:
    nodes = served
    producer, consumer = (node.instance_id for node in nodes.pair.nodes)
    before = pid(account, consumer)
    command = load(account, nodes, 0, 2, after=10)
    account.out(producer, f"sleep 5; systemctl kill --signal=KILL {ENGINE_UNIT}")
    found = ended(account, nodes, command)
    told(f"killed under load: { ({name: one for name, one in found.items() if name != 'seconds'}) }")
    assert pid(account, consumer) == before
    assert (found["wrong"], found["late"]) == (0, 0)
    assert found["back"] is not None
    assert found["back"] <= BACK_SECONDS
    assert not status_of(nodes).ready
    assert started(nodes).ready


def test_each_answer_is_the_producers_own_and_came_by_kv_transfer(answers: dict[str, Any]) -> None:
    seconds, moved = answers["seconds"], answers["moved"]
    p50, p95 = seconds[len(seconds) // 2], seconds[int(0.95 * len(seconds))]
    told(
        f"{answers['answered']} requests, {answers['wrong']} unlike the producer's own, {answers['failed']} failed; "
        f"p50 {p50} s, p95 {p95} s at 4 at once; {moved}; wire {answers['wire']:.3f}; the consumer's journal grew by "
        f"{answers['logged']:.0f} bytes a request"
    )
    assert answers["answered"] >= REQUESTS
    assert (answers["wrong"], answers["failed"], moved.computed, moved.failed) == (0, 0, 0, 0)
    assert moved.transferred == 200 * answers["answered"]
    assert WIRE[0] <= answers["wire"] <= WIRE[1]
    assert p95 <= ANSWER_SECONDS


PIP = "/opt/nixl-efa/venv/bin/python -m pip install --quiet --no-deps"


@pytest.mark.parametrize(
    ("change", "undo", "way", "check", "said"),
    [
        (
            f"{PIP} --find-links /opt/newer nixl==1.5.1 nixl-cu13==1.5.1",
            f"{PIP} nixl==1.5.0 nixl-cu13==1.5.0",
            OVER_TCP,
            "NIXL",
            r"^1\.5\.1 makes no LIBFABRIC: .*version `FABRIC_1\.10' not found",
        ),
        (
            f"cp {ENV} /run/env; sed -i '/^FI_PROVIDER=/d' {ENV}",
            f"cp /run/env {ENV}",
            way_of(OVER_EFA, {}),
            "NIXL",
            r"^1\.5\.0 with LIBFABRIC uses tcp, not EFA\.$",
        ),
        (
            f"cp {ENV} /run/env; sed -i '/^PAIR_KV/s/LIBFABRIC/UCX/' {ENV}",
            f"cp /run/env {ENV}",
            OVER_TCP,
            "settings",
            r"UCX, and LIBFABRIC is planned",
        ),
    ],
    ids=["NIXL too new for the libfabric", "FI_PROVIDER missing", "backend UCX"],
)
def test_what_would_go_wrong_is_refused_before_an_engine_starts(
    served: OnNodes, account: Account, change: str, undo: str, way: Way, check: str, said: str
) -> None:
    producer = served.pair.nodes[0].instance_id
    before = pid(account, producer)
    account.out(producer, change)
    report = started(served, way=way, anew=True)
    account.out(producer, undo)
    found = {where: (name, message) for where, name, message in refused(report)}
    told(f"refused: {found['producer']}")
    assert found["producer"][0] == check
    assert re.search(said, found["producer"][1])
    assert pid(account, producer) == before


@pytest.mark.usefixtures("answers")
def test_they_are_those_of_one_engine_without_kv_transfer(nodes: OnNodes, account: Account) -> None:
    assert started(nodes, replace(SERVICE, transfer=NO_TRANSFER)).ready
    account.out(nodes.router_node.instance_id, f"cp {KEPT} /run/load.json")
    found = ended(account, nodes, sent(account, nodes, engine_url(nodes.router_node), MODEL))
    told(f"one engine by itself: {found['same']} of {found['asked']} answers are the same")
    assert found["asked"] >= REQUESTS
    assert found["same"] == found["asked"]


@pytest.mark.usefixtures("first")
def test_kv_caches_go_by_ucx_as_well(nodes: OnNodes) -> None:
    report = started(nodes, replace(SERVICE, transfer=BY_TCP))
    assert refused(report) == []
    [backend, _] = [one.message for _, one in report.found if one.check == "backend"]
    assert backend.startswith("UCX: ")
    assert report.ready


def test_of_two_producers_one_is_lost_and_the_other_answers(three: OnNodes, account: Account) -> None:
    """Through both routers. By UCX: with LIBFABRIC over tcp NIXL may end no transfer any more (docs/serve.md)."""
    Serving(three.pair, account.ssm).prepare()
    assert started(three, replace(SERVICE, transfer=BY_TCP)).ready
    lost, other = three.pair.nodes[2], three.pair.nodes[0]
    before = [pid(account, node.instance_id) for node in three.pair.nodes[:2]]
    end = "systemctl kill --signal=KILL {0}; systemctl stop {0}"
    found = loaded(account, three, 30, 0, lost, other, end, MODEL)
    told(f"one of two lost: { ({name: one for name, one in found.items() if name != 'seconds'}) }")
    told(f"the slowest answer: {found['seconds'][-1]} s")
    assert [pid(account, node.instance_id) for node in three.pair.nodes[:2]] == before
    assert run.stop(three).found == []
    assert found["answered"] > 20
    assert found["wrong"] == 0
    assert (found["last_failed"] or 0) <= 0, found["reasons"]


def test_the_end(served: OnNodes, account: Account) -> None:
    assert run.stop(served).found == []
    assert [pid(account, node.instance_id) for node in served.pair.nodes] == ["0", "0"]
