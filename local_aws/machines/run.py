"""What one local AWS creates for its machines: namespaces, a bridge, control groups and a folder, all removed with it.

The namespaces belong to a process (holder.py) that ends with the local AWS, also if that is killed. Then only folders
and empty cgroups can be left. Their names have the pid and start time of their owner, so that the next run finds and
removes them.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from local_aws.machines import processes
from local_aws.machines.failure import CannotBootError, run
from local_aws.machines.recipe import METADATA_ADDRESS

BRIDGE = "nodes"
_RUNS, _HOLDER_FILE = "runs", "holder"
_CGROUPS = Path("/sys/fs/cgroup")
_WHAT = "machines can't run here"


class Run:
    """The namespaces of one run. `folder` holds what its machines write; `tree` is the root that they boot from, and
    `layers` are folders that lie over it, each with files at their places."""

    def __init__(self, home: Path, tree: Path, layers: Sequence[Path] = ()) -> None:
        """Clean up after runs that were killed, and start one. CannotBootError if no namespace can be created."""
        _tree_of_cgroups()
        clean_up(home)
        self.tree = tree
        self._lower = ":".join(map(str, (*layers, tree)))
        self.name = processes.identity(os.getpid())
        self.folder = home / _RUNS / self.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self._process = _start_holder()
            [holder] = processes.children_of(self._process.pid) or [0]
            if not holder:
                raise CannotBootError(f"{_WHAT}: the process that holds their namespaces has ended")
            self.holder = holder
            (self.folder / _HOLDER_FILE).write_text(processes.identity(holder), encoding="utf-8")
            self.overlay(self.folder / "trial")
            self.remove_overlay(self.folder / "trial")
            self.inside(["ip", "link", "set", "lo", "up"])
            self.inside(["ip", "link", "add", BRIDGE, "type", "bridge"])
            self.inside(["ip", "link", "set", BRIDGE, "up"])
            self.inside(["ip", "address", "add", f"{METADATA_ADDRESS}/32", "dev", BRIDGE])
        except BaseException:
            self.close()
            raise

    def overlay(self, folder: Path) -> Path:
        """A writable copy of the root in `folder`, mounted only for the run; returns its path there."""
        upper, work, merged = (folder / name for name in ("upper", "work", "merged"))
        for each in (upper, work, merged):
            each.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={self._lower},upperdir={upper},workdir={work}"
        self.inside(["mount", "-t", "overlay", "-o", options, "overlay", str(merged)])
        return merged

    def remove_overlay(self, folder: Path) -> None:
        """Unmount and remove it."""
        self.inside(["umount", str(folder / "merged")])
        shutil.rmtree(folder)

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` with the run's mounts, network and processes."""
        inside = ["nsenter", f"--target={self.holder}", "--mount", "--net", "--pid", "--", *command]
        return processes.unblocked(inside)

    def inside(self, command: Sequence[str]) -> str:
        """Run a short program in the run's namespaces; `ip` is the root's own."""
        if command[0] == "ip":
            command = ["chroot", str(self.tree), *command]
        return run(self.command(command), _WHAT)

    def listen(self) -> socket.socket:
        """A socket that listens where machines look for their instance's metadata; this host can't reach it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            program = [sys.executable, "-I", str(Path(__file__).with_name("listener.py"))]
            command = self.command([*program, str(theirs.fileno()), METADATA_ADDRESS, "80"])
            done = subprocess.run(
                command, pass_fds=[theirs.fileno()], capture_output=True, check=False, text=True
            )
            if done.returncode:
                raise CannotBootError(f"{_WHAT}: no metadata service: {done.stderr.strip().splitlines()[-1]}")
            _, [listener], _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=listener)

    def cgroup(self, name: str) -> Path:
        """A control group for a machine; the machine's systemd sees it as the root group."""
        folder = _tree_of_cgroups() / f"nixl-efa-{self.name}" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """End every machine, and delete their files."""
        process = getattr(self, "_process", None)
        if process is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        _remove(self.folder)


def clean_up(home: Path) -> list[str]:
    """Remove what killed runs have left; returns the names of those runs."""
    left = []
    for folder in (home / _RUNS).glob("*"):
        if not processes.is_alive(folder.name):
            left.append(folder.name)
            with suppress(OSError):
                processes.kill((folder / _HOLDER_FILE).read_text(encoding="utf-8"))
            _remove(folder)
    return left


def _start_holder() -> subprocess.Popen[bytes]:
    command = [
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--ipc",
        "--",
    ]
    process = subprocess.Popen(
        [*command, sys.executable, "-I", str(Path(__file__).with_name("holder.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C in the terminal is for the local AWS, which then ends this process.
        start_new_session=True,
    )
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        said = process.communicate()[1].decode(errors="replace").strip().splitlines()
        raise CannotBootError(f"{_WHAT}: {said[-1] if said else 'no namespaces'}")
    return process


def _tree_of_cgroups() -> Path:
    """The control groups of version 2, alone or beside those of version 1. Version 1 does not work: a systemd in a
    container gets no notice when one of its groups is empty, and waits for services that have already ended."""
    found = next(
        (path for path in (_CGROUPS, _CGROUPS / "unified") if (path / "cgroup.controllers").exists()), None
    )
    if found is None:
        raise CannotBootError(f"{_WHAT}: this machine has no control groups of version 2 below {_CGROUPS}")
    return found


def _remove(folder: Path) -> None:
    """The folder of a run whose processes are gone, and its empty control groups."""
    # systemd-nspawn makes the group in version 1's own hierarchy of systemd too.
    for pattern in (f"nixl-efa-{folder.name}", f"*/nixl-efa-{folder.name}"):
        for group in _CGROUPS.glob(pattern):
            for path, _, _ in os.walk(group, topdown=False):
                _remove_cgroup(Path(path))
    shutil.rmtree(folder, ignore_errors=True)


def _remove_cgroup(folder: Path) -> None:
    # Killed processes leave a group only after a short time.
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
