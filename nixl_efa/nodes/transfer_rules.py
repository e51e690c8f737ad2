"""What the results of the transfers mean: did they work, did they use EFA, are they fast enough. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import median

from nixl_efa.findings import Finding, Level, counted, listed, worst_first
from nixl_efa.nodes import topology
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.transfer import CONNECT, DRAM, FI_PINGPONG, HANDSHAKE, NIXL, TRANSFER, Result

# Below these shares of what the cards in use can do, something is wrong. fi_pingpong has only one message in flight on
# one device, so it waits most of the time. NIXL keeps the cards busy. But from host memory it uses all cards, and then
# the memory is the limit (468 of 3200 Gbps on a p5en over EFA), for any number of cards.
NIXL_SHARE = 0.5
HOST_MEMORY_SHARE = 0.1
HOST_MEMORY_GBPS = 320.0
FI_PINGPONG_SHARE = 0.1
# A smaller message needs most of its time on the way to the card: its rate says nothing about the fabric.
LEAST_MESSAGE_FOR_A_RATE = 1 << 20
# The rate of one TCP flow in a cluster placement group (EC2 user guide, ec2-instance-network-bandwidth). On nodes with
# EFA, UCX was seen at 2.6 Gbps (ai-dynamo/nixl#1021).
ONE_TCP_FLOW_GBPS = 10.0
# NIXL 1.5.0 when GPU memory (type 1) is registered and libfabric gave a provider without FI_HMEM: the backend is still
# created (tests/recorded/nixl/gpu-memory-without-hmem-1.5.0.json).
_GPU_MEMORY_REFUSED = "Memory type 1 is not supported by libfabric"
# CUDA_ERROR_OUT_OF_MEMORY (cuda.h): an engine uses the memory; this is not a fault of the pair.
_GPU_IS_FULL = re.compile(r"CUDA's \w+ returned 2\b")
# transfer.sh's word where another transfer is measured on the node.
BUSY = "another verify measures"
# If the counters saw this share of the payload, they saw all of it: tools count slightly differently.
COUNTED_SHARE = 0.9


# A link is slow if its rate is less than this share of the median rate of the attempt.
SLOW_SHARE = 0.5
_NAMED = 3


def findings(
    results: Sequence[Result], planned: Planned, network_nodes: Mapping[str, topology.NetworkNodes]
) -> list[Finding]:
    """Findings on the attempts, in the order in which they ran; one finding for all links of an attempt.

    network_nodes: of each node, by name.
    """
    found: list[Finding] = []
    nixl_failed = False
    for attempt, every in groupby(results, lambda one: one.attempt):
        of_attempt = list(every)
        diagnosis = bool(attempt.provider)
        level = Level.WARN if nixl_failed else Level.FAIL
        nixl_failed |= attempt.tool == NIXL and not all(one.rows for one in of_attempt)
        by_check: dict[str, list[tuple[Result, Finding]]] = {}
        for result in of_attempt:
            near = topology.how_near(network_nodes.get(end.name, ()) for end in result.link.ends)
            for one in _of_link(result, of_attempt, planned, level, diagnosis, near):
                by_check.setdefault(one.check, []).append((result, one))
        found += [_together(of_link, len(of_attempt)) for of_link in by_check.values()]
    return found


def _of_link(
    result: Result, others: Sequence[Result], planned: Planned, level: Level, diagnosis: bool, near: str
) -> list[Finding]:
    if result.rows and diagnosis:
        return [without_efa(result)]
    if result.rows:
        return [fabric(result, planned, others), rate(result, planned, others, near), small_writes(result)]
    message = f"{result.attempt.title} failed: {result.error}."
    if diagnosis:
        message += " So EFA is not the only fault."
    if _GPU_IS_FULL.search(result.error):
        level = Level.WARN
    return [Finding(level, "transfer", message, _remedy(result, planned), _command(result))]


def _together(of_link: Sequence[tuple[Result, Finding]], links: int) -> Finding:
    """One finding for a check on all links of an attempt: the worst ones are named."""
    if links == 1:
        return of_link[0][1]
    worst = worst_first(finding for _, finding in of_link)[0]
    first, bad = of_link[0][0], [one for one in of_link if one[1].level is worst.level]
    if worst.level in (Level.PASS, Level.SKIP):
        message = (
            f"{counted(len(of_link), 'link')}: {worst.message}"
            if worst.check != "transfer"
            else _rates(of_link)
        )
        return replace(worst, message=message)
    by_message: dict[str, list[str]] = {}
    for one, finding in bad:
        by_message.setdefault(finding.message, []).append(str(one.link))
    named = [f"{listed(alike, _NAMED)}: {message}" for message, alike in by_message.items()]
    more = f" And {len(named) - _NAMED} more." if len(named) > _NAMED else ""
    message = f"{len(bad)} of {links} links of {first.attempt.title}: {' '.join(named[:_NAMED])}{more}"
    return replace(bad[0][1], message=message)


def _rates(of_link: Sequence[tuple[Result, Finding]]) -> str:
    """The rates of all links, the slowest by name."""
    by_rate = sorted((one for one, _ in of_link), key=lambda one: one.best.gbps)
    slowest, fastest = by_rate[0], by_rate[-1]
    latency = max(one.smallest.latency_us for one in by_rate)
    return (
        f"{slowest.attempt.title}: {len(by_rate)} links with {slowest.best.gbps:.1f} ({slowest.link}) to "
        f"{fastest.best.gbps:.1f} Gbps; {latency:.1f} us at most at {_size(slowest.smallest.size_bytes)}."
    )


def _remedy(result: Result, planned: Planned) -> str:
    """What to do about a transfer that failed, by the step at which it failed."""
    if _GPU_IS_FULL.search(result.error):
        return "An engine has taken that GPU's memory: verify again while none runs, to measure from it."
    if "Address already in use" in result.error:
        return "Another program listens on that port: `ss -ltnp` on the node names it."
    if BUSY in result.error:
        return "Verify again when the other one has ended."
    if not result.step:
        return "A node gave no answer: look whether it runs and its SSM agent works, and verify again."
    if result.step == TRANSFER:
        return "Do not use this pair for serving. Verify it again, then with another nixl_version, then on other nodes."
    if result.step in (HANDSHAKE, CONNECT) or result.attempt.tool != NIXL:
        return (
            "Look at the security group (both directions, all protocols, to itself) and run the tool by hand."
        )
    if "No data available" in result.error and planned.efa_interfaces:
        return "libfabric offers NIXL no EFA: look at the rows EFA devices, EFA driver and fi_info."
    if _GPU_MEMORY_REFUSED in result.error:
        return (
            "libfabric's provider offers no memory of GPUs (FI_HMEM): look at the row CUDA, then on the node at "
            "`lsmod | grep efa_nv_peermem`, a module of the EFA installer (`modprobe efa_nv_peermem` loads it)."
        )
    if "CUDA" in result.error:
        return "CUDA fails: look at the rows accelerators and CUDA, and at `dmesg` for Xid errors."
    return "NIXL does not start: look at the row NIXL, and at what nixl-probe says."


def _command(result: Result) -> str:
    return f"/opt/nixl-efa/bin/nixl-probe {result.attempt.backend}" if result.attempt.tool == NIXL else ""


def without_efa(result: Result) -> Finding:
    """NIXL moved bytes without EFA after it failed with EFA: never a PASS, because EFA was planned."""
    named = (
        f"provider {result.provider}" if result.provider else f"not over EFA but {result.attempt.provider}"
    )
    message = (
        f"{result.attempt.title}: {result.best.gbps:.1f} Gbps at {_size(result.best.size_bytes)}, {named}. "
        "NIXL and the network between the nodes work; EFA does not."
    )
    return Finding(
        Level.WARN,
        "transfer",
        message,
        "Fix EFA first. This transfer was made to find the fault; it does not prove EFA.",
    )


def fabric(result: Result, planned: Planned, others: Sequence[Result] = ()) -> Finding:
    """The counters of both ends prove that the bytes went over EFA, not TCP. A silent fallback is a FAIL.

    If EFA's counters saw the whole payload at both ends, other IP traffic does not matter: a node may download a model
    meanwhile. The counters of an end include all its links: with several links, a link is without proof only if both
    its ends are.

    others: all results of the attempt.
    """
    check, command = "fabric", "cat /sys/class/infiniband/*/ports/1/hw_counters/tx_bytes"
    title = result.attempt.title
    if not planned.efa_interfaces:
        named = f" (provider {result.provider})" if result.provider else ""
        return Finding(
            Level.WARN,
            check,
            f"{planned.instance_type} has no EFA: {title} went over TCP{named}, as planned.",
            "Choose a type with EFA (`nixl-efa instance-types list --efa`).",
        )
    if result.provider and not result.provider.startswith("efa"):
        message = f"{title}: NIXL's log says provider={result.provider}: the transfer did not go over EFA."
        return Finding(Level.FAIL, check, message, _efa_remedy(planned), command)
    sent, received, payload = result.sent.sent_bytes, result.received.received_bytes, result.moved_bytes
    by_ip = min(result.sent.ip_bytes, result.received.ip_bytes)
    if not _is_unseen(result, others):
        message = (
            f"{title} went over EFA: the counters saw {_size(sent)} leave on {result.sent.devices} and "
            f"{_size(received)} arrive on {result.received.devices} of {planned.efa_interfaces} devices; "
            f"the payload was {_size(payload)}."
        )
        if result.provider:
            message += f" NIXL's log says provider={result.provider}."
        return Finding(Level.PASS, check, message, command=command)
    seen = (
        f"of {_size(payload)} by {title}, EFA's counters saw {_size(sent)} leave and {_size(received)} arrive; "
        f"{_size(by_ip)} went by IP."
    )
    if by_ip < COUNTED_SHARE * payload:
        remedy = (
            "Read the counters on both nodes before and after a transfer by hand: does the driver have them?"
        )
        return Finding(Level.FAIL, check, f"no proof that it went over EFA: {seen}", remedy, command)
    return Finding(Level.FAIL, check, f"silent fallback to TCP: {seen}", _efa_remedy(planned), command)


def _is_unseen(result: Result, others: Sequence[Result]) -> bool:
    """Whether EFA's counters lack bytes of this link."""
    lacking = {one.link: _lacking(one) for one in (*others, result) if one.rows}
    at_both = any(all(ends) for ends in lacking.values())
    return all(lacking[result.link]) if at_both else any(lacking[result.link])


def _lacking(result: Result) -> tuple[bool, bool]:
    """Whether the counters of the producer, and of the consumer, saw less than was moved."""
    return (
        result.sent.sent_bytes < COUNTED_SHARE * (result.to_send or result.moved_bytes),
        result.received.received_bytes < COUNTED_SHARE * (result.to_receive or result.moved_bytes),
    )


def _efa_remedy(planned: Planned) -> str:
    return f"Use {planned.nixl} and FI_PROVIDER=efa, as /etc/nixl-efa/env says; look at `fi_info -p efa`."


def rate(result: Result, planned: Planned, others: Sequence[Result] = (), near: str = "") -> Finding:
    """The rate, compared with the limit of the type and of the cards in use, and the latency.

    near: the network nodes that both ends share, from topology.how_near; the message has it if the link is slow.

    The cards in use are those whose counters moved. NIXL's LIBFABRIC backend sends accelerator memory over the cards
    closest to that accelerator, and host memory over all cards.
    """
    best, smallest, check = result.best, result.smallest, "transfer"
    middle = median([one.best.gbps for one in others if one.rows] or [best.gbps])
    placed = f" They {near}." if near else ""
    if best.gbps < SLOW_SHARE * middle:
        message = f"{best.gbps:.1f} Gbps, where half of the links have {middle:.1f} or more.{placed}"
        names = " and ".join(end.name for end in result.link.ends)
        remedy = f"Look at {names}: what else runs there, and in which placement or block they are."
        return Finding(Level.WARN, check, message, remedy)
    latency = f"{smallest.latency_us:.1f} us at {_size(smallest.size_bytes)}"
    if result.handshake_seconds is not None:
        latency += f", handshake {result.handshake_seconds:.2f} s, each byte as it was sent"
    if max(row.size_bytes for row in result.rows) < LEAST_MESSAGE_FOR_A_RATE:
        largest = _size(max(row.size_bytes for row in result.rows))
        return Finding(
            Level.PASS,
            check,
            f"{result.attempt.title}: {latency}. {largest} at most: this gives no rate.",
        )
    message = f"{result.attempt.title}: {best.gbps:.1f} Gbps at {_size(best.size_bytes)}"
    if planned.network_gbps:
        share = best.gbps / planned.network_gbps
        message += f", {share:.0%} of {planned.instance_type}'s {planned.network_gbps:g} Gbps"
    message += f"; {latency}."
    cards = result.sent.devices
    if not planned.efa_interfaces or not planned.network_gbps or not cards:
        return Finding(Level.PASS, check, message)
    floor = HOST_MEMORY_SHARE if result.attempt.segment == DRAM else NIXL_SHARE
    if result.attempt.tool == FI_PINGPONG:
        floor = FI_PINGPONG_SHARE
    reachable = planned.network_gbps * min(cards, planned.efa_interfaces) / planned.efa_interfaces
    message += f" {cards} of {planned.efa_interfaces} cards in use can do {reachable:g} Gbps."
    least = floor * reachable
    if result.attempt.segment == DRAM:
        least = min(least, HOST_MEMORY_GBPS)
    if best.gbps >= least:
        return Finding(Level.PASS, check, message)
    message += f" That is below {least:g} Gbps, {least / reachable:.0%} of it.{placed}"
    remedy = "Is the pair in one placement group or Capacity Block, and is anything else using the fabric?"
    if result.attempt.tool != FI_PINGPONG and best.gbps <= ONE_TCP_FLOW_GBPS:
        message += " One TCP flow gives as much."
        remedy = _efa_remedy(planned)
    return Finding(Level.WARN, check, message, remedy)


def small_writes(result: Result) -> Finding:
    """Many small writes at once complete, as needed for the blocks of a KV cache: they can hang even if large writes
    work.

    Source: ai-dynamo/nixl#1862 (several rails, up to 16 writes), #1921 (more than 16 writes).
    """
    check, seen = "small writes", result.small
    if seen is None:
        return Finding(Level.SKIP, check, f"not made: {result.attempt.title} makes none.")
    if not seen.error:
        took = f"{seen.writes} of {_size(seen.size_bytes)} in {seen.seconds:.2g} s, each byte as it was sent"
        return Finding(Level.PASS, check, f"{result.attempt.title}: {took}")
    message = f"{result.attempt.title}: not complete, although the large ones were: {seen.error}."
    remedy = "Use a NIXL that has the fix (1.3 hangs like this: ai-dynamo/nixl#1862 and #1921), or another nixl_version."  # noqa: E501
    return Finding(Level.FAIL, check, message, remedy)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
