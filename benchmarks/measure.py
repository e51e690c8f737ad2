"""Runs a command and measures it: wall time, and the peak memory of it and all its children together."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """seconds of wall time; peak memory in MiB of all the command's processes at one moment, shared pages once."""

    seconds: float
    peak_mib: float


def measure(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], runs: int = 3) -> Measured:
    """The fastest of some runs, and the peak memory of one more, which the sampling slows down.

    Raises CalledProcessError when a run fails.
    """
    return Measured(
        min(_seconds(command, cwd, environ) for _ in range(runs)), _peak_bytes(command, cwd, environ) / 2**20
    )


def _seconds(command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, cwd=cwd, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - start


def _peak_bytes(command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> int:
    peak = 0
    with subprocess.Popen(
        command, cwd=cwd, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            peak = max(peak, _proportional_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
    return peak


def _proportional_bytes(pid: int) -> int:
    """Memory of a process and everything below it, each page divided by those that share it (proc(5), Pss).

    Linux only: elsewhere, and for a process that has gone meanwhile, 0.
    """
    folder = Path("/proc", str(pid))
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
        below = [child for task in folder.glob("task/*/children") for child in task.read_text().split()]
    except OSError:
        return 0
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return own + sum(_proportional_bytes(int(child)) for child in below)
