"""What the tools of GPUs and Neuron devices printed on real machines, from the node's sections to the finding."""

import json
from dataclasses import replace

import pytest

from nixl_efa.findings import Level
from nixl_efa.nodes.facts import Planned
from tests.nodes.looked_at import assert_told, looked_at
from tests.records import answer, record

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS
GPU_FABRIC = "    Fabric\n        State   : {}\n        Status  : {}\n"


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
    [answer("nvidia/fabric-manager-of-another-version")["journal"], answer("nvidia/fabric-manager-journal")],
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


def test_a_gpu_alone_is_whole_and_has_no_fabric_to_wait_for(p5_plan: Planned) -> None:
    found = looked_at(replace(p5_plan, accelerators=1), answer("nvidia/h200-of-a-virtual-machine"))
    assert_told(found["accelerators"], PASS, "1 x NVIDIA H200, driver 580.159.04")
    assert_told(found["CUDA"], PASS, "starts")
