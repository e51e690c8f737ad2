"""Many runs, and what is said when one of them finds something. SEED=: the first seed. RUNS=: how many in all."""

import os
import tempfile
from collections import Counter
from pathlib import Path

from tests.campaign import disk
from tests.campaign.clients import Fault
from tests.campaign.run import Result, run

FIRST_SEED, RUNS, PARTS = 20261125, 10_000, 10


def part(number: int) -> range:
    """The seeds of one of the PARTS."""
    first, runs = int(os.environ.get("SEED", FIRST_SEED)), int(os.environ.get("RUNS", RUNS))
    return range(first, first + runs)[number::PARTS]


def check(seeds: range) -> None:
    """Plays the seeds. AssertionError with the shortest history in which something was violated."""
    bad: list[Result] = []
    found: Counter[str] = Counter()
    struck: Counter[Fault] = Counter()
    ends: Counter[str] = Counter()
    bought = 0
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch, disk.watched():
        for seed in seeds:
            result = run(seed, Path(scratch))
            bought += result.bought
            struck.update(result.struck)
            ends.update(command.how for command in result.history.commands.values())
            found.update({name for name, _ in result.violations})
            if result.violations:
                bad.append(result)
    assert not bad, _report(bad, found, len(seeds))
    if len(seeds) >= RUNS // PARTS:
        # What the runs are there for has happened in them.
        assert bought >= len(seeds)
        assert all(struck[fault] for fault in Fault)
        assert all(ends[how] >= len(seeds) // 50 for how in ("done", "refused", "killed", "interrupted"))


def _memory() -> str | None:
    """Where state directories cost no disk: most of a run would be waiting for it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _report(bad: list[Result], found: Counter[str], runs: int) -> str:
    shortest = min(bad, key=lambda result: len(result.history.lines))
    counts = "\n".join(f"  {count:6} {name}" for name, count in found.most_common())
    violations = "\n".join(f"  {name}: {text}" for name, text in shortest.violations)
    seeds = " ".join(str(result.seed) for result in bad[:10])
    return (
        f"{len(bad)} of {runs} runs (seeds {seeds}):\n{counts}\n"
        f"The shortest, SEED={shortest.seed} RUNS=1:\n{shortest.history.text()}\n{violations}"
    )
