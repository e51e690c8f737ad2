"""A measurement from its first row to the service that is put back; something else goes wrong at each step."""

from dataclasses import replace
from pathlib import Path

import pytest

from nixl_efa.bench import plan
from nixl_efa.bench.run import Measurement, Outcome, measure
from nixl_efa.findings import Level
from nixl_efa.service import vllm
from nixl_efa.service.model import ENGINE_UNIT
from nixl_efa.service.on_nodes import OnNodes
from tests.nodes.stand_in import FakeClock
from tests.service.conftest import OVER_EFA, OVER_TCP
from tests.service.pretended import SERVICE, TWO_PRODUCERS, Pretended

ROWS = plan.read(
    '[[rows]]\nlayer = ["unified", "baseline", "efa", "tcp"]\nprompt_tokens = [512, 1024]\nconcurrency = 2\n'
    "output_tokens = 16\nrequests = 12\n",
    "t.toml",
)


@pytest.fixture
def pair() -> Pretended:
    started = Pretended()
    assert started.start().ready
    started.asked.clear()
    return started


def measured(pair: Pretended, folder: Path, said: list[str] | None = None, *, runs: bool = True) -> Outcome:
    """`nixl-efa bench`."""
    outcome = Outcome()
    one = Measurement(
        nodes=OnNodes(pair.pair, pair.ask, vllm),
        service=SERVICE,
        planned={node.name: OVER_EFA for node in pair.pair.nodes},
        way=OVER_TCP,
        folder=folder,
        runs=runs,
        clock=FakeClock(),
        say=(said if said is not None else []).append,
        done=lambda _: None,
    )
    measure(one, ROWS, outcome)
    return outcome


def failures(outcome: Outcome) -> list[tuple[str, str]]:
    return [(about, one.line()) for about, one in outcome.found if one.level is Level.FAIL]


def test_every_layer_is_measured_at_its_place_and_the_service_is_as_it_was(
    pair: Pretended, tmp_path: Path
) -> None:
    said: list[str] = []
    outcome = measured(pair, tmp_path, said)
    assert (failures(outcome), list(outcome.results)) == ([], list(ROWS))
    assert [(one["url"], one["engines"]) for one in pair.loads] == [
        *[("http://10.0.0.12:8200", ["http://10.0.0.12:8200"])] * 2,
        *[("http://127.0.0.1:8000", ["http://10.0.0.12:8200"])] * 2,
        *[("http://10.0.0.11:8100", ["http://10.0.0.11:8100"])] * 2,
        *[("http://127.0.0.1:8000", ["http://10.0.0.12:8200"])] * 2,
    ]
    assert pair.asked.count("packages and model") == 3  # starts: without transfer, by TCP, as planned
    assert pair.status().ready
    assert "Measuring efa-p1024-c2-o16-n12-s0, 8 of 8 ..." in said
    assert len(list(tmp_path.iterdir())) == len(ROWS)
    seeds = [one["load"][one["load"].index("--seed") + 1] for one in pair.loads]
    assert len(set(seeds)) == len(ROWS)
    assert [one["warm_up"] for one in pair.loads] == [True, False, True, False, True, False, False, False]


def test_with_several_producers_no_request_of_a_row_is_sent_again(tmp_path: Path) -> None:
    """A row counts only if all its requests were answered: the router that repeats failed ones is not asked."""
    pair = Pretended(TWO_PRODUCERS)
    assert pair.start().ready
    assert failures(measured(pair, tmp_path)) == []
    assert {one["url"] for one in pair.loads} == {
        "http://10.0.0.12:8200",
        "http://10.0.0.11:8100",
        "http://127.0.0.1:8001",
    }


def test_nothing_is_touched_when_every_row_has_its_result(pair: Pretended, tmp_path: Path) -> None:
    first = measured(pair, tmp_path)
    pair.asked.clear()
    again = measured(pair, tmp_path)
    assert (pair.asked, again.results) == ([], first.results)


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_after_an_interrupt_in_any_row_the_rest_is_measured_and_nothing_twice(
    pair: Pretended, tmp_path: Path, number: int
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pair.before["measurement", number] = interrupt
    with pytest.raises(KeyboardInterrupt):
        measured(pair, tmp_path)
    assert pair.asked.count("end") == 1
    assert pair.status().ready
    assert len(list(tmp_path.iterdir())) == number
    pair.asked.clear()
    outcome = measured(pair, tmp_path)
    assert (failures(outcome), len(outcome.results)) == ([], len(ROWS))
    assert pair.asked.count("measurement") == len(ROWS) - number
    assert len(list(tmp_path.iterdir())) == len(ROWS)


def test_engines_of_a_measurement_are_not_told_as_ready(pair: Pretended) -> None:
    for transfer in ("none", "tcp"):
        assert pair.start(replace(SERVICE, transfer=transfer)).ready
        status = pair.status()
        assert not status.ready
        assert any("has the engine of a measurement" in one.message for _, one in status.found)
    assert pair.start().ready
    assert pair.status().ready


def test_a_second_interrupt_leaves_the_service_as_it_is(pair: Pretended, tmp_path: Path) -> None:
    asked: list[str] = []

    def interrupt() -> None:
        asked[:] = pair.asked
        raise KeyboardInterrupt

    pair.before["measurement", 0] = pair.before["end", 0] = interrupt
    with pytest.raises(KeyboardInterrupt):
        measured(pair, tmp_path)
    assert pair.asked == asked


@pytest.mark.parametrize("step", [("start", 0), ("look", 1), ("proof", 0), ("start", 2), ("measurement", 1)])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ConnectionError])
def test_whatever_ends_it_the_service_answers_again(
    pair: Pretended, tmp_path: Path, step: tuple[str, int], error: type[BaseException]
) -> None:
    def end() -> None:
        raise error

    pair.before[step] = end
    with pytest.raises(error):
        measured(pair, tmp_path)
    assert pair.status().ready


def test_a_service_that_did_not_run_is_stopped_at_the_end(pair: Pretended, tmp_path: Path) -> None:
    for unit in list(pair.units):
        del pair.units[unit]
    outcome = measured(pair, tmp_path, runs=False)
    assert (failures(outcome), pair.units) == ([], {})


def test_a_row_that_fails_has_no_result_and_the_next_ones_are_measured(
    pair: Pretended, tmp_path: Path
) -> None:
    pair.measured[0] = {"error": "ValueError: prompt is longer than the model takes"}
    pair.measured[3] = {"counters": "net/ens32 rx_bytes=1000"}
    outcome = measured(pair, tmp_path)
    assert [about for about, _ in failures(outcome)] == [ROWS[0].name, ROWS[3].name]
    assert "ValueError: prompt is longer than the model takes." in failures(outcome)[0][1]
    assert "the IP interface's counters saw 1000 bytes arrive" in failures(outcome)[1][1]
    assert len(outcome.results) == len(ROWS) - 2
    pair.measured.clear()
    assert measured(pair, tmp_path).results.keys() == set(ROWS)


def test_a_measurement_that_somebody_else_runs_is_named(pair: Pretended, tmp_path: Path) -> None:
    pair.measured = {
        at: {
            "error": "Failed to start transient service unit: Unit nixl-efa-bench.service was already loaded."
        }
        for at in range(len(ROWS))
    }
    (first, *_) = failures(measured(pair, tmp_path))
    assert "`nixl-efa run trial consumer -- systemctl stop nixl-efa-bench.service` ends it." in first[1]


@pytest.mark.parametrize("transfer", ["planned", "none"])
@pytest.mark.parametrize("number", [0, 3, 7])
def test_a_row_during_which_engines_were_started_again_has_no_result_and_the_service_is_proven_at_the_end(
    pair: Pretended, tmp_path: Path, number: int, transfer: str
) -> None:
    """By themselves, or by another measurement."""

    def again() -> None:
        pair.services["consumer"] = replace(SERVICE, transfer=transfer).text
        pair.begin("consumer", ENGINE_UNIT)

    pair.before["measurement", number] = again
    outcome = measured(pair, tmp_path)
    assert [about for about, _ in failures(outcome)] == [ROWS[number].name]
    assert "was started again while the row was measured" in failures(outcome)[0][1]
    assert list(outcome.results) == list(ROWS[:number])
    assert len(list(tmp_path.iterdir())) == number
    assert pair.status().ready


def test_a_layer_that_does_not_start_leaves_the_others(pair: Pretended, tmp_path: Path) -> None:
    """Its engine ends at its start."""

    def crash() -> None:
        pair.units["consumer", ENGINE_UNIT].update(state="failed", end="CUDA out of memory", healthy=False)

    pair.before["look", 0] = crash
    outcome = measured(pair, tmp_path)
    assert [about for about, _ in failures(outcome)] == ["unified, consumer"]
    assert {one.layer for one in outcome.results} == {"tcp", "baseline", "efa"}
    assert pair.status().ready


def test_a_node_that_does_not_answer_ends_it(pair: Pretended, tmp_path: Path) -> None:
    def away() -> None:
        pair.silent.add("consumer")

    pair.before["measurement", 2] = away
    outcome = measured(pair, tmp_path)
    assert len(outcome.results) == 2
    assert pair.asked.count("measurement") == 3
    assert failures(outcome)[0][0] == ROWS[2].name
