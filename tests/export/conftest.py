"""A project's folder beside the local AWS, and the engines that read what is written for them."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from tests.checks.local_project import Project
from tests.clients import clients_are_made_once

__all__ = ["clients_are_made_once"]

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".tools" / "engines" / "bin" / "python"
Reads = Callable[[str, Path], dict[str, Any]]


@pytest.fixture
def project(
    aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """A project's folder, which is the current one."""
    found = Project(tmp_path, capsys)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def reads() -> Reads:
    """What an engine reads from its file, and what it minds."""
    if not PYTHON.exists():
        message = "aws-parallelcluster and dstack are missing: make .tools/engines/installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)

    def read(engine: str, file: Path) -> dict[str, Any]:
        script = Path(__file__).with_name("read_by_engine.py")
        words = [str(PYTHON), "-I", str(script), engine, str(file)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return read
