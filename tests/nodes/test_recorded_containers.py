"""What was recorded of containers, and of devices that are no EFA or do not open: from the node's script to verify."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes import cloud_init, rules
from nixl_efa.nodes.facts import NodeFacts, Planned, node_facts
from nixl_efa.nodes.run_command import OUTPUT_LIMIT_CHARACTERS, Script
from nixl_efa.nodes.sections import script, sections
from tests.nodes.stand_in import StandIn
from tests.records import answer, record

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS
FACTS = Script(script("node-facts.sh"))


@pytest.fixture
def node(tmp_path: Path) -> StandIn:
    return StandIn("producer", tmp_path / "producer")


@pytest.fixture
def b200_plan(p5_plan: Planned) -> Planned:
    """A p6-b200.48xlarge."""
    return replace(p5_plan, instance_type="p6-b200.48xlarge", efa_interfaces=8)


def facts_of(node: StandIn) -> NodeFacts:
    return node_facts(sections(node.run(FACTS.commands)))


def judged(facts: NodeFacts, plan: Planned) -> dict[str, Finding]:
    return {finding.check: finding for finding in rules.node_findings(facts, plan)}


class Containers:
    """An engine on a stand-in, and containers of it: their places in /proc, and what pgrep says of them."""

    def __init__(self, node: StandIn, locked: str) -> None:
        self.node, self.running = node, list[int]()
        self.process(100, "containerd", locked)
        self.pgrep()

    def process(self, number: int, name: str, locked: str, devices: int = 0) -> None:
        self.node.file(f"proc/{number}/comm", f"{name}\n")
        self.node.file(
            f"proc/{number}/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            f"Max locked memory         {locked:<20} {locked:<20} bytes     \n"
            "Max pending signals       7871                 7871                 signals   \n",
        )
        for device in range(devices):
            self.node.file("/".join(["proc", str(number), "root", f"dev/infiniband/uverbs{device}"]), "")

    def start(self, name: str, locked: str, devices: int = 0) -> None:
        self.running.append(1000 + len(self.running))
        self.process(self.running[-1], name, locked, devices)
        self.pgrep()

    def pgrep(self) -> None:
        shims = "echo 900" if self.running else "exit 1"
        running = " ".join(map(str, self.running))
        self.node.command(
            "pgrep",
            f"case $* in '-d , containerd-shim') {shims} ;; '-P 900') printf '%s\\n' {running} ;;"
            " '-x containerd') echo 100 ;; *) exit 2 ;; esac",
        )


def test_a_node_with_twelve_containers_answers_in_less_than_a_third_of_what_run_command_gives(
    node: StandIn,
) -> None:
    """Each names the layers of its image among the mounts: these alone were more than Run Command gives."""
    overlay, *others = answer("mounts/docker-container").splitlines(True)
    first = overlay.partition("lowerdir=")[2].partition(":")[0]
    layers = overlay.replace("lowerdir=", f"lowerdir={':'.join([first] * 30)}:")
    mounts = answer("mounts/deep-learning-image") + "".join([layers, *others]) * 12
    assert len(mounts) > OUTPUT_LIMIT_CHARACTERS
    node.file("proc/mounts", mounts)
    containers = Containers(node, "unlimited")
    for _ in range(12):
        containers.start("VLLM::EngineCore", "unlimited", 32)
    for index in range(32):
        device = node.root / f"sys/class/infiniband/rdmap{index}s0"
        device.rename(device.with_name(f"rdmap{100 + index}s0"))
    rail = f"I1126 05:00:00.1 7 libfabric_rail.cpp:1] {'x' * 150}"
    failed = "I1126 05:00:00.1 7 nixl_plugin_manager.cpp:1] Failed to load plugin from /p/libplugin"
    told = "\n".join([*[rail] * 64, f"{failed}_GDS.so: libcufile", "nixl 1.5.0 LIBFABRIC provider=efa"])
    node.script("opt/nixl-efa/bin/nixl-probe", f"cat <<'LOG'\n{told}\nLOG")
    output = node.run(FACTS.commands)
    assert len(output) < 8_000
    facts = node_facts(sections(output))
    assert (facts.nixl.version, facts.nixl.provider) == ("1.5.0", "efa")
    assert facts.local_disks == "/dev/mapper/vg.01-lv_ephemeral"
    assert len(facts.domains) == 32
    assert [one.name for one in facts.engines if one.is_container] == ["VLLM::EngineCore"] * 12


@pytest.mark.parametrize("indent", [None, 4])
def test_a_trainium_node_with_its_processes_answers_as_short(
    indent: int | None, node: StandIn, p5_plan: Planned
) -> None:
    (device,) = answer("neuron/trn2-48xlarge-one-device-visible")
    process = {"pid": 4711, "command": "python3 -m vllm.entrypoints " * 20, "neuroncore_ids": [0, 1]}
    listed = [device | {"neuron_device": one, "neuron_processes": [process] * 4} for one in range(16)]
    node.without("nvidia-smi")
    said = node.file("neuron.json", f"a notice\n\n{json.dumps(listed, indent=indent)}\n")
    assert said.stat().st_size > OUTPUT_LIMIT_CHARACTERS
    node.command("neuron-ls", f"cat {said}")
    output = node.run(FACTS.commands)
    assert len(output) < 8_000
    plan = replace(p5_plan, accelerator_kind="neuron", accelerators=16)
    assert judged(node_facts(sections(output)), plan)["accelerators"].message == "16 x Neuron device"
    node.command("neuron-ls", "echo 'neuron-ls: no such driver' >&2; exit 3")
    assert judged(facts_of(node), plan)["accelerators"].message == (
        "0 of 16 can be read: neuron-ls: no such driver."
    )


def test_what_a_container_may_lock_is_the_engines_limit_and_not_the_shells(
    node: StandIn, p5_plan: Planned
) -> None:
    seen = answer("containers/memlock-of-a-container")
    locked = str(int(seen["container_kib"]) * 1024)
    containers = Containers(node, locked)
    facts = facts_of(node)
    assert facts.memlock == "unlimited"
    found = judged(facts, p5_plan)["containers"]
    assert (found.level, found.message) == (WARN, f"containerd may lock {seen['container_kib']} KiB.")
    assert "--ulimit memlock=-1" in found.remedy
    assert judged(facts, replace(p5_plan, efa_interfaces=0))["containers"].level is PASS
    # A container that has no EFA needs no such memory; one that has is named.
    containers.process(100, "containerd", "unlimited")
    containers.start("nginx", locked)
    containers.start("python3", "unlimited", 32)
    assert judged(facts_of(node), p5_plan)["containers"] == Finding(
        PASS, "containers", "2 run; memlock unlimited"
    )
    containers.start("python3", locked, 32)
    found = judged(facts_of(node), p5_plan)["containers"]
    assert (found.level, found.message) == (WARN, f"python3 may lock {seen['container_kib']} KiB.")


def test_a_container_with_all_of_dev_infiniband_is_told_before_libfabric_falls_silent(
    tmp_path: Path, b200_plan: Planned
) -> None:
    seen = answer("containers/all-of-dev-infiniband")
    silent, works = seen["all_of_dev_infiniband"], seen["efa_devices_alone"]
    node = StandIn("producer", tmp_path / "b200", devices=silent["efa"])
    for name in silent["mlx5"]:
        node.file(f"sys/class/infiniband/{name}/device/vendor", "0x15b3\n")
    containers = Containers(node, "unlimited")
    containers.start("python3", "unlimited", works["uverbs"])
    assert judged(facts_of(node), b200_plan)["containers"].level is PASS
    containers.start("python3", "unlimited", silent["uverbs"])
    found = judged(facts_of(node), b200_plan)["containers"]
    assert (found.level, found.message) == (WARN, "python3 sees 10 RDMA devices, 8 of EFA.")


@pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace of its own needs root")
def test_real_processes_are_found_as_an_engine_and_its_containers(tmp_path: Path) -> None:
    """With this machine's own pgrep, /proc and limits: a shim's children are containers, whatever they are called."""
    for name in ("containerd", "containerd-shim-runc-v2", "VLLM::EngineCor"):
        shutil.copy("/bin/bash", tmp_path / name)
    program = tmp_path / "node-facts.sh"
    program.write_text(
        f"cd {tmp_path}\n"
        "(ulimit -l 4096; exec ./containerd -c 'while :; do sleep 9; done') &\n"
        "./containerd-shim-runc-v2 -c './VLLM::EngineCor -c \"while :; do sleep 9; done\" & wait' &\n"
        f"sleep 1\n{script('node-facts.sh')}",
        encoding="utf-8",
    )
    ran = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if ran.returncode and "unshare" in ran.stderr:
        pytest.skip(f"no namespaces here: {ran.stderr.strip()}")
    found = {one.name: one for one in node_facts(sections(ran.stdout)).engines}
    assert set(found) == {"containerd", "VLLM::EngineCor"}, ran.stdout
    assert found["containerd"].locked == str(4096 * 1024)
    assert [name for name, one in found.items() if one.is_container] == ["VLLM::EngineCor"]


def test_a_boot_report_of_an_earlier_version_keeps_no_paid_p6_b200_from_being_in_order(
    p5_facts: NodeFacts, b200_plan: Planned
) -> None:
    seen = answer("rdma/p6-b200-ten-devices")
    devices = {f"rdmap{index}s0": "0x1d0f" for index in range(seen["efa"])}
    devices |= dict.fromkeys(seen["nvlink_controllers"], "0x15b3")
    check = {"check": "efa_devices", "ok": False, "planned": "8", "seen": str(seen["total"])}
    failed = answer("cloud_init/runcmd-failed")
    facts = replace(
        p5_facts,
        rdma_devices=devices,
        boot_report={"ok": False, "checks": [check]},
        cloud_init=cloud_init.read(failed),
    )
    found = judged(facts, b200_plan)
    assert (found["boot report"].level, "nodes sync" in found["boot report"].remedy) == (WARN, True)
    assert found["cloud-init"].level is PASS
    one_less = replace(facts, rdma_devices=dict(list(devices.items())[1:]))
    assert judged(one_less, b200_plan)["boot report"].level is FAIL


def test_a_node_without_an_engine_has_nothing_to_look_at(node: StandIn, p5_plan: Planned) -> None:
    node.command("pgrep", "exit 1")
    assert judged(facts_of(node), p5_plan)["containers"] == Finding(
        PASS, "containers", "no container engine runs"
    )


def test_libfabric_that_gives_up_on_a_device_that_is_no_efa_is_named(
    node: StandIn, b200_plan: Planned
) -> None:
    recorded = record("fi_info/a-device-that-cannot-be-opened")
    *log, error = recorded["answer"].splitlines()
    for name in answer("rdma/p6-b200-ten-devices")["nvlink_controllers"]:
        node.file(f"sys/class/infiniband/{name}/device/vendor", "0x15b3\n")
    level = recorded["question"]["FI_LOG_LEVEL"]
    told = "\n".join(log)
    node.command(
        "fi_info",
        "case $* in *--version*) echo 'libfabric: 2.4.0amzn5.0'; exit ;; esac\n"
        f"[ \"$FI_LOG_LEVEL\" != {level} ] || cat >&2 <<'LOG'\n{told}\nLOG\necho '{error}' >&2; exit 61",
    )
    facts = facts_of(node)
    assert facts.fi_info_error == error
    found = judged(facts, b200_plan)["fi_info"]
    assert (found.level, found.message) == (
        FAIL,
        f"0 of 8 domains ({error}): libfabric could not open an RDMA device, and then lists no EFA at all; "
        "ibp115s0f0 and ibp116s0f0 are no EFA: NIXL would fall back to TCP without an error.",
    )
    assert "newer than 2.6" in found.remedy


def test_a_kernel_without_the_module_is_told_apart_from_a_module_that_is_not_loaded(
    node: StandIn, p5_plan: Planned
) -> None:
    shutil.rmtree(node.root / "sys/module/efa")
    node.command("uname", "echo 6.17.0-1017-aws")
    for code, words in (
        (1, "not loaded: the kernel 6.17.0-1017-aws has no module efa, as after an upgrade of the kernel."),
        (0, "not loaded."),
    ):
        node.command("modinfo", f"exit {code}")
        found = judged(facts_of(node), p5_plan)["EFA driver"]
        assert (found.level, found.message) == (FAIL, words)


def test_the_limit_of_services_is_looked_at_beside_the_shells(node: StandIn, p5_plan: Planned) -> None:
    for said, level, message in (
        ("infinity", PASS, "unlimited"),
        ("8388608", FAIL, "unlimited for shells, 8192 KiB for services."),
        ("Running in chroot, ignoring command", PASS, "unlimited"),
    ):
        node.command(
            "systemctl", f"case $* in is-active*) echo active ;; *DefaultLimitMEMLOCK*) echo '{said}' ;; esac"
        )
        found = judged(facts_of(node), p5_plan)["memlock"]
        assert (found.level, found.message) == (level, message)


def test_efas_own_fi_info_is_asked_before_the_distributions(node: StandIn) -> None:
    node.script("opt/amazon/efa/bin/fi_info", "echo 'libfabric: 2.6.0amzn1.0'")
    node.command("fi_info", "echo 'libfabric: 1.17.0'")
    assert facts_of(node).libfabric == "2.6.0amzn1.0"


def test_a_warning_of_nvidia_smi_takes_no_gpu_away(node: StandIn, p5_plan: Planned) -> None:
    recorded = record("nvidia/inforom-corrupted")
    line = recorded["answer"].strip()
    node.command(
        "nvidia-smi",
        'for i in 0 1 2 3 4 5 6 7; do echo "$i, NVIDIA H100 80GB HBM3, 580.65.06, 81559 MiB"; done\n'
        f"echo '{line}'; exit {recorded['question']['exit']}",
    )
    found = judged(facts_of(node), p5_plan)["accelerators"]
    assert (found.level, found.message) == (WARN, f"8 x NVIDIA H100 80GB HBM3, driver 580.65.06; {line}.")
