"""What is known of one node and what was planned for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nixl_efa.instance_types import InstanceType
from nixl_efa.nixl_backend import NixlBackend, nixl_backend
from nixl_efa.nodes import parse
from nixl_efa.nodes.sections import MISSING, Section

LOCAL_DISKS = "/opt/dlami/nvme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What each node of the pair should have.

    efa_interfaces:      EFA interfaces of the launch, from the stack's outputs.
    accelerator_kind:    "nvidia", "neuron", others; only these two are counted.
    instance_storage_gb: 0 when the type has no local disks.
    nixl_version:        of the NIXL that a node installs by itself; empty: none.
    """

    instance_type: str
    efa_interfaces: int
    accelerators: int
    accelerator_kind: str
    instance_storage_gb: int
    network_gbps: float
    nixl_version: str

    @property
    def nixl(self) -> NixlBackend:
        """How NIXL should go between the nodes."""
        return nixl_backend(self.instance_type, self.accelerator_kind, self.efa_interfaces)


def planned(name: str, one: InstanceType | None, efa_interfaces: int, nixl_version: str) -> Planned:
    """What is planned, from the instance type's facts; zeros for a type that the data doesn't know."""
    return Planned(
        instance_type=name,
        efa_interfaces=efa_interfaces,
        accelerators=one.accelerator_count if one else 0,
        accelerator_kind=one.accelerator_kind if one else "none",
        instance_storage_gb=one.instance_storage_gb if one else 0,
        network_gbps=one.network_gbps if one else 0.0,
        nixl_version=nixl_version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node, as its own commands describe it. Empty values: the command is missing or said nothing.

    memlock:   `ulimit -l`: "unlimited" or KiB.
    nixlbench: path of the program.
    """

    pair: Mapping[str, Any] | None
    cloud_init: str
    cloud_init_errors: str
    boot_report: Mapping[str, Any] | None
    efa_devices: tuple[str, ...]
    domains: tuple[str, ...]
    fi_info_error: str
    efa_driver: str
    libfabric: str
    efa_installer: str
    accelerators: int
    accelerator: str
    accelerator_driver: str
    memlock: str
    local_disks: str
    nixl: parse.Nixl
    nixlbench: str


def node_facts(sections: Mapping[str, Section]) -> NodeFacts:
    """The facts in the output of node-facts.sh."""

    def text(name: str) -> str:
        """A command's output, empty when it failed: then it is an error message."""
        section = sections.get(name, MISSING)
        return section.text if section.code == 0 else ""

    gpus = parse.gpus(text("nvidia"))
    neuron = parse.neuron_devices(text("neuron"))
    fi_info = sections.get("fi_info", MISSING)
    # The exit codes of these two carry the answer: 1 and 2 for cloud-init's errors, 1 for a failed probe.
    cloud_init, errors = parse.cloud_init_status(sections.get("cloud_init", MISSING).text)
    return NodeFacts(
        pair=parse.json_object(text("pair")),
        cloud_init=cloud_init,
        cloud_init_errors=errors,
        boot_report=parse.json_object(text("boot_report")),
        efa_devices=tuple(text("efa_devices").split()),
        domains=parse.fabric_domains(text("fi_info")),
        fi_info_error=fi_info.last_line if fi_info.code else "",
        efa_driver=text("efa_driver").strip(),
        libfabric=parse.libfabric_version(text("libfabric")),
        efa_installer=parse.installer_version(text("efa_installer")),
        accelerators=len(gpus) or neuron,
        accelerator=gpus[0].name if gpus else "Neuron device" if neuron else "",
        accelerator_driver=gpus[0].driver if gpus else "",
        memlock=text("memlock").strip(),
        local_disks=parse.mount_source(text("mounts"), LOCAL_DISKS),
        nixl=parse.nixl(sections.get("nixl", MISSING).text),
        nixlbench=text("nixlbench").strip(),
    )
