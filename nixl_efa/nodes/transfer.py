"""A transfer from producer to consumer: which tool with what memory, and what both ends' outputs amount to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nixl_efa.nodes import bench, nixl_log
from nixl_efa.nodes.counters import Moved, counters, moved
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import CONSUMER, PRODUCER, PairOutputs
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import MISSING, Section, script

NIXLBENCH, FI_PINGPONG = "nixlbench", "fi_pingpong"
VRAM, DRAM = "VRAM", "DRAM"
# Ten tries of the end that connects and the tool's own limit, large and small (transfer.sh).
TIMEOUT_SECONDS = 300
# The exit code of timeout(1) when it has ended its command.
TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to measure.

    backend: of NIXL; for fi_pingpong the provider of libfabric.
    segment: the memory that is sent, the accelerator's (VRAM) or the host's (DRAM).
    """

    tool: str
    backend: str
    segment: str

    @property
    def title(self) -> str:
        """The attempt in words."""
        if self.tool == NIXLBENCH:
            return f"nixlbench ({self.backend}, {self.segment})"
        return f"fi_pingpong ({self.backend}, one device)"


@dataclass(frozen=True, slots=True)
class Small:
    """What came of transfers of a few small writes: rows, or an error that says why there are none."""

    rows: tuple[bench.Row, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt gave. rows is empty when it failed; error then says why, in one line.

    sent, received: what the counters of producer and consumer saw go over EFA and by IP.
    provider:       of libfabric, as NIXL's log names it; empty when it does not.
    small:          what came of small writes.
    """

    attempt: Attempt
    rows: tuple[bench.Row, ...]
    error: str
    sent: Moved
    received: Moved
    provider: str = ""
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
    """The ways to measure, the best first: nixlbench where both nodes have it, then fi_pingpong.

    From accelerator memory where there are NVIDIA GPUs that NIXL's backend reaches; then from host memory.
    """
    from_gpus = planned.accelerator_kind == "nvidia" and not planned.nixl.host_memory
    segments = (VRAM, DRAM) if from_gpus else (DRAM,)
    bench_attempts = tuple(Attempt(NIXLBENCH, planned.nixl.name, segment) for segment in segments)
    has_bench = all(one.nixlbench for one in facts.values())
    provider = planned.nixl.fabric.lower()
    return (*(bench_attempts if has_bench else ()), Attempt(FI_PINGPONG, provider, DRAM))


def scripts(attempt: Attempt, pair: PairOutputs) -> Mapping[str, Script]:
    """The script of each end, by instance id."""
    text = script("transfer.sh")
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
            ),
        )
        for node in pair.nodes
    }


def result(attempt: Attempt, ends: Mapping[str, Mapping[str, Section]]) -> Result:
    """The result from both ends' sections, by node name. The producer's output has the figures."""
    rows, error = _figures(attempt, {name: found.get("transfer", MISSING) for name, found in ends.items()})
    small = None
    if rows and attempt.tool == NIXLBENCH:
        small = Small(*_figures(attempt, {name: found.get("small", MISSING) for name, found in ends.items()}))
    provider = nixl_log.read(ends[PRODUCER].get("transfer", MISSING).text).provider
    return Result(attempt, rows, error, _moved(ends[PRODUCER]), _moved(ends[CONSUMER]), provider, small)


def failed(attempt: Attempt, error: str) -> Result:
    """The result of an attempt of which nothing can be read."""
    nothing = Moved(0, 0, 0, 0)
    return Result(attempt, (), error, nothing, nothing)


def _figures(attempt: Attempt, ends: Mapping[str, Section]) -> tuple[tuple[bench.Row, ...], str]:
    """The producer's rows, or none and why."""
    if failed := [f"{name}: {_why(one)}" for name, one in ends.items() if one.code != 0]:
        return (), "; ".join(failed)
    rows = (bench.nixlbench if attempt.tool == NIXLBENCH else bench.fi_pingpong)(ends[PRODUCER].text)
    return rows, "" if rows else f"{attempt.tool} printed no figures"


def _why(end: Section) -> str:
    """What a tool that failed says: NIXL's first error, else its last line."""
    errors = nixl_log.read(end.text).errors
    said = errors[0] if errors else end.last_line
    if end.code == TIMED_OUT:
        return "it did not end in its time" + (f" ({said})" if said else "")
    return said or f"exit code {end.code}"


def _moved(sections: Mapping[str, Section]) -> Moved:
    before, after = (sections.get(f"counters_{when}", MISSING).text for when in ("before", "after"))
    return moved(counters(before), counters(after))
