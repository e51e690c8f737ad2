"""What the nodes of a rehearsed pair answer to `nixl-efa verify`, since the local AWS has no machines.

Everything is as planned, and what a machine alone could tell (versions, drivers, disks) is "simulated". No transfer is
invented: rates, and the proof that the bytes went over EFA, would look like a measurement. `verify --no-transfer`
passes; without that option it says that there is nothing to measure on.
"""

import json
from collections.abc import Iterable
from typing import Protocol

from nixl_efa.bootstrap.files import NodeFile
from nixl_efa.launch import Launch
from nixl_efa.nodes import files
from nixl_efa.nodes.facts import LOCAL_DISKS, Planned, planned_by_node
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.parse import EFA_VENDOR

SIMULATED = "simulated"
_NO_TRANSFER = "simulated node: there is no machine to measure on (verify --no-transfer leaves this out)"

# What the real tools print (tests/recorded), with nothing in it that a machine would have to tell.
_CLOUD_INIT = f"""\
status: done
extended_status: done
boot_status_code: enabled-by-generator
last_update: {SIMULATED}
detail: {SIMULATED}
errors: []
recoverable_errors: {{}}"""
_FI_INFO = """\
provider: efa
    fabric: {}
    domain: {}-rdm
    version: 0.0
    type: FI_EP_RDM
    protocol: FI_PROTO_EFA"""
_NEURON_DEVICE = {
    "neuron_device": 0,
    "bdf": SIMULATED,
    "connected_to": None,
    "nc_count": 0,
    "memory_size": 0,
    "neuron_processes": [],
}


class RunCommandAnswers(Protocol):
    """The local AWS, in this process (LocalAws) or another one (Control)."""

    def command_output(self, instance_id: str = "*", *, stdout: str = "") -> None:
        """What Run Command answers for an instance."""
        ...


def answer_as_planned(aws: RunCommandAnswers, pair: PairOutputs, launch: Launch) -> None:
    """Makes the nodes of a pair answer verify's Run Command like nodes that are as planned."""
    types = {node.name: one.instance_type for one in launch.requests for node in one.nodes}
    planned, written = planned_by_node(pair, launch.of_machines(types)), files.wanted(pair, launch, types)
    for node in pair.nodes:
        said = node_output(node, pair, planned[node.name], written[node.name])
        aws.command_output(node.instance_id, stdout=said)


def node_output(node: Node, pair: PairOutputs, planned: Planned, written: Iterable[NodeFile] = ()) -> str:
    """What node-facts.sh, node-files.sh and transfer.sh would print on the node, in their sections.

    written: the files of its first boot.
    """
    nodes = [{"name": one.name, "role": one.role, "address": one.private_ip} for one in pair.nodes]
    devices = [f"{SIMULATED}{index}" for index in range(planned.efa_interfaces)]
    transport = "EFA" if devices else "TCP"
    count, kind = planned.accelerators, planned.accelerator_kind
    found = {
        "pair": json.dumps(
            {"environment": pair.environment, "node": node.name, "role": node.role, "nodes": nodes}
        ),
        "files": "\n".join(f"{file.path} {files.sum_of(file)}" for file in written),
        "cloud_init": _CLOUD_INIT,
        "cloud_final": "active",
        "boot_report": json.dumps({"ok": True, "transport": f"{transport} ({SIMULATED})", "checks": []}),
        "efa_devices": "\n".join(f"{device} {EFA_VENDOR}" for device in devices),
        "fi_info": "\n".join(
            _FI_INFO.format(fabric, device) for device in devices for fabric in ("efa-direct", "efa")
        ),
        "efa_driver": SIMULATED,
        "libfabric": f"libfabric: {SIMULATED}\nlibfabric api: {SIMULATED}",
        "efa_installer": f"# EFA installer version: {SIMULATED}",
        "memlock": "unlimited",
        "disk": f"{SIMULATED} 1 0 1 0% /",
        "mounts": f"{SIMULATED} {LOCAL_DISKS} ext4 rw 0 0" if planned.instance_storage_gb else "",
        "nixl": f"nixl {SIMULATED} {planned.nixl.name} provider={planned.nixl.provider}",
    }
    if kind == "nvidia":
        found["nvidia"] = "\n".join(f"{index}, {SIMULATED} GPU, 0.0, 0 MiB" for index in range(count))
        found["gpu_fabric"] = "\n".join(["        State  : N/A\n        Status : N/A"] * count)
        found["cuda"] = "cuInit 0"
    elif kind == "neuron":
        found["neuron"] = json.dumps([_NEURON_DEVICE | {"neuron_device": index} for index in range(count)])
    read = "".join(_section(name, text) for name, text in found.items())
    return read + _section("transfer", _NO_TRANSFER, code=1)


def _section(name: str, text: str, code: int = 0) -> str:
    return f"@@ begin {name}\n{text}\n@@ end {name} {code}\n"
