"""Stand-ins of a pair of nodes: a root folder each with devices and commands, and a Run Command that runs there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from nixl_efa.bootstrap import Bootstrap, PeerNode
from nixl_efa.bootstrap.files import node_files
from nixl_efa.nodes.outputs import Node
from nixl_efa.nodes.transfer import Link
from tests.told_at_boot import P5

PRODUCER_ID, CONSUMER_ID = "i-0aaaaaaaaaaaaaaa1", "i-0bbbbbbbbbbbbbbb2"
ADDRESSES = {node.name: node.address for node in P5.nodes}
LINK = Link(*(Node(name, name, f"i-{name}", address, "") for name, address in ADDRESSES.items()))
GIB = 1 << 30
COUNTERS = (
    "tx_bytes",
    "rx_bytes",
    "rdma_write_bytes",
    "rdma_write_recv_bytes",
    "rdma_read_bytes",
    "rdma_read_resp_bytes",
)
NIXLBENCH = """\
Block Size (B)      Batch Size     B/W (GB/Sec)   Avg Lat. (us)  Avg Prep (us)  P99 Prep (us)
----------------------------------------------------------------------------------------------
65536               1              3.200000       18.4           0.0            0.0
67108864            1              46.500000      1443.2         24.0           24.0
"""
RAILS = "I0101 00:00:00.0 1 libfabric_rail_manager.cpp:5] Created 32 rails using provider=efa"
PINGPONG = """\
bytes   #sent   #ack     total       time     MB/sec    usec/xfer   Mxfers/sec
64      1k      =1k      125k        0.03s      3.53      18.10       0.06
1m      1k      =1k      1.9g        0.28s   7481.00     140.17       0.01
"""


def nixl_document(role: str, *peers: str, **more: Any) -> dict[str, Any]:
    """What nixl_transfer.py prints at the end of a transfer of 1 GiB with each of the addresses; without any, with the
    pair's other node."""
    rows = [
        {"size_bytes": 65536, "gbps": 25.6, "latency_us": 18.4, "moved_bytes": GIB // 4},
        {"size_bytes": GIB // 4, "gbps": 372.0, "latency_us": 5772.6, "moved_bytes": 3 * GIB // 4},
    ]
    small = {"writes": 1546, "size_bytes": 8192, "seconds": 0.004, "error": ""}
    measured = {"handshake_seconds": 0.12, "rows": rows, "small": small}
    peer = measured if role == "producer" else {}
    others = peers or (ADDRESSES["consumer" if role == "producer" else "producer"],)
    each = [{"address": address, "step": "transfer", "error": "", **peer} for address in others]
    return {"error": "", "peers": each, **more}


def first_boot(node: str, efa_interfaces: int) -> Bootstrap:
    """What the node was told at its first boot, at the addresses of now."""
    nodes = tuple(PeerNode(name, name.partition("-")[0], address) for name, address in ADDRESSES.items())
    return replace(P5, node=node, nodes=nodes, efa_interfaces=efa_interfaces)


@dataclass
class StandIn:
    """One node: root folder, and the commands that stand before the machine's own."""

    name: str
    root: Path
    devices: int = 32

    def __post_init__(self) -> None:
        self.commands = self.root / "stand-ins"
        self.commands.mkdir(parents=True)
        self.files = node_files(first_boot(self.name, self.devices))
        for written in self.files:
            self.file(written.path.lstrip("/"), written.content).chmod(0o755)
        self.file("var/lib/nixl-efa/boot-report.json", '{"ok": true, "transport": "EFA", "checks": []}')
        self.file("sys/module/efa/version", "2.17.2g\n")
        self.file("opt/amazon/efa_installed_packages", "# EFA installer version: 1.47.0\n")
        self.file("proc/mounts", "/dev/mapper/vg.01-lv_ephemeral /opt/dlami/nvme ext4 rw 0 0\n")
        self.command("cloud-init", "echo 'status: done'; echo 'errors: []'")
        self.command(
            "nvidia-smi",
            "for i in 0 1 2 3 4 5 6 7; do case $* in"
            " -q) printf '    Fabric\\n        State   : Completed\\n        Status  : Success\\n' ;;"
            ' *) echo "$i, NVIDIA H100 80GB HBM3, 580.65.06, 81559 MiB" ;; esac; done',
        )
        self.command(
            "df",
            "printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\\n/dev/root 100 12 88 12%% /\\n'",
        )
        self.command("python3", "echo cuInit 0")
        self.command("pidof", "exit 1")  # not this machine's engines
        self.command("systemctl", "case $* in is-active*) echo active ;; esac")
        self.command("journalctl", "echo Started NVIDIA fabric manager service.")
        self.memlock("unlimited")
        self.efa(self.devices)
        for interface in ("ens32", "docker0", "lo"):
            for counter in ("tx_bytes", "rx_bytes"):
                self.file(f"sys/class/net/{interface}/statistics/{counter}", "5000\n")
        self.file("sys/class/net/ens32/device/vendor", "0x1d0f\n")
        self.over_efa(GIB)

    def file(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def script(self, path: str, text: str) -> None:
        self.file(path, f"#!/bin/bash\n{text}\n").chmod(0o755)

    def command(self, name: str, text: str) -> None:
        """A stand-in of a command, which does what the shell script says."""
        self.script(f"stand-ins/{name}", text)

    def memlock(self, limit: str) -> None:
        """`ulimit -l` says so: a builtin, so its shell has a stand-in."""
        self.command("sh", f'[ "$2" = "ulimit -l" ] && echo {limit} || exec /bin/sh "$@"')

    def efa(self, count: int) -> None:
        """So many EFA devices, each listed by fi_info under both of libfabric's fabrics."""
        blocks = []
        for index in range(count):
            self.file(f"sys/class/infiniband/rdmap{index}s0/device/vendor", "0x1d0f\n")
            for counter in COUNTERS:
                self.file(f"sys/class/infiniband/rdmap{index}s0/ports/1/hw_counters/{counter}", "1000\n")
            blocks += [
                f"provider: efa\n    fabric: {fabric}\n    domain: rdmap{index}s0-rdm\n    version: 201.0\n"
                "    type: FI_EP_RDM\n    protocol: FI_PROTO_EFA"
                for fabric in ("efa-direct", "efa")
            ]
        listing = self.file("fi_info.txt", "\n".join(blocks) + "\n")
        self.command(
            "fi_info",
            "case $* in *--version*) echo 'libfabric: 2.1.0amzn3.0' ;;"
            f" *) {'cat ' + str(listing) if count else 'echo fi_getinfo: -61 >&2; exit 61'} ;; esac",
        )

    def over_efa(self, size: int) -> None:
        """All tools work and count `size` bytes on this node's first devices: on 4 from a GPU's memory, else on all."""
        self._works(
            f"for number in $(seq 0 $((cards - 1))); do bump {self.root}/sys/class/infiniband/"
            f"rdmap${{number}}s0/ports/1/hw_counters $(({size} / cards)); done"
        )

    def over_tcp(self, size: int) -> None:
        """All tools work and count `size` bytes on this node's IP interface: a silent fall-back."""
        self._works(f"bump {self.root}/sys/class/net/ens32/statistics {size}")

    def _works(self, count: str) -> None:
        role = self.name.partition("-")[0]
        counter = "tx_bytes" if role == "producer" else "rx_bytes"
        bump = (
            f'bump() {{ [ ! -e "$1" ] || echo $(($(cat "$1/{counter}") + $2)) >"$1/{counter}"; }}\n{count}\n'
        )
        self.command("nixlbench", f"cards={self.devices}\n{bump}cat <<'OUTPUT'\n{NIXLBENCH}OUTPUT")
        self.command("fi_pingpong", f"cards=1\n{bump}cat <<'OUTPUT'\n{PINGPONG}OUTPUT")
        cards = f'[ "$5" = VRAM ] && cards=4 || cards={self.devices}\n'
        rails = f'[ "$4" != LIBFABRIC ] || echo "{RAILS}" >&2\n'
        peer = json.dumps(nixl_document(role, "ADDRESS")["peers"][0])
        peers = f"""for address in "${{@:8}}"; do {bump}one='{peer}'; all+=${{all:+,}}${{one/ADDRESS/$address}}; done"""
        self.nixl(f"""{cards}{rails}{peers}\necho "{{\\"error\\": \\"\\", \\"peers\\": [$all]}}\"""")

    def nixl(self, transfer: str) -> None:
        """Python with NIXL, which answers nixl-probe, and to our program does what the shell script says."""
        probe = "echo nixl-version 1.5.0; echo Created 32 rails using provider=efa"
        self.script("opt/nixl-efa/venv/bin/python", f'if [ "$1" != -c ]; then {probe}; exit; fi\n{transfer}')

    def without(self, command: str) -> None:
        """The node has no such command."""
        (self.commands / command).unlink()

    def run(self, commands: list[str], environ: Mapping[str, str] | None = None) -> str:
        """What the script prints on this node: Run Command writes the commands to a file and runs it."""
        script = self.file("run-command/_script.sh", "\n".join(commands) + "\n")
        ran = subprocess.run(
            ["/bin/sh", str(script)],
            capture_output=True,
            text=True,
            check=True,
            env={
                "PATH": f"{self.commands}:{os.environ['PATH']}",
                "NIXL_EFA_ROOT": str(self.root),
                "NIXL_EFA_RETRY_SECONDS": "0",
                **(environ or {}),
            },
        )
        return ran.stdout


@dataclass
class FakeSsm:
    """Run Command on stand-ins, with its oddities: invocations come late, output is cut at 24,000 characters; and
    Parameter Store."""

    nodes: dict[str, StandIn]
    unregistered: set[str] = field(default_factory=set)
    statuses: dict[str, tuple[str, str]] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    looks: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        if Name not in self.parameters:
            raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": ""}}, "GetParameter")
        return {"Parameter": {"Name": Name, "Value": self.parameters[Name], "Type": "String", "Version": 1}}

    def send_command(self, **request: Any) -> dict[str, Any]:
        (instance_id,) = request["InstanceIds"]
        if instance_id in self.unregistered:
            raise ClientError({"Error": {"Code": "InvalidInstanceId", "Message": ""}}, "SendCommand")
        with self.lock:  # the nodes are asked side by side
            self.sent.append(request)
            return {"Command": {"CommandId": f"command-{len(self.sent) - 1}"}}

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> dict[str, Any]:  # noqa: N803
        look = self.looks[CommandId] = self.looks.get(CommandId, 0) + 1
        if look == 1:
            raise ClientError({"Error": {"Code": "InvocationDoesNotExist"}}, "GetCommandInvocation")
        if look == 2:
            return {"Status": "InProgress", "StatusDetails": "InProgress"}
        if InstanceId in self.statuses:
            status, details = self.statuses[InstanceId]
            return {"Status": status, "StatusDetails": details, "StandardErrorContent": "sh: 1:\n oops\n"}
        request = self.sent[int(CommandId.removeprefix("command-"))]
        try:
            stdout = self.nodes[InstanceId].run(request["Parameters"]["commands"])
        except subprocess.CalledProcessError as error:
            return {"Status": "Failed", "StatusDetails": "Failed", "StandardErrorContent": error.stderr}
        if len(stdout) > 24_000:
            stdout = stdout[:24_000] + "\n---Output truncated---"
        return {"Status": "Success", "StatusDetails": "Success", "StandardOutputContent": stdout}


class FakeClock:
    """A clock that stands still but for its sleeps."""

    def __init__(self) -> None:
        self.time = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
        self.slept = 0.0

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.time += timedelta(seconds=seconds)


def instance(
    instance_id: str, address: str, state: str = "running", instance_type: str = "p5.48xlarge", **more: Any
) -> dict[str, Any]:
    """An instance as DescribeInstances gives it."""
    return {
        "InstanceId": instance_id,
        "State": {"Name": state},
        "InstanceType": instance_type,
        "PrivateIpAddress": address,
        "VpcId": "vpc-1",
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "LaunchTime": datetime(2026, 12, 1, 8, 0, tzinfo=UTC),
        **more,
    }


@dataclass
class FakeEc2:
    """DescribeInstances with its filters, DescribeCapacityReservations and DescribeInstanceTopology.

    network_nodes: by instance id; of all others those of one place. asked: the ids of each call for reservations.
    """

    instances: list[dict[str, Any]]
    reservations: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    network_nodes: dict[str, list[str]] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    def get_paginator(self, name: str) -> FakeEc2:
        assert name == "describe_instances"
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803
        keys = {"instance-id": "InstanceId", "private-ip-address": "PrivateIpAddress"}
        found = [
            one for one in self.instances if all(one.get(keys[f["Name"]]) in f["Values"] for f in Filters)
        ]
        return [{"Reservations": [{"Instances": [one]}]} for one in found]

    def describe_instance_topology(self, *, InstanceIds: list[str]) -> dict[str, Any]:  # noqa: N803
        near = ["nn-1", "nn-2", "nn-3"]
        return {
            "Instances": [
                {"InstanceId": one, "NetworkNodes": self.network_nodes.get(one, near)} for one in InstanceIds
            ]
        }

    def describe_capacity_reservations(self, *, CapacityReservationIds: list[str]) -> dict[str, Any]:  # noqa: N803
        self.asked.append(CapacityReservationIds)
        if self.error:
            raise self.error
        return {
            "CapacityReservations": [
                one for one in self.reservations if one["CapacityReservationId"] in CapacityReservationIds
            ]
        }

    def describe_capacity_block_extension_history(self, **_: Any) -> dict[str, Any]:
        return {"CapacityBlockExtensions": []}
