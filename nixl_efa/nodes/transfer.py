"""A transfer from producer to consumer: which tool with what memory, and what both ends' outputs amount to. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nixl_efa.nodes import bench, nixl_log
from nixl_efa.nodes.counters import Moved, counters, moved
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import CONSUMER, PRODUCER, PairOutputs
from nixl_efa.nodes.parse import json_object, objects
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import MISSING, TIMED_OUT, Section, script

NIXL, NIXLBENCH, FI_PINGPONG = "nixl", "nixlbench", "fi_pingpong"
VRAM, DRAM = "VRAM", "DRAM"
# nixl_transfer.py's steps at which an end may have failed ("connect": the other end was not there), and of ours: it
# printed nothing.
START, HANDSHAKE, TRANSFER, CONNECT, ENDED = "start", "handshake", "transfer", "connect", "ended"
_KNOWN_LEAST = {ENDED: 1, CONNECT: 2}
# Ten tries of the end that connects and the tool's own limit (transfer.sh).
TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to move bytes.

    backend:  of NIXL; for fi_pingpong the provider of libfabric.
    segment:  the memory that is sent, the accelerator's (VRAM) or the host's (DRAM).
    provider: of libfabric in the place of the one that the nodes are set to; empty: that one.
    """

    tool: str
    backend: str
    segment: str
    provider: str = ""

    @property
    def title(self) -> str:
        """The attempt in words."""
        if self.tool == FI_PINGPONG:
            return f"fi_pingpong ({self.backend}, one device)"
        name = "NIXL" if self.tool == NIXL else self.tool
        over = f" over {self.provider}" if self.provider else ""
        return f"{name} ({self.backend}{over}, {self.segment})"


@dataclass(frozen=True, slots=True)
class Small:
    """What came of many small writes at once: so many of a size in so many seconds, or an error."""

    writes: int
    size_bytes: int
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt gave. rows is empty when it failed; error then says why, in one line, and step where.

    sent, received:    what the counters of producer and consumer saw go over EFA and by IP.
    provider:          of libfabric, as NIXL's log names it; empty when it does not.
    handshake_seconds: until NIXL's first notification had gone to and fro; None when it was not measured.
    small:             what came of small writes; None when none were made.
    """

    attempt: Attempt
    rows: tuple[bench.Row, ...]
    error: str
    sent: Moved
    received: Moved
    provider: str = ""
    step: str = ""
    handshake_seconds: float | None = None
    small: Small | None = None

    @property
    def best(self) -> bench.Row:
        """The row with the highest rate."""
        return max(self.rows, key=lambda row: row.gbps)

    @property
    def smallest(self) -> bench.Row:
        """The row with the smallest message: its latency is the fabric's."""
        return min(self.rows, key=lambda row: row.size_bytes)

    @property
    def moved_bytes(self) -> int:
        """The least that the tool must have moved from producer to consumer."""
        return sum(row.moved_bytes for row in self.rows)


def attempts(facts: Mapping[str, NodeFacts], planned: Planned) -> tuple[Attempt, ...]:
    """NIXL with the backend of the plan: from host memory, then from that of NVIDIA GPUs where the backend reaches it.

    None where NIXL is neither installed by us nor found.
    """
    if not planned.nixl_version and not all(one.nixl.version for one in facts.values()):
        return ()
    from_gpus = planned.accelerator_kind == "nvidia" and not planned.nixl.host_memory
    return tuple(Attempt(NIXL, planned.nixl.name, one) for one in ((DRAM, VRAM) if from_gpus else (DRAM,)))


def witnesses(facts: Mapping[str, NodeFacts], planned: Planned) -> tuple[Attempt, ...]:
    """What is asked when our transfer with NIXL moves nothing: nixlbench where both nodes have it, then fi_pingpong."""
    from_bench = (Attempt(NIXLBENCH, planned.nixl.name, DRAM),)
    has_bench = all(one.nixlbench for one in facts.values())
    return (*(from_bench if has_bench else ()), Attempt(FI_PINGPONG, planned.nixl.fabric.lower(), DRAM))


def diagnosis(planned: Planned) -> tuple[Attempt, ...]:
    """What is asked when nothing moves over EFA: do NIXL and the network between the nodes work without it?"""
    return (Attempt(NIXL, "LIBFABRIC", DRAM, "tcp"),) if planned.efa_interfaces else ()


def scripts(attempt: Attempt, pair: PairOutputs) -> Mapping[str, Script]:
    """The script of each end, by instance id."""
    text = script("transfer.sh")
    program = script("nixl_transfer.py") if attempt.tool == NIXL else ""
    return {
        node.instance_id: Script(
            text,
            (
                attempt.tool,
                node.name,
                pair.producer.private_ip,
                pair.consumer.private_ip,
                attempt.backend,
                attempt.segment,
                attempt.provider,
                program,
            ),
        )
        for node in pair.nodes
    }


def result(attempt: Attempt, ends: Mapping[str, Mapping[str, Section]]) -> Result:
    """The result from both ends' sections, by node name. The producer's output has the figures."""
    counted = _moved(ends[PRODUCER]), _moved(ends[CONSUMER])
    if attempt.tool == NIXL:
        return _of_nixl(attempt, ends, *counted)
    printed = {name: found.get("transfer", MISSING) for name, found in ends.items()}
    provider = nixl_log.read(printed[PRODUCER].text).provider
    if failed := [f"{name}: {_why(one.text, one)}" for name, one in printed.items() if one.code != 0]:
        return Result(attempt, (), "; ".join(failed), *counted, provider, CONNECT)
    rows = (bench.nixlbench if attempt.tool == NIXLBENCH else bench.fi_pingpong)(printed[PRODUCER].text)
    error = "" if rows else f"{attempt.tool} printed no figures"
    return Result(attempt, rows, error, *counted, provider, CONNECT)


def failed(attempt: Attempt, error: str) -> Result:
    """The result of an attempt of which nothing can be read."""
    nothing = Moved(0, 0, 0, 0)
    return Result(attempt, (), error, nothing, nothing)


def _of_nixl(
    attempt: Attempt, ends: Mapping[str, Mapping[str, Section]], sent: Moved, received: Moved
) -> Result:
    """The result of nixl_transfer.py: its documents stand in "transfer", NIXL's log in "log"."""
    provider = nixl_log.read(ends[PRODUCER].get("log", MISSING).text).provider
    document = json_object(ends[PRODUCER].get("transfer", MISSING).last_line)
    if document is None or document["error"]:
        step, error = _cause({name: _failure(found) for name, found in ends.items()})
        return Result(attempt, (), error, sent, received, provider, step)
    # What became of small writes stands in the peer's part, whatever the consumer's document says of them.
    peer = objects(document, "peers")[0]
    rows = tuple(bench.Row(**row) for row in objects(peer, "rows"))
    handshake, small = peer["handshake_seconds"], Small(**peer["small"])
    return Result(attempt, rows, "", sent, received, provider, TRANSFER, handshake, small)


def _cause(failures: Mapping[str, tuple[str, str] | None]) -> tuple[str, str]:
    """Step and words of the end that knows the cause: not of one that lacks the other, nor that was ended, if there is
    another. Both names stand before words that both say."""
    known = {name: failure for name, failure in failures.items() if failure}
    step, words = min(known.values(), key=lambda failure: _KNOWN_LEAST.get(failure[0], 0))
    names = " and ".join(name for name, failure in known.items() if failure[1] == words)
    return step, f"{names}: {words}"


def _failure(found: Mapping[str, Section]) -> tuple[str, str] | None:
    """Where and why an end failed; None when it did not."""
    printed, log = found.get("transfer", MISSING), found.get("log", MISSING)
    document: Mapping[str, Any] | None = json_object(printed.last_line)
    if document is None:
        return ENDED, _why(log.text, printed)
    if not document["error"]:
        return None
    said = _said(log.text)
    # NIXL's exceptions have a code alone; its log has the words.
    words = f" ({said})" if said and document["error"].startswith("NIXL_ERR") else ""
    return document["step"], document["error"] + words


def _said(log: str) -> str:
    """Why NIXL failed, in its own words: why a plugin does not load, else its first error."""
    not_loaded = re.search(r"Failed to load plugin from \S+/(\S+: .+)$", log, re.MULTILINE)
    errors = nixl_log.read(log).errors
    return not_loaded[1] if not_loaded else errors[0] if errors else ""


def _why(log: str, end: Section) -> str:
    """What a tool that failed says: NIXL's error, else its last line."""
    said = _said(log) or end.last_line or Section(log, 0).last_line
    if end.code == TIMED_OUT:
        return "it did not end in its time" + (f" ({said})" if said else "")
    return said or f"exit code {end.code}"


def _moved(sections: Mapping[str, Section]) -> Moved:
    before, after = (sections.get(f"counters_{when}", MISSING).text for when in ("before", "after"))
    return moved(counters(before), counters(after))
