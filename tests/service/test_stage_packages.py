"""Packages by `nixl-efa serve prepare`, with the real uv and an index of this machine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.failure import Failure
from nixl_efa.image import python_of
from nixl_efa.launch import launch_of
from nixl_efa.service import wheels
from nixl_efa.service.staged import MANIFEST
from nixl_efa.service.wheels import machines
from nixl_efa.settings import Settings
from tests.nodes.local_pair import REGION, Project, Run
from tests.policies import denied, under
from tests.service.conftest import manifest_key
from tests.service.local_index import Index, wheel
from tests.service.prepared import (
    CHOSEN,
    LINUX,
    MODELS,
    PREPARE,
    SERVE,
    aws,
    index,
    prod,
    project,
    run,
    s3,
    staged,
    with_settings,
)

__all__ = ["aws", "index", "prod", "project", "run", "s3"]


@pytest.mark.parametrize("is_json", [True, False])
def test_what_a_node_of_the_image_installs_is_staged_once(
    s3: Any, prod: Project, index: Index, run: Run, is_json: bool
) -> None:
    """A model that lies on the nodes is not staged."""
    index.is_json = is_json
    code, out, err = run(*PREPARE)
    place = f"s3://{MODELS}/nixl-efa-models/packages/vllm-0.32.0/vllm-router-0.1.17/python3.12-x86_64/"
    assert (code, out.partition(": ")) == (
        0,
        (
            "Staged vllm==0.32.0, vllm-router==0.1.17 for Python 3.12 on x86_64",
            ": ",
            f"4 files, {_size(index)}, in {place}.\n",
        ),
    ), err
    found = staged(s3)
    manifest = json.loads(found.pop(MANIFEST))
    assert found == {name: index.files[name] for name in (*CHOSEN, *SERVE)}
    assert {one["name"] for one in manifest["files"]} == set(found)
    assert sorted(index.gets) == sorted(found)
    assert not (Path(os.environ["XDG_CACHE_HOME"]) / "nixl-efa/packages").exists()
    index.gets.clear()
    assert run(*PREPARE)[0] == 0
    assert index.gets == []
    # A newer release: its wheel comes, and the older one goes.
    name, content = wheel("newer", "1.1")
    index.files[name] = content
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    assert run(*PREPARE)[0] == 0
    assert index.gets == [name]
    assert set(staged(s3)) == {CHOSEN[0], name, *SERVE, MANIFEST}


def _size(index: Index) -> str:
    return f"{sum(len(index.files[name]) for name in (*CHOSEN, *SERVE)) / 1000:.1f} KB"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("wheel", f"the packages are not staged: {CHOSEN[0]} arrived damaged."),
        (
            "version",
            "uv finds no wheels: No solution found when resolving dependencies cause: Because there is no version",
        ),
        (
            "index",
            "Does this machine reach the index (UV_DEFAULT_INDEX, HTTPS_PROXY)? The same command continues.",
        ),
        ("uv", "they need uv, which is not installed: `pip install uv`."),
    ],
)
def test_packages_that_can_not_be_staged_are_told_and_the_model_is_staged(
    s3: Any, prod: Project, index: Index, run: Run, monkeypatch: pytest.MonkeyPatch, damage: str, said: str
) -> None:
    for name in ("config.json", "model.safetensors"):
        s3.put_object(Bucket=MODELS, Key=f"runs/7/{name}", Body=b"{}")
    match damage:
        case "wheel":
            index.damaged.add(CHOSEN[0])
        case "version":
            del index.files[SERVE[1]]
            index.files.update([wheel("vllm_router", "0.1.16")])
        case "index":
            monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple/")
            monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        case "uv":
            monkeypatch.setenv("PATH", "/nothing")
    model = f"s3://{MODELS}/runs/7"
    code, out, err = run("serve", "prepare", "prod", "--model", model)
    assert code == 1
    assert out.startswith(f"Staged {model}: 2 files")
    assert said in err
    assert "Traceback" not in err
    assert MANIFEST not in staged(s3)
    assert s3.head_object(Bucket=MODELS, Key=manifest_key(model))


def test_a_connection_that_is_cut_is_tried_again_a_few_times(
    s3: Any, prod: Project, index: Index, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "PAUSES", (0.0, 0.0))
    name, content = SERVE[1], index.files[SERVE[1]]
    index.cut = [name] * 3
    code, _, err = run(*PREPARE)
    assert (code, index.gets.count(name), MANIFEST in staged(s3)) == (1, 3, False)
    assert f"/{name} can't be downloaded: {len(content) - 1:,} of {len(content):,} bytes have come." in err
    index.cut = [name] * 2
    assert run(*PREPARE)[0] == 0
    assert staged(s3)[name] == content


def test_an_image_of_ones_own_needs_its_python(s3: Any, prod: Project, index: Index, run: Run) -> None:
    with_settings(prod, 'ami_id = "ami-0123456789abcdef0"')
    code, _, err = run(*PREPARE)
    assert (
        code,
        "which Python is on the image ami-0123456789abcdef0 is not known: give --python" in err,
    ) == (1, True)
    code, out, _ = run(*PREPARE, "--python", "3.11")
    assert (code, "for Python 3.11 on x86_64" in out) == (0, True)
    assert f"dep-1.5-cp311-cp311-{LINUX}.whl" in staged(s3, "3.11")
    assert "newer-1.0-py3-none-any.whl" not in staged(s3, "3.11")
    assert run(*PREPARE, "--python", "3")[0] == 2


def test_another_version_of_the_engine_has_a_folder_of_its_own(
    s3: Any, prod: Project, index: Index, run: Run
) -> None:
    index.files.update([wheel("vllm", "0.33.0")])
    code, out, err = run(*PREPARE, "--engine-version", "0.33.0")
    assert (code, "/packages/vllm-0.33.0/vllm-router-0.1.17/python3.12-x86_64/" in out) == (0, True), err
    assert staged(s3) == {}


def test_the_policy_of_prepare_is_enough(
    s3: Any, prod: Project, index: Index, aws: LocalAws, run: Run
) -> None:
    _, printed, _ = run("policy", "prepare", "--env", "prod")
    under(aws, printed)
    assert run(*PREPARE)[0] == 0
    assert denied(aws) == []


@pytest.mark.parametrize(
    ("parameter", "python"),
    [
        ("/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id", "3.10"),
        ("/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id", "3.12"),
        (
            "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
            "",
        ),
        ("/acme/images/golden", ""),
    ],
)
def test_the_python_of_an_image_is_told_by_its_parameter(parameter: str, python: str) -> None:
    assert python_of(parameter) == python


def test_each_python_and_machine_of_an_environment_is_staged_once() -> None:
    def of(**settings: Any) -> tuple[tuple[str, str], ...]:
        given = {"name": "prod", "region": REGION, "instance_type": "p5.48xlarge", **settings}
        return machines(launch_of(Settings(**given)), "")

    assert of() == (("3.12", "x86_64"),)
    assert of(instance_type="g5g.metal") == (("3.12", "aarch64"),)
    assert of(ami_parameter="/aws/service/x/ubuntu-22.04/latest/ami-id") == (("3.10", "x86_64"),)
    with pytest.raises(Failure, match="which Python is on the image ami-0123456789abcdef0"):
        of(ami_id="ami-0123456789abcdef0")
