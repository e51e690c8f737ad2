"""`nixl-efa bench` as a user runs it: what it asks, prints, writes and exits with. The nodes only pretend."""

import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.capacity.reservation import CAPACITY_BLOCK, Reservation
from nixl_efa.clock import clock_of
from nixl_efa.nodes.block import Held
from nixl_efa.nodes.verify import PairReport
from nixl_efa.service import vllm
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.way import Way
from tests.nodes.conftest import aws, project, run
from tests.nodes.local_pair import REGION, Project, Run
from tests.printed import ROOT
from tests.service.conftest import OVER_EFA, OVER_TCP
from tests.service.pretended import PAIR, SERVICE, Pretended

__all__ = ["aws", "project", "run"]

TABLE = """
[[rows]]
layer = ["unified", "tcp"]
prompt_tokens = [512]
concurrency = 2
output_tokens = 16
requests = 12
"""


# Of a figure, and of a finding.
PARTS = {"p50", "p95", "p99", "about", "level", "check", "message", "remedy", "command"}


@pytest.fixture
def pair(project: Project, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """A pair that serves, in place of that of the local AWS; and a table."""
    serving = Pretended()
    assert serving.start().ready
    nodes_are(monkeypatch, serving)
    Path("t.toml").write_text(TABLE, encoding="utf-8")
    return serving


def nodes_are(monkeypatch: pytest.MonkeyPatch, pair: Pretended, way: Way = OVER_TCP, held: Any = ()) -> None:
    planned = {node.name: OVER_EFA for node in PAIR.nodes}
    told = (OnNodes(PAIR, pair.ask, vllm), planned, way, PairReport(PAIR, (), (), held=tuple(held)))
    monkeypatch.setattr("nixl_efa.cli.serve.nodes_of", lambda *_, **__: told)


def test_a_table_is_measured_printed_and_kept(pair: Pretended, run: Run) -> None:
    code, out, err = run("bench", "prod", "t.toml", "--yes")
    assert code == 0, out + err
    assert err.splitlines()[0] == (
        "2 rows of 2 to measure on prod, with /models/x: 2 starts of the engines, at least 2 min."
    )
    heading, unified, tcp, last = (
        re.split(r"  +", line) for line in out.splitlines() if not line.startswith("WARN")
    )
    assert heading == [
        "LAYER",
        "PROMPT",
        "CONC",
        "OUT",
        "TTFT ms",
        "TPOT ms",
        "ITL ms",
        "tok/s",
        "KV ms",
        "KV Gbps",
    ]
    assert unified[:5] == ["unified", "512", "2", "16", "286/416/476"]
    assert tcp[:5] == ["tcp", "512", "2", "16", "1053/1334/1361"]
    assert tcp[5:] == ["95.3/114/116", "95.4/174/220", "418", "68.8/240/288", "0.249/0.0714/0.0595"]
    page = Path("measurements/prod/index.html")
    assert last == [f"2 of 2 rows have a result: {page}"]
    assert len(list(page.parent.glob("*.json"))) == 2
    assert "2 of 2 rows are measured" in page.read_text(encoding="utf-8")
    pair.asked.clear()
    assert run("bench", "prod", "t.toml")[:2] == (0, "\n".join(out.splitlines()[-4:]) + "\n")
    assert set(pair.asked) == {"look"}


def test_on_80_columns_what_has_no_room_stands_below_its_row(
    pair: Pretended, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("bench", "prod", "t.toml", "--yes")[0] == 0
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, out, _ = run("bench", "prod", "t.toml")
    assert [line for line in out.splitlines() if len(line) > 80 and "index.html" not in line] == []
    assert "KV Gbps 0.249/0.0714/0.0595" in out


def test_nothing_begins_unless_somebody_agrees(
    pair: Pretended, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed in ("no\n", "\n"):
        monkeypatch.setattr("sys.stdin.readline", lambda typed=typed: typed)
        pair.asked.clear()
        code, _, err = run("bench", "prod", "t.toml")
        assert (code, set(pair.asked)) == (1, {"look"})
        assert "answers nobody until it is put back at the end. Type yes to agree:" in err
        assert "nothing was measured, and the service runs as before." in err
    monkeypatch.setattr("sys.stdin.readline", lambda: "yes\n")
    assert run("bench", "prod", "t.toml")[0] == 0


def test_a_row_that_is_longer_than_the_services_context_is_told_before_an_engine_is_stopped(
    pair: Pretended, run: Run
) -> None:
    """The service was started with --max-model-len 4096."""
    for tokens, code in ((4081, 2), (4080, 0)):
        pair.asked.clear()
        Path("t.toml").write_text(TABLE.replace("[512]", str(tokens)), encoding="utf-8")
        found, _, err = run("bench", "prod", "t.toml", "--yes")
        assert (found, set(pair.asked) == {"look"}) == (code, code == 2)
    # The last run was the one that fits.
    assert err.count("--max-model-len") == 0


def test_a_folder_that_can_t_be_written_is_told_before_an_engine_is_stopped(
    pair: Pretended, run: Run
) -> None:
    Path("file").write_text("", encoding="utf-8")
    Path("taken/index.html").mkdir(parents=True)
    for folder in ("file/results", "taken"):
        pair.asked.clear()
        code, _, err = run("bench", "prod", "t.toml", "--yes", "--to", folder)
        assert (code, f"{folder}/index.html can't be written: " in err, set(pair.asked)) == (
            1,
            True,
            {"look"},
        )


def test_a_row_without_a_result_ends_with_1_and_is_named(pair: Pretended, run: Run) -> None:
    pair.measured[1] = {"error": "ValueError: too long"}
    code, out, _ = run("bench", "prod", "t.toml", "--yes")
    assert code == 1
    assert "FAIL load (tcp-p512-c2-o16-n12-s0): ValueError: too long." in out
    assert "1 of 2 rows have a result: " in out
    code, out, _ = run("bench", "prod", "t.toml", "--yes", "--json")
    assert (code, json.loads(out)["ok"], json.loads(out)["missing"]) == (0, True, [])


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(pair: Pretended, run: Run) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pair.before["measurement", 1] = interrupt
    code, out, err = run("bench", "prod", "t.toml", "--yes")
    assert (code, out) == (130, "")
    assert "interrupted: 1 of 2 rows have a result in " in err
    assert "The same command measures the others" in err
    assert pair.status().ready
    assert "1 row of 2 to measure on prod" in run("bench", "prod", "t.toml", "--yes")[2]


@pytest.mark.parametrize("transfer", ["none", "tcp"])
def test_after_a_measurement_that_was_killed_its_rows_are_known_and_the_service_comes_back(
    pair: Pretended, run: Run, transfer: str
) -> None:
    """The engines of its layer still run, and the nodes name them as the service."""
    assert run("bench", "prod", "t.toml", "--yes")[0] == 0
    pair.start(replace(SERVICE, transfer=transfer))
    (next(Path("measurements/prod").glob("tcp-*.json"))).unlink()
    code, _, err = run("bench", "prod", "t.toml", "--yes")
    assert (code, "1 row of 2 to measure on prod" in err) == (0, True), err
    assert pair.status().ready
    assert json.loads(pair.services["consumer"]) == json.loads(SERVICE.text)


def test_the_document_has_the_members_of_the_page(pair: Pretended, run: Run) -> None:
    _, out, _ = run("bench", "prod", "t.toml", "--yes", "--json")
    document = json.loads(out)
    assert document["schema"] == "nixl-efa/bench/1"
    page = (ROOT / "docs/bench.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\| `nixl-efa/bench/1` \|(.*)$", page, re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", line))
    assert documented == set(document) - {"schema"} | set(document["rows"][0]) | PARTS
    (path, *_) = Path("measurements/prod").glob("tcp-*.json")
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["figures"] == document["rows"][1]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (None, (), "t.toml can't be read: No such file or directory."),
        ("[[rows]]\nlayer = 'eva'\n", (), "t.toml, [[rows]] 1: layer 'eva' is none. Did you mean efa?"),
        (
            TABLE.replace("tcp", "efa"),
            (),
            "t.toml has the layer efa, and the nodes of prod have no EFA: take tcp.",
        ),
        (
            TABLE,
            ("--mlflow",),
            "--mlflow: no server is named: set MLFLOW_TRACKING_URI, or mlflow_tracking_server_arn",
        ),
    ],
)
def test_bad_input_ends_with_2_and_touches_nothing(
    pair: Pretended, run: Run, text: str | None, words: tuple[str, ...], said: str
) -> None:
    if text is None:
        Path("t.toml").unlink()
    else:
        Path("t.toml").write_text(text, encoding="utf-8")
    pair.asked.clear()
    code, _, err = run("bench", "prod", "t.toml", "--yes", *words)
    assert (code, said in err, set(pair.asked) <= {"look"}) == (2, True, True), err


def test_without_mlflow_it_says_what_to_install(
    pair: Pretended, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    code, _, err = run("bench", "prod", "t.toml", "--yes", "--mlflow")
    assert (
        code,
        "mlflow-skinny is not installed: `.venv/bin/python -m pip install mlflow-skinny`." in err,
    ) == (2, True)
    monkeypatch.setenv(
        "MLFLOW_TRACKING_URI", "arn:aws:sagemaker:us-east-2:111122223333:mlflow-tracking-server/x"
    )
    assert "mlflow-skinny and sagemaker-mlflow" in run("bench", "prod", "t.toml", "--yes", "--mlflow")[2]


def test_a_service_that_was_never_started_can_t_be_measured(pair: Pretended, run: Run) -> None:
    pair.services.clear()
    code, _, err = run("bench", "prod", "t.toml")
    assert (code, "no service was started on prod: `nixl-efa serve start prod --model MODEL`." in err) == (
        1,
        True,
    )


@pytest.mark.parametrize(("minutes", "warned"), [(31, True), (300, False)])
def test_a_block_that_ends_before_the_last_row_is_told(
    pair: Pretended, run: Run, monkeypatch: pytest.MonkeyPatch, aws: LocalAws, minutes: int, warned: bool
) -> None:
    end = clock_of(os.environ).now() + timedelta(minutes=minutes)
    block = Reservation(
        "cr-1", REGION, CAPACITY_BLOCK, "active", "p5.48xlarge", 2, 2, f"{REGION}a", "Linux/UNIX", None, end
    )
    held = Held("cr-1", block, ("producer",), frozenset(), None)
    nodes_are(monkeypatch, pair, held=[held])
    _, _, err = run("bench", "prod", "t.toml", "--yes")
    assert ("WARN capacity: EC2 begins to terminate the nodes at " in err) == warned
