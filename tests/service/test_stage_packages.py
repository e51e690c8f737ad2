"""Packages by `nixl-efa serve prepare`, with the real uv and an index of this machine, and pip's part on a node."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.failure import Failure
from nixl_efa.image import python_of
from nixl_efa.launch import launch_of
from nixl_efa.service import prepare
from nixl_efa.service.staged import MANIFEST, packages_folder
from nixl_efa.service.wheels import machines
from nixl_efa.settings import Settings
from tests.nodes.conftest import aws, project, run
from tests.nodes.local_pair import REGION, Project, Run
from tests.policies import denied, under
from tests.service.conftest import ROOT, manifest_key
from tests.service.local_index import Index, wheel
from tests.service.programs import command

__all__ = ["aws", "project", "run"]

TOOLS = ROOT / ".tools" / "hub"
MODELS = "acme-models"
WANTED = ("vllm==0.32.0", "vllm-router==0.1.17")
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
LINUX = "manylinux_2_28_x86_64"
CHOSEN = (f"dep-1.5-cp312-cp312-{LINUX}.whl", "newer-1.0-py3-none-any.whl")
SERVE = ("vllm-0.32.0-py3-none-any.whl", "vllm_router-0.1.17-py3-none-any.whl")


@pytest.fixture
def s3(aws: LocalAws) -> Any:
    client = boto3.client("s3", REGION)
    client.create_bucket(Bucket=MODELS)
    return client


@pytest.fixture
def prod(project: Project) -> Project:
    toml = project.folder / "environments/prod.toml"
    toml.write_text(f'{toml.read_text(encoding="utf-8")}models_bucket = "{MODELS}"\n', encoding="utf-8")
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


PREPARE = ("serve", "prepare", "prod", "--model", "/models/x")


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


def test_an_image_of_ones_own_needs_its_python(s3: Any, prod: Project, index: Index, run: Run) -> None:
    toml = prod.folder / "environments/prod.toml"
    toml.write_text(f'{toml.read_text(encoding="utf-8")}ami_id = "ami-0123456789abcdef0"\n', encoding="utf-8")
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


class Node:
    """A root with a virtual environment; its S3 is a folder, and its index that of the test."""

    def __init__(self, root: Path, venv: Path, index: Index) -> None:
        self.root, self.index, self.bucket = root, index, root / "bucket"
        self.bucket.mkdir(parents=True)
        shutil.copytree(venv, root / "opt/nixl-efa/venv", symlinks=True)
        (root / "bin").mkdir()
        # `aws s3 ls` of a folder without objects ends with 1, and says nothing.
        command(
            root / "bin",
            "aws",
            f"""[ ! -e {root}/denied ] || {{ echo 'An error occurred (AccessDenied)' >&2; exit 254; }}
            case $2 in
              ls) from={self.bucket}/${{3#s3://}}; [ -d $from ] && ls -l $from ;;
              sync) cp {self.bucket}/${{4#s3://}}/* $5 ;;
            esac""",
        )

    def install(self, *packages: str) -> tuple[str, str]:
        """As prepare.py runs it: where they came from, and why it failed."""
        script = Path(prepare.__file__).with_name("install-engine.sh").read_text(encoding="utf-8")
        where = (f"s3://{MODELS}/{packages_folder(WANTED)}", MANIFEST)
        environment = {
            "NIXL_EFA_ROOT": str(self.root),
            "PATH": f"{self.root}/bin:/usr/bin:/bin",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{self.index.url}/simple/",
            "PIP_RETRIES": "0",
            "TMPDIR": str(self.root),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            return prepare.install(list(packages), script, *where)

    def has(self, package: str) -> bool:
        return any((self.root / "opt/nixl-efa/venv").glob(f"lib/python*/site-packages/{package}-*.dist-info"))


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def node(tmp_path: Path, venv: Path, index: Index, s3: Any, prod: Project, run: Run) -> Node:
    """For its Python and machine packages are staged."""
    made = Node(tmp_path / "node", venv, index)
    index.files = dict(
        (wheel("vllm", "0.32.0", "dep<2"), wheel("vllm_router", "0.1.17"), wheel("dep", "1.5"))
    )
    code, _, err = run(*PREPARE, "--python", OWN)
    assert code == 0, err
    folder = made.bucket / MODELS / packages_folder(WANTED) / f"python{OWN}-{platform.machine()}"
    folder.mkdir(parents=True)
    for name, data in staged(s3, OWN).items():
        (folder / name).write_bytes(data)
    index.gets.clear()
    return made


def folder_of(node: Node) -> Path:
    [folder] = node.bucket.glob(f"{MODELS}/{packages_folder(WANTED)}/*")
    return folder


def place_of(node: Node) -> str:
    return f"s3://{folder_of(node).relative_to(node.bucket)}"


def test_a_node_installs_what_is_staged_and_asks_no_index(node: Node) -> None:
    assert node.install(*WANTED) == (place_of(node), "")
    assert (node.has("vllm"), node.has("dep"), node.has("vllm_router"), node.index.gets) == (
        True,
        True,
        True,
        [],
    )


def test_without_the_router_the_same_set_serves(node: Node) -> None:
    assert node.install(WANTED[0]) == (place_of(node), "")
    assert (node.has("dep"), node.has("vllm_router")) == (True, False)


def test_without_a_set_the_index_is_asked(node: Node) -> None:
    shutil.rmtree(folder_of(node))
    assert node.install(WANTED[0]) == ("the index", "")
    assert node.has("dep")


def test_a_package_that_was_cut_is_installed_again(node: Node) -> None:
    """As an end of pip leaves it: its command comes after its files, and INSTALLER after that."""
    node.index.files.update(
        [
            wheel(
                "vllm",
                "0.32.0",
                files={"vllm-0.32.0.dist-info/entry_points.txt": "[console_scripts]\nvllm=a:b"},
            )
        ]
    )
    (folder_of(node) / SERVE[0]).write_bytes(node.index.files[SERVE[0]])
    assert node.install(WANTED[0])[1] == ""
    [installer] = node.root.glob("opt/nixl-efa/venv/lib/python*/site-packages/vllm-*.dist-info/INSTALLER")
    engine = node.root / "opt/nixl-efa/venv/bin/vllm"
    installer.unlink()
    engine.unlink()
    assert node.install(WANTED[0])[1] == ""
    assert (installer.exists(), engine.exists()) == (True, True)


def test_staged_packages_leave_the_disk_before_those_of_the_index_come(node: Node) -> None:
    (folder_of(node) / SERVE[0]).write_bytes(b"?")
    pip = node.root / "opt/nixl-efa/venv/bin/python"
    real = pip.resolve()
    pip.unlink()
    command(
        pip.parent,
        "python",
        f"""
        case "$*" in *--no-index*|*list*) ;; *) ls -d {node.root}/tmp.* >{node.root}/kept 2>/dev/null ;; esac
        exec -a {pip} {real} "$@"
        """,
    )
    assert node.install(WANTED[0])[1] == ""
    assert (node.root / "kept").read_text(encoding="utf-8") == ""


BROKEN = "ERROR: Wheel 'vllm' located at "


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("wheel", BROKEN),
        ("lacking", "ERROR: No matching"),
        ("manifest", "it is not complete"),
        ("role", "An error"),
    ],
)
def test_a_set_that_can_not_be_used_is_told_and_the_index_is_asked(node: Node, damage: str, why: str) -> None:
    folder, place = folder_of(node), place_of(node)
    match damage:
        case "wheel":
            (folder / SERVE[0]).write_bytes(b"?")
        case "lacking":
            (folder / "dep-1.5-py3-none-any.whl").unlink()
        case "manifest":
            (folder / MANIFEST).unlink()
        case "role":
            (node.root / "denied").touch()
    source, error = node.install(WANTED[0])
    assert error == ""
    assert source.startswith(f"the index: {place}: {why}")
    assert sorted(node.index.gets) == ["dep-1.5-py3-none-any.whl", SERVE[0]]
    assert not list(node.root.glob("tmp*"))


def test_where_the_index_can_not_be_reached_either_both_reasons_are_told(node: Node) -> None:
    (folder_of(node) / SERVE[0]).write_bytes(b"?")
    node.index.url = "http://127.0.0.1:1"
    source, error = node.install(WANTED[0])
    assert source == ""
    assert error.startswith("ERROR: No matching distribution found for vllm==0.32.0 (packages of S3: ")
    assert f": {place_of(node)}: {BROKEN}" in error
