"""`nixl-efa serve` on machines that have booted: systemd, vllm-router and NIXL are real, the engine is a stand-in."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.bench import plan
from nixl_efa.bench.run import UNIT, Measurement, Outcome, measure
from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes import run_command
from nixl_efa.nodes.run_command import Bucket, Script
from nixl_efa.service import copies, drain, run, status
from nixl_efa.service.model import BY_TCP, Service
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.stage import FromS3, stage
from nixl_efa.service.staged import MANIFEST, folder
from nixl_efa.service.way import way_of
from tests.real_nodes.conftest import BUCKET, Account, wait_until
from tests.service.conftest import MODEL, OVER_EFA, OVER_TCP, manifest_key, status_of
from tests.service.on_machines import ENV, engines, failed, loaded, provider, started


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """What AWS is asked every two seconds, and engines every five, the local one is asked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_command, "POLL_SECONDS", 0.1)
        patch.setattr(run, "LOOK_SECONDS", 0.3)
        patch.setattr(status, "ACTIVITY_SECONDS", 0.5)
        patch.setattr(copies, "LOOK_SECONDS", 0.3)
        patch.setattr(drain, "EVERY_SECONDS", 0.5)
        yield


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("efa", "1.5.0 makes no LIBFABRIC: fi_getinfo failed No data available."),
        ("", "1.5.0 with LIBFABRIC uses tcp, not EFA."),
    ],
)
def test_without_efa_nothing_is_installed_and_nothing_started(
    nodes: OnNodes, account: Account, value: str, said: str
) -> None:
    provider(account, nodes, value)
    told: list[str] = []
    report = started(nodes, told=told, way=way_of(OVER_EFA, {}))
    assert [(where, one.check, one.message) for where, one in report.found] == [
        ("producer", "NIXL", said),
        ("consumer", "NIXL", said),
    ]
    assert told == ["Asking both nodes through Run Command ..."]


def test_a_service_is_ready_when_it_is_proven(nodes: OnNodes, account: Account) -> None:
    provider(account, nodes, "tcp")
    told: list[str] = []
    report = started(nodes, told=told)
    assert failed(report) == []
    rails = [one.message for _, one in report.found if one.check == "provider"]
    assert len(rails) == 2
    assert all("rails using provider=tcp" in one for one in rails)
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
    seen = status_of(nodes)
    assert [one.line() for _, one in seen.found if one.level is not Level.PASS] == []
    assert (seen.ready, seen.service, seen.url) == (True, report.service, report.url)
    consumer = seen.activity["consumer"]
    assert (consumer.generated_tokens, consumer.running, consumer.failed_transfers) == (0.0, 0, 0)
    assert consumer.kv_gbps
    # Each of the names is one that Prometheus finds, and the router's, too.
    for url, name in zip(seen.metrics.values(), ("vllm:", "vllm:", "vllm_router_"), strict=True):
        script = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=9).read().decode())"
        assert name in account.out(nodes.pair.nodes[0].instance_id, f"python3 -c {shlex.quote(script)}")
    before = engines(account, nodes)
    assert started(nodes).ready
    assert engines(account, nodes) == before  # they were proven again, and not started again


TABLE = """
[[rows]]
layer = ["unified", "tcp", "baseline", "efa"]
prompt_tokens = 200
concurrency = 2
output_tokens = 8
requests = 8

[[rows]]
layer = "efa"
prompt_tokens = 200
concurrency = 2
requests = 50000
"""


def test_a_measurement_in_all_layers_ends_with_ctrl_c_and_the_service_is_as_it_was(
    nodes: OnNodes, account: Account, tmp_path: Path
) -> None:
    """KV caches by NIXL's UCX over TCP, by LIBFABRIC, and not at all; the last row is ended on the node."""
    *rows, endless = plan.read(TABLE, "t.toml")
    active = f"systemctl is-active {UNIT}"
    at = nodes.router_node.instance_id

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Any]:
        """Ctrl-C while the row of many requests is under way."""
        if what != "measurement" or not any(
            "50000" in word for one in scripts.values() for word in one.arguments
        ):
            return nodes.ask(scripts, seconds, what)
        (script,) = scripts.values()
        account.send(at, "\n".join(script.commands))
        wait_until(
            lambda: account.run(at, active)["StandardOutputContent"].strip() == "active", "the load", 60
        )
        raise KeyboardInterrupt

    outcome = Outcome()
    one = Measurement(
        nodes=replace(nodes, ask=ask),
        service=Service("vllm", MODEL, "0.32.0"),
        planned={node.name: OVER_EFA for node in nodes.pair.nodes},
        way=OVER_TCP,
        folder=tmp_path,
        runs=True,
        clock=SystemClock(),
        say=lambda _: None,
        done=lambda _: None,
    )
    with pytest.raises(KeyboardInterrupt):
        measure(one, [*rows, endless], outcome)
    assert [(about, each.line()) for about, each in outcome.found] == []
    assert list(outcome.results) == rows
    moved = {row.layer: each.measured for row, each in outcome.results.items()}
    assert [(layer, each.transferred, each.computed) for layer, each in moved.items()] == [
        ("unified", 0, 1600),
        ("tcp", 1600, 0),
        ("baseline", 0, 1600),
        ("efa", 1600, 0),
    ]
    assert account.run(at, active)["StandardOutputContent"].strip() != "active"
    assert status_of(nodes).ready
    rest = Outcome()
    measure(one, rows, rest)
    assert {row: each.document for row, each in rest.results.items()} == {
        row: each.document for row, each in outcome.results.items()
    }


def test_a_producer_that_is_killed_under_load_is_back_and_nobody_gets_a_wrong_answer(
    nodes: OnNodes, account: Account
) -> None:
    provider(account, nodes, "tcp")
    # By UCX: when a peer was killed, NIXL 1.5.0 over LIBFABRIC's tcp may end no transfer any more (docs/serve.md).
    assert started(nodes, transfer=BY_TCP).ready
    producer = nodes.pair.nodes[0]
    before = engines(account, nodes)
    found = loaded(account, nodes, 150, 6, producer, producer, "systemctl kill --signal=KILL {0}")
    assert found["answered"] > 20
    assert (found["wrong"], found["late"]) == (0, 0), found["reasons"]
    assert found["failed"] > 0
    assert found["back"] <= 5
    after = engines(account, nodes)
    assert (after["consumer"], after["producer"] != before["producer"]) == (before["consumer"], True)
    seen = status_of(nodes)
    assert not seen.ready
    # Transfers that were in flight have failed, which is told, too; and that UCX over TCP is no service for users.
    doubts = {one.check: one for _, one in seen.found if one.level is not Level.PASS}
    assert {"service"} <= set(doubts) <= {"proof", "KV transfer", "service"}
    assert (
        doubts["proof"].message == "producer started again since the proof: what they do now is not proven."
    )
    assert started(nodes, transfer=BY_TCP).ready
    assert engines(account, nodes) == after


def test_of_two_producers_one_is_lost_and_the_other_answers(three: OnNodes, account: Account) -> None:
    """Only requests that were in flight may have no answer."""
    provider(account, three, "tcp")
    assert started(three, transfer=BY_TCP).ready
    consumer, lost, other = three.router_node, three.pair.nodes[2], three.pair.nodes[0]
    before = engines(account, three)
    found = loaded(account, three, 12, 0, lost, other, "systemctl kill --signal=KILL {0}; systemctl stop {0}")
    assert found["answered"] > 20
    assert found["wrong"] == 0
    assert (found["last_failed"] or 0) <= 0, found["reasons"]
    after = engines(account, three)
    assert after["producer-2"] == "0"
    assert (after[consumer.name], after[other.name]) == (before[consumer.name], before[other.name])
    seen = {one.check: one.level for where, one in status_of(three).found if not where}
    assert seen["router"] is Level.PASS
    # As a drain ends them: the one that has the requests by a signal, the other one with its unit.
    end = "systemctl kill --signal=TERM {0}; while systemctl is-active -q {0}; do sleep 0.1; done; systemctl stop {0}"
    account.out(consumer.instance_id, end.format("nixl-efa-router"))
    show = "systemctl is-active nixl-efa-pd-router"
    wait_until(
        lambda: account.run(consumer.instance_id, show)["StandardOutputContent"].strip() == "inactive",
        "the other router's end",
        10,
    )


def test_a_staged_model_is_copied_by_the_nodes_themselves_and_served_by_its_name(
    nodes: OnNodes, account: Account
) -> None:
    """By the real AWS CLI, with the role of the nodes."""
    s3 = account.client("s3")
    bucket, name = Bucket(s3, BUCKET), "acme/tiny"
    config = b'{"architectures": ["StandIn"], "dtype": "bfloat16", "vocab_size": 2048}'
    for key, data in {"config.json": config, "model.safetensors": b"1" * (20 << 20), "a b/c": b"c"}.items():
        s3.put_object(Bucket=BUCKET, Key=f"runs/7/{key}", Body=data)

    def staged() -> None:
        source = FromS3(s3, f"s3://{BUCKET}/runs/7")
        stage(name, folder(name), source, bucket, SystemClock(), lambda _: lambda _: None)

    staged()
    told: list[str] = []
    report = started(nodes, told=told, model=name)
    assert failed(report) == []
    assert report.ready
    rows = {one.check: one.message for where, one in report.found if where == "producer"}
    assert rows["model"].endswith("20 MiB of weights, staged")
    assert rows["disk"].startswith(f"20 MiB to copy from s3://{BUCKET}/{folder(name)}, ")
    assert re.fullmatch(r"0\.0 GiB in \d+ s", rows["copy"])
    assert "Copying the model to producer, consumer ..." in told
    place = f"/opt/nixl-efa/models/{BUCKET}/{folder(name)}"
    for node in nodes.pair.nodes:
        process = account.out(
            node.instance_id, f"tr '\\0' ' ' </proc/$(pgrep -f served-model-name)/cmdline; ls {place}"
        )
        assert f"{place} --served-model-name {name}" in process
        assert process.split()[-5:] == ["a", "b", "config.json", "model.safetensors", MANIFEST]
    # All is there: nothing is copied again.
    report = started(nodes, model=name)
    assert (report.ready, [one for _, one in report.found if one.check in ("copy", "disk")]) == (True, [])
    # Other weights of the same size, one file less: a copy that was cut is told, and what is left is exactly the model.
    s3.put_object(Bucket=BUCKET, Key="runs/7/model.safetensors", Body=b"2" * (20 << 20))
    s3.delete_object(Bucket=BUCKET, Key="runs/7/a b/c")
    staged()
    report = started(nodes, "--max-model-len", "2000", model=name)
    assert failed(report) == []
    for node in nodes.pair.nodes:
        seen = account.out(
            node.instance_id, f"head -c 3 {place}/model.safetensors; find {place} -type f | sort"
        )
        assert seen == f"222{place}/config.json\n{place}/model.safetensors\n{place}/{MANIFEST}\n"


def test_a_copy_that_can_not_be_whole_starts_no_engine(nodes: OnNodes, account: Account) -> None:
    s3 = account.client("s3")
    manifest = s3.get_object(Bucket=BUCKET, Key=manifest_key("acme/tiny"))["Body"].read()
    s3.put_object(
        Bucket=BUCKET, Key=f"{folder('acme/tiny')}/config.json", Body=b'{"architectures": ["Other"]}'
    )
    # Another content, so that it is copied.
    s3.put_object(
        Bucket=BUCKET, Key=manifest_key("acme/tiny"), Body=manifest.replace(b'"sum": "', b'"sum": "0')
    )
    before = engines(account, nodes)
    report = started(nodes, "--max-model-len", "1000", model="acme/tiny")
    assert failed(report) == [("producer", "copy"), ("consumer", "copy")]
    assert any("config.json has 28 bytes in place of" in one.message for _, one in report.found)
    assert engines(account, nodes) == before
    # Without its manifest it is not used at all.
    s3.delete_object(Bucket=BUCKET, Key=manifest_key("acme/tiny"))
    report = started(nodes, model="acme/tiny")
    assert failed(report) == [("producer", "model"), ("consumer", "model")]


ASK = """
import http.client, pathlib, sys
router = http.client.HTTPConnection("127.0.0.1", 8000)
router.request("POST", "/v1/completions", sys.argv[1], {"Content-Type": "application/json"})
pathlib.Path("/run/sent").touch()
print(router.getresponse().read().decode())
"""


def slow(account: Account, nodes: OnNodes) -> str:
    """A request through the router that is under way, whose answer takes three seconds: the command's id."""
    body = json.dumps({"model": MODEL, "prompt": [7] * 100, "max_tokens": 1500, "temperature": 0})
    node = nodes.router_node.instance_id
    sent = account.send(node, f"python3 -c {shlex.quote(ASK)} {shlex.quote(body)}")
    account.out(node, "until [ -e /run/sent ]; do sleep 0.05; done")
    return sent


def copied(account: Account) -> dict[str, bytes]:
    """What drains have copied, by node and name; the time is left out."""
    s3 = account.client("s3")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="nixl-efa-drain/trial/").get("Contents", ())
    found = {}
    for one in listed:
        _, _, node, _, name = one["Key"].split("/", 4)
        found[f"{node}/{name}"] = s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
    return found


def test_what_is_wrong_is_refused_before_an_engine_is_started(nodes: OnNodes, account: Account) -> None:
    """The other backend in the consumer's environment, and somebody on the router's port."""
    consumer = nodes.router_node.instance_id
    before = engines(account, nodes)
    account.out(consumer, f"cp {ENV} /run/env; sed -i '/^PAIR_KV/s/LIBFABRIC/UCX/' {ENV}")
    account.out(
        consumer, "systemctl stop nixl-efa-router; systemd-run --unit=other python3 -m http.server 8000"
    )
    report = started(nodes)
    account.out(consumer, f"cp /run/env {ENV}; systemctl stop other")
    assert failed(report) == [("consumer", "settings"), ("consumer", "ports")]
    assert engines(account, nodes) == before


def test_a_node_that_spot_takes_back_drains_by_itself_and_then_the_rest_is_drained(
    nodes: OnNodes, account: Account
) -> None:
    """The consumer, with the router: what it has taken is answered, nothing new is; results and logs are copied."""
    consumer = nodes.router_node.instance_id
    account.out(consumer, "mkdir -p /opt/nixl-efa/results/table; echo 1 >/opt/nixl-efa/results/table/row.csv")
    assert started(nodes).ready
    request = slow(account, nodes)
    account.aws.warn(consumer)
    wait_until(lambda: engines(account, nodes)["consumer"] == "0", "the consumer's drain")
    account.aws.warn(consumer, None)
    [told] = [
        one.message for where, one in status_of(nodes).found if (where, one.check) == ("consumer", "drain")
    ]
    assert "EC2 takes the instance back (terminate)" in told
    answered = account.invocation(request, consumer)
    assert "choices" in answered["StandardOutputContent"], answered
    assert engines(account, nodes)["producer"] != "0"
    found = drain.drain(nodes, 60, SystemClock(), lambda _: None)
    assert [(name, one.level, one.check) for name, one in found] == [
        (name, Level.PASS, check) for name in ("producer", "consumer") for check in ("requests", "copy")
    ]
    assert set(engines(account, nodes).values()) == {"0"}
    assert {one.check for _, one in status_of(nodes).found} == {"drain", "requests", "copy", "router"}
    kept = copied(account)
    assert kept["consumer/results/table/row.csv"] == b"1\n"
    assert b"EC2 takes the instance back (terminate): draining" in gzip.decompress(
        kept["consumer/watch.log.gz"]
    )
    assert b"starting graceful shutdown" in gzip.decompress(kept["consumer/router.log.gz"])
    assert b"Backend LIBFABRIC was instantiated" in gzip.decompress(kept["producer/engine.log.gz"])


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ("corrupt", "answer", "not the producer's own greedy answer, from character"),
        ("crash", "start", "CUDA out of memory"),
    ],
)
def test_what_is_not_proven_is_not_ready_and_nothing_answers(
    nodes: OnNodes, account: Account, fault: str, check: str, said: str
) -> None:
    report = started(nodes, "--fault", fault)
    assert not report.ready
    assert {one for _, one in failed(report)} == {check}
    assert any(said in one.message for _, one in report.found)
    assert not status_of(nodes).ready
    active = "systemctl is-active nixl-efa-router"
    assert account.run(nodes.router_node.instance_id, active)["StandardOutputContent"].strip() == "inactive"


def test_a_service_that_is_stopped_leaves_nothing_that_runs(nodes: OnNodes, account: Account) -> None:
    report = run.stop(nodes)
    assert failed(report) == []
    assert set(engines(account, nodes).values()) == {"0"}
    assert {one.check for _, one in status_of(nodes).found} == {"engine", "router"}
    log, problems = nodes.logs(nodes.pair.nodes, "nixl-efa-engine.service", 50)
    assert problems == {}
    assert sorted(log) == ["consumer", "producer"]
    assert all(re.search(r" (env|vllm)\[\d+\]: ", one["log"].text) for one in log.values())
