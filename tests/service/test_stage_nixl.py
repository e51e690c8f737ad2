"""NIXL by `nixl-efa serve prepare`: the real wheels, which a node's own install-nixl then installs without an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa import nixl_releases
from nixl_efa.nixl_releases import DEFAULT, offered
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.service.stage import ByThisMachine, Moved
from nixl_efa.service.staged import NIXL, File
from tests.nixl.conftest import real_nixl
from tests.nixl.node import RealNode
from tests.nodes.local_pair import Project, Run
from tests.policies import denied, under
from tests.service.local_index import Index, wheel
from tests.service.prepared import LINUX, MODELS, PREPARE, WANTED, aws, index, project, run, s3, with_settings

__all__ = ["aws", "index", "project", "real_nixl", "run", "s3"]

# Of the fetched wheels.
PYTHON = "3.11"
TAG = f"cp311-cp311-{LINUX}"
COMMAND = (*PREPARE, "--python", PYTHON)
CUDART_12 = "nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux_2_17_x86_64.whl"


@pytest.fixture
def prod(project: Project) -> Project:
    return with_settings(project, f'models_bucket = "{MODELS}"')


@pytest.fixture
def wheels(real_nixl: Path, index: Index) -> dict[str, bytes]:
    """What the index has for NIXL: the real wheels, and stand-ins of the build for CUDA 12, which nodes take by any
    sum. That build needs torch, which is not there."""
    found = {one.name: one.read_bytes() for one in real_nixl.glob("wheels/*.whl")}
    found |= dict(wheel("nixl_cu12", version, "torch", tag=TAG) for version in offered())
    found |= {CUDART_12: wheel("nvidia_cuda_runtime_cu12", "12.9.79")[1]}
    index.files |= found
    index.files.update([wheel("nvidia_cuda_runtime_cu12", "14.0")])
    return found


def staged(s3: Any, bucket: str = MODELS) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{NIXL}/").get("Contents", ())
    return {
        one["Key"].removeprefix(f"{NIXL}/"): s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for one in listed
    }


def test_a_node_installs_what_is_staged_and_asks_no_index(
    s3: Any, prod: Project, wheels: dict[str, bytes], run: Run, aws: LocalAws, real_nixl: Path, tmp_path: Path
) -> None:
    """By no more than the policy of the command; wheels of others in that folder stay."""
    s3.put_object(Bucket=MODELS, Key=f"{NIXL}/own-1.0-py3-none-any.whl", Body=b"own")
    _, printed, _ = run("policy", "prepare", "--env", "prod")
    under(aws, printed)
    code, out, err = run(*COMMAND)
    assert (code, denied(aws)) == (0, []), err
    assert out.startswith("Staged NIXL 1.5.1, 1.5.0 for Python 3.11 on x86_64: 9 files, ")
    assert f"in s3://{MODELS}/nixl-wheels/." in out
    found = staged(s3)
    # No manifest: several environments stage here.
    assert found == {**wheels, "own-1.0-py3-none-any.whl": b"own"}
    node = RealNode(tmp_path / "node", real_nixl, "2.5.1", models_bucket=MODELS)
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    for name, data in found.items():
        (bucket / name).write_bytes(data)
    node.command("aws", f'[ "$3" = s3://{MODELS}/nixl-wheels ] && mkdir -p "$4" && cp {bucket}/* "$4"')
    ran = node.run("install-nixl", "", PIP_INDEX_URL="http://127.0.0.1:1", PIP_RETRIES="0")
    assert ran.returncode == 0, ran.stderr
    told = node.installed()
    assert (told["version"], told["hashes"], told["error"]) == (DEFAULT, True, "")
    assert told["source"] == f"{node.root}/var/lib/nixl-efa/wheels"


def test_the_build_that_a_booting_node_looks_for_comes_when_all_else_is_there(
    s3: Any, prod: Project, wheels: dict[str, bytes], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that finds it installs what is staged, without an index."""
    there: dict[str, set[str]] = {}
    put = ByThisMachine.put

    def noted(source: ByThisMachine, file: File, revision: str, to: Bucket, key: str, moved: Moved) -> None:
        there[key] = {one["Key"] for one in to.objects("")}
        put(source, file, revision, to, key, moved)

    monkeypatch.setattr(ByThisMachine, "put", noted)
    assert run(*COMMAND)[0] == 0
    keys = {one for one in there if one.startswith(f"{NIXL}/")}
    builds = {one for one in keys if one.startswith(f"{NIXL}/nixl_cu")}
    assert len(builds) == 2 * len(offered())
    assert all(keys - builds <= there[one] for one in builds)


def test_wheels_that_nodes_would_refuse_are_not_staged(
    s3: Any, prod: Project, wheels: dict[str, bytes], index: Index, run: Run
) -> None:
    index.files.update([wheel("nixl_cu13", "1.5.0", tag=TAG)])
    code, out, err = run(*COMMAND)
    assert (code, staged(s3)) == (1, {})
    assert (
        "NIXL is not staged: the index has other wheels of nixl-cu13==1.5.0 than those of which nodes" in err
    )
    # The packages are, for all that.
    assert f"Staged {', '.join(WANTED)}" in out


@pytest.mark.parametrize(
    ("lines", "said", "versions"),
    [
        (['nixl_version = "1.5.1"'], "Staged NIXL 1.5.1 for", {"1.5.1"}),
        (
            ['nixl_wheels = "/opt/wheels"'],
            "NIXL is not staged: nodes take its wheels from /opt/wheels (nixl_wheels).",
            set(),
        ),
        (["install_nixl = false"], "Staged vllm", set()),
    ],
)
def test_what_the_nodes_of_the_settings_install_is_staged(
    lines: list[str],
    said: str,
    versions: set[str],
    s3: Any,
    prod: Project,
    wheels: dict[str, bytes],
    run: Run,
) -> None:
    with_settings(prod, *lines)
    code, out, err = run(*COMMAND)
    assert (code, said in out + err) == (0, True), err
    assert {name.split("-")[1] for name in staged(s3) if name.startswith("nixl-")} == versions


def test_without_a_models_bucket_it_is_the_scripts_bucket(
    s3: Any, project: Project, wheels: dict[str, bytes], run: Run
) -> None:
    s3.create_bucket(Bucket="nixl-efa-prod-scripts")
    code, _, err = run(*COMMAND)
    assert code == 0, err
    assert set(wheels) == set(staged(s3, "nixl-efa-prod-scripts"))


def test_for_a_python_of_which_nodes_know_no_sums_any_wheel_will_do() -> None:
    assert nixl_releases.beside("3.13") == ("numpy", "nvidia-cuda-runtime<14")
    assert [len(nixl_releases.sums("numpy==2.2.6", python)) for python in ("3.12", "3.13")] == [6, 0]
