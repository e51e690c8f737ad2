"""What the commands on a node print, read into values. Pure; output that can't be read gives the empty value.

The forms were taken from real output (tests/recorded): libfabric 1.11 to 2.4, nvidia-smi 535 to 580, neuron-ls 2.20
to 2.34, NIXL 0.7 to 1.5. What cloud-init says is read in cloud_init.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of a GPU's fabric, by nvidia-smi -q; N/A also stands there while nothing is known (NVIDIA/gpu-operator#2511).
_GOOD_HEALTH = ("Healthy", "N/A", "Not Supported")
# PCI's number of Amazon: every EFA device has it, and no other RDMA device (ofiwg/libfabric#10990). A p6-b200 also
# shows two of NVLink's, 0x15b3 (aws/sagemaker-hyperpod-cli#282), so the devices are never counted by name or number.
EFA_VENDOR = "0x1d0f"

# A provider that no log names.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One line of nvidia-smi; memory in MiB, 0 where the GPU has none of its own ("[N/A]", "[Not Supported]")."""

    index: int
    name: str
    driver: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Engine:
    """The container engine, or the first process of a container.

    locked:  the memory that it may lock: "unlimited", or bytes.
    devices: how many RDMA devices it sees in its /dev/infiniband.
    """

    name: str
    locked: str
    devices: int

    @property
    def is_container(self) -> bool:
        """Whether it is a container's, and not the engine itself."""
        return self.name != "containerd"


@dataclass(frozen=True, slots=True)
class Nixl:
    """What nixl-probe says.

    version:  empty where NIXL does not start.
    provider: what the backend was made with: libfabric's ("efa", "tcp"), "ucx", or UNKNOWN; empty: none was made.
    message:  why none was made.
    """

    version: str
    backend: str
    provider: str
    message: str


def rdma_devices(text: str) -> Mapping[str, str]:
    """PCI vendor by name of each device in /sys/class/infiniband, from lines such as "rdmap79s0 0x1d0f"."""
    found = re.findall(r"^(\S+) (0x[0-9a-fA-F]{4}|unknown)$", text, re.MULTILINE)
    return {name: vendor.lower() for name, vendor in found}


def fabric_domains(text: str) -> tuple[str, ...]:
    """The domains with an endpoint FI_EP_RDM that `fi_info -p efa` lists, each once.

    From libfabric 2 on a device stands there twice, under the fabrics efa-direct and efa, and a third time with
    FI_EP_DGRAM where no type was asked for. Only the provider efa counts: layered ones ("efa;ofi_rxd", "tcp") are none.
    """
    entries = [one for one in _entries(text) if one.get("provider") == "efa"]
    rdm = (one.get("domain", "") for one in entries if one.get("type", "FI_EP_RDM") == "FI_EP_RDM")
    return tuple(dict.fromkeys(filter(None, rdm)))


def has_unopened_device(text: str) -> bool:
    """Whether libfabric's log tells of an RDMA device that can't be opened.

    Until August 2026 the provider efa then lists none at all, also where the device is another vendor's
    (ofiwg/libfabric#12708, repaired by #12744).
    """
    return "ibv_open_device failed" in text


def _entries(text: str) -> list[dict[str, str]]:
    """fi_info's entries: each begins with its provider."""
    entries: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "provider":
            entries.append({})
        if entries:
            entries[-1][key] = value.strip()
    return entries


def libfabric_version(version: str, listing: str = "") -> str:
    """The version in `fi_info --version` ("2.1.0amzn3.0"), else the one that an entry of the provider efa has.

    An entry has 100 times the first number and the second: 201.0 is 2.1, 111.20 is 1.11. Before libfabric 1.10 it was
    the provider's own number, below 100, which tells nothing.
    """
    if found := re.search(r"^libfabric: (\S+)", version, re.MULTILINE):
        return found[1]
    for entry in _entries(listing):
        number = entry.get("version", "").partition(".")[0]
        if entry.get("provider") == "efa" and number.isdecimal() and int(number) >= 100:
            return f"{int(number) // 100}.{int(number) % 100}"
    return ""


def installer_version(text: str) -> str:
    """The version in the first line of /opt/amazon/efa_installed_packages ("# EFA installer version: 1.43.2")."""
    found = re.search(r"EFA installer version: (\S+)", text)
    return found[1] if found else ""


def gpus(text: str) -> tuple[Gpu, ...]:
    """The lines of `nvidia-smi --query-gpu=index,name,driver_version,memory.total --format=csv,noheader`.

    A GPU that has failed keeps its line, with an error in brackets for what can't be asked of it: "[GPU is lost]",
    "[GPU requires reset]", "[Unknown Error]".
    """
    line = r"^(\d+), ([^\[\n].*), ([\d.]+), (?:(\d+) MiB|\[(?:N/A|Not Supported)\])$"
    found = re.findall(line, text, re.MULTILINE)
    return tuple(Gpu(int(index), name, driver, int(memory or 0)) for index, name, driver, memory in found)


def besides_gpus(text: str) -> str:
    """The first line that is not a GPU's: an error, of one GPU or of all."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not gpus(line)), "")


def gpu_fabric(text: str) -> tuple[tuple[str, str], ...]:
    """State and status of each GPU's NVLink fabric, from the section Fabric of `nvidia-smi -q`.

    States: Completed, In Progress, Not Started, Not Supported, N/A. An A100 has none
    (bottlerocket-os/bottlerocket#3873). The status also tells a health that is not good: a fabric can be Completed with
    Success and Unhealthy (kubernetes-sigs/dra-driver-nvidia-gpu#626).
    """
    found: list[tuple[str, str]] = []
    for key, value in re.findall(r"^\s*(State|Status|Summary)\s*: (.+?)\s*$", text, re.MULTILINE):
        if key == "State":
            found.append((value, ""))
        elif found and key == "Status":
            found[-1] = (found[-1][0], value)
        elif found and value not in _GOOD_HEALTH:
            found[-1] = (found[-1][0], f"{found[-1][1]}, health {value}")
    return tuple(found)


def cuda_start(text: str) -> int | None:
    """What the CUDA driver's cuInit returned: 0, or its error's number. None where it could not be asked."""
    found = re.search(r"^cuInit (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


def neuron_devices(text: str) -> int | None:
    """How many devices `neuron-ls --json-output` lists, in an array with or without notices. None: can't be read."""
    start = re.search(r"^\[", text, re.MULTILINE)
    try:
        document = json.JSONDecoder().raw_decode(text, start.start())[0] if start else None
    except ValueError:
        return None
    if document is None:
        return None
    return len({one["neuron_device"] for one in document if isinstance(one, dict) and "neuron_device" in one})


def engines(text: str) -> tuple[Engine, ...]:
    """The container engine and the containers, from lines such as "unlimited 32 python3"."""
    found = re.findall(r"^(unlimited|\d+) (\d+) (.+)$", text, re.MULTILINE)
    return tuple(Engine(name, locked, int(devices)) for locked, devices, name in found)


def limit(text: str) -> str:
    """A limit of systemd, "infinity" or bytes; empty for other words, as systemctl has them where no systemd runs."""
    found = re.fullmatch(r"infinity|\d+", text.strip())
    return found[0] if found else ""


def disk_used(text: str) -> int | None:
    """The used part of a file system in percent, as `df -P` rounds it up; None where it does not say (POSIX, df)."""
    found = re.search(r"^\S.* (\d+)% /", text, re.MULTILINE)
    return int(found.group(1)) if found else None


def mount_source(text: str, path: str) -> str:
    """The device that /proc/mounts has at a path, empty when nothing is mounted there."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[1] == path:
            return fields[0]
    return ""


def nixl(text: str) -> Nixl:
    """The last line of nixl-probe, which NIXL's own log stands before.

    The probe of an earlier version of this project only loaded the plugin ("loaded", "missing") and named no provider.
    """
    made = re.findall(r"^nixl (\S+) (\w+) (provider=(\S+)|loaded)$", text, re.MULTILINE)
    if made:
        version, backend, _, provider = made[-1]
        return Nixl(version, backend, provider or UNKNOWN, "")
    failed = re.findall(r"^nixl (?:(\S+) )?(\w+) (?:failed: (.*)|missing)$", text, re.MULTILINE)
    if failed:
        version, backend, why = failed[-1]
        loader = re.search(
            rf"Failed to load plugin from \S*libplugin_{backend}\.so: (.+)$", text, re.MULTILINE
        )
        return Nixl(
            version, backend, "", why or (loader[1].strip() if loader else f"NIXL has no plugin {backend}")
        )
    lines = text.strip().splitlines()
    return Nixl("", "", "", lines[-1].strip() if lines else "nixl-probe said nothing")


def json_object(text: str) -> Mapping[str, Any] | None:
    """A JSON object, None when the text isn't one."""
    document = json_document(text)
    return document if isinstance(document, dict) else None


def objects(document: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    """The objects in a list of a document; none where it is no list."""
    listed = document.get(name)
    return tuple(one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()


def json_document(text: str) -> Any:
    """A JSON document, None when the text isn't one."""
    try:
        return json.loads(text)
    except ValueError:
        return None
