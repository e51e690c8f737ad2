"""The EFA devices' hardware counters before and after a transfer: what went over EFA, and what over TCP. Pure.

Source: EC2 user guide, "Monitor an Elastic Fabric Adapter". tx_bytes and rx_bytes count every byte, RDMA's too
(in ai-dynamo/nixl#1656 a card's tx_bytes are its rdma_write_bytes and more), and a small transfer may stand in them
alone. So what went is the greater of them and of what went by RDMA: their sum would count a write twice.

EFA's traffic passes the kernel by: what the IP interfaces count beside is TCP. Without that count, another job's
traffic over EFA could hide that this transfer fell back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The counter of all bytes first, then those of RDMA: written by this end, read from it; and the other way round.
SENT = ("tx_bytes", "rdma_write_bytes", "rdma_read_resp_bytes")
RECEIVED = ("rx_bytes", "rdma_write_recv_bytes", "rdma_read_bytes")

# How transfer.sh names an IP interface.
IP = "net/"

Counters = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that left and reached a node over EFA, on how many of its devices, and that left or reached it by IP."""

    sent_bytes: int
    received_bytes: int
    devices: int
    ip_bytes: int


def counters(text: str) -> Counters:
    """Counters by device, from lines such as "rdmap79s0 tx_bytes=12 rx_bytes=3" and "net/ens5 tx_bytes=4"."""
    found: dict[str, dict[str, int]] = {}
    for line in filter(str.strip, text.splitlines()):
        device, *pairs = line.split()
        values = (pair.partition("=") for pair in pairs)
        found[device] = {name: int(value) for name, _, value in values if value.isdecimal()}
    return found


def moved(before: Counters, after: Counters) -> Moved:
    """The difference of two readings. A device that is missing in one of them counts nothing."""
    sent = received = devices = by_ip = 0
    for device in before.keys() & after.keys():
        out = _difference(before[device], after[device], SENT)
        into = _difference(before[device], after[device], RECEIVED)
        if device.startswith(IP):
            by_ip += out + into
        else:
            sent, received, devices = sent + out, received + into, devices + (out + into > 0)
    return Moved(sent, received, devices, by_ip)


def _difference(before: Mapping[str, int], after: Mapping[str, int], names: tuple[str, ...]) -> int:
    total, *by_rdma = (max(after.get(name, 0) - before.get(name, 0), 0) for name in names)
    return max(total, sum(by_rdma))
