"""Parses the output of the commands on a node into values. Pure; output that can't be parsed gives the empty value.

The formats are from real output (tests/recorded): libfabric 1.11 to 2.4, nvidia-smi 535 to 580, neuron-ls 2.20
to 2.34, NIXL 0.7 to 1.5. The output of cloud-init is parsed in cloud_init.py.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# State of a GPU's fabric, from nvidia-smi -q; it is also N/A while the state is not yet known
# (NVIDIA/gpu-operator#2511).
_GOOD_HEALTH = ("Healthy", "N/A", "Not Supported")
# Amazon's PCI vendor id: every EFA device has it, and no other RDMA device (ofiwg/libfabric#10990). A p6-b200 also has
# two RDMA devices of NVLink, 0x15b3 (aws/sagemaker-hyperpod-cli#282), so EFA devices are never counted by name or by
# the number of devices.
EFA_VENDOR = "0x1d0f"

# A provider that no log names.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One line of nvidia-smi; memory in MiB, 0 if the GPU has no memory of its own ("[N/A]", "[Not Supported]")."""

    index: int
    name: str
    driver: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Engine:
    """The container engine, or the first process of a container.

    locked: how much memory it may lock: "unlimited", or bytes.
    devices: how many RDMA devices it sees in its /dev/infiniband.
    """

    name: str
    locked: str
    devices: int

    @property
    def is_container(self) -> bool:
        """Whether it is a process of a container, not the container engine itself."""
        return self.name != "containerd"


@dataclass(frozen=True, slots=True)
class Nixl:
    """The result of nixl-probe.

    version: empty if NIXL does not start.
    provider: what the created backend uses: libfabric's provider ("efa", "tcp"), "ucx", or UNKNOWN; empty: no backend
    was created.
    message: why no backend was created.
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
    """The domains with an endpoint of type FI_EP_RDM in the output of `fi_info -p efa`, each once.

    From libfabric 2 on, a device is listed twice, for the fabrics efa-direct and efa, and a third time with FI_EP_DGRAM
    if no type was requested. Only the provider efa counts, not layered ones ("efa;ofi_rxd") or others ("tcp").
    """
    entries = [one for one in _entries(text) if one.get("provider") == "efa"]
    rdm = (one.get("domain", "") for one in entries if one.get("type", "FI_EP_RDM") == "FI_EP_RDM")
    return tuple(dict.fromkeys(filter(None, rdm)))


def has_unopened_device(text: str) -> bool:
    """Whether libfabric's log reports an RDMA device that can't be opened.

    Before August 2026, the provider efa then lists no device at all, even if that device is of another vendor
    (ofiwg/libfabric#12708, fixed by #12744).
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

    An entry has 100 times the major version plus the minor version: 201.0 is 2.1, 111.20 is 1.11. Before libfabric
    1.10, it was the provider's own version, below 100, which is not used here.
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

    A failed GPU keeps its line, with an error in brackets for each value that can't be read: "[GPU is lost]",
    "[GPU requires reset]", "[Unknown Error]".
    """
    line = r"^(\d+), ([^\[\n].*), ([\d.]+), (?:(\d+) MiB|\[(?:N/A|Not Supported)\])$"
    found = re.findall(line, text, re.MULTILINE)
    return tuple(Gpu(int(index), name, driver, int(memory or 0)) for index, name, driver, memory in found)


def besides_gpus(text: str) -> str:
    """The first line that does not describe a GPU: an error, of one GPU or of all."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not gpus(line)), "")


def gpu_fabric(text: str) -> tuple[tuple[str, str], ...]:
    """State and status of each GPU's NVLink fabric, from the section Fabric of `nvidia-smi -q`.

    States: Completed, In Progress, Not Started, Not Supported, N/A. An A100 has none
    (bottlerocket-os/bottlerocket#3873). The status also reports bad health: a fabric can be Completed with Success, but
    Unhealthy (kubernetes-sigs/dra-driver-nvidia-gpu#626).
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
    """What cuInit of the CUDA driver returned: 0, or an error number. None if it could not be called."""
    found = re.search(r"^cuInit (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


def neuron_devices(text: str) -> int | None:
    """How many devices `neuron-ls --json-output` lists, in an array, with or without notices around it. None: can't be
    parsed."""
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
    """A limit of systemd, "infinity" or bytes; empty for other text, such as systemctl prints where no systemd runs."""
    found = re.fullmatch(r"infinity|\d+", text.strip())
    return found[0] if found else ""


def disk_used(text: str) -> int | None:
    """The used part of a file system in percent, rounded up by `df -P`; None if it is not in the output (POSIX, df)."""
    found = re.search(r"^\S.* (\d+)% /", text, re.MULTILINE)
    return int(found.group(1)) if found else None


def mount_source(text: str, path: str) -> str:
    """The device that is mounted at a path, from /proc/mounts; empty if nothing is mounted there."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[1] == path:
            return fields[0]
    return ""


def nixl(text: str) -> Nixl:
    """The last line of nixl-probe; NIXL's own log comes before it.

    In an earlier version of this project, the probe only loaded the plugin ("loaded", "missing") and named no provider.
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
    """The objects in a list of a document; none if it is not a list."""
    listed = document.get(name)
    return tuple(one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()


def json_document(text: str) -> Any:
    """A JSON document, None when the text isn't one."""
    try:
        return json.loads(text)
    except ValueError:
        return None
