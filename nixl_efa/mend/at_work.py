"""Which Terraform on this machine is at work on a state: it may be building, and the lock is then its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nixl_efa.settings import Settings
from nixl_efa.settings.backend import S3Backend
from nixl_efa.state import READERS_PREFIX

# What Linux puts behind the folder of a process that was removed meanwhile: `cdktf synth` of another environment alone
# removes the folders of all others, and Terraform works on.
_DELETED = " (deleted)"


def at_work(settings: Settings, project: Path) -> list[int]:
    """The ids of Terraform's processes that work in the stack's folder, or on its state from another working copy.

    project: the folder of cdktf.json. Where the system does not tell a process's folder, every Terraform counts.
    """
    folder = (project / "cdktf.out" / "stacks" / settings.stack_name).resolve()
    backend = settings.backend
    place = (backend.bucket, settings.state_key) if isinstance(backend, S3Backend) else None

    def is_on_it(works_in: Path) -> bool:
        if works_in.name.endswith(_DELETED):
            # Its backend can't be read any more: in a clone it is told by the stack's name.
            left = works_in.with_name(works_in.name.removesuffix(_DELETED))
            return left == folder or (place is not None and left.name == folder.name)
        return works_in == folder or (place is not None and _s3_place(works_in) == place)

    return [
        number
        for number, command, works_in in _processes()
        # Its providers are "terraform-provider-...": one that outlives it may still be creating something.
        if Path(command).name.startswith(("terraform", "tofu", "opentofu"))
        and (works_in is None or is_on_it(works_in))
    ]


def _s3_place(folder: Path) -> tuple[str, str] | None:
    """Bucket and key of the state in S3 that a folder was initialized for, as Terraform notes it there; None for
    another backend. A local state is told by its folder, and Terraform Cloud runs elsewhere.

    Who only reads a state (nixl_efa.state.read, any of our commands) locks nothing and works on nothing.
    """
    if folder.name.startswith(READERS_PREFIX):
        return None
    try:
        noted = json.loads((folder / ".terraform" / "terraform.tfstate").read_text(encoding="utf-8"))
        config = noted["backend"]["config"]
        return config["bucket"], config["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _processes() -> Iterator[tuple[int, str, Path | None]]:
    """This machine's processes: id, command, folder (None where the system does not tell it)."""
    if not Path("/proc/self").exists():
        shown = subprocess.run(["ps", "-A", "-o", "pid=,comm="], capture_output=True, text=True, check=True)
        for line in shown.stdout.splitlines():
            number, _, command = line.strip().partition(" ")
            yield int(number), command.strip(), None
        return
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (
                int(process.name),
                (process / "comm").read_text(encoding="utf-8").strip(),
                (process / "cwd").readlink(),
            )
        except OSError:
            continue  # it has ended, or is another user's
