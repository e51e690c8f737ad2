"""Packages on a node: what `nixl-efa serve prepare` has staged, else those of the index, with the real pip."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.service import prepare
from nixl_efa.service.staged import MANIFEST, packages_folder
from tests.nodes.local_pair import Project, Run
from tests.service.local_index import Index, wheel
from tests.service.prepared import (
    MODELS,
    OWN,
    PREPARE,
    SERVE,
    WANTED,
    aws,
    index,
    prod,
    project,
    run,
    s3,
    staged,
)
from tests.service.programs import command

__all__ = ["aws", "index", "prod", "project", "run", "s3"]


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
              ls) from={self.bucket}/${{3#s3://}}; [ -d $from ] && ls -lp $from | sed -E 's|^d.* (.*/)$|    PRE \\1|' ;;
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
            patch.setattr(sys, "prefix", str(self.root / "opt/nixl-efa/venv"))
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
    shutil.rmtree(folder_of(node).parent)
    assert node.install(WANTED[0]) == ("the index", "")
    assert node.has("dep")


def test_a_set_for_another_python_is_told_and_the_index_is_asked(node: Node) -> None:
    folder = folder_of(node)
    folder.rename(folder.with_name("python3.9-aarch64"))
    source, error = node.install(WANTED[0])
    where = place_of(node).rpartition("/")[0]
    own = f"python{OWN}-{platform.machine()}"
    assert (source, error) == (f"the index: {where} has python3.9-aarch64, and this node needs {own}", "")
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
