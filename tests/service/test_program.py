"""What asks engines on a node: the proof, a measurement and the look at the units, against servers of HTTP here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.service import look_at_units, vllm, vllm_prove
from tests.service.programs import COUNT, COUNTED, Server, command, text

ERROR = (500, {"error": "KV load failure"})
PARAMS = {"remote_host": "10.0.0.11"}


def proofs(producer: str, consumer: str, router: str = "") -> list[dict[str, Any]]:
    given = {
        "own": consumer,
        "producers": [{"name": "producer", "url": producer, "address": "127.0.0.1"}],
        "consumers": [{"url": consumer}],
        "router": router,
        "vocabulary": 2048,
    }
    found: list[dict[str, Any]] = vllm_prove.main(given)["proofs"]
    return found


def test_a_pair_is_asked_as_the_router_asks_it() -> None:
    producer, consumer = Server([text("own", kv_transfer_params=PARAMS)]), Server([text("own")])
    with producer as first, consumer as second:
        [found] = proofs(first, second)
    assert (found["error"], found["alone"], found["answer"], found["tokens"]) == ("", "own", "own", 1000)
    assert found["metrics_before"].startswith(COUNT)
    assert found["counters_before"].startswith("net/lo tx_bytes=")
    warmed, alone, prefill = producer.requests
    assert warmed["prompt"] != alone["prompt"] == prefill["prompt"]
    assert (prefill["max_tokens"], prefill["kv_transfer_params"]["do_remote_decode"]) == (1, True)
    assert consumer.requests[-1]["kv_transfer_params"] == PARAMS
    assert consumer.requests[-1]["prompt"] == alone["prompt"]
    # Neither end of the vocabulary, where tokens have a meaning of their own.
    assert all(256 <= one < 1024 for one in alone["prompt"])


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Server([]) as url:
        assert vllm_prove.metrics([url])
        assert look_at_units.get(f"{url}/health")


def test_a_first_answer_that_fails_is_asked_for_again() -> None:
    with (
        Server([text("own", kv_transfer_params=PARAMS)]) as producer,
        Server([ERROR, ERROR, text("own")]) as consumer,
    ):
        [found] = proofs(producer, consumer)
    assert found["error"] == ""


@pytest.mark.parametrize(
    ("producer", "consumer", "step", "said"),
    [
        ([text("own", kv_transfer_params=PARAMS)], [ERROR], "decode", "HTTP 500 from http://127.0.0.1:"),
        ([text("own")], [text("own")], "prefill", "gave no kv_transfer_params"),
        ([ERROR], [text("own")], "prefill", "KV load failure"),
    ],
)
def test_a_request_that_fails_names_its_step(
    producer: list[Any], consumer: list[Any], step: str, said: str
) -> None:
    with Server(producer) as first, Server(consumer) as second:
        [found] = proofs(first, second)
    assert (found["step"], said in found["error"]) == (step, True)


def test_nobody_there_is_told_of_each_producer() -> None:
    with Server([text("own")]) as gone:
        pass
    [found] = proofs(gone, gone)
    assert (found["name"], found["step"]) == ("producer", "models")
    assert "Connection refused" in found["error"]


def test_through_the_router_the_first_producer_is_the_judge() -> None:
    with Server([text("own")]) as producer, Server([text("x")]) as consumer, Server([text("own")]) as router:
        [found] = proofs(producer, consumer, router)
    assert (found["name"], found["alone"], found["answer"]) == ("router", "own", "own")


def test_a_short_model_gets_a_short_prompt() -> None:
    with Server([], {"data": [{"id": "a", "max_model_len": 100}]}) as url:
        assert vllm_prove.Prompts(url, 0).tokens == 100 - 2 * vllm_prove.ANSWER_TOKENS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for device, vendor in (("rdmap0s0", "0x1d0f"), ("mlx5_0", "0x15b3")):
        folder = tmp_path / "sys/class/infiniband" / device
        (folder / "ports/1/hw_counters").mkdir(parents=True)
        (folder / "device").mkdir()
        (folder / "device/vendor").write_text(f"{vendor}\n", encoding="ascii")
        (folder / "ports/1/hw_counters/rx_bytes").write_text("12\n", encoding="ascii")
        (folder / "ports/1/hw_counters/rdma_read_bytes").write_text("7\n", encoding="ascii")
    return tmp_path


def test_counters_are_of_efa_devices_and_of_the_interface_that_leads_there(root: Path) -> None:
    lines = vllm_prove.counters("127.0.0.1", str(root)).splitlines()
    assert lines == ["rdmap0s0 rdma_read_bytes=7 rx_bytes=12", "net/lo tx_bytes= rx_bytes="]
    assert vllm_prove.leading_to("127.0.0.1") == "lo"


RESULT = {"completed": 3, "duration": 1.5, "latencies": [0.1, 0.2, 0.3]}


def measured(
    consumer: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    *,
    warm_up: bool = False,
    seconds: int = 600,
) -> dict[str, Any]:
    """What the program tells with a systemd that does what the script says, and writes down its words."""
    command(folder, "systemd-run", f'printf "%s\\n" "$@" >{folder}/words\n{script}')
    command(folder, "systemctl", 'echo "HOME=/root HF_HOME=/opt/hub"')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(vllm_prove, "COUNT_SECONDS", 0.0)
    given = {
        "own": consumer,
        "url": "http://127.0.0.1:8000",
        "engines": [consumer, consumer],
        "address": "127.0.0.1",
        "unit": "nixl-efa-bench.service",
        "seconds": seconds,
        "warm_up": warm_up,
        "load": ["--num-prompts", "3"],
    }
    return vllm_prove.main(given)


def test_the_load_tool_runs_in_a_unit_and_what_it_wrote_is_told_with_what_moved_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = "curl --silent --data '{}' $OWN >/dev/null"
    write = f"echo '{json.dumps(RESULT)}' >$one/result.json"
    writes = f'for one; do [ "$last" = --result-dir ] && {write}; last=$one; done'
    models = {"data": [{"id": "served", "root": "/models/x"}]}
    with Server([text("a")], models) as consumer:
        monkeypatch.setenv("OWN", consumer)
        told = measured(consumer, tmp_path, monkeypatch, f"{asks}; {writes}")
    assert (told["error"], told["result"]) == ("", {"completed": 3, "duration": 1.5})
    # One transfer, which each of both engines counts.
    assert told["metrics"]["vllm:nixl_bytes_transferred_count"] == 2.0
    assert told["counters"].startswith("net/lo")
    words = (tmp_path / "words").read_text(encoding="utf-8").splitlines()
    assert words[:5] == ["--quiet", "--wait", "--collect", "--pipe", "--unit=nixl-efa-bench.service"]
    assert "--property=RuntimeMaxSec=600" in words
    assert {"--setenv=HF_TOKEN", "--setenv=HF_HOME", "--setenv=no_proxy=*"} <= set(words)
    assert not [one for one in words if "hf_secret" in one]
    after = words[words.index("bench") - 1 :]
    assert after[0].endswith("/vllm")
    assert after[1:7] == ["bench", "serve", "--base-url", "http://127.0.0.1:8000", "--num-prompts", "3"]
    assert after[7:11] == ["--model", "/models/x", "--served-model-name", "served"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Traceback' >&2; echo 'ValueError: too long' >&2; exit 1", "ValueError: too long"),
        ("exit 3", "exit code 3"),
        ("exit 0", "exit code 0"),
    ],
)
def test_a_load_tool_that_fails_tells_its_last_line(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server([text("a")]) as consumer:
        assert measured(consumer, tmp_path, monkeypatch, script) == {"error": said}
    assert measured(consumer, tmp_path, monkeypatch, script)["error"].startswith("no answer from ")


def test_a_load_tool_that_was_ended_by_its_time_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server([text("a")]) as consumer:
        told = measured(consumer, tmp_path, monkeypatch, "exit 1", seconds=0)
    assert told == {"error": "it has not ended after 0 s"}


def test_a_request_that_warms_up_goes_before_and_must_be_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server([ERROR]) as consumer:
        told = measured(consumer, tmp_path, monkeypatch, "exit 1", warm_up=True)
    # The router of this test is not there.
    assert told["error"].startswith("no answer from http://127.0.0.1:8000/v1/completions")
    assert not (tmp_path / "words").exists()


def test_counters_that_have_moved() -> None:
    before = "rdmap0s0 rx_bytes=12 rdma_read_bytes=7\nnet/ens5 tx_bytes=1 rx_bytes=2"
    after = "rdmap0s0 rx_bytes=15 rdma_read_bytes=7\nnet/ens5 tx_bytes=1 rx_bytes=4\nrdmap1s0 rx_bytes=5"
    assert vllm_prove.difference(before, after) == "rdmap0s0 rx_bytes=3\nnet/ens5 rx_bytes=2\nrdmap1s0"


def test_of_a_unit_its_state_its_health_and_its_own_log_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    shown = "LoadState=loaded\\nActiveState=active\\nNRestarts=2\\nInvocationID=abc"
    command(tmp_path, "systemctl", f"printf '{shown}\\n'")
    command(
        tmp_path,
        "journalctl",
        'case $* in *--lines=2*=abc*) printf "ERROR two\\nthree\\n" ;; *=abc*) echo one; yes "ERROR two" ;; esac',
    )
    with Server([]) as url:
        found = look_at_units.unit("x.service", f"{url}/health", "ERROR", 2)
    assert found == {
        "state": "active",
        "restarts": 2,
        "invocation": "abc",
        "healthy": True,
        "log": "\n".join(["ERROR two"] * look_at_units.MOST),
        "end": "ERROR two\nthree",
    }
    # It waits for another unit of the boot, or for its turn; its last start may have failed.
    for state in ("inactive", "failed"):
        command(tmp_path, "systemctl", f"printf '{shown.replace('=active', f'={state}')}\nJob=12\n'")
        assert look_at_units.unit("x.service", "", "ERROR", 2)["state"] == "activating"
    # systemd 252 prints the property without a value where there is none.
    command(
        tmp_path, "systemctl", "printf 'LoadState=loaded\\nActiveState=inactive\\nJob=\\nInvocationID=\\n'"
    )
    assert look_at_units.unit("x.service", "", "ERROR", 2)["state"] == "inactive"
    command(tmp_path, "systemctl", "printf 'LoadState=not-found\\nActiveState=inactive\\nInvocationID=\\n'")
    gone = look_at_units.unit("x.service", "http://127.0.0.1:1/health", "ERROR", 2)
    assert (gone["state"], gone["healthy"], gone["log"]) == ("", False, "")


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_metrics_are_read_twice_only_when_it_is_asked_for(seconds: float) -> None:
    with Server([text("x")]) as url:
        units = [{"name": "x.service", "url": f"{url}/health"}, {"name": "y.service", "url": ""}]
        given = {"units": units, "pattern": "ERROR", "lines": 1}
        found, other = look_at_units.main({**given, "metrics": vllm.METRICS, "seconds": seconds})["units"]
    assert found["metrics"].splitlines() == [f"{COUNTED}0.0"]
    assert found["earlier"] == (found["metrics"] if seconds else "")
    assert not seconds or seconds <= found["seconds"] < 60
    assert (other["healthy"], other["metrics"]) == (False, "")
