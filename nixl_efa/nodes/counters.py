"""The EFA devices' hardware counters before and after a transfer: what went over EFA. Pure.

Source: EC2 user guide, "Monitor an Elastic Fabric Adapter". A write of NIXL counts as rdma_write_bytes or, where
libfabric sends in its place, in tx_bytes alone (ai-dynamo/nixl, issue 1656); libfabric may also let the receiver
read (rdma_read_resp_bytes at the sender). So the sum of all is what shows whether anything went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SENT = ("tx_bytes", "rdma_write_bytes", "rdma_read_resp_bytes")
RECEIVED = ("rx_bytes", "rdma_write_recv_bytes", "rdma_read_bytes")

Counters = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that left and reached a node over EFA, and on how many of its devices."""

    sent_bytes: int
    received_bytes: int
    devices: int


def counters(text: str) -> Counters:
    """Counters by device, from lines such as "rdmap79s0 tx_bytes=12 rx_bytes=3"."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        device, *pairs = line.split()
        values = (pair.partition("=") for pair in pairs)
        found[device] = {name: int(value) for name, _, value in values if value.isdecimal()}
    return found


def moved(before: Counters, after: Counters) -> Moved:
    """The difference of two readings. A device that is missing in one of them counts nothing."""
    sent = received = devices = 0
    for device in before.keys() & after.keys():
        out = _difference(before[device], after[device], SENT)
        into = _difference(before[device], after[device], RECEIVED)
        sent, received, devices = sent + out, received + into, devices + (out + into > 0)
    return Moved(sent, received, devices)


def _difference(before: Mapping[str, int], after: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(max(after.get(name, 0) - before.get(name, 0), 0) for name in names)
