"""What the commands on a node print, read into values. Pure; output that can't be read gives the empty value.

The forms were taken from real output: libfabric 1.11 to 2.4, nvidia-smi 535 to 580, neuron-ls 2.20 to 2.28,
cloud-init 22 to 25.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gpu:
    """One line of nvidia-smi; memory in MiB."""

    index: int
    name: str
    driver: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Nixl:
    """What nixl-probe says. version is empty and message tells why when the backend does not load."""

    version: str
    backend: str
    loaded: bool
    message: str


def fabric_domains(text: str) -> tuple[str, ...]:
    """The domains that `fi_info -p efa -t FI_EP_RDM` lists, each once.

    From libfabric 2 on a device stands there twice, under the fabrics efa-direct and efa. Only the provider
    efa counts: asked for a device that isn't there, fi_info says nothing, but layered providers
    ("efa;ofi_rxr", "tcp") are none.
    """
    domains: dict[str, None] = {}
    provider = ""
    for line in text.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "provider":
            provider = value.strip()
        elif key == "domain" and provider == "efa":
            domains[value.strip()] = None
    return tuple(domains)


def libfabric_version(text: str) -> str:
    """The version in `fi_info --version`, such as "2.1.0amzn3.0"."""
    found = re.search(r"^libfabric: (\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def installer_version(text: str) -> str:
    """The version in the first line of /opt/amazon/efa_installed_packages ("# EFA installer version: 1.43.2")."""
    found = re.search(r"EFA installer version: (\S+)", text)
    return found[1] if found else ""


def gpus(text: str) -> tuple[Gpu, ...]:
    """The lines of `nvidia-smi --query-gpu=index,name,driver_version,memory.total --format=csv,noheader`."""
    found = re.findall(r"^(\d+), (.+), ([\d.]+), (\d+) MiB$", text, re.MULTILINE)
    return tuple(Gpu(int(index), name, driver, int(memory)) for index, name, driver, memory in found)


def neuron_devices(text: str) -> int:
    """How many devices `neuron-ls --json-output` lists: an array, in newer versions within an object."""
    document = json_document(text)
    if isinstance(document, dict):
        document = document.get("neuron_devices")
    return len(document) if isinstance(document, list) else 0


def cloud_init_status(text: str) -> tuple[str, str]:
    """The status ("done", "running", "error", ...) and the errors of `cloud-init status --long`, on one line."""
    status = re.search(r"^status: (\S+)", text, re.MULTILINE)
    errors = re.search(r"^errors:\s*(.*?)(?=^\w+:|\Z)", text, re.MULTILINE | re.DOTALL)
    listed = " ".join(errors[1].split()).removeprefix("- ") if errors else ""
    return (status[1] if status else "", "" if listed == "[]" else listed)


def mount_source(text: str, path: str) -> str:
    """The device that /proc/mounts has at a path, empty when nothing is mounted there."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[1] == path:
            return fields[0]
    return ""


def nixl(text: str) -> Nixl:
    """The line of nixl-probe, which NIXL's own log may surround."""
    if loaded := re.search(r"^nixl (\S+) (\w+) (loaded|missing)$", text, re.MULTILINE):
        message = "" if loaded[3] == "loaded" else f"NIXL has no plugin {loaded[2]}"
        return Nixl(loaded[1], loaded[2], loaded[3] == "loaded", message)
    failed = re.search(r"^nixl (\w+) failed: (.*)$", text, re.MULTILINE)
    if failed:
        return Nixl("", failed[1], False, failed[2])
    lines = text.strip().splitlines()
    return Nixl("", "", False, lines[-1].strip() if lines else "nixl-probe said nothing")


def json_object(text: str) -> Mapping[str, Any] | None:
    """A JSON object, None when the text isn't one."""
    document = json_document(text)
    return document if isinstance(document, dict) else None


def json_document(text: str) -> Any:
    """A JSON document, None when the text isn't one."""
    try:
        return json.loads(text)
    except ValueError:
        return None
