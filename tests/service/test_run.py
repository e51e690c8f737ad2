"""When a start may say "ready", and what runs after it: something else happens at each of its steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from nixl_efa.findings import Level
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.service import run, vllm
from nixl_efa.service.model import (
    BOOT_UNIT,
    BY_TCP,
    ENGINE_UNIT,
    NO_TRANSFER,
    PD_ROUTER_UNIT,
    ROUTER_UNIT,
    Service,
)
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.way import Way
from tests.records import answer
from tests.service.pretended import LOG, PAIR, SERVICE, TWO_PRODUCERS, Pretended

OTHER = Service("vllm", "/models/other", "0.32.0")
FALLBACK = "I1126 19:30:05.0   28690 libfabric_topology.cpp:90] Discovered 1 tcp devices (TCP fallback)"
# How often a step was asked before, in a start without errors: "look" while the engines start, while the router starts,
# and at the end; "start" and "stop" of engines, then of the router; "proof" of the pairs, of the router, and its file.
FIRST, SECOND, LAST = 0, 1, 2


@pytest.fixture
def pair() -> Pretended:
    return Pretended()


def failed(report: run.Report) -> list[tuple[str, str]]:
    return [(where, one.line()) for where, one in report.found if one.level is Level.FAIL]


def test_a_start_in_order(pair: Pretended) -> None:
    report = pair.start()
    assert (failed(report), report.ready, pair.status().ready) == ([], True, True)
    assert pair.runs("consumer", ROUTER_UNIT)
    # vllm-router also ends when somebody has the port of its metrics.
    ports = {name: one["ports"] for name, one in pair.prepared.items()}
    assert ports == {"producer": [8100, 5600], "consumer": [8200, 5600, 8000, 29000]}
    engines = {name: pair.units[name, ENGINE_UNIT]["invocation"] for name in ("producer", "consumer")}
    assert json.loads(pair.proven)["engines"] == engines
    assert pair.start().ready
    assert engines == {name: pair.units[name, ENGINE_UNIT]["invocation"] for name in engines}


@pytest.mark.parametrize(("own", "bucket"), [("", "scripts"), ("acme-models", "acme-models")])
def test_packages_of_all_nodes_are_looked_for_where_they_are_staged(
    own: str, bucket: str, pair: Pretended
) -> None:
    nodes = OnNodes(replace(PAIR, scripts_bucket="scripts"), pair.ask, vllm, own)
    nodes.prepare({"producer": (), "consumer": ()}, SERVICE, {"producer": (), "consumer": ()})
    place = f"s3://{bucket}/nixl-efa-models/packages/vllm-0.32.0/vllm-router-0.1.17"
    assert {name: one["wheels"] for name, one in pair.prepared.items()} == {
        "producer": place,
        "consumer": place,
    }
    # A model that lies on the nodes.
    assert {one["staged"] for one in pair.prepared.values()} == {""}


def test_a_service_without_kv_transfer_is_one_engine_and_the_next_start_is_of_all(pair: Pretended) -> None:
    assert pair.start().ready
    assert pair.start(replace(SERVICE, transfer=NO_TRANSFER)).ready
    assert [name for (name, _) in pair.units] == ["consumer"]
    assert pair.units["consumer", ENGINE_UNIT]["log"] == ""
    assert (pair.proven, pair.start().ready) == ("", True)
    assert pair.runs("producer", ENGINE_UNIT)


def test_kv_caches_over_tcp_on_purpose_are_proven_as_such(pair: Pretended) -> None:
    """And the engines of the one are not taken for those of the other."""
    by_tcp = pair.start(replace(SERVICE, transfer=BY_TCP))
    assert (failed(by_tcp), by_tcp.ready) == ([], True)
    assert next(one.message for _, one in by_tcp.found if one.check == "backend").startswith("UCX: ")
    first = pair.units["consumer", ENGINE_UNIT]["invocation"]
    assert pair.start().ready
    assert pair.units["consumer", ENGINE_UNIT]["invocation"] != first


def another_service(pair: Pretended) -> None:
    pair.services["producer"] = OTHER.text


@pytest.mark.parametrize(
    ("event", "said"),
    [
        # By systemd: its log was not read, and it may have fallen back to TCP.
        (lambda pair: pair.begin("producer", ENGINE_UNIT), "was started again during the proof"),
        (lambda pair: pair.units["producer", ENGINE_UNIT].update(healthy=False), "has ended or was started"),
        # By somebody else at the same time.
        (another_service, "somebody has started another service meanwhile"),
        (lambda pair: pair.units.pop(("consumer", ROUTER_UNIT)), "the router does not answer any more"),
        (
            lambda pair: pair.units["producer", ENGINE_UNIT].update(
                log=LOG.replace("provider=tcp", "provider=shm")
            ),
            "NIXL uses shm, not tcp",
        ),
        (lambda pair: pair.silent.add("producer"), "it is not registered"),
    ],
)
def test_what_happens_during_the_proof_is_not_ready(
    pair: Pretended, event: Callable[[Pretended], None], said: str
) -> None:
    pair.before["look", LAST] = lambda: event(pair)
    report = pair.start()
    assert not report.ready
    [(_, line)] = failed(report)
    assert said in line
    assert (pair.runs("consumer", ROUTER_UNIT), pair.proven) == (False, "")


@pytest.mark.parametrize(
    "step",
    [("start", SECOND), ("look", SECOND), ("proof", SECOND), ("look", LAST), ("proof", LAST)],
    ids=["the router's start", "its health", "its proof", "the last look", "its file"],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ConnectionError])
def test_no_router_runs_that_is_not_proven_whatever_ends_the_command(
    pair: Pretended, step: tuple[str, int], error: type[BaseException]
) -> None:
    def end() -> None:
        pair.begin("consumer", ROUTER_UNIT)  # a command that was sent is carried out
        raise error

    pair.before[step] = end
    with pytest.raises(error):
        pair.start()
    assert (pair.runs("consumer", ROUTER_UNIT), pair.proven, pair.status().ready) == (False, "", False)


def test_a_router_whose_start_has_no_answer_is_stopped(pair: Pretended) -> None:
    """Run Command's own time was over, and systemd has started it."""

    def starts_without_an_answer() -> None:
        pair.begin("consumer", ROUTER_UNIT)
        pair.silent.add("consumer")

    pair.before["start", SECOND] = starts_without_an_answer
    pair.before["stop", SECOND] = pair.silent.clear
    assert not pair.start().ready
    assert not pair.runs("consumer", ROUTER_UNIT)


def test_an_earlier_proof_is_gone_when_a_later_one_fails(pair: Pretended) -> None:
    """The router had ended by itself, so that there was none to stop; somebody starts it again by hand."""
    assert pair.start().ready
    del pair.units["consumer", ROUTER_UNIT]
    pair.units["producer", ENGINE_UNIT]["log"] = ""
    assert not pair.start().ready
    pair.units["producer", ENGINE_UNIT]["log"] = LOG
    pair.begin("consumer", ROUTER_UNIT)
    assert not pair.status().ready


def test_an_engine_that_ran_and_ends_again_and_again_is_not_waited_for(pair: Pretended) -> None:
    """It runs for this service, so it is not started; systemd starts it, and it ends while it loads."""
    assert pair.start().ready
    engine = pair.units["producer", ENGINE_UNIT]
    engine.update(healthy=False, restarts=7, end="CUDA error: uncorrectable ECC error encountered")
    seen = pair.asked.count("look")
    pair.before["look", seen + 3] = lambda: engine.update(restarts=8)
    report = pair.start()
    assert [where for where, _ in failed(report)] == ["producer"]
    assert "the engine ended" in failed(report)[0][1]
    assert pair.asked.count("look") == seen + 4


def test_a_node_that_is_stopped_while_an_engine_loads_is_not_waited_for_for_hours(pair: Pretended) -> None:
    def stopped() -> None:
        pair.silent.add("producer")

    pair.before["look", FIRST] = stopped
    report = pair.start()
    assert [where for where, _ in failed(report)] == ["producer"]
    assert pair.asked.count("look") * run.LOOK_SECONDS <= run.SILENT_SECONDS + 60


def test_engines_of_a_service_that_no_node_names_are_not_ready_and_status_says_why(pair: Pretended) -> None:
    assert pair.start().ready
    pair.services.clear()
    status = pair.status()
    assert not status.ready
    assert [one.message for _, one in status.found if one.level is not Level.PASS] == [
        "no node names its service: a start was interrupted."
    ]
    before = {name: pair.units[name, ENGINE_UNIT]["invocation"] for name in ("producer", "consumer")}
    assert pair.start().ready
    assert all(pair.units[name, ENGINE_UNIT]["invocation"] != one for name, one in before.items())


def test_stop_ends_the_engines_of_the_nodes_that_answer(pair: Pretended) -> None:
    assert pair.start().ready
    pair.silent.add("consumer")
    report = run.stop(OnNodes(PAIR, pair.ask, vllm))
    assert {where for where, _ in failed(report)} == {"consumer"}
    assert not pair.runs("producer", ENGINE_UNIT)


def test_without_a_node_of_each_role_nothing_is_asked(pair: Pretended) -> None:
    alone = PairOutputs("trial", PAIR.nodes[1:], "")
    nodes = replace(OnNodes(PAIR, pair.ask, vllm), pair=alone)
    report = run.start(nodes, SERVICE, {}, Way("UCX", "", "IP"), clock=None, say=print)  # type: ignore[arg-type]
    assert ([where for where, _ in failed(report)], pair.asked) == ([""], [])


@pytest.mark.parametrize(
    ("at_boot", "was", "becomes", "asked"),
    [
        (True, "disabled", "enabled", 1),
        (True, "enabled", "enabled", 1),
        (False, "enabled", "disabled", 1),
        (False, "disabled", "disabled", 0),
        (None, "enabled", "enabled", 0),
        (None, "disabled", "disabled", 0),
    ],
)
def test_a_start_says_whether_nodes_start_their_engines_at_boot(
    at_boot: bool | None, was: str, becomes: str, asked: int
) -> None:
    pair = Pretended(at_boot=dict.fromkeys(("producer", "consumer"), was))
    assert pair.start(at_boot=at_boot).ready
    assert set(pair.at_boot.values()) == {becomes}
    assert pair.asked.count("start at boot") == asked


def test_a_node_that_can_not_start_its_engine_at_boot_is_told_and_the_service_is_ready() -> None:
    """Its files are of before the setting."""
    pair = Pretended(at_boot={"producer": "enabled"})
    report = pair.start(at_boot=True)
    assert report.ready
    [(where, one)] = [each for each in report.found if each[1].level is Level.WARN]
    assert (where, one.line()) == (
        "consumer",
        "the node has no nixl-efa-service.service. `nixl-efa nodes sync trial` writes it; then start the service "
        "again.",
    )
    assert pair.at_boot == {"producer": "enabled"}


def test_a_stop_ends_what_starts_engines_before_the_engines() -> None:
    pair = Pretended()
    pair.start()
    ended: list[tuple[str, ...]] = []

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        ended.extend(tuple(one.arguments) for one in scripts.values())
        return pair.ask(scripts, seconds, what)

    run.stop(OnNodes(PAIR, ask, vllm))
    assert ended == [(ROUTER_UNIT, PD_ROUTER_UNIT), *[("nixl-efa-service.service", ENGINE_UNIT)] * 2]


def test_a_start_after_a_producer_has_left_finds_no_second_router_at_its_ports() -> None:
    """The one that knows the engines has the port of the metrics, and may take longer to end than the other one."""
    pair = Pretended(TWO_PRODUCERS)
    assert pair.start().ready
    assert pair.runs("consumer", PD_ROUTER_UNIT)
    pair.pair = PAIR
    pair.before["start", pair.asked.count("start")] = lambda: ended.append(
        not pair.runs("consumer", PD_ROUTER_UNIT)
    )
    ended: list[bool] = []
    assert pair.start().ready
    assert ended == [True]


def test_a_start_during_a_drain_finds_the_ports_of_the_router_that_still_runs(pair: Pretended) -> None:
    pair.begin("consumer", PD_ROUTER_UNIT)
    pair.taken["consumer"] = {"29000": "vllm-router, process 7"}
    assert failed(pair.start()) == []


@pytest.mark.parametrize("state", ["deactivating", "inactive"])
def test_a_start_begins_an_engine_again_that_a_drain_ends_in_that_moment(pair: Pretended, state: str) -> None:
    """And it starts at boot again."""
    pair.at_boot = dict.fromkeys(("producer", "consumer"), "enabled")
    assert pair.start(at_boot=True).ready
    engine = pair.units["producer", ENGINE_UNIT]

    def end() -> None:
        engine.update(state=state, healthy=False)
        pair.at_boot["producer"] = "disabled"

    pair.before["drain", 1] = end
    report = pair.start(at_boot=True)
    assert (failed(report), report.ready) == ([], True)
    assert pair.at_boot["producer"] == "enabled"
    assert pair.units["producer", ENGINE_UNIT]["invocation"] != engine["invocation"]


def test_no_engine_is_started_for_which_the_driver_is_too_old(pair: Pretended) -> None:
    """It would end minutes later, with a message of CUDA's."""
    pair.cuda, pair.gpus = "13.0", f"@@ begin nvidia\n{answer('nvidia/l40s-csv')}@@ end nvidia 0\n"
    report = pair.start()
    told = (
        "the engine's torch is built for CUDA 13.0, which needs NVIDIA's driver 580 or newer; the node has 575.51.03. "
        "Take a newer image, or an engine for an older CUDA (--engine-version)."
    )
    assert failed(report) == [("producer", told), ("consumer", told)]
    assert "start" not in pair.asked


def test_a_model_is_copied_before_the_engine_starts_and_how_far_it_is_is_told(pair: Pretended) -> None:
    under_way = {"state": "copying", "line": "3.0 of 61.0 GiB, 2.00 GiB/s, 1 min left"}
    pair.copies = [under_way] * 8 + [{"state": "done", "line": "61.0 GiB in 30 s"}]
    report = pair.start()
    assert (failed(report), report.ready) == ([], True)
    assert pair.asked.index("copy") < pair.asked.index("start")
    assert [one.message for _, one in report.found if one.check == "copy"] == ["61.0 GiB in 30 s"] * 2
    assert "  consumer: 3.0 of 61.0 GiB, 2.00 GiB/s, 1 min left" in pair.told


def test_a_start_tells_how_far_nodes_are_that_start_their_engines_at_boot(pair: Pretended) -> None:
    line = "copying s3://b/x: 12G of 61G"
    pair.begin("producer", BOOT_UNIT, end=f"Started x\n{line}")
    pair.before["look", 8] = lambda: pair.begin("producer", BOOT_UNIT, state="inactive")
    report = pair.start(at_boot=True)
    assert (failed(report), report.ready) == ([], True)
    # At once, then every 30 seconds.
    assert [one for one in pair.told if "at boot" in one] == [f"  producer starts at boot: {line}"] * 2
    assert pair.asked[:10] == ["look"] * 9 + ["node facts"]


@pytest.mark.parametrize(("staged", "again"), [(True, ["producer", "consumer"]), (False, [])])
def test_a_content_that_was_staged_since_comes_to_all_nodes_by_the_next_start(
    staged: bool, again: list[str]
) -> None:
    """Else a node that is started alone, in place of another one, would have other weights than its peers."""
    pair = Pretended()
    assert pair.start().ready
    before = {name: pair.units[name, ENGINE_UNIT]["invocation"] for name in ("producer", "consumer")}
    pair.copies, pair.staged = [{"state": "done", "line": "61.0 GiB in 30 s"}], staged
    for chosen in (again, []):
        report = pair.start()
        assert (failed(report), report.ready) == ([], True)
        assert [where for where, one in report.found if one.check == "copy"] == chosen
        now = {name: pair.units[name, ENGINE_UNIT]["invocation"] for name in before}
        assert [name for name in before if now[name] != before[name]] == chosen
        before = now


def test_copies_are_reported_in_the_order_of_the_nodes_whichever_ends_first(pair: Pretended) -> None:
    failing = {"state": "failed", "line": "No space left on device"}
    pair.copies = [{"state": "copying", "line": "1.0 of 2.0 GiB", "node": "producer"}, failing]
    assert [where for where, _ in failed(pair.start())] == ["producer", "consumer"]


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ([{"state": "failed", "line": "aws s3 sync: (403) Forbidden"}], "aws s3 sync: (403) Forbidden."),
        # Its process was killed: the status tells nothing.
        ([{"state": "", "line": ""}], "Killed."),
    ],
)
def test_no_engine_starts_without_its_model(pair: Pretended, copies: list[dict[str, str]], said: str) -> None:
    pair.copies = copies
    report = pair.start()
    assert not report.ready
    assert all(f"the model was not copied: {said}" in line for _, line in failed(report))
    assert "start" not in pair.asked


@pytest.mark.parametrize(
    ("disturbed", "ready", "proofs"), [(0, True, 3), (1, True, 4), (2, True, 5), (3, False, 3)]
)
def test_bytes_of_other_traffic_are_no_other_way_if_another_proof_has_none(
    disturbed: int, ready: bool, proofs: int
) -> None:
    """proofs: of the pairs, and if they pass, of the router and its file."""
    pair = Pretended(disturbed=disturbed)
    report = pair.start()
    assert (report.ready, pair.asked.count("proof")) == (ready, proofs)
    wires = [one.level for _, one in report.found if one.check == "wire"]
    assert wires == [Level.PASS if ready else Level.FAIL]
