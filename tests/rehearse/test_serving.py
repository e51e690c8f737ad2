"""A service in a rehearsal: what it refuses, and what it does with a node's answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.bench import plan
from nixl_efa.failure import Failure
from nixl_efa.nodes import run_command
from nixl_efa.nodes.facts import planned
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.rehearse import server, serving
from nixl_efa.rehearse.run import Options, rehearse
from nixl_efa.service.way import Way, way_of
from nixl_efa.settings import Settings
from tests.known_commands import fault

PAIR = PairOutputs(
    "dev",
    (
        Node("producer", "producer", "i-p", "10.0.0.11", ""),
        Node("consumer", "consumer", "i-c", "10.0.0.12", ""),
    ),
)
LOCAL = "http://127.0.0.1:5577"


def folder(path: Path) -> Path:
    (path / "opt/nixl-efa/venv/bin").mkdir(parents=True)
    (path / "opt/nixl-efa/venv/bin/vllm").touch()
    (path / "models/tiny").mkdir(parents=True)
    return path


def test_a_folder_without_an_engine_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(
        Failure, match=r"it has no engine and no model; scripts/fetch-serve makes such a folder"
    ):
        serving.require(tmp_path)
    assert serving.require(folder(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("serves", "said", "why"),
    [
        (True, [], "--serve needs nodes that boot, and machines need Linux and root."),
        (
            False,
            ["The nodes are simulated, since machines need Linux and root."],
            "no local AWS in this test",
        ),
    ],
)
def test_where_no_machine_can_boot_the_nodes_are_simulated_and_serve_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serves: bool, said: list[str], why: str
) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise Failure("no local AWS in this test")

    monkeypatch.setattr("nixl_efa.rehearse.run.find_tools", lambda *_: None)
    monkeypatch.setattr(server, "start", start)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    settings = Settings(name="dev", region="us-east-2", instance_type="g7e.8xlarge")
    options = Options(real_nodes=True, serve=folder(tmp_path / "serve") if serves else None)
    told: list[str] = []
    with pytest.raises(Failure) as failed:
        rehearse(settings, options, tmp_path, {}, "python3", told.append)
    assert (told, failed.value.message) == (said, why)
    assert (tmp_path / ".rehearsal").exists() is not serves


@pytest.mark.parametrize(
    ("environ", "way"),
    [
        ({}, Way("LIBFABRIC", "efa", "EFA")),
        (serving.VARIABLES, Way("LIBFABRIC", "efa", "EFA")),
        (
            {**serving.VARIABLES, "AWS_ENDPOINT_URL": "https://ec2.us-east-2.amazonaws.com"},
            Way("LIBFABRIC", "efa", "EFA"),
        ),
        ({"AWS_ENDPOINT_URL": LOCAL}, Way("LIBFABRIC", "efa", "EFA")),
        ({**serving.VARIABLES, "AWS_ENDPOINT_URL": LOCAL}, Way("LIBFABRIC", "tcp", "IP")),
    ],
)
def test_tcp_is_planned_in_a_rehearsal_and_never_on_aws(environ: dict[str, str], way: Way) -> None:
    assert way_of(planned("g7e.12xlarge", None, 1, "1.5.0"), environ) == way


def asked(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome) -> dict[str, Script]:
    """Lets the nodes answer so, in the order of the pair; what they are asked."""
    seen: dict[str, Script] = {}

    def answer(_: Any, scripts: dict[str, Script], *__: object) -> dict[str, Outcome]:
        seen.update(scripts)
        return dict(zip(scripts, outcomes, strict=True))

    monkeypatch.setattr(run_command, "run", answer)
    return seen


def test_each_engine_gets_a_core_and_tcp_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    seen = asked(monkeypatch, Outcome(""), Outcome(""))
    ssm: Any = None
    serving.Serving(PAIR, ssm).prepare()
    assert {name: one.arguments for name, one in seen.items()} == {"i-p": ("0",), "i-c": ("1",)}
    asked(monkeypatch, Outcome("", "i-p: it is not registered."), Outcome(""))
    with pytest.raises(Failure, match="i-p: it is not registered"):
        serving.Serving(PAIR, ssm).prepare()


def test_a_request_without_an_answer_ends_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"answered": 3, "failed": 0, "seconds": [0.1, 0.2, 0.4], "text": "a word"}
    seen = asked(monkeypatch, Outcome(json.dumps(found)))
    told: list[str] = []
    ssm: Any = None
    serving.Serving(PAIR, ssm).ask(told.append)
    assert list(seen) == ["i-c"]
    assert "p50 0.20 s, the slowest 0.40 s; the last: 'a word'" in told[0]
    asked(monkeypatch, Outcome(json.dumps({**found, "failed": 1, "text": "HTTP Error 503"})))
    with pytest.raises(Failure, match="1 of 20 requests have no answer: HTTP Error 503"):
        serving.Serving(PAIR, ssm).ask(told.append)


def test_the_commands_of_a_kept_service_are_ours_and_their_table_is_there(tmp_path: Path) -> None:
    for line in serving.looks("dev", tmp_path):
        command = line.removesuffix(" &")
        assert command.startswith(("curl ", "kill ")) or fault(command, LOCAL) == "", command
    assert plan.read((tmp_path / "bench.toml").read_text(encoding="utf-8"), "bench.toml")
