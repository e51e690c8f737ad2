"""One machine: a writable copy of the root, started by systemd-nspawn, with cloud-init's seed of its instance."""

import json
import os
import platform
import shlex
import signal
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_aws.machines import processes
from local_aws.machines.run import BRIDGE, Run

# How long a machine may take to power off: its services have 10 s (recipe.py).
_OFF_SECONDS = 20.0
# The exit code of systemd-nspawn with --keep-unit when the machine asked for a reboot (its source, EXIT_FORCE_RESTART).
REBOOT = 133
_SEED = "/var/lib/cloud/seed/nocloud"
_NETWORK = "/etc/systemd/network/10-host0.network"
_READY = "run/dbus/system_bus_socket"
_ENVIRON = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What the local AWS gave an instance. address: with the length of its subnet's prefix, "172.31.0.4/20"."""

    instance_id: str
    address: str
    mac: str
    gateway: str
    hostname: str
    user_data: bytes


class Machine:
    """A machine that can be started and powered off many times; its files stay until it is removed."""

    def __init__(self, run: Run, instance_id: str) -> None:
        self._run = run
        self._name = instance_id
        self._folder = run.folder / instance_id
        self._process: subprocess.Popen[bytes] | None = None
        self.leader: int | None = None

    def start(self, identity: Identity) -> None:
        """Power on. Its console output goes to console.log in its folder."""
        if not self._folder.exists():
            self._run.overlay(self._folder)
        _write_seed(self._folder / "seed", identity)
        _write_network(self._folder / "network", identity)
        gateway = f"{identity.gateway}/{identity.address.rpartition('/')[2]}"
        self._run.inside(["ip", "address", "replace", gateway, "dev", BRIDGE])
        cgroup = self._run.cgroup(self._name)
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                self._run.command(["sh", "-c", self._script(identity.hostname, cgroup)]),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                # Also if this host itself uses version 1 of control groups (run.py says why).
                env={**_ENVIRON, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )

    def look(self) -> int | None:
        """The exit code of systemd-nspawn, once, when the machine has ended by itself; None while it runs or is off.

        Also finds the machine's first process, once it exists.
        """
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            self._process = self.leader = None
        elif self.leader is None:
            self.leader = self._find_leader()
        return code

    @property
    def console(self) -> Path:
        """The file with its console output."""
        return self._folder / "console.log"

    @property
    def is_on(self) -> bool:
        """Whether it is powered on."""
        return self._process is not None

    @property
    def is_up(self) -> bool:
        """Whether it runs and its systemd takes orders."""
        return self.leader is not None and self.path(_READY).exists()

    def path(self, name: str) -> Path:
        """A file of the running machine, as this process reaches it."""
        return Path(f"/proc/{self.leader}/root", name.lstrip("/"))

    def enter(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a program in the machine, beside its services."""
        return processes.unblocked(["nsenter", f"--target={self.leader}", "--all", "--", *command])

    def service(
        self, unit: str, command: Sequence[str], *, folder: str = "/", seconds: float
    ) -> subprocess.Popen[bytes]:
        """Run a program as a service of the machine, which gives it the limits and the environment of one."""
        inside = [
            *("/usr/bin/systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={unit}"),
            *(f"--working-directory={folder}", f"--property=RuntimeMaxSec={seconds:g}", "--", *command),
        ]
        return subprocess.Popen(
            self.enter(inside),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRON,
            start_new_session=True,
        )

    def power_off(self) -> None:
        """Shut down cleanly; what does not end in time is killed."""
        process, nspawn = self._process, self._nspawn()
        if process is None:
            return
        if nspawn is not None:
            with suppress(ProcessLookupError):
                os.kill(nspawn, signal.SIGTERM)  # systemd-nspawn(1): an orderly shutdown of the machine
            with suppress(subprocess.TimeoutExpired):
                process.wait(_OFF_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill it, as when a power plug is pulled."""
        process, nspawn = self._process, self._nspawn()
        if process is None:
            return
        for pid in (self.leader, nspawn, process.pid):
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()
        self._process = self.leader = None

    def remove(self) -> None:
        """Power off at once and delete its files."""
        self.kill()
        if self._folder.exists():
            self._run.remove_overlay(self._folder)

    def _nspawn(self) -> int | None:
        children = [] if self._process is None else processes.children_of(self._process.pid)
        return children[0] if children else None

    def _find_leader(self) -> int | None:
        nspawn = self._nspawn()
        children = [] if nspawn is None else processes.children_of(nspawn)
        return next((pid for pid in children if processes.is_init(pid)), None)

    def _script(self, hostname: str, cgroup: Path) -> str:
        """A shell script that joins the control group and becomes systemd-nspawn. That program and its libraries come
        from the root, so that this host needs no systemd."""
        libraries = self._run.tree / f"usr/lib/{platform.machine()}-linux-gnu"
        loader = next(
            path for path in (*libraries.glob("ld-linux-*"), *self._run.tree.glob("usr/lib*/ld-linux-*"))
        )
        nspawn = [
            *(str(loader), "--library-path", f"{libraries}:{libraries}/systemd"),
            *(
                str(self._run.tree / "usr/bin/systemd-nspawn"),
                "--quiet",
                "--boot",
                f"--directory={self._folder / 'merged'}",
            ),
            # Not registered: machinectl on this host does not see it.
            *("--register=no", "--keep-unit", f"--machine={self._name}", f"--hostname={hostname}"),
            f"--uuid={uuid.uuid5(uuid.NAMESPACE_DNS, self._name)}",
            *(
                f"--network-bridge={BRIDGE}",
                f"--bind-ro={self._folder / 'seed'}:{_SEED}",
                f"--bind-ro={self._folder / 'network'}:{_NETWORK}",
            ),
            *("--console=read-only", "--link-journal=no", "--resolv-conf=off", "--timezone=off"),
        ]
        return f"echo 0 >{shlex.quote(str(cgroup / 'cgroup.procs'))} && exec {shlex.join(nspawn)}"


def _write_seed(folder: Path, identity: Identity) -> None:
    """The files for cloud-init's NoCloud: the instance's user data, with the instance's id."""
    folder.mkdir(exist_ok=True)
    (folder / "user-data").write_bytes(identity.user_data)
    names = {"instance-id": identity.instance_id, "local-hostname": identity.hostname}
    (folder / "meta-data").write_text(json.dumps(names), encoding="utf-8")


def _write_network(file: Path, identity: Identity) -> None:
    """The configuration of the interface for systemd-networkd. There is no name server: nothing outside can be
    reached."""
    file.write_text(
        f"[Match]\nName=host0\n\n[Link]\nMACAddress={identity.mac}\n\n[Network]\nAddress={identity.address}\nGateway={identity.gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n",
        encoding="utf-8",
    )
