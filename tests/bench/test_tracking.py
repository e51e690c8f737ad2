"""Results in a real MLflow, with its files in a folder: what a run holds, and that a row is logged once."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.bench import results, tracking
from tests.bench.test_figures import KV, ROW, SETUP, of
from tests.printed import ROOT

MLFLOW = ROOT / ".tools" / "mlflow"
# Of another Python: what this process hands over, and what is told of all runs afterwards.
PROGRAM = """
import json, sys
from pathlib import Path
from nixl_efa.bench import tracking
from mlflow import MlflowClient
uri, rows = json.loads(sys.argv[1])
try:
    count = tracking.log(uri, "nixl-efa-prod", [(name, Path(path), body) for name, path, body in rows])
except tracking.Failure as error:
    print(json.dumps(error.message))
    sys.exit()
client = MlflowClient(uri)
where = client.get_experiment_by_name("nixl-efa-prod").experiment_id
runs = client.search_runs([where])
print(json.dumps([count, [
    [one.info.status, one.data.tags[tracking.TAG], one.data.params, one.data.metrics,
     [each.path for each in client.list_artifacts(one.info.run_id)]] for one in runs]]))
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    if not (MLFLOW / "installed").exists():
        message = "MLflow is missing: make .tools/mlflow/installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        # Its newer versions want to be told that a folder is meant.
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }


def logged(environ: dict[str, str], uri: str, rows: list[Any]) -> Any:
    done = subprocess.run(
        [MLFLOW / "bin/python", "-c", PROGRAM, json.dumps([uri, rows])],
        env=environ,
        cwd=environ["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_row_is_one_run_with_its_figures_and_its_file(environ: dict[str, str], tmp_path: Path) -> None:
    rows = []
    for row in (ROW, replace(ROW, layer="efa")):
        found = of(row, KV)
        results.write(tmp_path, SETUP, found)
        path = SETUP.path(tmp_path, row)
        rows.append((path.stem, str(path), json.loads(path.read_text(encoding="utf-8"))))
    store = (tmp_path / "store").as_uri()
    count, _ = logged(environ, store, rows[:1])
    assert count == 1
    count, runs = logged(environ, store, rows)
    assert (count, len(runs)) == (1, 2)
    by_name = {name: rest for _, name, *rest in runs}
    assert {status for status, *_ in runs} == {"FINISHED"}
    params, metrics, artifacts = by_name[rows[0][0]]
    assert (params["layer"], params["model"], params["types"]) == ("tcp", "/models/x", "p5.48xlarge")
    assert metrics["ttft_ms.p99"] == KV["result"]["p99_ttft_ms"]
    assert metrics["nixl_bytes"] == 25690112
    assert "prompt_tokens" not in metrics or metrics["prompt_tokens"] == 6146
    assert artifacts == [f"{rows[0][0]}.json"]


def test_a_server_that_can_t_be_reached_is_one_message(environ: dict[str, str]) -> None:
    told = logged(environ, "http://127.0.0.1:9", [])
    assert told.startswith("MLflow at http://127.0.0.1:9 can't be written: ")
    assert told.endswith("The rows' files are kept.")


def test_a_password_in_the_server_s_url_is_in_no_message() -> None:
    told = tracking.without_password(
        "MLflow at http://me:p@ss@10.0.0.9:5000/x: http://me:p@ss@10.0.0.9:5000/y"
    )
    assert told == "MLflow at http://10.0.0.9:5000/x: http://10.0.0.9:5000/y"
    arn = "arn:aws:sagemaker:us-east-2:111122223333:mlflow-tracking-server/x"
    assert tracking.without_password(arn) == arn


def test_figures_become_metrics_by_their_names() -> None:
    told = tracking.numbers({"a": 1, "b": {"p50": 2.5}, "c": None, "d": "x", "e": True})
    assert told == {"a": 1.0, "b.p50": 2.5}
