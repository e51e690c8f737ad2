"""What the transfers' results mean: did it work, did it go over EFA, is it fast enough. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.transfer import FI_PINGPONG, Result

# Below these shares of what the cards in use can do, something is wrong. fi_pingpong has one message in flight
# on one device, so that it waits for the wire most of the time; nixlbench keeps the cards busy.
NIXLBENCH_SHARE = 0.5
FI_PINGPONG_SHARE = 0.1
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
        found += [fabric(result, planned), rate(result, planned)]
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
    sent, received, payload = result.sent.sent_bytes, result.received.received_bytes, result.moved_bytes
    by_ip = min(result.sent.ip_bytes, result.received.ip_bytes)
    if min(sent, received) >= COUNTED_SHARE * payload > by_ip:
        message = (
            f"over EFA: the counters saw {_size(sent)} leave on {result.sent.devices} and {_size(received)} arrive "
            f"on {result.received.devices} of {planned.efa_interfaces} devices, {_size(by_ip)} go by IP; "
            f"the payload was {_size(payload)}."
        )
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
    remedy = f"Use {planned.nixl} and FI_PROVIDER=efa, as /etc/nixl-efa/env says; look at `fi_info -p efa`."
    return Finding(Level.FAIL, check, f"silent fall-back to TCP: {seen}", remedy, command)


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
        floor = NIXLBENCH_SHARE
    reachable = planned.network_gbps * cards / planned.efa_interfaces
    message += f" {cards} of {planned.efa_interfaces} cards in use can do {reachable:g} Gbps."
    if best.gbps >= floor * reachable:
        return Finding(Level.PASS, "transfer", message)
    return Finding(
        Level.WARN,
        "transfer",
        f"{message} That is below {floor:.0%} of it.",
        "Is the pair in one placement group or Capacity Block, and is anything else using the fabric?",
    )


def _cards_in_use(result: Result, planned: Planned) -> int:
    """How many cards one transfer uses: one for fi_pingpong, else one accelerator's share.

    NIXL's LIBFABRIC backend sends from the cards that are nearest to the accelerator whose memory it is.
    """
    if result.attempt.tool == FI_PINGPONG:
        return 1
    return max(1, planned.efa_interfaces // max(1, planned.accelerators))


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
