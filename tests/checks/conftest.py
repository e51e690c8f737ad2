"""A project's folder beside the local AWS."""

import os
from pathlib import Path

import pytest

from local_aws import LocalAws
from tests.checks.deploying import Deploying
from tests.checks.local_project import Project
from tests.clients import clients_are_made_once

__all__ = ["clients_are_made_once"]


@pytest.fixture
def project(
    aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """A project's folder, which is the current one."""
    found = Project(tmp_path, capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return found


@pytest.fixture
def deploying(project: Project, monkeypatch: pytest.MonkeyPatch) -> Deploying:
    return Deploying(project, monkeypatch)
