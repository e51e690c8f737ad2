"""What nixlbench and fi_pingpong print, read into rates and latencies. Pure."""

import re
from dataclasses import dataclass

# 256 iterations, and a sixteenth of that for sizes from 1 MiB (transfer.sh): each row has moved at least that much.
NIXLBENCH_ITERATIONS = 16

# A heading of nixlbench's table. Versions before 1.0 have MiB, GiB and GB columns after the latency; later ones GB/s
# first; runs of more than two workers have two columns more. All but one end in their unit.
_HEADING = re.compile(r"Batch Size|[^\s()][^()]*?\([^)]+\)")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_PINGPONG = re.compile(
    r"^(?P<size>\d+)(?P<unit>[kmg]?)\s+(?P<sent>\d+)(?P<count>[kmg]?)\s+=?\S+\s+\S+\s+[\d.]+s\s+"
    r"(?P<megabytes>[\d.]+)\s+(?P<usec>[\d.]+)\s+[\d.]+\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One message size: bytes of a message, Gbps, microseconds a transfer, and the least bytes that were moved
    in the direction of the transfer."""

    size_bytes: int
    gbps: float
    latency_us: float
    moved_bytes: int


def nixlbench(text: str) -> tuple[Row, ...]:
    """The rows of nixlbench's table, which the initiator prints. GB are 10^9 bytes."""
    rows: list[Row] = []
    columns: list[str] = []
    for line in text.splitlines():
        if line.startswith("Block Size"):
            columns = _HEADING.findall(line)
            continue
        fields = line.split()
        if not columns or len(fields) != len(columns):
            continue
        try:
            row = dict(zip(columns, map(float, fields), strict=True))
        except ValueError:
            continue
        if not {"Block Size (B)", "Batch Size", "B/W (GB/Sec)", "Avg Lat. (us)"} <= row.keys():
            continue
        size, batch = int(row["Block Size (B)"]), int(row["Batch Size"])
        rows.append(
            Row(size, 8 * row["B/W (GB/Sec)"], row["Avg Lat. (us)"], size * batch * NIXLBENCH_ITERATIONS)
        )
    return tuple(rows)


def fi_pingpong(text: str) -> tuple[Row, ...]:
    """The rows of fi_pingpong. MB are 10^6 bytes; the sizes' k and m are powers of two."""
    rows = []
    for found in _PINGPONG.finditer(text):
        size = int(found["size"]) * _UNITS[found["unit"]]
        sent = int(found["sent"]) * _COUNTS[found["count"]]
        rows.append(Row(size, 8 * float(found["megabytes"]) / 1000, float(found["usec"]), size * sent))
    return tuple(rows)
