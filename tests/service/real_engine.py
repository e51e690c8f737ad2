"""A real vLLM (its build for CPUs) on machines that have booted, served and proven by the product: `make test-serve`.

Not part of `make test`: it needs 3.6 GB and a quiet machine. Each engine has a core of its own. Figures are printed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_aws import LocalAws
from local_aws.machines.root import home
from local_aws.machines.run import Run
from nixl_efa.bootstrap import Bootstrap, PeerNode
from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes import run_command
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.service import run, vllm
from nixl_efa.service.engine import Counted
from nixl_efa.service.model import Service
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.status import status as status_of
from nixl_efa.service.way import engine_url
from tests.real_nodes.conftest import BUCKET, Account, boot, wait_until
from tests.service.conftest import PLANNED, ROOT, WAY, first_boot, on

LOAD = (Path(__file__).parent / "load.py").read_text(encoding="utf-8")
MODEL = "/models/tiny"
SERVICE = Service("vllm", MODEL, "0.32.0", ("--enforce-eager", "--max-num-seqs", "8"))
# Of the engine on CPUs: the memory of its KV cache, and no threads beside those of its core.
ENGINE_ENV = """\
VLLM_CPU_KVCACHE_SPACE=1
VLLM_CPU_OMP_THREADS_BIND=nobind
OMP_NUM_THREADS=1
HF_HUB_OFFLINE=1
DO_NOT_TRACK=1
"""
REQUESTS, PROOF_SECONDS, ANSWER_SECONDS, BACK_SECONDS = 200, 90.0, 1.0, 5.0


def told(words: str) -> None:
    """A figure: pytest is to leave the output alone (-s)."""
    sys.stderr.write(f"  {words}\n")


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """The local AWS may be asked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_command, "POLL_SECONDS", 0.2)
        patch.setattr(run, "LOOK_SECONDS", 1.0)
        yield


@pytest.fixture(scope="module")
def aws(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS whose instances boot with the engine."""
    subprocess.run([ROOT / "scripts/fetch-serve"], check=True)
    more = tmp_path_factory.mktemp("more")
    (more / "etc/nixl-efa").mkdir(parents=True)
    more.chmod(0o755)
    (more / "etc/nixl-efa/service.env").write_text(ENGINE_ENV, encoding="utf-8")
    with LocalAws(run=Run(home(os.environ), tree, [more, ROOT / ".tools/serve"])) as running:
        yield running


def without_installation(own: PeerNode) -> Bootstrap:
    """NIXL is in the layer."""
    return replace(first_boot(own), install_nixl=False, nixl_version="")


@pytest.fixture(scope="module")
def power_on() -> float:
    """When the machines were started."""
    return time.monotonic()


@pytest.fixture(scope="module")
def nodes(power_on: float, account: Account) -> OnNodes:
    """A pair after its first boot, each engine on a core of its own."""
    pair = PairOutputs("trial", tuple(boot(account, without_installation, "producer", "consumer")), BUCKET)
    for core, node in enumerate(pair.nodes):
        folder = "/etc/systemd/system/nixl-efa-engine.service.d"
        pin = f"[Service]\\nCPUAffinity={core % (os.cpu_count() or 1)}\\n"
        account.out(node.instance_id, f"mkdir -p {folder}; printf '{pin}' >{folder}/pin.conf")
    return on(account, pair)


def started(nodes: OnNodes, **changes: bool) -> run.Report:
    planned = {node.name: PLANNED for node in nodes.pair.nodes}
    return run.start(nodes, SERVICE, planned, WAY, clock=SystemClock(), say=told, **changes)


def shown(report: run.Report) -> None:
    for where, one in report.found:
        told(f"{one.level.value} {one.check} {where}: {one.line()}")


def load(account: Account, nodes: OnNodes, seconds: int, threads: int, after: int = 0) -> str:
    """Requests of 200 tokens through the router, on the consumer: the command's id."""
    words = [
        str(seconds),
        str(threads),
        "http://127.0.0.1:8000",
        engine_url(nodes.pair.nodes[0]),
        MODEL,
        "2048",
    ]
    script = f"nice python3 -c {shlex.quote(LOAD)} {shlex.join([*words, '200', str(after)])}"
    return account.send(nodes.router_node.instance_id, script, executionTimeout=["600"])


def ended(account: Account, nodes: OnNodes, command: str) -> dict[str, object]:
    at = nodes.router_node.instance_id
    wait_until(lambda: account.invocation(command, at)["Status"] != "InProgress", "the load's end", 500)
    answer = account.invocation(command, at)
    assert answer["Status"] == "Success", answer
    found: dict[str, object] = json.loads(answer["StandardOutputContent"])
    return found


def counted(nodes: OnNodes) -> Counted:
    seen, _ = nodes.look()
    return vllm.counted(seen["consumer"].engine.metrics)


def pid(account: Account, instance_id: str) -> str:
    return account.out(instance_id, "systemctl show --property=MainPID --value nixl-efa-engine").strip()


def test_the_first_proven_answer(nodes: OnNodes, power_on: float) -> None:
    report = started(nodes)
    shown(report)
    assert [one for _, one in report.found if one.level is not Level.PASS] == []
    assert report.ready
    took = time.monotonic() - power_on
    told(f"first proven answer {took:.0f} s after power-on")
    assert took <= PROOF_SECONDS


def test_answers_are_the_unified_engines(nodes: OnNodes, account: Account) -> None:
    """The producer by itself is one engine that does both."""
    before, answered, wrong, seconds = counted(nodes), 0, 0, list[float]()
    while answered < REQUESTS:
        found = ended(account, nodes, load(account, nodes, 15, 4))
        answered += int(str(found["answered"]))
        wrong += int(str(found["wrong"]))
        assert found["failed"] == 0
        seconds += found["seconds"]  # type: ignore[arg-type]
    seconds.sort()
    p50, p95 = seconds[len(seconds) // 2], seconds[int(0.95 * len(seconds))]
    moved = counted(nodes).since(before)
    told(
        f"{answered} requests, {wrong} unlike the producer's own; p50 {p50} s, p95 {p95} s at 4 at once; {moved}"
    )
    assert (wrong, moved.computed, moved.failed) == (0, 0, 0)
    assert moved.transferred == 200 * answered
    assert p95 <= ANSWER_SECONDS


def test_a_killed_producer_comes_back_and_the_consumer_stays(nodes: OnNodes, account: Account) -> None:
    producer, consumer = (node.instance_id for node in nodes.pair.nodes)
    before = pid(account, consumer)
    command = load(account, nodes, 300, 2, after=10)
    account.out(producer, "sleep 5; systemctl kill --signal=KILL nixl-efa-engine")
    found = ended(account, nodes, command)
    told(f"killed under load: { ({name: one for name, one in found.items() if name != 'seconds'}) }")
    assert pid(account, consumer) == before
    assert (found["wrong"], found["late"]) == (0, 0)
    assert found["back"] is not None
    assert float(str(found["back"])) <= BACK_SECONDS
    assert not status_of(nodes).ready
    assert started(nodes).ready


def test_a_backend_that_is_not_planned_is_refused_before_an_engine_starts(
    nodes: OnNodes, account: Account
) -> None:
    env = "/etc/nixl-efa/env"
    producer = nodes.pair.nodes[0].instance_id
    before = pid(account, producer)
    account.out(producer, f"cp {env} /run/env; sed -i '/^PAIR_KV/s/UCX/LIBFABRIC/' {env}")
    report = started(nodes, anew=True)
    account.out(producer, f"cp /run/env {env}")
    assert [(where, one.check) for where, one in report.found if one.level is Level.FAIL] == [
        ("producer", "settings")
    ]
    assert pid(account, producer) == before


def test_the_end(nodes: OnNodes, account: Account) -> None:
    assert run.stop(nodes).found == []
    assert [pid(account, node.instance_id) for node in nodes.pair.nodes] == ["0", "0"]
