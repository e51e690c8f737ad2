"""What tests of `nixl-efa serve prepare` and of its packages on a node share: buckets, and an index of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.service.staged import packages_folder
from tests.nodes.conftest import aws, project, run
from tests.nodes.local_pair import REGION, Project
from tests.service.conftest import ROOT
from tests.service.local_index import Index, wheel

__all__ = ["aws", "project", "run"]

TOOLS = ROOT / ".tools" / "hub"
MODELS, OTHERS = "acme-models", "acme-training"
WANTED = ("vllm==0.32.0", "vllm-router==0.1.17")
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
LINUX = "manylinux_2_28_x86_64"
CHOSEN = (f"dep-1.5-cp312-cp312-{LINUX}.whl", "newer-1.0-py3-none-any.whl")
PREPARE = ("serve", "prepare", "prod", "--model", "/models/x")
SERVE = ("vllm-0.32.0-py3-none-any.whl", "vllm_router-0.1.17-py3-none-any.whl")


@pytest.fixture
def s3(aws: LocalAws) -> Any:
    client = boto3.client("s3", REGION)
    for name in (MODELS, OTHERS):
        client.create_bucket(Bucket=name)
    return client


@pytest.fixture
def prod(project: Project) -> Project:
    """prod, with a bucket of models; without NIXL, which has a file of its own: test_stage_nixl.py."""
    return with_settings(project, f'models_bucket = "{MODELS}"', "install_nixl = false")


def with_settings(project: Project, *lines: str) -> Project:
    """The project, with more settings of prod."""
    toml = project.folder / "environments/prod.toml"
    toml.write_text("\n".join((toml.read_text(encoding="utf-8").rstrip(), *lines, "")), encoding="utf-8")
    return project


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    """What vLLM needs depends on Python and machine; what must not be wanted is not there."""
    if not (TOOLS / "bin/uv").exists():
        message = "uv is missing: make .tools/hub/installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    markers = (
        'old; python_version < "3.10"',
        'mac; sys_platform == "darwin"',
        'newer; python_version >= "3.12"',
    )
    tags = (f"cp312-cp312-{LINUX}", f"cp311-cp311-{LINUX}", "cp312-cp312-manylinux_2_28_aarch64")
    files = dict(
        (
            wheel("vllm", "0.32.0", "dep<2", *markers),
            wheel("vllm_router", "0.1.17"),
            wheel("newer", "1.0"),
            wheel("dep", "2.0"),
            *(wheel("dep", "1.5", tag=tag) for tag in tags),
        )
    )
    with Index(files) as running:
        monkeypatch.setenv("PATH", f"{TOOLS / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/simple/")
        monkeypatch.setenv("UV_NO_CONFIG", "1")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield running


def staged(s3: Any, python: str = "3.12", machine: str = "x86_64") -> dict[str, bytes]:
    """The objects of a folder."""
    prefix = f"{packages_folder(WANTED)}/python{python}-{machine}/"
    listed = s3.list_objects_v2(Bucket=MODELS, Prefix=prefix).get("Contents", ())
    return {
        one["Key"].removeprefix(prefix): s3.get_object(Bucket=MODELS, Key=one["Key"])["Body"].read()
        for one in listed
    }
