"""The scripts beside the boot report: what is settled on the node, NIXL's installation and its probe."""

import json
import os
import shlex
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
    assert str((node.root / "etc/nixl-efa/members.json").readlink()) == "pair.json"
    assert "daemon-reexec" in (node.root / "systemctl").read_text(encoding="utf-8")


def test_configure_preloads_nothing_that_is_not_there(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.command("systemctl", "exit 0")
    assert node.run("/opt/nixl-efa/bin/configure", str(node.root)).returncode == 0
    assert preload(node) == []


def test_configure_lifts_the_limit_of_engines_and_agents_that_run(make_node: Callable[..., Node]) -> None:
    """Without a restart, which would end containers and commands. A machine where that is not allowed continues."""
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


LIBRARIES = ("libhwloc.so.15", "libcuda.so.1", "libfabric.so.1")


def can_install(node: Node, *libraries: str) -> Node:
    """libraries: what is on the loader's path beside what the node's ld.so.conf.d adds to it."""
    failing = f"if [ -s {node.root}/failures ]; then sed -i 1d {node.root}/failures; exit 1; fi"
    node.command("apt-get", f'echo "apt-get $*" >> {node.root}/log\n{failing}')
    conf = node.root / "etc/ld.so.conf.d"
    node.command(
        "ldconfig",
        f"printf '\\t%s (libc6,x86-64) => x\\n' {' '.join(libraries or LIBRARIES)}\n"
        f"for folder in $(cat {conf}/* 2>/dev/null); do\n"
        f"  ls {node.root}$folder 2>/dev/null | sed 's/^/\\t/; s/$/ (libc6,x86-64) => x/'\ndone; exit 0",
    )
    python = f"""#!/bin/bash
case $* in *"-m pip"*) echo "pip $*" >> {node.root}/log; {failing} ;; *-V) echo Python 3.12.3 ;; esac"""
    node.command(
        "python3",
        f"case $* in *ensurepip*) exit 0 ;; esac\n"
        f'mkdir -p "$3/bin"; printf %s {shlex.quote(python)} > "$3/bin/python"; chmod +x "$3/bin/python"',
    )
    node.command("aws", "exit 1")
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
    node = can_install(make_node(accelerator_kind=kind), "libhwloc.so.15", *libraries)
    node.script(node.root / "opt/amazon/efa/lib/libfabric.so.1", "")
    with_plugin(node)
    for _ in range(2):
        assert install(node)[0] == 0
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
    node = can_install(make_node(accelerator_kind="neuron"), "libhwloc.so.15", "libfabric.so.1")
    plugin = with_plugin(node)
    assert install(node)[0] == 0
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


def install(node: Node, *arguments: str, failures: int = 0) -> tuple[int, list[str]]:
    """Exit code, and the log of apt-get and pip."""
    (node.root / "failures").write_text("x\n" * failures, encoding="utf-8")
    log = node.root / "log"
    log.unlink(missing_ok=True)
    ran = node.run(
        "/opt/nixl-efa/bin/install-nixl", *(arguments or ("",)), str(node.root), environ={"NIXL_PAUSE": "0"}
    )
    return ran.returncode, log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def told(node: Node) -> dict[str, Any]:
    """What install-nixl says of its work."""
    text = (node.root / "var/lib/nixl-efa/install.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def test_where_nothing_is_missing_apt_is_not_asked(installing: Node) -> None:
    code, log = install(installing)
    assert (code, [line.split()[0] for line in log]) == (0, ["pip"])


@pytest.mark.parametrize("failures", [0, 1, 2, 5])
def test_what_is_missing_comes_by_apt_which_is_tried_until_its_lock_is_free(
    failures: int, make_node: Callable[..., Node]
) -> None:
    node = can_install(make_node(), "libcuda.so.1", "libfabric.so.1")
    code, log = install(node, failures=failures)
    tries = failures // 2 + 1
    assert (code, log[0 : 2 * tries : 2]) == (0, ["apt-get -q update"] * tries)
    assert all(line.endswith("install libhwloc15") for line in log[1 : 2 * tries : 2])


def test_a_broken_repository_of_the_image_keeps_no_package_away(make_node: Callable[..., Node]) -> None:
    """apt-get update ends with 100 where one of its repositories has no signature that is valid, and has the others."""
    node = can_install(make_node(), "libcuda.so.1", "libfabric.so.1")
    node.command("apt-get", 'case $* in *update*) exit 100 ;; *"install libhwloc15"*) exit 0 ;; esac; exit 1')
    assert install(node)[0] == 0


def test_pip_is_tried_again_and_the_end_is_told(installing: Node) -> None:
    code, log = install(installing, failures=3)
    assert (code, len(log)) == (0, 4)
    seen = told(installing)
    assert (seen["version"], seen["package"], seen["hashes"], seen["error"]) == (
        "1.5.0",
        "nixl-cu13",
        True,
        "",
    )


@pytest.mark.parametrize(
    ("driver", "package", "hashed"),
    [("595.91.07", "nixl-cu13", True), ("580.65.06", "nixl-cu13", True), ("570.172.08", "nixl-cu12", False)],
)
def test_the_cuda_build_is_the_one_that_the_driver_runs(
    driver: str, package: str, hashed: bool, installing: Node
) -> None:
    version = installing.root / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(
        f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {driver}  Release Build\nGCC version: 13\n",
        encoding="utf-8",
    )
    code, log = install(installing)
    assert code == 0
    assert (told(installing)["package"], told(installing)["hashes"]) == (package, hashed)
    assert "--no-deps" in log[0]
    wanted = (
        (installing.root / "var/lib/nixl-efa/wanted.txt").read_text(encoding="utf-8") if hashed else log[0]
    )
    assert package in wanted
    assert "torch" not in wanted


@pytest.mark.parametrize(
    ("said", "arguments", "pinned", "version", "error"),
    [
        ("2.7.0amzn2.0", (), False, "1.5.1", ""),
        ("2.6.0amzn1.0", (), False, "1.5.0", ""),
        ("1.22.0amzn4.0", (), False, "1.5.0", ""),
        ("", (), False, "1.5.0", ""),
        (
            "2.6.0amzn1.0",
            ("1.5.1",),
            True,
            "1.5.1",
            "NIXL 1.5.1 needs libfabric 2.7, EFA installer 1.51; this node has 2.6.0amzn1.0",
        ),
        ("2.7.0amzn2.0", ("1.5.1",), True, "1.5.1", ""),
        (
            "1.17.0",
            (),
            False,
            "1.5.0",
            "NIXL 1.5.0 needs libfabric 1.20, EFA installer 1.31; this node has 1.17.0",
        ),
        # One that the table of this node does not name: nothing is known of it.
        ("2.6.0amzn1.0", ("9.9.9",), True, "9.9.9", ""),
    ],
)
def test_the_version_is_what_the_nodes_libfabric_loads_and_a_given_one_that_it_does_not_load_is_refused(
    said: str,
    arguments: tuple[str, ...],
    pinned: bool,
    version: str,
    error: str,
    make_node: Callable[..., Node],
) -> None:
    node = can_install(make_node(nixl_pinned=pinned, nixl_version=arguments[0] if arguments else "1.5.0"))
    node.command("fi_info", f"echo 'fi_info: {said}'; echo 'libfabric: {said}'" if said else "exit 127")
    code, log = install(node, *arguments)
    assert (told(node)["version"], told(node)["error"]) == (version, error)
    assert code == bool(error)
    # Refused before anything else runs.
    assert bool(log) is not bool(error)


def test_what_ends_the_installation_unforeseen_is_told_too(installing: Node) -> None:
    installing.command("python3", "case $* in *ensurepip*) exit 0 ;; esac; exit 1")
    code, _ = install(installing)
    assert code == 1
    assert told(installing)["error"].startswith("failed: python3 -m venv")


def test_nixl_over_tcp_asks_nothing_of_libfabric(make_node: Callable[..., Node]) -> None:
    node = can_install(make_node(instance_type="g7e.2xlarge", efa_interfaces=0))
    node.command("fi_info", "echo 'libfabric: 1.17.0'")
    assert install(node)[0] == 0
    assert told(node)["version"] == "1.5.0"


@pytest.mark.parametrize(
    ("wheels", "option"),
    [
        ("/opt/wheels", "--no-index -f /opt/wheels"),
        ("https://wheels.example/simple/", "-i https://wheels.example/simple/"),
    ],
)
def test_wheels_come_from_where_the_setting_says(
    wheels: str, option: str, make_node: Callable[..., Node]
) -> None:
    node = can_install(make_node(nixl_wheels=wheels))
    node.command("aws", f"touch {node.root}/asked")
    _, log = install(node)
    assert option in log[0]
    assert told(node)["source"] == wheels
    assert not (node.root / "asked").exists()


OF_312 = f"nixl_cu13-1.5.0-cp312-cp312-manylinux_2_28_{os.uname().machine}.whl"


@pytest.mark.parametrize(
    ("models", "bucket", "staged", "found"),
    [
        ("", "nixl-efa-prod-scripts", OF_312, True),
        ("acme-models", "acme-models", OF_312, True),
        ("acme-models", "nixl-efa-prod-scripts", OF_312, False),
        # Of another release, Python, build or machine: the index has what the node needs.
        ("", "nixl-efa-prod-scripts", OF_312.replace("1.5.0", "1.4.1"), False),
        ("", "nixl-efa-prod-scripts", OF_312.replace("cp312", "cp310"), False),
        ("", "nixl-efa-prod-scripts", OF_312.replace("cu13", "cu12"), False),
        ("", "nixl-efa-prod-scripts", OF_312.replace(os.uname().machine, "riscv64"), False),
    ],
)
def test_wheels_that_are_staged_need_no_index(
    models: str, bucket: str, staged: str, found: bool, make_node: Callable[..., Node]
) -> None:
    node = can_install(make_node(models_bucket=models))
    node.command(
        "aws", f'case $* in "s3 sync s3://{bucket}/nixl-wheels "*) touch "${{@: -1}}/{staged}" ;; esac'
    )
    (node.root / "var/lib/nixl-efa/wheels").mkdir(parents=True)
    _, log = install(node)
    assert (f"--no-index -f {node.root}/var/lib/nixl-efa/wheels" in log[0]) is found


@pytest.mark.parametrize(
    ("create", "code", "line"),
    [
        (
            "os.write(2, b'I1126 09:06:11.04 9 a.cpp:2] Created 8 rails using provider=efa\\n')",
            0,
            "provider=efa",
        ),
        ("os.write(2, b'Created 1 rails using provider=tcp\\n')", 0, "provider=tcp"),
        ("pass", 0, "provider=unknown"),
        ("raise RuntimeError('NIXL_ERR_BACKEND')", 1, "failed: NIXL_ERR_BACKEND"),
        (
            "os.write(2, b'E1126 09:06:09.99 1 b.cpp:68] fi_getinfo failed No data available\\n'); raise OSError",
            1,
            "failed: fi_getinfo failed No data available",
        ),
        ("os.kill(os.getpid(), 11)", 1, "failed: ended with 139: nixl-version 1.5.1"),
    ],
)
def test_the_probe_makes_the_backend_and_names_what_it_goes_over(
    create: str, code: int, line: str, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node()
    packages = tmp_path / "packages"
    (packages / "nixl").mkdir(parents=True)
    (packages / "nixl/__init__.py").touch()
    (packages / "nixl/_api.py").write_text(
        "import os\nclass nixl_agent_config:\n    def __init__(self, backends): pass\n"
        "class nixl_agent:\n    def __init__(self, name, config): pass\n"
        f"    def create_backend(self, backend): {create}\n",
        encoding="utf-8",
    )
    (packages / "nixl-1.5.1.dist-info").mkdir()
    (packages / "nixl-1.5.1.dist-info/METADATA").write_text("Name: nixl\nVersion: 1.5.1\n", encoding="utf-8")
    node.script(
        node.root / "opt/nixl-efa/venv/bin/python", f'PYTHONPATH={packages} exec "{sys.executable}" "$@"'
    )
    ran = node.run("/opt/nixl-efa/bin/nixl-probe", "LIBFABRIC", str(node.root))
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (code, f"nixl 1.5.1 LIBFABRIC {line}")


@pytest.mark.parametrize(
    ("error", "words"), [("", "No module named 'nixl'"), ("not finished", "not finished")]
)
def test_where_nixl_is_not_there_the_probe_tells_what_its_installation_said(
    error: str, words: str, make_node: Callable[..., Node]
) -> None:
    node = make_node()
    if error:
        state = node.root / "var/lib/nixl-efa/install.json"
        state.parent.mkdir(parents=True)
        state.write_text(f'{{"version":"","error":"{error}"}}\n', encoding="utf-8")
    ran = node.run("/opt/nixl-efa/bin/nixl-probe", "LIBFABRIC", str(node.root))
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, f"nixl LIBFABRIC failed: {words}")
