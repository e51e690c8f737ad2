"""`nixl-efa serve` on machines that have booted: systemd, vllm-router and NIXL are real, the engine is a stand-in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes import run_command
from nixl_efa.service import run
from nixl_efa.service.model import Service, engine_url
from nixl_efa.service.on_nodes import OnNodes
from tests.real_nodes.conftest import Account, wait_until
from tests.service.conftest import MODEL, PLANNED, WAY

LOAD = (Path(__file__).parent / "load.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """What AWS is asked every two seconds, and engines every five, the local one is asked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_command, "POLL_SECONDS", 0.1)
        patch.setattr(run, "LOOK_SECONDS", 0.3)
        yield


def started(nodes: OnNodes, *flags: str, told: list[str] | None = None, anew: bool = False) -> run.Report:
    service = Service("vllm", MODEL, "0.32.0", flags)
    planned = {node.name: PLANNED for node in nodes.pair.nodes}
    say = (told if told is not None else []).append
    return run.start(nodes, service, planned, WAY, clock=SystemClock(), say=say, anew=anew)


def failed(report: run.Report) -> list[tuple[str, str]]:
    return [(where, one.check) for where, one in report.found if one.level is Level.FAIL]


def engines(account: Account, nodes: OnNodes) -> dict[str, str]:
    """The process of each engine."""
    show = "systemctl show --property=MainPID --value nixl-efa-engine"
    return {node.name: account.out(node.instance_id, show).strip() for node in nodes.pair.nodes}


def test_a_service_is_ready_when_it_is_proven(nodes: OnNodes, account: Account) -> None:
    told: list[str] = []
    report = started(nodes, told=told)
    assert failed(report) == []
    assert report.ready
    checks = [(where, one.check) for where, one in report.found]
    assert checks[-5:] == [
        ("consumer", "answer"),
        ("consumer", "KV transfer"),
        ("consumer", "wire"),
        ("", "answer"),
        ("", "KV transfer"),
    ]
    assert told[-1] == "Starting the router on consumer ..."
    status = run.status(nodes)
    assert [one.line() for _, one in status.found if one.level is not Level.PASS] == []
    assert (status.ready, status.service, status.url) == (True, report.service, report.url)
    before = engines(account, nodes)
    assert started(nodes).ready
    assert engines(account, nodes) == before  # they were proven again, and not started again


def test_a_producer_that_is_killed_under_load_is_back_and_nobody_gets_a_wrong_answer(
    nodes: OnNodes, account: Account
) -> None:
    producer, consumer = nodes.pair.nodes
    before = engines(account, nodes)
    words = ["8", "4", "http://127.0.0.1:8000", engine_url(producer), MODEL, "2048", "200"]
    load = account.send(consumer.instance_id, f"python3 -c {shlex.quote(LOAD)} {shlex.join(words)}")
    account.out(producer.instance_id, "sleep 2; systemctl kill --signal=KILL nixl-efa-engine")
    wait_until(
        lambda: account.invocation(load, consumer.instance_id)["Status"] != "InProgress", "the load's end"
    )
    found = json.loads(account.invocation(load, consumer.instance_id)["StandardOutputContent"])
    assert found["answered"] > 20
    assert (found["wrong"], found["late"]) == (0, 0)
    assert found["failed"] > 0
    assert found["back"] <= 5
    after = engines(account, nodes)
    assert (after["consumer"], after["producer"] != before["producer"]) == (before["consumer"], True)
    status = run.status(nodes)
    assert not status.ready
    [(_, doubt)] = [each for each in status.found if each[1].level is not Level.PASS]
    assert doubt.message == "producer started again since the proof: what they do now is not proven."
    assert started(nodes).ready
    assert engines(account, nodes) == after


def test_what_is_wrong_is_refused_before_an_engine_is_started(nodes: OnNodes, account: Account) -> None:
    """The other backend in the consumer's environment, and somebody on the router's port."""
    consumer = nodes.router_node.instance_id
    before = engines(account, nodes)
    env = "/etc/nixl-efa/env"
    account.out(consumer, f"cp {env} /run/env; sed -i '/^PAIR_KV/s/UCX/LIBFABRIC/' {env}")
    account.out(
        consumer, "systemctl stop nixl-efa-router; systemd-run --unit=other python3 -m http.server 8000"
    )
    report = started(nodes, anew=True)
    account.out(consumer, f"cp /run/env {env}; systemctl stop other")
    assert failed(report) == [("consumer", "settings"), ("consumer", "ports")]
    assert engines(account, nodes) == before


@pytest.mark.parametrize(
    ("fault", "checks", "said"),
    [
        ("corrupt", [("consumer", "answer")], "not the producer's own greedy answer, from character"),
        ("crash", [], "CUDA out of memory"),
        (
            "recompute",
            [("consumer", "KV transfer"), ("consumer", "wire")],
            "1000 were computed on the consumer",
        ),
    ],
)
def test_what_is_not_proven_is_not_ready_and_nothing_answers(
    nodes: OnNodes, account: Account, fault: str, checks: list[tuple[str, str]], said: str
) -> None:
    report = started(nodes, "--fault", fault)
    assert not report.ready
    # Both engines crash; the look that sees the first of them may come before the other's end.
    assert checks == failed(report) or {check for _, check in failed(report)} == {"start"}
    assert any(said in one.message for _, one in report.found)
    assert not run.status(nodes).ready
    active = "systemctl is-active nixl-efa-router"
    assert account.run(nodes.router_node.instance_id, active)["StandardOutputContent"].strip() == "inactive"


def test_a_service_that_is_stopped_leaves_nothing_that_runs(nodes: OnNodes, account: Account) -> None:
    report = run.stop(nodes)
    assert failed(report) == []
    assert set(engines(account, nodes).values()) == {"0"}
    assert {one.check for _, one in run.status(nodes).found} == {"engine", "router"}
    log, problems = nodes.logs(nodes.pair.nodes, "nixl-efa-engine.service", 50)
    assert problems == {}
    assert all("Backend UCX was instantiated" in one["log"].text for one in log.values())
