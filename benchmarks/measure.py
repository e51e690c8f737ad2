"""Runs a command and measures it: wall time, processor time and peak memory of it and all its children together."""

import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, where, and in which environment."""

    words: Sequence[str]
    cwd: Path
    environ: Mapping[str, str]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.words,
            cwd=self.cwd,
            env=dict(self.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def seconds(self) -> tuple[float, float]:
        """Of wall time, and of the processors: user and system, of every process. CalledProcessError."""
        before, began = _of_children(), time.perf_counter()
        status = self._start().wait()
        wall = time.perf_counter() - began
        if status:
            raise subprocess.CalledProcessError(status, list(self.words))
        return wall, _of_children() - before

    def peak_mib(self) -> float:
        """Memory of all processes at one moment, shared pages once; the sampling slows the run down."""
        peak = 0
        with self._start() as process:
            while process.poll() is None:
                peak = max(peak, _proportional_bytes(process.pid))
                time.sleep(SAMPLE_SECONDS)
        return peak / 2**20


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
