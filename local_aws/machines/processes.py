"""Processes by pid and start time: a pid alone may meanwhile belong to another program."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD, _PARENT_FIELD, _STATE_FIELD = 22, 4, 3  # proc(5), /proc/PID/stat


_UNBLOCK = """\
import os, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, [])
os.execvp(sys.argv[1], sys.argv[1:])"""


def unblocked(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` with no signal blocked. A process that waits in sigwait, as the local AWS
    does, passes its signal mask to every child; a machine would then wait forever for its processes to end."""
    return [sys.executable, "-I", "-S", "-c", _UNBLOCK, *command]


def identity(pid: int) -> str:
    """ "PID-START" of a running process; empty if there is none, or if it is a zombie."""
    fields = _stat(pid)
    if not fields or fields[_STATE_FIELD - 3] in "ZX":
        return ""
    return f"{pid}-{fields[_START_FIELD - 3]}"


def is_alive(identity_of: str) -> bool:
    """Whether exactly the process of `identity` still runs."""
    pid = identity_of.partition("-")[0]
    return pid.isdecimal() and identity(int(pid)) == identity_of


def kill(identity_of: str, seconds: float = 10.0) -> None:
    """Kill exactly the process of `identity`, and wait until it is gone. TimeoutError if it stays."""
    deadline = time.monotonic() + seconds
    while is_alive(identity_of):
        try:
            os.kill(int(identity_of.partition("-")[0]), signal.SIGKILL)
        except ProcessLookupError:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {identity_of.partition('-')[0]} can't be killed")
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """The children of a process, by pid."""
    found = (int(one.name) for one in _PROC.iterdir() if one.name.isdecimal())
    return sorted(one for one in found if _parent(one) == pid)


def is_init(pid: int) -> bool:
    """Whether it is a systemd that is the first process of a namespace."""
    try:
        status = (_PROC / str(pid) / "status").read_text(encoding="utf-8")
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return fields["Name"].strip() == "systemd" and fields["NSpid"].split()[-1] == "1"


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[_PARENT_FIELD - 3]) if fields else 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second, the name in brackets, may hold anything."""
    try:
        return (
            (_PROC / str(pid) / "stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except OSError:
        return []
