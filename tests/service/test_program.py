"""What runs on a node: the proof's requests against servers of HTTP here, the look before a start in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nixl_efa.service import copy_model, look_at_units, prepare, vllm, vllm_prove
from nixl_efa.service.staged import File, Manifest

MODELS = {"data": [{"id": "tiny", "max_model_len": 2048}]}
COUNT = 'vllm:nixl_bytes_transferred_count{engine="0"} '
COUNTED = 'vllm:generation_tokens_total{engine="0"} '


@dataclass
class Server:
    """An engine of HTTP alone. answers: what POST gets, one after the other, the last again and again."""

    answers: list[tuple[int, dict[str, Any]]]
    models: dict[str, Any] = field(default_factory=lambda: MODELS)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> str:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def reply(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                told = ("# a comment", f"{COUNT}{len(server.requests)}.0", f"{COUNTED}0.0", "vllm:other 1")
                text = "\n".join([*told, 'vllm:nixl_bytes_transferred_bucket{le="1"} 3', ""])
                self.reply(
                    200, text.encode() if self.path == "/metrics" else json.dumps(server.models).encode()
                )

            def do_POST(self) -> None:
                server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                code, body = server.answers[min(len(server.requests), len(server.answers)) - 1]
                self.reply(code, json.dumps(body).encode())

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def text(words: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"choices": [{"text": words}], **more}


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


def test_a_model_in_a_folder_is_read_and_only_what_is_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"dtype": "bfloat16", "id2label": {"0": "x"}, "text_config": {"vocab_size": 9, "y": 1}}),
        encoding="utf-8",
    )
    (tmp_path / "model-1.safetensors").write_bytes(b"x" * 10)
    (tmp_path / "model-2.safetensors").write_bytes(b"x" * 5)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 100)
    found = prepare.model(str(tmp_path), "", "", "")
    assert (found["config"], found["weight_bytes"], found["to_copy"], found["error"]) == (
        {"dtype": "bfloat16", "text_config": {"vocab_size": 9}},
        15,
        0,
        "",
    )
    assert "No such file" in prepare.model(f"{tmp_path}/other", "", "", "")["error"]
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "no JSON document" in prepare.model(str(tmp_path), "", "", "")["error"]


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


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


def test_a_model_in_s3_is_measured_by_what_aws_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS CLI's form: date, time, bytes, key."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(prepare, "ELSEWHERE", str(tmp_path))
    there = tmp_path / "models/b/x"
    there.mkdir(parents=True)
    (there / "config.json").write_bytes(b"x" * 40)
    listing = "2026-11-26 10:00:00        40 x/config.json\n2026-11-26 10:00:00    700000 x/a b.safetensors\n"
    command(tmp_path, "aws", f"case $2 in cp) echo '{{}}' ;; ls) printf '{listing}' ;; esac")
    found = prepare.model("s3://b/x", "/models/b/x", "", "")
    assert (found["path"], found["weight_bytes"], found["to_copy"]) == (str(there), 700000, 700000)
    command(tmp_path, "aws", "echo 'fatal error: An error occurred (403)' >&2; exit 1")
    assert prepare.model("s3://b/x", "/models/b/x", "", "")["error"] == (
        "s3://b/x/config.json can't be read: fatal error: An error occurred (403)"
    )


PLACE = "s3://b/nixl-efa-models/hub/acme/tiny"
MANIFEST = Manifest(
    "acme/tiny", "0123", PLACE, (File("config.json", 2, "git:1"), File("model.safetensors", 700, "sha256:2"))
).text


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the AWS CLI finds: a folder of objects by their name, and nothing else."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(prepare, "ELSEWHERE", str(tmp_path))
    folder = tmp_path / "bucket"
    folder.mkdir()
    command(
        tmp_path,
        "aws",
        f"""case $2 in
          cp) cat "{folder}/$(basename "$4")" 2>/dev/null ||
            {{ echo 'fatal error: An error occurred (404) when calling the HeadObject operation' >&2; exit 1; }} ;;
          ls) ls {folder} | grep . ;;
        esac""",
    )
    return folder


def test_a_staged_model_is_what_its_manifest_says(bucket: Path, tmp_path: Path) -> None:
    (bucket / "config.json").write_text("{}", encoding="utf-8")
    (bucket / "manifest").write_text(MANIFEST, encoding="utf-8")
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    own = tmp_path / "models/b/nixl-efa-models/hub/acme/tiny"
    assert (found["error"], found["path"], found["source"]) == ("", str(own), PLACE)
    assert (found["weight_bytes"], found["to_copy"]) == (700, 702)
    assert found["content"] == json.loads(MANIFEST)["sum"]
    own.mkdir(parents=True)
    (own / "manifest").write_text(MANIFEST, encoding="utf-8")
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    assert (found["source"], found["is_whole"], found["to_copy"]) == (PLACE, True, 0)
    # Another content was staged since.
    (bucket / "manifest").write_text(MANIFEST.replace("0123", "4567"), encoding="utf-8")
    assert not prepare.model("acme/tiny", "", PLACE, "manifest")["is_whole"]


def test_without_its_manifest_a_staged_model_is_not_used(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = {"path": "acme/tiny", "config": {}, "sum": "ab", "weight_bytes": 5, "to_copy": 5}
    monkeypatch.setattr(prepare, "of_hub", lambda _: hub)
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    assert (found["path"], found["source"], found["incomplete"]) == ("acme/tiny", "", "")
    (bucket / "model.safetensors").write_text("x", encoding="utf-8")
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    assert (found["path"], found["incomplete"]) == ("acme/tiny", f"1 objects below {PLACE}/")


def test_a_bucket_that_can_not_be_read_is_no_reason_to_download_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command(tmp_path, "aws", "echo 'fatal error: An error occurred (403)' >&2; exit 1")
    assert prepare.model("acme/tiny", "", PLACE, "manifest")["error"] == (
        f"{PLACE}/manifest can't be read: fatal error: An error occurred (403)"
    )


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("", "[default]\ns3 =\n  max_concurrent_requests = 64"),
        ("[default]\nendpoint_url = http://x\n", "max_concurrent_requests = 64"),
        ("[default]\ns3 =\n  max_concurrent_requests = 7\n", "max_concurrent_requests = 7"),
    ],
)
def test_the_aws_cli_fetches_more_at_once_unless_the_node_says_how_many(
    own: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(own, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    found = copy_model.config()
    assert kept in found
    assert found.count("max_concurrent_requests") == 1
    assert all(line in found for line in own.splitlines())
    assert found.count("[default]") == 1


def test_a_disk_without_room_is_told_before_anything_is_copied(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "manifest").write_text(MANIFEST, encoding="utf-8")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 << 30))
    status = tmp_path / "run/status.json"
    with pytest.raises(SystemExit):
        copy_model.main(PLACE, str(tmp_path / "to"), str(status), "manifest")
    told = json.loads(status.read_text(encoding="utf-8"))
    assert told["state"] == "failed"
    assert told["line"].startswith(f"{tmp_path}/to has 5.0 GiB free, 0.0 GiB are to be copied")
    assert list((tmp_path / "to").iterdir()) == []


def test_packages_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"vllm": "0.32.0+cpu"}
    monkeypatch.setattr(prepare, "found", lambda name: versions.get(name, ""))
    assert prepare.install(["vllm==0.32.0"], "exit 1") == ""
    assert prepare.install(["vllm==0.33.0", "vllm-router==0.1.17"], 'echo "$0 $*" >&2; exit 1') == (
        "install-engine vllm==0.33.0 vllm-router==0.1.17"
    )


def test_nixl_keeps_its_version(tmp_path: Path) -> None:
    """pip's own form of its list, also of a package from a file."""
    command(tmp_path, "python", 'echo "$*" >>"$NIXL_EFA_ROOT/asked"; cat "$NIXL_EFA_ROOT/pip"')
    python = tmp_path / "opt/nixl-efa/venv/bin/python"
    python.parent.mkdir(parents=True)
    (tmp_path / "python").rename(python)
    (tmp_path / "pip").write_text("nixl==1.5.0\nnixl-cu13==1.5.0\nnixlx==1\nnumpy==2.3.0\n", encoding="utf-8")
    script = Path(prepare.__file__).with_name("install-engine.sh")
    subprocess.run(
        ["bash", script, "vllm==0.33.0", "vllm-router==0.1.17"],
        env={"NIXL_EFA_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    kept = tmp_path / "var/lib/nixl-efa/service-constraints.txt"
    assert kept.read_text(encoding="utf-8") == "nixl==1.5.0\nnixl-cu13==1.5.0\n"
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()[-1]
    assert asked.endswith(f"--constraint {kept} vllm==0.33.0 vllm-router==0.1.17")


def test_what_a_boot_has_begun_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    states = ["inactive\\nJob=12", "activating\\nJob=12", "active\\nJob=0", "inactive\\nJob=0", "never"]
    cases = "".join(f"{number}) printf 'ActiveState={one}\\n' ;; " for number, one in enumerate(states, 1))
    command(
        tmp_path,
        "systemctl",
        f"echo x >>{tmp_path}/asked; case $(grep -c x {tmp_path}/asked) in {cases} esac",
    )
    assert prepare.wait_for("nixl-efa-service.service") == ""
    assert (tmp_path / "asked").read_text(encoding="utf-8").count("x") == 4
    monkeypatch.setattr(prepare, "INSTALL_SECONDS", 0)
    assert "nixl-efa-service.service is still at work" in prepare.wait_for("nixl-efa-service.service")


def test_a_port_that_somebody_has_is_found() -> None:
    with Server([]) as url:
        port = int(url.rpartition(":")[2])
        assert set(prepare.taken([port, 1])) == {str(port)}


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
    command(tmp_path, "systemctl", "printf 'LoadState=not-found\\nActiveState=inactive\\nInvocationID=\\n'")
    gone = look_at_units.unit("x.service", "http://127.0.0.1:1/health", "ERROR", 2)
    assert (gone["state"], gone["healthy"], gone["log"]) == ("", False, "")


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_metrics_are_read_twice_only_when_it_is_asked_for(seconds: float) -> None:
    with Server([text("x")]) as url:
        given = {"units": [{"name": "x.service", "url": f"{url}/health"}], "pattern": "ERROR", "lines": 1}
        [found] = look_at_units.main({**given, "metrics": vllm.METRICS, "seconds": seconds})["units"]
    assert found["metrics"].splitlines() == [f"{COUNTED}0.0"]
    assert found["earlier"] == (found["metrics"] if seconds else "")
    assert not seconds or seconds <= found["seconds"] < 60
