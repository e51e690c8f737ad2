"""Our scripts with the real NIXL and real libfabrics: what is installed, which backend is made, why none is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nixl_efa import nixl_releases
from nixl_efa.nodes import parse
from scripts.nixl_releases import symbol_version
from tests.nixl.node import RealNode


@pytest.fixture(scope="module")
def installed(real_nixl: Path, tmp_path_factory: pytest.TempPathFactory) -> RealNode:
    """A node with libfabric 2.5.1 on which install-nixl has run, from a folder of wheels."""
    root = tmp_path_factory.mktemp("node") / "root"
    node = RealNode(root, real_nixl, "2.5.1", nixl_wheels=str(real_nixl / "wheels"))
    ran = node.run("install-nixl", "")
    assert ran.returncode == 0, ran.stderr
    return node


def probe(node: RealNode, backend: str = "LIBFABRIC", libfabric: str = "2.5.1", **environ: str) -> parse.Nixl:
    """What nixl-probe says, in a network namespace with a link of its own: on loopback alone libfabric's tcp fails."""
    node.libfabric = libfabric
    if None in (shutil.which("ip"), shutil.which("unshare")) and os.environ.get("CI") != "true":
        pytest.skip("ip or unshare is not on this machine")
    variables = {"LD_LIBRARY_PATH": node.libraries(), **environ}
    script = (
        "ip link add dev near type veth peer name far && ip addr add 10.77.0.1/24 dev near && "
        'ip link set near up && ip link set far up && ip link set lo up && exec "$@"'
    )
    own = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--net"]
    said = subprocess.run(
        [
            *own,
            "sh",
            "-c",
            script,
            "sh",
            "bash",
            node.root / "opt/nixl-efa/bin/nixl-probe",
            backend,
            node.root,
        ],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    found = parse.nixl(said.stdout)
    assert said.returncode == (0 if found.provider else 1), said.stderr
    return found


def test_one_cuda_build_is_installed_without_torch_and_held_against_the_tables_hashes(
    installed: RealNode,
) -> None:
    told = installed.installed()
    assert (told["version"], told["package"], told["hashes"], told["error"]) == (
        nixl_releases.DEFAULT,
        "nixl-cu13",
        True,
        "",
    )
    assert told["bytes"] < 500_000_000
    packages = {
        path.name.split("-")[0] for path in installed.root.glob("opt/nixl-efa/venv/lib/*/*/*.dist-info")
    }
    assert packages - {"pip", "setuptools"} == {"nixl", "nixl_cu13", "numpy", "nvidia_cuda_runtime"}


def test_wheels_that_the_table_does_not_know_are_refused(real_nixl: Path, tmp_path: Path) -> None:
    node = RealNode(tmp_path / "root", real_nixl, "2.5.1", nixl_wheels=str(real_nixl / "wheels"))
    table = node.root / "opt/nixl-efa/releases.txt"
    table.write_text(table.read_text(encoding="utf-8").replace("a", "b"), encoding="utf-8")
    node.command("sleep", "kill $PPID")
    ran = node.run("install-nixl", "")
    assert ran.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in ran.stderr


@pytest.mark.parametrize(
    ("libfabric", "version", "error"),
    [
        ("2.5.1", "1.5.1", "NIXL 1.5.1 needs libfabric 2.7, EFA installer 1.51; this node has 2.5.1"),
        ("1.17.0", "1.5.0", "NIXL 1.5.0 needs libfabric 1.20, EFA installer 1.31; this node has 1.17.0"),
    ],
)
def test_a_release_that_the_nodes_libfabric_does_not_load_is_refused_before_anything_else(
    libfabric: str, version: str, error: str, real_nixl: Path, tmp_path: Path
) -> None:
    node = RealNode(tmp_path / "root", real_nixl, libfabric, nixl_version=version, nixl_pinned=True)
    assert node.run("install-nixl", version).returncode == 1
    assert node.installed()["error"] == nixl_releases.why_not(version, libfabric) == error
    assert not (node.root / "opt/nixl-efa/venv").exists()
    assert not (node.root / "apt").exists()
    # The report and verify say the same, not that NIXL is not there.
    assert probe(node, libfabric=libfabric).message == error


def test_the_backend_is_made_over_tcp_and_the_probe_says_so(installed: RealNode) -> None:
    assert probe(installed, FI_PROVIDER="tcp") == parse.Nixl("1.5.0", "LIBFABRIC", "tcp", "")
    assert probe(installed, "UCX") == parse.Nixl("1.5.0", "UCX", "ucx", "")


def test_without_efa_the_provider_efa_makes_none(installed: RealNode) -> None:
    """What protects from TCP in silence: FI_PROVIDER of /etc/nixl-efa/env."""
    found = probe(installed, FI_PROVIDER="efa")
    assert (found.provider, found.message) == ("", "fi_getinfo failed No data available")


@pytest.mark.parametrize("missing", ["libhwloc.so.15", "libcuda.so.1", "libfabric.so.1"])
def test_what_the_loader_does_not_find_is_named(missing: str, installed: RealNode, tmp_path: Path) -> None:
    for folder in installed.libraries().split(":"):
        for library in Path(folder).glob("*.so*"):
            if not library.name.startswith(missing):
                (tmp_path / library.name).symlink_to(library)
    found = probe(installed, LD_LIBRARY_PATH=str(tmp_path), FI_PROVIDER="tcp")
    assert found.message.startswith(f"{missing}: cannot open shared object file")


def test_a_libfabric_without_the_symbols_is_named_with_their_version(installed: RealNode) -> None:
    found = probe(installed, libfabric="1.17.0", FI_PROVIDER="tcp")
    assert found.message.endswith("libfabric.so.1: version `FABRIC_1.7' not found")


def test_1_5_1_does_not_load_with_2_5_1(real_nixl: Path, installed: RealNode, tmp_path: Path) -> None:
    """Its table's word, tried: what install-nixl refuses would not have worked."""
    node = RealNode(tmp_path / "root", real_nixl, "2.5.1", nixl_wheels=str(real_nixl / "wheels"))
    table = node.root / "opt/nixl-efa/releases.txt"
    table.write_text(
        table.read_text(encoding="utf-8").replace("# 1.5.1 2.7", "# 1.5.1 2.0"), encoding="utf-8"
    )
    ran = node.run("install-nixl", "1.5.1")
    assert ran.returncode == 0, ran.stderr
    found = probe(node, FI_PROVIDER="tcp")
    assert (found.version, found.provider) == ("1.5.1", "")
    assert found.message.endswith("libfabric.so.1: version `FABRIC_1.10' not found")


@pytest.mark.parametrize("version", ["1.5.0", "1.5.1"])
def test_the_table_is_what_the_wheels_plugin_is_linked_against(version: str, real_nixl: Path) -> None:
    (wheel,) = real_nixl.glob(f"wheels/nixl_cu13-{version}-*.whl")
    needed = nixl_releases.needs(version)
    assert needed is not None
    assert needed.libfabric == nixl_releases.FIRST_LIBFABRIC[symbol_version(wheel, "FABRIC")]


@pytest.mark.parametrize(("libfabric", "highest"), [("1.17.0", "1.6"), ("2.5.1", "1.9")])
def test_a_libfabric_has_the_symbols_that_the_table_says(
    libfabric: str, highest: str, real_nixl: Path
) -> None:
    """2.7 can be had nowhere here: of it speaks libfabric's source alone."""
    read = subprocess.run(
        ["readelf", "--version-info", str(real_nixl / f"libfabric-{libfabric}/lib/libfabric.so.1")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    has = {symbols: f"Name: FABRIC_{symbols}\n" in read for symbols in nixl_releases.FIRST_LIBFABRIC}
    said = {
        symbols: tuple(map(int, first.split("."))) <= tuple(map(int, libfabric.split(".")[:2]))
        for symbols, first in nixl_releases.FIRST_LIBFABRIC.items()
    }
    assert has == said
    assert f"Name: FABRIC_{highest}\n" in read
