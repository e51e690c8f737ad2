"""Machines follow instances: each state of the local EC2 is applied in the background, so that no call waits for a
boot."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local_aws.machines.failure import CannotBootError
from local_aws.machines.machine import REBOOT, Identity, Machine
from local_aws.machines.run import Run

_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instance as EC2 holds it. boots: how often it was launched, started or rebooted: if it changes, the machine
    boots again."""

    identity: Identity
    is_running: bool
    boots: int


class Fleet:
    """The machines of one local AWS. `shut_down(instance_id)` is called when a machine powered itself off."""

    def __init__(self, run: Run, shut_down: Callable[[str], None]) -> None:
        self._run = run
        self._shut_down = shut_down
        self._keepers: dict[str, _Keeper] = {}

    def follow(self, wanted: Mapping[str, Wanted]) -> None:
        """Bring the machines to the state in `wanted`, by instance id: a machine that is not in it is removed. Returns
        at once."""
        for instance_id in self._keepers.keys() - wanted.keys():
            self._keepers.pop(instance_id).want(None)
        for instance_id, one in wanted.items():
            keeper = self._keepers.get(instance_id)
            if keeper is None and one.is_running:
                machine = Machine(self._run, instance_id)
                self._keepers[instance_id] = _Keeper(machine, one, self._shut_down)
            elif keeper is not None:
                keeper.want(one)

    def machine(self, instance_id: str) -> Machine | None:
        """The instance's machine while it is up; None before, and where it can't boot."""
        keeper = self._keepers.get(instance_id)
        return keeper.machine if keeper is not None and keeper.machine.is_up else None

    def describe(self) -> dict[str, dict[str, object]]:
        """By instance id: "state" (starting, up, off), the "pid" of the machine's first process, its "console" file,
        and "failure", in words, when it can't boot."""
        return {instance_id: keeper.describe() for instance_id, keeper in dict(self._keepers).items()}

    def close(self) -> None:
        """End every machine at once."""
        for keeper in self._keepers.values():
            keeper.leave()
        self._run.close()


class _Keeper(threading.Thread):
    """Applies the wanted states of one machine, one after the other."""

    def __init__(self, machine: Machine, wanted: Wanted, shut_down: Callable[[str], None]) -> None:
        super().__init__(name=f"machine {wanted.identity.instance_id}", daemon=True)
        self.machine = machine
        self._wanted: Wanted | None = wanted
        self._shut_down = shut_down
        self._changed = threading.Event()
        self._over = False
        self._boots = 0
        self._failure = ""
        self.start()

    def want(self, wanted: Wanted | None) -> None:
        """The state that it should have; None: it is removed, and this thread ends."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    def leave(self) -> None:
        """Do nothing more with the machine."""
        self._over = True
        self._changed.set()

    def describe(self) -> dict[str, object]:
        """See Fleet.describe."""
        state = "up" if self.machine.is_up else "starting" if self.machine.is_on else "off"
        console = str(self.machine.console)
        return {"state": state, "pid": self.machine.leader, "console": console, "failure": self._failure}

    def run(self) -> None:
        """Until it is removed or left."""
        while not self._over:
            wanted = self._wanted
            try:
                self._become(wanted)
            except (CannotBootError, OSError) as error:
                if not self._over:
                    self._failure = str(error)
                    self._over = wanted is None
            self._changed.wait(_LOOK_SECONDS)
            self._changed.clear()

    def _become(self, wanted: Wanted | None) -> None:
        if wanted is None:
            self.machine.remove()
            self._over = True
            return
        code = self.machine.look()
        if code == REBOOT:
            self.machine.start(wanted.identity)
        elif code == 0:
            self._shut_down(wanted.identity.instance_id)
        elif code is not None:
            said = self.machine.console.read_text(encoding="utf-8", errors="replace").split("\n")
            words = [line.strip() for line in said if line.strip()]
            self._failure = f"systemd-nspawn ended with {code}: {words[-1] if words else 'no words'}"
        if not wanted.is_running:
            self.machine.power_off()
        elif wanted.boots != self._boots:
            self._boots, self._failure = wanted.boots, ""
            self.machine.power_off()
            self.machine.start(wanted.identity)
