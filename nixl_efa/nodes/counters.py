"""The hardware counters of the EFA devices before and after a transfer: bytes over EFA, and bytes over TCP. Pure.

Source: EC2 user guide, "Monitor an Elastic Fabric Adapter". tx_bytes and rx_bytes count every byte, also those of RDMA:
rdma_read_bytes and recv_bytes are parts of a device's rx_bytes. The RDMA counters can be updated earlier. So the result
is the larger of the two: their sum would count a byte twice.

EFA traffic bypasses the kernel: bytes on the IP interfaces can mean that a transfer fell back to TCP.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# First the counter of all bytes, then those of RDMA. Sent: written by this end, read from it; received: the reverse.
SENT = ("tx_bytes", "rdma_write_bytes", "rdma_read_resp_bytes")
RECEIVED = ("rx_bytes", "rdma_write_recv_bytes", "rdma_read_bytes")

# How transfer.sh names an IP interface.
IP = "net/"
# A device is in use if it moves at least this share of the busiest one's bytes: NIXL's own messages can use any device.
IN_USE_SHARE = 0.01

Counters = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that a node sent and received over EFA, on how many devices, and bytes that it sent or received over IP."""

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
    by_device: list[tuple[int, int]] = []
    by_ip = 0
    for device in before.keys() & after.keys():
        out = _difference(before[device], after[device], SENT)
        into = _difference(before[device], after[device], RECEIVED)
        if device.startswith(IP):
            by_ip += out + into
        else:
            by_device.append((out, into))
    busiest = max((out + into for out, into in by_device), default=0)
    in_use = sum(out + into >= max(1, IN_USE_SHARE * busiest) for out, into in by_device)
    sent, received = (sum(one[direction] for one in by_device) for direction in (0, 1))
    return Moved(sent, received, in_use, by_ip)


def _difference(before: Mapping[str, int], after: Mapping[str, int], names: tuple[str, ...]) -> int:
    total, *by_rdma = (max(after.get(name, 0) - before.get(name, 0), 0) for name in names)
    return max(total, sum(by_rdma))
