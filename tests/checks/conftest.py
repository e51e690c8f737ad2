"""A local AWS for a module, emptied before each test, and a project's folder beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws import LocalAws
from tests.checks.local_project import REGION, Project


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """Emptied, and the only AWS that this process can reach."""
    local_aws.reset()
    for name, value in local_aws.environ(REGION).items():
        monkeypatch.setenv(name, value)
    return local_aws


@pytest.fixture
def project(
    aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """A project's folder, which is the current one."""
    found = Project(tmp_path, capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return found
