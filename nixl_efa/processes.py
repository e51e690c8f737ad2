"""The command lines of this process's ancestors: what started it, if the system shows it."""

import os
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

# From the app up to its command line: a shell or two (cdktf-cli, cli-core's synth-stack), and what starts a program.
LEVELS = 6
_SECONDS = 2
_PROC = Path("/proc")


def started_by(programs: Collection[str], pid: int, proc: Path = _PROC) -> tuple[str, list[str]] | None:
    """The nearest process, from this one upwards, that runs one of the programs: its name and its arguments. None if
    there is none, or if it can't be seen."""
    for words in _upwards(pid, proc):
        for position, word in enumerate(words):
            # Node.js runs its script: the program is its first argument.
            if (name := PurePath(word).name) in programs:
                return name, words[position + 1 :]
    return None


def _upwards(pid: int, proc: Path) -> Iterator[list[str]]:
    for _ in range(LEVELS):
        found = _of_proc(pid, proc) or _of_ps(pid)
        if found is None:
            return
        pid, words = found
        yield words


def _of_proc(pid: int, proc: Path) -> tuple[int, list[str]] | None:
    """The parent and the arguments of a process, as Linux has them (proc(5)); None elsewhere."""
    try:
        # The program's name, in parentheses, may hold anything.
        state = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
        return int(state.split()[1]), [os.fsdecode(word) for word in words[:-1]]
    except (OSError, ValueError, IndexError):
        return None


def _of_ps(pid: int) -> tuple[int, list[str]] | None:
    """The same by ps (POSIX), as on macOS. It joins the arguments by spaces: one with a space in it comes in parts."""
    try:
        done = subprocess.run(
            ["ps", "-ww", "-o", "ppid=", "-o", "args=", "-p", str(pid)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=True,
        )
        parent, *words = done.stdout.split()
        return int(parent), words
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
