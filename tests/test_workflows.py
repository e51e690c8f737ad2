"""The workflows of the platform that hosts this, and .ci/run, which they call."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))


def workflow(path: Path) -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for true.
    document: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else str(key): value for key, value in document.items()}


CI, NEWEST = (workflow(ROOT / ".github/workflows" / name) for name in ("ci.yml", "newest-locks.yml"))
[JOB] = CI["jobs"].values()
RUN = [step["run"] for step in JOB["steps"] if "run" in step]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_only_reads_and_a_newer_run_ends_it(path: Path) -> None:
    found = workflow(path)
    assert found["permissions"] == {"contents": "read"}
    assert found["concurrency"]["cancel-in-progress"] is True


def test_every_action_has_the_number_of_its_version_and_every_command_is_there() -> None:
    used = [step["uses"] for step in JOB["steps"] if "uses" in step]
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", one)] == []
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = [
        word for line in "\n".join(RUN).splitlines() if line.startswith("make ") for word in line.split()[1:]
    ]
    assert set(named) <= set(targets)
    assert ".ci/run" in RUN


def test_it_runs_under_each_version_of_python_and_node_that_is_promised() -> None:
    matrix = JOB["strategy"]["matrix"]
    least = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert f">={matrix['python'][0]}" == least.partition(",")[0]
    assert {"3.11", "3.12", "3.13"} <= set(matrix["python"])
    assert {*matrix["node"], *(one["node"] for one in matrix["include"])} == {"20", "22"}
    # What boots in a rehearsal is Debian 12, as root.
    assert JOB["container"] == {"image": "python:${{ matrix.python }}-bookworm", "options": "--privileged"}


def test_the_newest_locks_are_tried_each_week_with_the_same_steps() -> None:
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", NEWEST["on"]["schedule"][0]["cron"])
    [job] = NEWEST["jobs"].values()
    assert (job["uses"], job["with"]) == ("./.github/workflows/ci.yml", {"newest": True})
    [resolves] = [step for step in JOB["steps"] if "make install lock" in step.get("run", "")]
    assert resolves["if"] == "inputs.newest"
    assert JOB["steps"].index(resolves) < [step.get("run") for step in JOB["steps"]].index(".ci/run")
    # Every lock of npm is in a folder that it goes through.
    found = ROOT.glob("*/*/package-lock.json")
    # A rehearsal's folder has a copy of the project.
    kept = [path.relative_to(ROOT) for path in found if not path.relative_to(ROOT).parts[0].startswith(".")]
    assert {path.parts[0] for path in kept} == {"npm"}


def test_what_runs_on_a_submission_holds_the_linters_the_site_the_tests_and_the_matrix() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\S+)$", script, re.MULTILINE) == ["lint", "docs", "test", "test-matrix"]
