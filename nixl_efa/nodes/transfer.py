"""Transfers from producers to consumers: on which links, with which tool, and the results from the outputs. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nixl_efa.nodes import bench, nixl_log
from nixl_efa.nodes.counters import Moved, counters, moved
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import Node
from nixl_efa.nodes.parse import json_object, objects
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import MISSING, TIMED_OUT, Section, script

NIXL, NIXLBENCH, FI_PINGPONG = "nixl", "nixlbench", "fi_pingpong"
VRAM, DRAM = "VRAM", "DRAM"
# The steps of nixl_transfer.py at which an end can fail ("connect": the other end did not answer), and one of ours: it
# printed nothing.
START, HANDSHAKE, TRANSFER, CONNECT, ENDED = "start", "handshake", "transfer", "connect", "ended"
_KNOWN_LEAST = {ENDED: 1, CONNECT: 2}
# At most so many links are measured; more only if a node would otherwise be in none.
MOST_LINKS = 16
# How long an end waits for another one, which may be busy with another transfer; and the additional time for the tools'
# own limits and for ten attempts of the connecting end (transfer.sh).
PEER_SECONDS, LINK_SECONDS, TOOL_SECONDS = 60, 20, 240


@dataclass(frozen=True, slots=True)
class Link:
    """A producer that writes to a consumer."""

    producer: Node
    consumer: Node

    @property
    def ends(self) -> tuple[Node, Node]:
        """Both ends, the producer first."""
        return (self.producer, self.consumer)

    def __str__(self) -> str:
        return f"{self.producer.name} -> {self.consumer.name}"


def links(producers: Sequence[Node], consumers: Sequence[Node]) -> tuple[Link, ...]:
    """From each producer to each consumer, in rounds; in a round, a node is in one link at most.

    If there are more than MOST_LINKS, a part of them that contains every node.
    """
    few, many = sorted((producers, consumers), key=len)
    if not few:
        return ()
    covering = [first % len(many) for first in range(0, len(many), len(few))]
    shifts = list(dict.fromkeys((*covering, *range(len(many)))))
    rounds = max(len(covering), MOST_LINKS // len(few))
    chosen = [
        (one, many[(place + shift) % len(many)]) for shift in shifts[:rounds] for place, one in enumerate(few)
    ]
    return tuple(Link(one, other) if few is producers else Link(other, one) for one, other in chosen)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to move bytes.

    backend: NIXL's backend; for fi_pingpong, the provider of libfabric.
    segment: the memory from which bytes are sent: the accelerator's (VRAM) or the host's (DRAM).
    provider: of libfabric, instead of the one that is set on the nodes; empty: the one that is set.
    """

    tool: str
    backend: str
    segment: str
    provider: str = ""

    @property
    def title(self) -> str:
        """The attempt as text."""
        if self.tool == FI_PINGPONG:
            return f"fi_pingpong ({self.backend}, one device)"
        name = "NIXL" if self.tool == NIXL else self.tool
        over = f" over {self.provider}" if self.provider else ""
        return f"{name} ({self.backend}{over}, {self.segment})"


@dataclass(frozen=True, slots=True)
class Small:
    """The result of many small writes at once: their number, their size and the seconds that they took, or an error."""

    writes: int
    size_bytes: int
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an attempt on a link. If it failed, rows is empty, error says why, in one line, and step says
    where.

    sent, received: bytes over EFA and over IP by the counters of the producer and the consumer, for all their links.
    to_send, to_receive: the least bytes that the tool must have moved on all links of the producer, of the consumer.
    provider:          of libfabric, as NIXL's log names it; empty when it does not.
    handshake_seconds: until NIXL's first notification had arrived in both directions; None if it was not measured.
    small: the result of small writes; None if there were none.
    """

    attempt: Attempt
    link: Link
    rows: tuple[bench.Row, ...]
    error: str
    sent: Moved
    received: Moved
    provider: str = ""
    step: str = ""
    handshake_seconds: float | None = None
    small: Small | None = None
    to_send: int = 0
    to_receive: int = 0

    @property
    def best(self) -> bench.Row:
        """The row with the highest rate."""
        return max(self.rows, key=lambda row: row.gbps)

    @property
    def smallest(self) -> bench.Row:
        """The row with the smallest message: its latency is that of the fabric."""
        return min(self.rows, key=lambda row: row.size_bytes)

    @property
    def moved_bytes(self) -> int:
        """The least that the tool must have moved on the link."""
        return sum(row.moved_bytes for row in self.rows)


def attempts(facts: Mapping[str, NodeFacts], planned: Planned) -> tuple[Attempt, ...]:
    """NIXL with the planned backend: from host memory, then from NVIDIA GPU memory if the backend can access it.

    None if NIXL is neither installed by us nor found.
    """
    if not planned.nixl_version and not all(one.nixl.version for one in facts.values()):
        return ()
    from_gpus = planned.accelerator_kind == "nvidia" and not planned.nixl.host_memory
    return tuple(Attempt(NIXL, planned.nixl.name, one) for one in ((DRAM, VRAM) if from_gpus else (DRAM,)))


def witnesses(facts: Mapping[str, NodeFacts], planned: Planned) -> tuple[Attempt, ...]:
    """The tools for a link on which our transfer with NIXL moves nothing: nixlbench if the nodes have it, then
    fi_pingpong."""
    from_bench = (Attempt(NIXLBENCH, planned.nixl.name, DRAM),)
    has_bench = all(one.nixlbench for one in facts.values())
    return (*(from_bench if has_bench else ()), Attempt(FI_PINGPONG, planned.nixl.fabric.lower(), DRAM))


def diagnosis(planned: Planned) -> tuple[Attempt, ...]:
    """The attempt if nothing moves over EFA: do NIXL and the network between the nodes work without it?"""
    return (Attempt(NIXL, "LIBFABRIC", DRAM, "tcp"),) if planned.efa_interfaces else ()


def scripts(attempt: Attempt, chosen: Sequence[Link]) -> Mapping[str, Script]:
    """The script of each end, by instance id."""
    text = script("transfer.sh")
    program = script("nixl_transfer.py") if attempt.tool == NIXL else ""
    ends: dict[Node, list[Node]] = {}
    for link in chosen:
        ends.setdefault(link.producer, []).append(link.consumer)
        ends.setdefault(link.consumer, []).append(link.producer)
    wait = PEER_SECONDS + LINK_SECONDS * (max(map(len, ends.values())) - 1)
    return {
        node.instance_id: Script(
            text,
            (
                attempt.tool,
                node.role,
                node.private_ip,
                " ".join(peer.private_ip for peer in peers),
                attempt.backend,
                attempt.segment,
                attempt.provider,
                str(wait),
                program,
            ),
        )
        for node, peers in ends.items()
    }


def limit_seconds(chosen: Sequence[Link]) -> int:
    """How long an end may take."""
    return TOOL_SECONDS + PEER_SECONDS + LINK_SECONDS * (len(chosen) - 1)


def results(
    attempt: Attempt, chosen: Sequence[Link], ends: Mapping[str, Mapping[str, Section] | str]
) -> tuple[Result, ...]:
    """The result of each link. ends: by the node's name, its sections, or why there is no output."""
    found = [_result(attempt, link, ends) for link in chosen]
    return tuple(
        replace(
            one,
            to_send=sum(other.moved_bytes for other in found if other.link.producer == one.link.producer),
            to_receive=sum(other.moved_bytes for other in found if other.link.consumer == one.link.consumer),
        )
        for one in found
    )


def _result(attempt: Attempt, link: Link, ends: Mapping[str, Mapping[str, Section] | str]) -> Result:
    nothing = Moved(0, 0, 0, 0)
    producer, consumer = ends[link.producer.name], ends[link.consumer.name]
    if isinstance(producer, str) or isinstance(consumer, str):
        problems = "; ".join(one.rstrip(".") for one in (producer, consumer) if isinstance(one, str))
        return Result(attempt, link, (), problems, nothing, nothing)
    counted = _moved(producer), _moved(consumer)
    if attempt.tool == NIXL:
        return _of_nixl(attempt, link, producer, consumer, *counted)
    printed = {
        node.name: found.get("transfer", MISSING)
        for node, found in zip(link.ends, (producer, consumer), strict=True)
    }
    output = printed[link.producer.name].text
    provider = nixl_log.read(output).provider
    if failed := [f"{name}: {_why(one.text, one)}" for name, one in printed.items() if one.code != 0]:
        return Result(attempt, link, (), "; ".join(failed), *counted, provider, CONNECT)
    rows = (bench.nixlbench if attempt.tool == NIXLBENCH else bench.fi_pingpong)(output)
    error = "" if rows else f"{attempt.tool} printed no figures"
    return Result(attempt, link, rows, error, *counted, provider, CONNECT)


def _of_nixl(
    attempt: Attempt,
    link: Link,
    producer: Mapping[str, Section],
    consumer: Mapping[str, Section],
    sent: Moved,
    received: Moved,
) -> Result:
    """The result of nixl_transfer.py: its documents are in "transfer", NIXL's log in "log"."""
    provider = nixl_log.read(producer.get("log", MISSING).text).provider
    peer = _peer(producer, link.consumer)
    if peer is None or peer["error"]:
        step, error = _cause(
            {
                link.producer.name: _failure(producer, link.consumer),
                link.consumer.name: _failure(consumer, link.producer),
            }
        )
        return Result(attempt, link, (), error, sent, received, provider, step)
    # The result of small writes is in the peer's part, also if the consumer's document says something else about them.
    rows = tuple(bench.Row(**row) for row in objects(peer, "rows"))
    handshake, small = peer["handshake_seconds"], Small(**peer["small"])
    return Result(attempt, link, rows, "", sent, received, provider, TRANSFER, handshake, small)


def _peer(found: Mapping[str, Section], other: Node) -> Mapping[str, Any] | None:
    """The part of an end's document about the transfer with another node; None if there is none."""
    document = json_object(found.get("transfer", MISSING).last_line) or {}
    return next((one for one in objects(document, "peers") if one["address"] == other.private_ip), None)


def _cause(failures: Mapping[str, tuple[str, str] | None]) -> tuple[str, str]:
    """Step and error of the end that knows the cause: if possible, not of an end that did not reach the other, or that
    was killed. If both ends have the same error, it begins with both names."""
    known = {name: failure for name, failure in failures.items() if failure}
    if not known:
        return ENDED, "neither end reported it"
    step, words = min(known.values(), key=lambda failure: _KNOWN_LEAST.get(failure[0], 0))
    names = " and ".join(name for name, failure in known.items() if failure[1] == words)
    return step, f"{names}: {words}"


def _failure(found: Mapping[str, Section], other: Node) -> tuple[str, str] | None:
    """Where and why an end failed with another node; None if it did not fail, or has no record of it."""
    printed, log = found.get("transfer", MISSING), found.get("log", MISSING)
    document: Mapping[str, Any] | None = json_object(printed.last_line)
    if document is None:
        return ENDED, _why(log.text, printed)
    told = _peer(found, other) or {"step": CONNECT, "error": ""}
    # A consumer to which no producer connected has a part without an address.
    nobody = next((one for one in objects(document, "peers") if not one["address"]), {"error": ""})
    step, error = (
        (START, document["error"]) if document["error"] else (told["step"], told["error"] or nobody["error"])
    )
    if not error:
        return None
    said = _said(log.text)
    # NIXL's exceptions have only a code; its log has the message.
    words = f" ({said})" if said and error.startswith("NIXL_ERR") else ""
    return step, error + words


def _said(log: str) -> str:
    """Why NIXL failed, in its own words: why a plugin does not load, else its first error."""
    not_loaded = re.search(r"Failed to load plugin from \S+/(\S+: .+)$", log, re.MULTILINE)
    errors = nixl_log.read(log).errors
    return not_loaded[1] if not_loaded else errors[0] if errors else ""


def _why(log: str, end: Section) -> str:
    """The error of a tool that failed: NIXL's error, else its last line."""
    said = _said(log) or end.last_line or Section(log, 0).last_line
    if end.code == TIMED_OUT:
        return "it did not finish in time" + (f" ({said})" if said else "")
    return said or f"exit code {end.code}"


def _moved(sections: Mapping[str, Section]) -> Moved:
    before, after = (sections.get(f"counters_{when}", MISSING).text for when in ("before", "after"))
    return moved(counters(before), counters(after))
