"""Results in MLflow: one run a row, each once. Needs the package mlflow or mlflow-skinny."""

import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nixl_efa.failure import BadInput, Failure

VARIABLE = "MLFLOW_TRACKING_URI"
TAG = "nixl_efa.row"
# SageMaker's servers are named by their ARN, which this plugin lets MLflow read (SageMaker user guide, mlflow-track).
_OF_ARN = "sagemaker_mlflow"


def server(environ: Mapping[str, str], arn: str) -> str:
    """Where to log: MLFLOW_TRACKING_URI, else the setting mlflow_tracking_server_arn. BadInput without one, or without
    the package that it needs."""
    found = environ.get(VARIABLE) or arn
    if not found:
        raise BadInput(
            f"--mlflow: no server is named: set {VARIABLE}, or mlflow_tracking_server_arn in the settings."
        )
    needed = {
        "mlflow": "mlflow-skinny",
        **({_OF_ARN: "sagemaker-mlflow"} if found.startswith("arn:") else {}),
    }
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise BadInput(
            f"--mlflow: {' and '.join(missing)} is not installed: `.venv/bin/python -m pip install "
            f"{' '.join(missing)}`."
        )
    return found


def log(uri: str, experiment: str, rows: Iterable[tuple[str, Path, Mapping[str, Any]]]) -> int:
    """Logs the rows that the experiment does not have yet; returns how many. Failure if the server can't be reached.

    rows: the name by which a result is known, its file, and its content: figures, service and types.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    count = 0
    try:
        client = mlflow.MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        where = found.experiment_id if found else client.create_experiment(experiment)
        for name, path, body in rows:
            known = client.search_runs([where], f"tags.`{TAG}` = '{name}' and attributes.status = 'FINISHED'")
            if not known:
                _log(client, where, name, path, body)
                count += 1
    except (MlflowException, OSError) as error:
        message = f"MLflow at {uri} can't be written: {error}. The rows' files are kept."
        raise Failure(without_password(message)) from error
    return count


def without_password(text: str) -> str:
    """A text whose URLs name no user: MLFLOW_TRACKING_URI may have a password, and MLflow's own errors repeat it."""
    return re.sub(r"://[^/\s]*@", "://", text)


def _log(client: Any, where: str, name: str, path: Path, body: Mapping[str, Any]) -> None:
    """One run, which is finished when all of it is there."""
    run = client.create_run(where, tags={TAG: name, "mlflow.runName": name}).info.run_id
    service, row = body["service"], body["row"]
    for key, value in {**row, **service, "types": ", ".join(sorted(set(body["types"].values())))}.items():
        client.log_param(run, key, value)
    for key, value in numbers(body["figures"]).items():
        if key not in row:
            client.log_metric(run, key, value)
    client.log_artifact(run, str(path))
    client.set_terminated(run)


def numbers(figures: Mapping[str, Any], lead: str = "") -> dict[str, float]:
    """The numbers in a document, by their names: those of percentiles as ttft_ms.p50."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{lead}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{lead}{name}"] = float(value)
    return found
