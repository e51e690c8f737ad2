"""What is known about one node, and what was planned for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nixl_efa.instance_types import InstanceType
from nixl_efa.launch import Launch
from nixl_efa.nixl_backend import NixlBackend, nixl_backend
from nixl_efa.nodes import cloud_init, parse
from nixl_efa.nodes.cloud_init import CloudInit
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.sections import MISSING, TIMED_OUT, Section

LOCAL_DISKS = "/opt/dlami/nvme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What each node of the pair should have.

    efa_interfaces:      EFA interfaces of the launch, from the stack's outputs.
    accelerator_kind:    "nvidia", "neuron", others; only these two are counted.
    instance_storage_gb: 0 when the type has no local disks.
    nixl_version:        of the NIXL that a node installs by itself; empty: none.
    nixl_pinned: exactly that version; else the version that the node's libfabric loads.
    common_nixl: NIXL's backend between nodes of several types; None: all nodes are of this type.
    """

    instance_type: str
    efa_interfaces: int
    accelerators: int
    accelerator_kind: str
    instance_storage_gb: int
    network_gbps: float
    nixl_version: str
    nixl_pinned: bool = False
    common_nixl: NixlBackend | None = None

    @property
    def nixl(self) -> NixlBackend:
        """NIXL's planned backend between the nodes."""
        return self.common_nixl or nixl_backend(
            self.instance_type, self.accelerator_kind, self.efa_interfaces
        )


def planned(
    name: str, one: InstanceType | None, efa_interfaces: int, nixl_version: str, *, nixl_pinned: bool = False
) -> Planned:
    """The plan, from the facts of the instance type; zeros for a type that is not in the data."""
    return Planned(
        instance_type=name,
        efa_interfaces=efa_interfaces,
        accelerators=one.accelerator_count if one else 0,
        accelerator_kind=one.accelerator_kind if one else "none",
        instance_storage_gb=one.instance_storage_gb if one else 0,
        network_gbps=one.network_gbps if one else 0.0,
        nixl_version=nixl_version,
        nixl_pinned=nixl_pinned,
    )


def planned_by_node(pair: PairOutputs, requests: Mapping[str, Launch]) -> dict[str, Planned]:
    """The same of each node that runs. requests: Launch.of_machines."""
    return {
        node.name: replace(
            planned(
                (own := requests[node.name]).instance_type,
                own.type_facts,
                node.efa_interfaces,
                own.nixl_version,
                nixl_pinned=own.nixl_pinned,
            ),
            common_nixl=own.nixl_of_several_types,
        )
        for node in pair.nodes
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node, as its own commands describe it. Empty values: the command is missing or printed nothing.

    last_stage_ended:  cloud-init's last unit has ended, whatever cloud-init says of itself.
    failed_units:      of systemd, by name.
    rdma_devices:      PCI vendor by the name of each device in /sys/class/infiniband.
    fi_info_unopened:  libfabric could not open an RDMA device.
    efa_module: the running kernel, if it has no module efa; empty if it has one, or if this is not known.
    accelerator_error: what the tool said instead of a list, or beside it.
    cuda:              what CUDA's cuInit returned, 0 when it starts; None: not known, and cuda_error says why.
    gpu_fabric:        state and status of each GPU's NVLink fabric.
    fabric_manager: the last line of NVIDIA's Fabric Manager in the journal of this boot.
    memlock:           `ulimit -l`: "unlimited" or KiB.
    service_memlock:   systemd's DefaultLimitMEMLOCK: "infinity" or bytes.
    engines:           the container engine and the containers that run.
    disk_used:         of the root file system, in percent; None: not known.
    nixlbench:         path of the program.
    """

    pair: Mapping[str, Any] | None
    cloud_init: CloudInit
    last_stage_ended: bool
    failed_units: tuple[str, ...]
    boot_report: Mapping[str, Any] | None
    rdma_devices: Mapping[str, str]
    domains: tuple[str, ...]
    fi_info_error: str
    fi_info_unopened: bool
    efa_driver: str
    efa_module: str
    libfabric: str
    efa_installer: str
    accelerators: int
    accelerator: str
    accelerator_driver: str
    accelerator_error: str
    cuda: int | None
    cuda_error: str
    gpu_fabric: tuple[tuple[str, str], ...]
    fabric_manager: str
    memlock: str
    service_memlock: str
    engines: tuple[parse.Engine, ...]
    local_disks: str
    disk_used: int | None
    nixl: parse.Nixl
    nixlbench: str

    @property
    def efa_devices(self) -> tuple[str, ...]:
        """The names of the EFA devices: an RDMA device of another vendor is not one."""
        return tuple(name for name, vendor in self.rdma_devices.items() if vendor == parse.EFA_VENDOR)


def node_facts(sections: Mapping[str, Section]) -> NodeFacts:
    """The facts in the output of node-facts.sh."""

    def text(name: str) -> str:
        """A command's output, empty when it failed: then it is an error message."""
        section = sections.get(name, MISSING)
        return section.text if section.code == 0 else ""

    fi_info, cuda, nvidia = (sections.get(name, MISSING) for name in ("fi_info", "cuda", "nvidia"))
    # If nvidia-smi fails for one GPU, it still lists the others.
    gpus = parse.gpus(nvidia.text)
    neuron = parse.neuron_devices(text("neuron"))
    journal = text("fabric_manager").strip().splitlines()
    return NodeFacts(
        pair=parse.json_object(text("pair")),
        # cloud-init's exit code has a meaning: 1 for an error, 2 for a warning.
        cloud_init=cloud_init.read(sections.get("cloud_init", MISSING).text),
        last_stage_ended=text("cloud_final").strip() == "active",
        failed_units=tuple(line.split()[0] for line in text("failed_units").splitlines() if line.strip()),
        boot_report=parse.json_object(text("boot_report")),
        rdma_devices=parse.rdma_devices(text("efa_devices")),
        domains=parse.fabric_domains(text("fi_info")),
        fi_info_error=fi_info.error if fi_info.code else "",
        fi_info_unopened=parse.has_unopened_device(fi_info.text),
        efa_driver=text("efa_driver").strip(),
        efa_module=text("kernel").strip() if sections.get("efa_module", MISSING).code == 1 else "",
        libfabric=parse.libfabric_version(text("libfabric"), text("fi_info")),
        efa_installer=parse.installer_version(text("efa_installer")),
        accelerators=len(gpus) or neuron or 0,
        accelerator=gpus[0].name if gpus else "Neuron device" if neuron else "",
        accelerator_driver=gpus[0].driver if gpus else "",
        accelerator_error="" if neuron is not None else _accelerator_error(sections),
        cuda=parse.cuda_start(cuda.text),
        cuda_error=cuda.error,
        gpu_fabric=parse.gpu_fabric(text("gpu_fabric")),
        fabric_manager=next((line for line in reversed(journal) if "version" in line), "".join(journal[-1:])),
        memlock=text("memlock").strip(),
        service_memlock=parse.limit(text("service_memlock")),
        engines=parse.engines(text("containers")),
        local_disks=parse.mount_source(text("mounts"), LOCAL_DISKS),
        disk_used=parse.disk_used(text("disk")),
        nixl=parse.nixl(sections.get("nixl", MISSING).text),
        nixlbench=text("nixlbench").strip(),
    )


def _accelerator_error(sections: Mapping[str, Section]) -> str:
    """The first output line that is not about an accelerator, if the node has the tool."""
    nvidia, neuron = (sections.get(name, MISSING) for name in ("nvidia", "neuron"))
    if nvidia.code != MISSING.code:
        return parse.besides_gpus(nvidia.text) or (nvidia.error if nvidia.code == TIMED_OUT else "")
    return neuron.first_line or neuron.error if neuron.code != MISSING.code else ""
