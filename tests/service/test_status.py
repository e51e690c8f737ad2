"""What status tells: what each engine does, by what real engines counted, the time left, boots and drains."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nixl_efa.findings import Finding, Level, failed, passed, warned
from nixl_efa.service import drain, run, vllm
from nixl_efa.service.engine import Activity
from nixl_efa.service.model import BOOT_UNIT, ENGINE_UNIT, ROUTER_UNIT
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.units import DRAIN_UNIT
from tests.nodes.stand_in import FakeClock
from tests.records import answer, record
from tests.service.pretended import PAIR, Pretended

RECORD = "vllm/metrics-0.32-load"
SECONDS = record(RECORD)["question"]["seconds"]


def metrics(node: str, when: str) -> str:
    return "\n".join(answer(RECORD)[node][when])


def of(node: str) -> Activity:
    return vllm.activity(metrics(node, "before"), metrics(node, "after"), SECONDS[node])


def test_what_real_engines_did_in_five_seconds() -> None:
    """23 requests of 200 tokens; the producer generates one token of each."""
    producer, consumer = of("producer"), of("consumer")
    assert producer.prompt_tokens == pytest.approx(23 * 200 / 5.047)
    assert consumer.prompt_tokens == pytest.approx(23 * 200 / 5.064)
    assert producer.generated_tokens == pytest.approx(23 / 5.047)
    assert consumer.generated_tokens == pytest.approx(557 / 5.064)
    assert (producer.running, consumer.running, consumer.waiting) == (0, 3, 0)
    assert (producer.kv_bytes, producer.kv_gbps) == (0, None)
    assert consumer.kv_bytes == 195035136
    assert consumer.kv_gbps == pytest.approx(8 * 195035136 / 1.426757 / 1e9)
    assert (consumer.failed_transfers, consumer.expired) == (0, 0)


def test_of_real_metrics_the_lines_are_read_that_are_needed() -> None:
    lines = metrics("consumer", "after").splitlines()
    kept = [one for one in lines if re.match(vllm.METRICS, one)]
    assert vllm.activity("\n".join(kept), "\n".join(kept), 1) == vllm.activity(
        "\n".join(lines), "\n".join(lines), 1
    )
    assert vllm.lacking("\n".join(kept)) == ()
    assert not [one for one in kept if "_count{" in one or "by_reason" in one]


def test_what_is_not_told_is_not_0() -> None:
    assert vllm.activity("", "", 5.0) == Activity(None, None, None, None, None, None, None, None)
    before, after = metrics("consumer", "before"), metrics("consumer", "after")
    assert vllm.activity("", after, 0.0).generated_tokens is None
    # The engine has started again between both.
    assert vllm.activity(after, before, 5.0).generated_tokens is None
    assert vllm.activity(after, before, 5.0).running == 2


def test_several_engines_of_a_node_do_their_work_together() -> None:
    """Data parallel: each rank has a label of its own."""
    both = [metrics("consumer", when) for when in ("before", "after")]
    twice = ["\n".join([text, text.replace('engine="0"', 'engine="1"')]) for text in both]
    found, one = vllm.activity(twice[0], twice[1], SECONDS["consumer"]), of("consumer")
    assert one.generated_tokens
    assert found.generated_tokens == pytest.approx(2 * one.generated_tokens)
    assert found.kv_gbps == pytest.approx(one.kv_gbps)
    assert found.running == 6


@pytest.fixture
def pair() -> Pretended:
    """A service that is ready, under load."""
    pair = Pretended()
    assert pair.start().ready
    for node in ("producer", "consumer"):
        pair.units[node, ENGINE_UNIT] |= {
            "earlier": metrics(node, "before"),
            "metrics": metrics(node, "after"),
            "seconds": SECONDS[node],
        }
    return pair


def test_a_service_under_load(pair: Pretended) -> None:
    status = pair.status()
    assert status.ready
    assert status.activity == {"producer": of("producer"), "consumer": of("consumer")}
    assert status.metrics == {
        "producer": "http://10.0.0.11:8100/metrics",
        "consumer": "http://10.0.0.12:8200/metrics",
        "router": "http://10.0.0.12:29000/metrics",
    }
    [told] = [one.message for _, one in status.found if one.check == "KV transfer"]
    assert told == "186 MiB by NIXL at 1.09 Gbps on average, 37200 prompt tokens by KV transfer, none failed"


def test_an_engine_that_does_not_answer_has_no_figures(pair: Pretended) -> None:
    pair.units["producer", ENGINE_UNIT]["healthy"] = False
    status = pair.status()
    assert (set(status.activity), set(status.metrics)) == ({"consumer"}, {"consumer", "router"})


@pytest.mark.parametrize(
    ("node", "counter", "said"),
    [
        (
            "consumer",
            "nixl_num_failed_transfers_total",
            "37200 prompt tokens by KV transfer, 2 transfers failed.",
        ),
        (
            "producer",
            "nixl_num_kv_expired_reqs_total",
            "2 KV caches expired before the consumer had read it.",
        ),
    ],
)
def test_a_transfer_that_failed_once_is_told_and_the_service_is_ready(
    pair: Pretended, node: str, counter: str, said: str
) -> None:
    """It is counted as long as its engine runs, also after the engines were proven again."""
    unit = pair.units[node, ENGINE_UNIT]
    unit["metrics"] = re.sub(rf"(vllm:{counter}.*) 0\.0", r"\1 2.0", unit["metrics"])
    status = pair.status()
    [(where, found)] = [each for each in status.found if each[1].level is not Level.PASS]
    assert (where, found.level, found.message.endswith(said)) == (node, Level.WARN, True), found
    assert status.ready


BLOCK = "Capacity Block cr-1"


@pytest.mark.parametrize(
    ("capacity", "ready"),
    [
        (passed("capacity", f"{BLOCK} is active; EC2 begins to terminate in 5 h 20 min."), True),
        (
            warned("capacity", f"{BLOCK} is active; EC2 begins to terminate in 40 min.", "Save your work."),
            True,
        ),
        (failed("capacity", f"{BLOCK} is at its end.", "Save what you need now."), False),
    ],
)
def test_the_time_left_is_told_and_ends_a_service_only_with_the_block(
    pair: Pretended, capacity: Finding, ready: bool
) -> None:
    status = pair.status(capacity, passed("network nodes", "they share one"))
    assert status.found[-1] == ("", capacity)
    assert (status.ready, status.is_stopped) == (ready, not ready)


def told(pair: Pretended, node: str) -> list[str]:
    return [
        f"{one.level.value} {one.check}: {one.line()}" for where, one in pair.status().found if where == node
    ]


def test_a_node_that_drains_says_why_since_when_and_where_to(pair: Pretended) -> None:
    place = "s3://b/nixl-efa-drain/trial/producer/20261201T100000Z"
    why = "EC2 takes the instance back (terminate)"
    pair.told_at_drain["producer"] = {"at": "20261201T100000Z", "why": why, "saved": place}
    pair.begin("producer", DRAIN_UNIT, state="activating", end="Copying; no request is left")
    assert told(pair, "producer")[-1] == (
        f"WARN drain: since 2026-12-01 10:00 UTC: {why}. Results and logs go to {place}/. Its last log line: "
        "Copying; no "
        "request is left. `nixl-efa serve drain trial` waits for its end."
    )
    assert not pair.status().ready
    # Something has ended it, and the engine.
    pair.begin("producer", DRAIN_UNIT, state="failed", end="Killed")
    del pair.units["producer", ENGINE_UNIT]
    assert told(pair, "producer") == ["FAIL drain: it did not come to its end: Killed. Look at its log."]


def test_what_was_told_to_end_and_is_doing_so_is_no_failure(pair: Pretended) -> None:
    """`serve stop` at work: the engine, then the router."""
    wait = "`nixl-efa serve status trial` again tells when it has."
    pair.begin("producer", ENGINE_UNIT, state="deactivating", healthy=False, end="Shutting down")
    assert told(pair, "producer") == [
        f"SKIP engine: it was told to end, and is doing so: Shutting down. {wait}"
    ]
    pair.begin("consumer", ROUTER_UNIT, state="deactivating", healthy=False)
    assert told(pair, "") == [
        f"SKIP router: it was told to end: it takes no new request, and answers those that it has. {wait}"
    ]
    status = pair.status()
    assert (status.ready, status.is_stopped) == (False, False)


@pytest.mark.parametrize("router", [{"healthy": False}, {"state": "inactive"}])
def test_while_the_routers_node_drains_the_router_is_no_failure(
    pair: Pretended, router: dict[str, Any]
) -> None:
    """It closes its port at once, and ends when it has answered; results are copied after that."""
    pair.begin("consumer", ROUTER_UNIT, **router)
    pair.told_at_drain["consumer"] = {"at": "20261201T100000Z", "why": "a test", "saved": "s3://b/x"}
    pair.begin("consumer", DRAIN_UNIT, state="activating")
    assert [one.partition(", ")[0] for one in told(pair, "")] == [
        "SKIP router: its node drains: it takes no new request"
    ]
    assert not pair.status().is_stopped


def test_an_engine_that_has_ended_was_not_started_again(pair: Pretended) -> None:
    del pair.units["producer", ENGINE_UNIT]
    assert [one.partition(":")[0] for one in told(pair, "")] == ["PASS router", "PASS proof"]
    assert not pair.status().ready


def test_a_node_that_has_drained_says_so_until_the_next_start(pair: Pretended) -> None:
    nodes = OnNodes(PAIR, pair.ask, vllm)
    pair.drained["consumer"] = {"left": "http://10.0.0.12:8200", "problems": ["s3://b/x: AccessDenied"]}
    drain.drain(nodes, 60, FakeClock(), lambda _: None)
    again = "`nixl-efa serve start trial --model MODEL` starts a service again."
    assert told(pair, "producer") == [
        f"SKIP drain: drained at 2026-12-01 10:00 UTC: a test. {again}",
        "PASS requests: none is left",
        "PASS copy: s3://b/producer/",
    ]
    assert [one.partition(":")[0] for one in told(pair, "consumer")] == [
        "SKIP drain",
        "WARN requests",
        "FAIL copy",
    ]
    assert pair.start().ready
    assert pair.status().ready
    run.stop(nodes)
    assert [one.partition(":")[0] for one in told(pair, "producer")] == ["SKIP engine"]


def test_a_node_that_is_about_to_start_its_engine_says_how_far_it_is(pair: Pretended) -> None:
    del pair.units["producer", ENGINE_UNIT]
    pair.begin("producer", BOOT_UNIT, end="copying s3://b/x: 12G of 61G")
    assert told(pair, "producer") == [
        "SKIP engine: the node is about to start it: copying s3://b/x: 12G of 61G. `nixl-efa serve start trial` waits "
        "for it, and proves it."
    ]
    del pair.units["producer", BOOT_UNIT]
    pair.boot_errors["producer"] = "not copied: s3://b/x: its disk lacks 9 MiB"
    assert told(pair, "producer") == [
        "SKIP engine: no engine runs, since the node's boot has not started it: not copied: s3://b/x: its disk lacks 9 "
        "MiB. `nixl-efa serve start trial --model MODEL` starts one."
    ]
