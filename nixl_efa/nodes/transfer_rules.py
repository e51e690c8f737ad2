"""What the transfers' results mean: did it work, did it go over EFA, is it fast enough. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.transfer import DRAM, FI_PINGPONG, Result

# Below these shares of what the cards in use can do, something is wrong. fi_pingpong has one message in flight
# on one device, so that it waits for the wire most of the time; nixlbench keeps the cards busy, but from host memory,
# where it uses all of them, the memory is the limit (468 of 3200 Gbps on a p5en over EFA).
NIXLBENCH_SHARE = 0.5
HOST_MEMORY_SHARE = 0.1
FI_PINGPONG_SHARE = 0.1
# What one TCP flow gives in a cluster placement group (EC2 user guide, ec2-instance-network-bandwidth). UCX on nodes
# with EFA was seen with 2.6 Gbps (ai-dynamo/nixl#1021).
ONE_TCP_FLOW_GBPS = 10.0
# Of the payload, what the counters must have seen: tools count a little differently from the hardware.
COUNTED_SHARE = 0.5


def findings(results: Sequence[Result], planned: Planned) -> list[Finding]:
    """Findings on the attempts in the order in which they were made; the last may have worked."""
    failed = [result for result in results if not result.rows]
    worked = [result for result in results if result.rows]
    found = [
        Finding(
            Level.WARN if worked else Level.FAIL,
            "transfer",
            f"{result.attempt.title} failed: {result.error}.",
            "Look at the security group (both directions, all protocols, to itself) and run the tool by hand.",
        )
        for result in failed
    ]
    for result in worked:
        found += [fabric(result, planned), rate(result, planned), small_writes(result)]
    return found


def fabric(result: Result, planned: Planned) -> Finding:
    """The counters of both ends prove that the bytes went over EFA and not TCP. A silent fall-back is a FAIL.

    Both proofs are asked for: EFA's counters saw the payload, and the IP interfaces did not.
    """
    check, command = "fabric", "cat /sys/class/infiniband/*/ports/1/hw_counters/tx_bytes"
    if not planned.efa_interfaces:
        return Finding(
            Level.WARN,
            check,
            f"{planned.instance_type} has no EFA: the transfer went over TCP, as planned.",
            "Choose a type with EFA (`nixl-efa instance-types list --efa`).",
        )
    if result.provider and not result.provider.startswith("efa"):
        message = f"NIXL's log says provider={result.provider}: the transfer did not go over EFA."
        return Finding(Level.FAIL, check, message, _efa_remedy(planned), command)
    sent, received, payload = result.sent.sent_bytes, result.received.received_bytes, result.moved_bytes
    by_ip = min(result.sent.ip_bytes, result.received.ip_bytes)
    if min(sent, received) >= COUNTED_SHARE * payload > by_ip:
        message = (
            f"over EFA: the counters saw {_size(sent)} leave on {result.sent.devices} and {_size(received)} arrive "
            f"on {result.received.devices} of {planned.efa_interfaces} devices, {_size(by_ip)} go by IP; "
            f"the payload was {_size(payload)}."
        )
        if result.provider:
            message += f" NIXL's log says provider={result.provider}."
        return Finding(Level.PASS, check, message, command=command)
    seen = (
        f"of {_size(payload)}, EFA's counters saw {_size(sent)} leave and {_size(received)} arrive; "
        f"{_size(by_ip)} went by IP."
    )
    if by_ip < COUNTED_SHARE * payload:
        remedy = (
            "Read the counters on both nodes before and after a transfer by hand: does the driver have them?"
        )
        return Finding(Level.FAIL, check, f"no proof that it went over EFA: {seen}", remedy, command)
    return Finding(Level.FAIL, check, f"silent fall-back to TCP: {seen}", _efa_remedy(planned), command)


def _efa_remedy(planned: Planned) -> str:
    return f"Use {planned.nixl} and FI_PROVIDER=efa, as /etc/nixl-efa/env says; look at `fi_info -p efa`."


def rate(result: Result, planned: Planned) -> Finding:
    """The rate against what the type and the cards in use can do, and the latency."""
    best, smallest = result.best, result.smallest
    message = f"{result.attempt.title}: {best.gbps:.1f} Gbps at {_size(best.size_bytes)}"
    if planned.network_gbps:
        share = best.gbps / planned.network_gbps
        message += f", {share:.0%} of {planned.instance_type}'s {planned.network_gbps:g} Gbps"
    message += f"; {smallest.latency_us:.1f} us at {_size(smallest.size_bytes)}."
    if not planned.efa_interfaces or not planned.network_gbps:
        return Finding(Level.PASS, "transfer", message)
    cards, floor = _cards_in_use(result, planned), FI_PINGPONG_SHARE
    if result.attempt.tool != FI_PINGPONG:
        floor = HOST_MEMORY_SHARE if result.attempt.segment == DRAM else NIXLBENCH_SHARE
    reachable = planned.network_gbps * cards / planned.efa_interfaces
    message += f" {cards} of {planned.efa_interfaces} cards in use can do {reachable:g} Gbps."
    if best.gbps >= floor * reachable:
        return Finding(Level.PASS, "transfer", message)
    message += f" That is below {floor:.0%} of it."
    remedy = "Is the pair in one placement group or Capacity Block, and is anything else using the fabric?"
    if result.attempt.tool != FI_PINGPONG and best.gbps <= ONE_TCP_FLOW_GBPS:
        message += " One TCP flow gives as much."
        remedy = _efa_remedy(planned)
    return Finding(Level.WARN, "transfer", message, remedy)


def small_writes(result: Result) -> Finding:
    """Transfers of a few small writes are completed, as a KV cache's blocks need: they can hang where large ones work.

    Source: ai-dynamo/nixl#1862 (several rails, up to 16 writes), #1921 (more than 16 writes).
    """
    check, seen = "small writes", result.small
    if seen is None:
        return Finding(Level.SKIP, check, "not made: they need nixlbench on both nodes.")
    if seen.rows:
        row = seen.rows[0]
        return Finding(Level.PASS, check, f"complete: {row.latency_us:.1f} us at {_size(row.size_bytes)}")
    message = f"not complete, though the large transfer was: {seen.error}."
    remedy = (
        "Take a NIXL with the repair (1.3 hangs so: ai-dynamo/nixl#1862 and #1921), or another nixl_version."
    )
    return Finding(Level.FAIL, check, message, remedy)


def _cards_in_use(result: Result, planned: Planned) -> int:
    """How many cards one transfer uses: one for fi_pingpong, else one accelerator's share, all from host memory.

    NIXL's LIBFABRIC backend sends from the cards that are nearest to the accelerator whose memory it is, and from all
    where it is the host's ("Using default (all) rail selection policy for DRAM memory type").
    """
    if result.attempt.tool == FI_PINGPONG:
        return 1
    if result.attempt.segment == DRAM:
        return planned.efa_interfaces
    return max(1, planned.efa_interfaces // max(1, planned.accelerators))


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
