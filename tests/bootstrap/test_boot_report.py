"""The boot report, run against stand-ins of the node's commands and devices."""

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.records import answer

Node = Any
GPUS = "\n".join(f"echo 'GPU {index}: NVIDIA H100 80GB HBM3 (UUID: GPU-{index})'" for index in range(8))


@pytest.fixture
def p5(make_node: Callable[..., Node]) -> Node:
    """A p5.48xlarge in which all is as planned."""
    return as_planned(make_node())


def as_planned(node: Node) -> Node:
    node.efa_devices(32)
    node.command("nvidia-smi", GPUS)
    node.command("systemctl", "exit 0")
    node.command("uname", "echo x86_64")
    node.script(node.root / "usr/lib/x86_64-linux-gnu/libibverbs.so.1", "")
    node.script(
        node.root / "opt/nixl-efa/venv/bin/python",
        "echo nixl-version 1.5.0; echo 'Created 32 rails using provider=efa'",
    )
    assert node.run("/opt/nixl-efa/bin/configure", str(node.root)).returncode == 0
    return node


def report(node: Node, memlock: str = "unlimited") -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the report; `ulimit` is a shell builtin, so a function of that name stands for it."""
    ran = node.run(
        "/opt/nixl-efa/bin/boot-report",
        str(node.root),
        environ={"BASH_FUNC_ulimit%%": f"() {{ echo {memlock}; }}"},
    )
    return ran, json.loads((node.root / "var/lib/nixl-efa/boot-report.json").read_text(encoding="utf-8"))


def test_a_node_as_planned_passes(p5: Node) -> None:
    ran, written = report(p5)
    assert ran.returncode == 0, ran.stdout
    assert written["ok"] is True
    assert written["transport"] == "EFA"
    assert [check["check"] for check in written["checks"]] == [
        "efa_devices",
        "fi_info_domains",
        "memlock",
        "accelerators",
        "libibverbs_preload",
        "nixl_backend",
    ]
    assert "prod producer (p5.48xlarge, EFA): as planned" in ran.stdout


def test_who_is_there_is_told(p5: Node) -> None:
    ran, _ = report(p5)
    assert "NOTE members: 2 known\n" in ran.stdout
    p5.command("aws", "echo 'Unable to locate keys' >&2; exit 253")
    p5.command("sleep", "exit 0")
    ran, _ = report(p5)
    assert (ran.returncode, "NOTE members: 2 known: not read anew: Unable" in ran.stdout) == (0, True)


def test_a_node_that_knows_itself_alone_is_not_as_planned_and_keeps_what_it_is(
    make_node: Callable[..., Node],
) -> None:
    node = as_planned(make_node())
    files = {name: (node.root / "etc/nixl-efa" / name).read_text() for name in ("env", "pair.json")}
    node.command("aws", "echo 'Could not connect to the endpoint URL' >&2; exit 255")
    node.command("sleep", "exit 0")
    ran, written = report(node)
    line = "FAIL members: planned other nodes, seen none: 1 known: not read anew: Could not connect to the endpoint"
    assert (ran.returncode, line in ran.stdout) == (1, True), ran.stdout
    assert [one["check"] for one in written["checks"] if not one["ok"]] == ["members"]
    assert {name: (node.root / "etc/nixl-efa" / name).read_text() for name in files} == files


def test_the_login_message_is_what_the_report_printed(p5: Node) -> None:
    ran, _ = report(p5)
    assert (p5.root / "var/lib/nixl-efa/boot-report.txt").read_text(encoding="utf-8") == ran.stdout


@pytest.mark.parametrize("fabrics", [1, 2])
def test_a_device_counts_once_however_many_fabrics_libfabric_lists_it_under(
    fabrics: int, make_node: Callable[..., Node]
) -> None:
    node = make_node(efa_interfaces=3, accelerators=8, install_nixl=False)
    node.efa_devices(3, fabrics)
    _, written = report(node)
    assert next(c for c in written["checks"] if c["check"] == "fi_info_domains")["seen"] == "3"


def test_rdma_devices_of_another_vendor_are_no_efa(make_node: Callable[..., Node]) -> None:
    seen = answer("rdma/p6-b200-ten-devices")
    node = make_node(instance_type="p6-b200.48xlarge", efa_interfaces=8, install_nixl=False)
    node.efa_devices(seen["efa"])
    for name in seen["nvlink_controllers"]:
        node.rdma_device(name, "0x15b3")
    assert len(list((node.root / "sys/class/infiniband").iterdir())) == seen["total"]
    _, written = report(node)
    assert next(c for c in written["checks"] if c["check"] == "efa_devices")["ok"] is True


def test_a_provider_that_is_layered_over_efa_counts_no_device_twice(make_node: Callable[..., Node]) -> None:
    node = make_node(efa_interfaces=1, install_nixl=False)
    node.efa_devices(1)
    listed = answer("fi_info/libfabric-1.9-with-a-layered-provider").split("provider: ")
    rdm = "".join(f"provider: {one}" for one in listed if "FI_EP_RDM" in one)
    assert rdm.count("domain:") == 2
    node.command("fi_info", f"cat <<'OUTPUT'\n{rdm}OUTPUT")
    _, written = report(node)
    assert next(c for c in written["checks"] if c["check"] == "fi_info_domains")["seen"] == "1"


def lose_a_device(node: Node) -> None:
    shutil.rmtree(node.root / "sys/class/infiniband/rdmap31s0")


def lose_libfabric(node: Node) -> None:
    node.command("fi_info", "echo 'fi_getinfo: -61 (No data available)' >&2; exit 61")


def lose_a_gpu(node: Node) -> None:
    node.command("nvidia-smi", GPUS.rsplit("\n", 1)[0])


def lose_the_driver(node: Node) -> None:
    node.command("nvidia-smi", "echo 'NVIDIA-SMI has failed' >&2; exit 9")


def lose_the_library(node: Node) -> None:
    (node.root / "usr/lib/x86_64-linux-gnu/libibverbs.so.1").unlink()


def lose_nixl(node: Node) -> None:
    (node.root / "opt/nixl-efa/venv/bin/python").unlink()


def break_the_plugin(node: Node) -> None:
    node.script(
        node.root / "opt/nixl-efa/venv/bin/python",
        "echo nixl-version 1.5.0; echo 'error: \"libhwloc\"'; exit 1",
    )


@pytest.mark.parametrize(
    ("fault", "memlock", "line"),
    [
        (lose_a_device, "unlimited", "FAIL efa_devices: planned 32, seen 31"),
        (lose_libfabric, "unlimited", "FAIL fi_info_domains: planned 32, seen 0"),
        (None, "65536", "FAIL memlock: planned unlimited, seen 65536"),
        (lose_a_gpu, "unlimited", "FAIL accelerators: planned 8, seen 7"),
        (lose_the_driver, "unlimited", "FAIL accelerators: planned 8, seen 0"),
        (lose_the_library, "unlimited", "FAIL libibverbs_preload: planned present, seen missing"),
        (lose_nixl, "unlimited", "FAIL nixl_backend: planned provider=efa, seen"),
        (
            break_the_plugin,
            "unlimited",
            "FAIL nixl_backend: planned provider=efa, seen nixl 1.5.0 LIBFABRIC failed: libhwloc",
        ),
    ],
)
def test_each_difference_from_the_plan_fails_loudly(
    fault: Callable[[Node], None] | None, memlock: str, line: str, p5: Node
) -> None:
    if fault:
        fault(p5)
    ran, written = report(p5, memlock)
    assert ran.returncode == 1
    assert written["ok"] is False
    assert sum(not check["ok"] for check in written["checks"]) == 1
    assert line in ran.stdout
    assert ran.stdout.endswith("NOT AS PLANNED\n")


def test_what_a_tool_says_stands_beside_what_is_missing(p5: Node) -> None:
    said = answer("nvidia/driver-library-mismatch")
    p5.command("nvidia-smi", f"printf '%s' '{said}'; exit 18")
    *_, error = answer("fi_info/a-device-that-cannot-be-opened").splitlines()
    p5.command("fi_info", f"echo '{error}' >&2; exit 61")
    ran, written = report(p5)
    assert "seen 0: fi_getinfo: -61 No data available" in ran.stdout
    assert "seen 0: Failed to initialize NVML: Driver/library version mismatch" in ran.stdout
    assert [one["seen"][:4] for one in written["checks"] if not one["ok"]] == ["0: f", "0: F"]


def test_a_tool_that_hangs_does_not_hold_the_boot_up(p5: Node) -> None:
    """nvidia-smi may hang where a GPU has fallen off the bus; cloud-init would wait for the report for ever."""
    p5.command("nvidia-smi", "sleep 60")
    p5.command("timeout", f'shift; exec {shutil.which("timeout")} 1 "$@"')
    ran, written = report(p5)
    assert "FAIL accelerators: planned 8, seen 0: no answer within 60 s" in ran.stdout
    assert sum(not one["ok"] for one in written["checks"]) == 1


def test_a_warning_of_nvidia_smi_is_no_difference_from_the_plan(p5: Node) -> None:
    p5.command("nvidia-smi", f"{GPUS}\necho '{answer('nvidia/inforom-corrupted').strip()}'; exit 14")
    ran, written = report(p5)
    assert (ran.returncode, written["ok"]) == (0, True), ran.stdout


def test_efas_own_fi_info_is_asked_before_the_distributions(p5: Node) -> None:
    own = (p5.commands / "fi_info").read_text(encoding="utf-8")
    p5.command("fi_info", "echo 'fi_getinfo: -61 (No data available)' >&2; exit 61")
    assert report(p5)[1]["ok"] is False
    p5.script(p5.root / "opt/amazon/efa/bin/fi_info", own)
    assert report(p5)[1]["ok"] is True


def test_how_nixl_was_installed_is_told_whatever_stands_there(p5: Node) -> None:
    assert report(p5)[1]["install"] == ""
    for noted, told in (
        (
            '{"version":"1.5.0","package":"nixl-cu13","bytes":151000000,"seconds":34,"error":""}',
            "version:1.5.0 package:nixl-cu13 bytes:151000000 seconds:34 error:",
        ),
        ('"} $(touch x) \\', " touch x "),
    ):
        (p5.root / "var/lib/nixl-efa/install.json").write_text(noted, encoding="utf-8")
        ran, written = report(p5)
        assert (ran.returncode, written["install"].strip()) == (0, told.strip())
        assert f"NOTE install-nixl: {written['install']}\n" in ran.stdout


def test_a_type_without_efa_passes_and_says_that_nixl_uses_tcp(make_node: Callable[..., Node]) -> None:
    node = make_node(efa_interfaces=0, instance_type="g7e.2xlarge", accelerators=1, install_nixl=False)
    node.efa_devices(0)
    node.command("nvidia-smi", "echo 'GPU 0: NVIDIA RTX PRO 6000 (UUID: GPU-0)'")
    ran, written = report(node)
    assert ran.returncode == 0, ran.stdout
    assert written["transport"] == "TCP"
    assert "g7e.2xlarge has no EFA interface, so NIXL uses TCP" in ran.stdout


def test_neuron_devices_are_counted_without_their_cores(make_node: Callable[..., Node]) -> None:
    node = make_node(
        instance_type="trn1.32xlarge",
        efa_interfaces=8,
        accelerators=16,
        accelerator_kind="neuron",
        install_nixl=False,
    )
    node.efa_devices(8)
    (node.root / "dev").mkdir()
    for index in range(16):
        (node.root / f"dev/neuron{index}").touch()
    _, written = report(node)
    assert next(c for c in written["checks"] if c["check"] == "accelerators")["seen"] == "16"


@pytest.mark.parametrize(
    ("probe", "made", "words"),
    [
        (
            "error: libcuda.so.1",
            1,
            "FAIL nixl_backend: planned provider=efa, seen nixl 9.0 LIBFABRIC failed: libcuda.so.1",
        ),
        (
            "Created 1 rails using provider=tcp",
            0,
            "FAIL nixl_backend: planned provider=efa, seen provider=tcp",
        ),
        (
            "Created 8 rails using provider=efa",
            0,
            "PASS nixl_backend: planned provider=efa, seen provider=efa",
        ),
    ],
)
def test_a_backend_that_is_not_made_over_efa_is_a_fault_of_a_neuron_node_too(
    probe: str, made: int, words: str, make_node: Callable[..., Node]
) -> None:
    node = make_node(
        instance_type="trn2.48xlarge", efa_interfaces=16, accelerators=0, accelerator_kind="neuron"
    )
    node.efa_devices(16)
    node.command("systemctl", "exit 0")
    node.script(node.root / "usr/lib64/libibverbs.so.1", "")
    node.script(
        node.root / "opt/nixl-efa/venv/bin/python", f"echo nixl-version 9.0; echo '{probe}'; exit {made}"
    )
    assert node.run("/opt/nixl-efa/bin/configure", str(node.root)).returncode == 0
    ran, written = report(node)
    ok = words.startswith("PASS")
    assert (ran.returncode, written["ok"], words in ran.stdout) == (not ok, ok, True), ran.stdout


def test_a_members_json_of_the_users_own_stays_and_stops_nothing(p5: Node) -> None:
    p5.command("systemctl", f'echo "$1" >>{p5.root}/asked')
    own = p5.root / "etc/nixl-efa/members.json"
    own.unlink(missing_ok=True)
    own.write_text("mine", encoding="utf-8")
    assert p5.run("/opt/nixl-efa/bin/configure", str(p5.root)).returncode == 0
    assert (own.read_text(encoding="utf-8"), "daemon-reexec" in (p5.root / "asked").read_text()) == (
        "mine",
        True,
    )


def test_without_the_environment_file_the_report_fails(p5: Node) -> None:
    (p5.root / "etc/nixl-efa/env").unlink()
    assert p5.run("/opt/nixl-efa/bin/boot-report", str(p5.root)).returncode != 0
