"""The scripts beside the boot report: what is settled on the node, NIXL's installation and its probe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Node = Any


def preload(node: Node) -> list[str]:
    lines = (node.root / "etc/nixl-efa/env").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("LD_PRELOAD=")]


@pytest.mark.parametrize(
    ("machine", "library"),
    [
        ("x86_64", "/usr/lib/x86_64-linux-gnu/libibverbs.so.1"),
        ("aarch64", "/usr/lib/aarch64-linux-gnu/libibverbs.so.1"),
        ("x86_64", "/usr/lib64/libibverbs.so.1"),
    ],
)
def test_configure_preloads_the_systems_libibverbs_of_the_architecture(
    machine: str, library: str, make_node: Callable[..., Node]
) -> None:
    node = make_node()
    node.command("uname", f"echo {machine}")
    node.command("systemctl", f'echo "$*" >> {node.root}/systemctl')
    node.script(node.root / library.lstrip("/"), "")
    for _ in range(2):
        assert node.run("/opt/nixl-efa/bin/configure", str(node.root)).returncode == 0
    assert preload(node) == [f"LD_PRELOAD={library}"]
    assert "daemon-reexec" in (node.root / "systemctl").read_text(encoding="utf-8")


def test_configure_preloads_nothing_that_is_not_there(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.command("systemctl", "exit 0")
    assert node.run("/opt/nixl-efa/bin/configure", str(node.root)).returncode == 0
    assert preload(node) == []


def test_configure_lifts_the_limit_of_engines_and_agents_that_run(make_node: Callable[..., Node]) -> None:
    """Without a restart, which would end containers and commands. A machine where that is not allowed goes on."""
    node = make_node()
    node.command("systemctl", 'test "$*" = daemon-reexec')
    node.command(
        "pidof", 'test "$*" = "amazon-ssm-agent ssm-agent-worker containerd dockerd" && echo "4242 4711"'
    )
    node.command("prlimit", f'echo "$*" >> {node.root}/prlimit; exit 1')
    assert node.run("/opt/nixl-efa/bin/configure", str(node.root)).returncode == 0
    assert (node.root / "prlimit").read_text(encoding="utf-8").splitlines() == [
        f"--pid {engine} --memlock=unlimited:unlimited" for engine in (4242, 4711)
    ]


@pytest.fixture
def installing(make_node: Callable[..., Node]) -> Node:
    """A node whose python3 makes a venv with a pip that fails as often as the file `failures` has lines."""
    return can_install(make_node())


def can_install(node: Node, *libraries: str) -> Node:
    """libraries: what is on the loader's path beside what the node's ld.so.conf.d adds to it."""
    node.command("apt-get", f'echo "apt-get $*" >> {node.root}/log')
    conf = node.root / "etc/ld.so.conf.d"
    node.command(
        "ldconfig",
        f"printf '\\t%s (libc6,x86-64) => x\\n' {' '.join(libraries)}\n"
        f"for folder in $(cat {conf}/* 2>/dev/null); do\n"
        f"  ls {node.root}$folder 2>/dev/null | sed 's/^/\\t/; s/$/ (libc6,x86-64) => x/'\ndone; exit 0",
    )
    pip = f"""echo "pip $*" >> {node.root}/log
if [ -s {node.root}/failures ]; then sed -i 1d {node.root}/failures; exit 1; fi"""
    node.command(
        "python3",
        f'mkdir -p "$3/bin"; printf \'%s\' \'#!/bin/bash\n{pip}\' > "$3/bin/pip"; chmod +x "$3/bin/pip"',
    )
    return node


def loader_path(node: Node) -> list[str]:
    conf = node.root / "etc/ld.so.conf.d/nixl-efa.conf"
    return conf.read_text(encoding="utf-8").split() if conf.exists() else []


@pytest.mark.parametrize(
    ("kind", "libraries", "added"),
    [
        ("nvidia", ("libcuda.so.1", "libfabric.so.1"), []),
        # A missing driver is a fault that no stub may hide.
        ("nvidia", ("libfabric.so.1",), []),
        ("nvidia", ("libcuda.so.1",), ["/opt/amazon/efa/lib"]),
        ("neuron", ("libfabric.so.1",), ["/opt/nixl-efa/lib"]),
        ("neuron", ("libcuda.so.1", "libfabric.so.1"), []),
    ],
)
def test_what_nixls_plugin_is_linked_against_is_on_the_loaders_path(
    kind: str, libraries: tuple[str, ...], added: list[str], make_node: Callable[..., Node]
) -> None:
    node = can_install(make_node(accelerator_kind=kind), *libraries)
    node.script(node.root / "opt/amazon/efa/lib/libfabric.so.1", "")
    with_plugin(node)
    for _ in range(2):
        assert install(node, failures=0)[0] == 0
        assert loader_path(node) == added


def with_plugin(node: Node) -> Path:
    """A plugin that is linked against CUDA's driver, in the node's virtual environment."""
    plugin: Path = node.root / "opt/nixl-efa/venv/lib/nixl_cu13.libs/libplugin_LIBFABRIC.so"
    plugin.parent.mkdir(parents=True)
    text = (
        "int cuInit(int); int cuDeviceGet_v2(int); int probe(void) { return cuInit(0) + cuDeviceGet_v2(1); }"
    )
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-o", plugin, "-"],
        input=text,
        text=True,
        check=True,
    )
    return plugin


def test_the_stub_of_cudas_driver_has_what_the_plugin_calls_and_says_that_there_is_no_device(
    make_node: Callable[..., Node],
) -> None:
    node = can_install(make_node(accelerator_kind="neuron"), "libfabric.so.1")
    plugin = with_plugin(node)
    assert install(node, failures=0)[0] == 0
    program = "import ctypes, sys; [ctypes.CDLL(one, ctypes.RTLD_GLOBAL) for one in sys.argv[1:]]; "
    called = subprocess.run(
        [
            sys.executable,
            "-c",
            program + "print(ctypes.CDLL(sys.argv[-1]).probe())",
            node.root / "opt/nixl-efa/lib/libcuda.so.1",
            plugin,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert called.stdout == "200\n"  # CUDA_ERROR_NO_DEVICE is 100


def install(node: Node, failures: int) -> tuple[int, list[str]]:
    (node.root / "failures").write_text("x\n" * failures, encoding="utf-8")
    ran = node.run(
        "/opt/nixl-efa/bin/install-nixl", "1.5.1", str(node.root), environ={"NIXL_RETRY_PAUSE_SECONDS": "0"}
    )
    log = (node.root / "log").read_text(encoding="utf-8").splitlines()
    return ran.returncode, [line for line in log if line.startswith("pip")]


def test_installation_pins_the_version_and_brings_libhwloc(installing: Node) -> None:
    code, pip = install(installing, failures=0)
    assert code == 0
    assert len(pip) == 1
    assert pip[0].endswith("nixl==1.5.1")
    assert "libhwloc15" in (installing.root / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("failures", "code", "tries"), [(4, 0, 5), (5, 1, 5)])
def test_installation_is_tried_five_times(failures: int, code: int, tries: int, installing: Node) -> None:
    seen, pip = install(installing, failures)
    assert (seen, len(pip)) == (code, tries)


@pytest.mark.parametrize(
    ("api", "code", "line"),
    [
        ("return ['DRAM', 'VRAM']", 0, "nixl 1.5.1 LIBFABRIC loaded"),
        ("return []", 1, "nixl 1.5.1 LIBFABRIC missing"),
        (
            "raise RuntimeError('libhwloc.so.15: cannot open')",
            1,
            "nixl LIBFABRIC failed: libhwloc.so.15: cannot open",
        ),
    ],
)
def test_the_probe_says_whether_the_backend_loads(
    api: str, code: int, line: str, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node()
    packages = tmp_path / "packages"
    (packages / "nixl").mkdir(parents=True)
    (packages / "nixl/__init__.py").touch()
    (packages / "nixl/_api.py").write_text(
        "class nixl_agent_config:\n    def __init__(self, backends): pass\n"
        "class nixl_agent:\n    def __init__(self, name, config): pass\n"
        f"    def get_plugin_mem_types(self, backend): {api}\n",
        encoding="utf-8",
    )
    (packages / "nixl-1.5.1.dist-info").mkdir()
    (packages / "nixl-1.5.1.dist-info/METADATA").write_text("Name: nixl\nVersion: 1.5.1\n", encoding="utf-8")
    node.script(
        node.root / "opt/nixl-efa/venv/bin/python", f'PYTHONPATH={packages} exec {sys.executable} "$@"'
    )
    ran = node.run("/opt/nixl-efa/bin/nixl-probe", "LIBFABRIC", str(node.root))
    assert (ran.returncode, ran.stdout.strip()) == (code, line)


def test_login_shells_get_the_environment_and_the_tools(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node()
    profile = (node.root / "etc/profile.d/nixl-efa.sh").read_text(encoding="utf-8")
    local = tmp_path / "profile.sh"
    local.write_text(profile.replace("/etc/", f"{node.root}/etc/"), encoding="utf-8")
    shown = subprocess.run(
        ["sh", "-euc", f'. {local}; sh -c "echo \\$AWS_REGION \\$PATH"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert shown.stdout == "us-east-1 /opt/amazon/efa/bin:/opt/nixl-efa/bin:/usr/bin:/bin\n"
