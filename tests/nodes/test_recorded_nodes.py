"""What real tools printed on real machines (tests/recorded), from the node's sections to the finding."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap import Bootstrap
from nixl_efa.bootstrap.files import env_file
from nixl_efa.findings import Finding, Level
from nixl_efa.nodes import counters, parse, rules, run_command
from nixl_efa.nodes.facts import Planned, node_facts
from nixl_efa.nodes.sections import Section, script
from tests.nodes.stand_in import ADDRESSES, FakeClock, first_boot
from tests.records import answer, names, record

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS
GPU_FABRIC = "    Fabric\n        State   : {}\n        Status  : {}\n"


def looked_at(plan: Planned, printed: dict[str, str | tuple[str, int]]) -> dict[str, Finding]:
    """The findings on a node whose commands printed this (and ended so); it has no other command."""
    read = {
        name: Section(*one) if isinstance(one, tuple) else Section(one, 0) for name, one in printed.items()
    }
    return {finding.check: finding for finding in rules.node_findings(node_facts(read), plan)}


def assert_told(found: Finding, level: Level, words: str) -> None:
    assert (found.level, words in found.message) == (level, True), found
    assert found.remedy or level is PASS


@pytest.mark.parametrize(
    ("name", "level", "words"),
    [
        ("cloud_init/done", PASS, "done"),
        ("cloud_init/ec2-degraded-by-ipv6-imds", PASS, "done, with 1 harmless warning"),
        (
            "cloud_init/ec2-user-script-failed",
            FAIL,
            "ended with an error: ('scripts_user', RuntimeError('Runparts: 1 failures (part-001) in 1 attempted",
        ),
        (
            "cloud_init/runcmd-failed",
            FAIL,
            "RuntimeError('Runparts: 1 failures (runcmd) in 1 attempted commands')).",
        ),
        (
            "cloud_init/error-with-empty-errors",
            FAIL,
            "an error that it does not name; units of systemd that failed: cloud-final.service.",
        ),
        (
            "cloud_init/old-version-error-in-detail",
            FAIL,
            "ended with an error: ('scripts-user', RuntimeError('Runparts: 1 failures (part-002) in 1 attempted",
        ),
        ("cloud_init/error-told-as-a-warning", FAIL, "Failed to apply network config names"),
        ("cloud_init/running-for-ever", WARN, "although its last stage has ended: it will stay so"),
        ("cloud_init/wait-dots-on-the-status-line", FAIL, "ended with an error: ('scripts."),
        ("cloud_init/not-started", FAIL, "not finished: not started."),
        ("cloud_init/disabled", FAIL, "Cloud-init disabled by /etc/cloud/cloud-init.disabled"),
    ],
)
def test_what_cloud_init_says(name: str, level: Level, words: str, p5_plan: Planned) -> None:
    said = answer(name)
    text = said if isinstance(said, str) else json.dumps(said, indent=1)
    printed: dict[str, str | tuple[str, int]] = {
        "cloud_init": (text, record(name)["question"].get("exit", 0)),
        "cloud_final": "active",
        "failed_units": "cloud-final.service loaded failed failed Execute cloud user/final scripts\n",
    }
    assert_told(looked_at(p5_plan, printed)["cloud-init"], level, words)


def test_a_warning_of_every_healthy_node_is_never_the_cause_of_an_error(p5_plan: Planned) -> None:
    degraded = answer("cloud_init/ec2-degraded-by-ipv6-imds")
    text = degraded.replace("status: done", "status: error").replace("degraded done", "error - done")
    units = "nixl-efa-boot-report.service loaded failed failed NIXL/EFA boot report\n"
    found = looked_at(p5_plan, {"cloud_init": (text, 1), "failed_units": units})["cloud-init"]
    assert_told(
        found, FAIL, "that it does not name; units of systemd that failed: nixl-efa-boot-report.service."
    )


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        # Forms that were not recorded, in the words of cloud-init's source and documentation.
        (
            "status: error\ntime: Wed, 28 Dec 2022 02:12:08 +0000\ndetail:\n('scripts-user', RuntimeError('1'),)\n",
            FAIL,
            "ended with an error: ('scripts-user', RuntimeError('1'),).",
        ),
        ("status: error\nerrors: []\nrecoverable_errors: {}\n", FAIL, "an error that it does not name."),
        ("status: degraded done\nerrors: []\n", PASS, "done"),
        (
            "status: done\nextended_status: degraded done\nerrors: []\nrecoverable_errors:\nDEPRECATED:\n\t- old key\n",
            PASS,
            "done, with 1 harmless warning",
        ),
        (
            "status: done\nerrors: []\nrecoverable_errors:\nWARNING:\n\t- Unhandled non-multipart\n\t- two\n  lines\n",
            WARN,
            "done, with 2 warnings: WARNING: Unhandled non-multipart (and 1 more).",
        ),
        ("....\nstatus: not run\n", FAIL, "not finished: not run."),
        ("status: running\nextended_status: degraded running\n", FAIL, "not finished: running."),
        (
            "status: error\nextended_status: error - running\nerrors:\n\t- ('x', RuntimeError('y'))\n",
            FAIL,
            "still runs, with an error: ('x', RuntimeError('y')).",
        ),
        ("status: paused\n", FAIL, "its status is not known here: 'paused'."),
        ("Traceback (most recent call last):\n", FAIL, "can't be read: Traceback (most recent call last):."),
        ("", FAIL, "cloud-init says nothing."),
    ],
)
def test_forms_of_cloud_init_that_nobody_recorded(
    text: str, level: Level, words: str, p5_plan: Planned
) -> None:
    assert_told(looked_at(p5_plan, {"cloud_init": text})["cloud-init"], level, words)


def test_while_cloud_init_runs_its_last_stage_has_not_ended(p5_plan: Planned) -> None:
    printed: dict[str, str | tuple[str, int]] = {
        "cloud_init": answer("cloud_init/running"),
        "cloud_final": ("activating", 3),
    }
    found = looked_at(p5_plan, printed)["cloud-init"]
    assert_told(found, FAIL, "not finished: running.")
    assert found.remedy.startswith("Wait some minutes")


def test_an_invocation_is_read_as_aws_gives_it() -> None:
    recorded = answer("run_command/invocation-success")

    class Ssm:
        """Systems Manager that answers as recorded."""

        def send_command(self, **_: Any) -> dict[str, Any]:
            return {"Command": {"CommandId": recorded["CommandId"]}}

        def get_command_invocation(self, **_: Any) -> Any:
            return recorded

    clock: Any = FakeClock()
    ssm: Any = Ssm()
    outcomes = run_command.run(ssm, {recorded["InstanceId"]: run_command.Script("true")}, clock, 60, "")
    outcome = outcomes[recorded["InstanceId"]]
    assert (outcome.stdout, outcome.problem) == (recorded["StandardOutputContent"], "")


def devices(efa: list[str], others: list[str]) -> str:
    """What node-facts.sh prints of these devices."""
    vendor = answer("rdma/ibv-devinfo-efa0").split("vendor_id:")[1].split()[0]
    return "".join(f"{name} {vendor}\n" for name in efa) + "".join(f"{name} 0x15b3\n" for name in others)


def test_a_p6_b200_has_ten_rdma_devices_and_eight_of_efa(p5_plan: Planned) -> None:
    seen = answer("rdma/p6-b200-ten-devices")
    efa = [f"rdmap{index}s0" for index in range(79, 79 + seen["efa"])]
    assert set(seen["efa_names_seen"]) < set(efa)
    printed = devices(efa, seen["nvlink_controllers"])
    assert len(printed.splitlines()) == seen["total"]
    plan = replace(p5_plan, efa_interfaces=8)
    found = looked_at(plan, {"efa_devices": printed})["EFA devices"]
    assert_told(found, PASS, "8 of 8; no EFA: ibp115s0f0, ibp116s0f0")
    # One EFA device less is not hidden by them.
    found = looked_at(plan, {"efa_devices": devices(efa[1:], seen["nvlink_controllers"])})["EFA devices"]
    assert_told(found, FAIL, "7 of 8; no EFA: ibp115s0f0, ibp116s0f0.")
    # Where their driver is not loaded they are not there, and nothing else changes.
    assert answer("rdma/p6-b200-without-ib-modules")["output"] == ""
    assert_told(looked_at(plan, {"efa_devices": devices(efa, [])})["EFA devices"], PASS, "8 of 8")


def test_a_device_is_an_efa_by_its_vendor_alone(p5_plan: Planned) -> None:
    names = answer("rdma/sysfs-names-p5")
    plan = replace(p5_plan, efa_interfaces=24)
    assert_told(looked_at(plan, {"efa_devices": devices(names, [])})["EFA devices"], PASS, "24 of 24")
    assert answer("rdma/not-every-device-is-efa")["efa_means"]["vendor_id"] == parse.EFA_VENDOR
    assert parse.rdma_devices("rdmap0s0 unknown\nls: cannot access") == {"rdmap0s0": "unknown"}


def test_the_counters_that_are_read_are_those_of_aws_page() -> None:
    assert set(counters.SENT + counters.RECEIVED) <= set(answer("rdma/metrics-of-the-user-guide")["counters"])


def test_a_small_transfer_is_seen_though_rdma_write_bytes_stand_still() -> None:
    seen = answer("rdma/nixl-traffic-not-in-write-bytes")
    before, after = (
        {seen["device"]: {name: seen[name][when] for name in ("tx_bytes", "rdma_write_bytes")}}
        for when in ("before", "after")
    )
    assert counters.moved(before, after).sent_bytes == 544_004
    # The card's bytes hold those that RDMA wrote: counted once.
    nothing = {seen["device"]: dict.fromkeys(("tx_bytes", "rdma_write_bytes"), 0)}
    assert counters.moved(nothing, after).sent_bytes == seen["tx_bytes"]["after"]


@pytest.mark.parametrize(
    ("name", "domains", "version"),
    [
        ("fi_info/libfabric-2.1-one-device", ("rdmap49s0-rdm",), "2.1"),
        ("fi_info/libfabric-2.1-rdm-alone", ("rdmap47s0-rdm",), "2.1"),
        ("fi_info/p4d-two-devices", ("rdmap16s27-rdm", "rdmap32s27-rdm"), "1.11"),
        # The provider's own version tells nothing, and what is layered over efa is no device.
        ("fi_info/libfabric-1.9-with-a-layered-provider", ("efa_0-rdm",), ""),
        ("fi_info/tcp", (), ""),
    ],
)
def test_a_device_counts_once_and_tells_libfabrics_version(
    name: str, domains: tuple[str, ...], version: str
) -> None:
    facts = node_facts({"fi_info": Section(answer(name), 0)})
    assert (facts.domains, facts.libfabric) == (domains, version)


def test_the_installers_version_stands_in_the_first_line(p5_plan: Planned) -> None:
    printed = {
        "libfabric": answer("fi_info/version"),
        "efa_installer": answer("fi_info/installed-packages-file"),
    }
    found = looked_at(p5_plan, {**printed})["libfabric"]
    assert_told(found, PASS, "1.22.0amzn5.0, EFA installer 1.5.1")


def test_no_data_of_fi_info_is_told(p5_plan: Planned) -> None:
    found = looked_at(p5_plan, {"fi_info": ("fi_getinfo: -61 (No data available)", 61)})["fi_info"]
    assert_told(found, FAIL, "0 of 32 domains (fi_getinfo: -61 (No data available))")


@pytest.mark.parametrize(
    ("name", "planned", "level", "words"),
    [
        ("neuron/guide-array", 1, PASS, "1 x Neuron device"),
        ("neuron/trn1.2xlarge", 1, PASS, "1 x Neuron device"),
        ("neuron/trn2-48xlarge-one-device-visible", 16, FAIL, "1 of 16."),
        ("neuron/table-with-a-warning", 1, FAIL, "0 of 1 can be read: Neuron Tools have changed with"),
    ],
)
def test_what_neuron_ls_says(name: str, planned: int, level: Level, words: str, p5_plan: Planned) -> None:
    plan = replace(p5_plan, accelerator_kind="neuron", accelerators=planned)
    said = answer(name)
    text = said if isinstance(said, str) else f"a notice\n\n{json.dumps(said, indent=4)}"
    assert_told(looked_at(plan, {"neuron": text})["accelerators"], level, words)


def gpu_lines(name: str, memory: str, count: int) -> str:
    """What nvidia-smi prints for so many GPUs of this name."""
    return "".join(f"{index}, {name}, 580.65.06, {memory}\n" for index in range(count))


@pytest.mark.parametrize(
    ("gpu", "memory"),
    [
        (answer("nvidia/b300-name"), "275040 MiB"),
        (answer("nvidia/rtx-pro-6000-name"), "97887 MiB"),
        ("NVIDIA B200", answer("nvidia/b200-table").split("/ ")[2].split()[0].replace("MiB", " MiB")),
        ("NVIDIA GB10", "[N/A]"),
    ],
)
def test_a_gpu_counts_whatever_its_name_and_memory(gpu: str, memory: str, p5_plan: Planned) -> None:
    found = looked_at(p5_plan, {"nvidia": gpu_lines(gpu, memory, 8)})["accelerators"]
    assert_told(found, PASS, f"8 x {gpu}, driver 580.65.06")


def test_ec2_and_nvidia_smi_call_one_gpu_by_two_names() -> None:
    (gpu,) = answer("instance_types/g7e.48xlarge")["GpuInfo"]["Gpus"]
    assert gpu["Name"] not in answer("nvidia/rtx-pro-6000-name")


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        (
            "nvidia/no-driver",
            "0 of 8 can be read: NVIDIA-SMI has failed because it couldn't communicate",
            "dmesg",
        ),
        (
            "nvidia/driver-library-mismatch",
            "0 of 8 can be read: Failed to initialize NVML: Driver/library version mismatch.",
            "reboot the node",
        ),
    ],
)
def test_why_nvidia_smi_lists_nothing(name: str, words: str, remedy: str, p5_plan: Planned) -> None:
    code = record(name)["question"].get("exit", 9)
    found = looked_at(p5_plan, {"nvidia": (answer(name), code)})["accelerators"]
    assert_told(found, FAIL, words)
    assert remedy in found.remedy


def test_a_tool_that_hangs_is_told_apart_from_one_that_is_not_there(p5_plan: Planned) -> None:
    found = looked_at(p5_plan, {"nvidia": ("", 124), "fi_info": ("", 124), "cuda": ("", 124)})
    assert_told(found["accelerators"], FAIL, "0 of 8 can be read: no answer within 60 s.")
    assert_told(found["fi_info"], FAIL, "0 of 32 domains (no answer within 60 s): NIXL would")
    assert "no answer within 60 s" in found["CUDA"].message
    assert_told(looked_at(p5_plan, {})["accelerators"], FAIL, "0 of 8: the node has no nvidia-smi.")


def test_one_gpu_that_is_lost_is_told_beside_those_that_are_there(p5_plan: Planned) -> None:
    error = "Unable to determine the device handle for GPU0000:C5:00.0: Unknown Error"
    printed = (gpu_lines("NVIDIA H100 80GB HBM3", "81559 MiB", 7) + f"{error}\n", 15)
    found = looked_at(p5_plan, {"nvidia": printed})["accelerators"]
    assert_told(found, FAIL, f"7 of 8 can be read: {error}.")


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("NVIDIA H100 80GB HBM3", "[GPU is lost]"),
        ("NVIDIA H100 80GB HBM3", "[Unknown Error]"),
        ("[GPU requires reset]", "[GPU requires reset]"),
    ],
)
def test_a_gpu_that_has_failed_and_keeps_its_line_is_none(name: str, memory: str, p5_plan: Planned) -> None:
    broken = f"7, {name}, 580.65.06, {memory}"
    printed = gpu_lines("NVIDIA H100 80GB HBM3", "81559 MiB", 7) + f"{broken}\n"
    found = looked_at(p5_plan, {"nvidia": printed})["accelerators"]
    assert_told(found, FAIL, f"7 of 8 can be read: {broken}.")
    assert "dmesg" in found.remedy


def test_cuda_that_waits_for_the_fabric_fails_though_every_gpu_is_listed(p5_plan: Planned) -> None:
    seen = answer("nvidia/healthy-smi-but-802")
    section = answer("nvidia/fabric-in-progress")
    assert seen["fabric_state"] in section
    listed: dict[str, str | tuple[str, int]] = {
        "nvidia": gpu_lines("NVIDIA B200", "183359 MiB", 8),
        "gpu_fabric": section * 8,
        "cuda": "cuInit 802\n",
    }
    found = looked_at(p5_plan, listed)
    assert found["accelerators"].level is PASS
    assert seen["cuda"] == "Error 802: system not yet initialized"
    assert_told(
        found["CUDA"],
        FAIL,
        "does not start: error 802 (system not yet initialized); NVLink fabric of 8 of 8 GPUs: In Progress, N/A.",
    )
    assert "ib_umad and mlx5_ib" in found["CUDA"].remedy


def test_a_fabric_that_is_complete_and_unhealthy_is_warned_about(p5_plan: Planned) -> None:
    section = answer("nvidia/fabric-completed-but-unhealthy")
    healthy = section.replace("Unhealthy", "Healthy")
    for sections, level, words in (
        (
            [section, *[healthy] * 7],
            WARN,
            "NVLink fabric of 1 of 8 GPUs: Completed, Success, health Unhealthy.",
        ),
        ([healthy] * 8, PASS, "starts"),
    ):
        found = looked_at(p5_plan, {"cuda": "cuInit 0\n", "gpu_fabric": "".join(sections)})
        assert_told(found["CUDA"], level, words)


@pytest.mark.parametrize(
    "line",
    [
        answer("nvidia/fabric-manager-of-another-version")["journal"],
        answer("nvidia/fabric-manager-journal"),
    ],
)
def test_a_fabric_manager_of_another_version_is_named(line: str, p5_plan: Planned) -> None:
    """On an A100, which tells no state of its fabric: the journal is all there is."""
    message = line.partition("]: ")[2]
    journal = f"Starting NVIDIA fabric manager service...\n{message}\nFailed to start.\n"
    printed = {
        "cuda": "cuInit 802",
        "gpu_fabric": GPU_FABRIC.format("N/A", "N/A") * 8,
        "fabric_manager": journal,
    }
    found = looked_at(p5_plan, {**printed})["CUDA"]
    assert_told(
        found,
        FAIL,
        "does not start: error 802 (system not yet initialized); Fabric Manager: fabric manager NV",
    )
    assert "in the driver's version" in found.remedy


def state_of_an_a100() -> tuple[str, str]:
    """Its state and status, as the record has them in one line."""
    state, status = (one.partition(": ")[2] for one in answer("nvidia/a100-has-no-fabric-state").split(", "))
    return state, status


@pytest.mark.parametrize(
    ("cuda", "states", "kind", "level", "words"),
    [
        ("cuInit 0", [("Completed", "Success")] * 8, "nvidia", PASS, "starts"),
        ("cuInit 0", [state_of_an_a100()] * 8, "nvidia", PASS, "starts"),
        ("cuInit 0", [("Not Supported", "Success")] * 8, "nvidia", PASS, "starts"),
        ("cuInit 0", [], "nvidia", PASS, "starts"),
        (
            "cuInit 0",
            [("Completed", "Unknown Error")],
            "nvidia",
            WARN,
            "starts; NVLink fabric of 1 of 1 GPUs",
        ),
        (
            "",
            [("Not Started", "N/A")] * 8,
            "nvidia",
            FAIL,
            "does not start: not asked; NVLink fabric of 8 of 8",
        ),
        ("cuInit 803", [], "nvidia", FAIL, "error 803 (driver and library of different versions)."),
        ("cuInit 46", [], "nvidia", FAIL, "error 46."),
        (
            "OSError: libcuda.so.1: cannot open",
            [],
            "nvidia",
            WARN,
            "not known whether it starts: OSError: libcuda.so.1",
        ),
        ("", [], "nvidia", WARN, "not known whether it starts: the node could not be asked."),
        ("", [], "neuron", PASS, "none needed"),
    ],
)
def test_whether_cuda_starts(
    cuda: str, states: list[tuple[str, str]], kind: str, level: Level, words: str, p5_plan: Planned
) -> None:
    fabric = "".join(GPU_FABRIC.format(*one) for one in states)
    found = looked_at(replace(p5_plan, accelerator_kind=kind), {"cuda": cuda, "gpu_fabric": fabric})["CUDA"]
    assert (found.level, words in found.message) == (level, True), found


def test_why_an_earlier_versions_probe_found_no_plugin_is_taken_from_nixls_log(p5_plan: Planned) -> None:
    failed = "I1126 05:00:00.000001 7 nixl_plugin_manager.cpp:1] Failed to load plugin from /p/libplugin"
    said = "libhwloc.so.15: cannot open shared object file: No such file or directory"
    log = f"{failed}_GDS.so: libcufile\n{failed}_LIBFABRIC.so: {said}\nnixl 1.5.1 LIBFABRIC missing\n"
    found = looked_at(p5_plan, {"nixl": log})["NIXL"]
    assert_told(found, FAIL, f"1.5.1 makes no LIBFABRIC: {said}")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            "not finished, tried for 290 s more: apt_install libhwloc15",
            "if the node was rebooted meanwhile, run",
        ),
        ("given up: /opt/nixl-efa/venv/bin/python -m pip install -q nixl==1.5.0", "is there room?"),
        ("failed: python3 -m venv", "is there room?"),
    ],
)
def test_an_installation_that_did_not_end_is_to_be_made_again(
    told: str, words: str, p5_plan: Planned
) -> None:
    found = looked_at(p5_plan, {"nixl": f"nixl LIBFABRIC failed: {told}\n"})["NIXL"]
    assert (found.level, words in found.remedy, "/opt/nixl-efa/bin/install-nixl" in found.remedy) == (
        FAIL,
        True,
        True,
    )


SECTIONS = re.findall(r"^section (\w+) ", script("node-facts.sh"), re.MULTILINE)
TEXTS = [said for name in names() if isinstance(said := answer(name), str)]


@pytest.mark.parametrize("section", SECTIONS)
def test_no_output_of_any_tool_breaks_the_look_at_a_node(section: str, p5_plan: Planned) -> None:
    """Each in the place of another's, which changes what is said of its own subjects alone."""
    nothing = looked_at(p5_plan, {})
    for said in ("", "\n\n", "{}", "[]", "null", '"x"', "[1, null]", '{"checks": 1}', *TEXTS):
        for code in (0, 1):
            found = looked_at(p5_plan, {section: (said, code)})
            # fi_info's list tells libfabric's version, too.
            assert len([name for name, one in found.items() if one != nothing[name]]) <= 2
            assert counters.moved(counters.counters(said), counters.counters(said)).sent_bytes == 0


def env(boot: Bootstrap) -> dict[str, Any]:
    lines = (line.partition("=") for line in env_file(boot).splitlines())
    return {name: value.strip("'") for name, _, value in lines}


def test_a_node_tells_vllm_the_backend_its_own_address_and_port() -> None:
    """verify reads no log of vLLM, whose "Backend UCX was instantiated" is what it says without the extra config, and
    whose decode asks the prefill's private address and port."""
    (line,) = [one for one in answer("vllm/engine-start-ucx") if "was instantiated" in one]
    told = env(first_boot("producer", 32))
    assert line.endswith("Backend UCX was instantiated")
    config = json.loads(told["PAIR_KV_TRANSFER_CONFIG"])
    assert config["kv_connector_extra_config"]["backends"] == ["LIBFABRIC"]
    assert told["VLLM_NIXL_SIDE_CHANNEL_HOST"] == ADDRESSES["producer"]
    assert f"'remote_port': {told['VLLM_NIXL_SIDE_CHANNEL_PORT']}," in answer("vllm/decode-params")
