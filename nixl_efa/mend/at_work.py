"""Which Terraform processes on this machine work on a state: they may be building, and the lock is then theirs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nixl_efa.settings import Settings
from nixl_efa.settings.backend import S3Backend
from nixl_efa.state import READERS_PREFIX

# Linux adds this to the folder of a process when the folder was removed: `cdktf synth` of one environment removes the
# folders of all others, and their Terraform processes continue.
_DELETED = " (deleted)"


def at_work(settings: Settings, project: Path) -> list[int]:
    """The ids of Terraform processes that work in the stack's folder, or on its state from another working copy.

    project: the folder of cdktf.json. If the system does not show the folders of processes, every Terraform counts.
    """
    folder = (project / "cdktf.out" / "stacks" / settings.stack_name).resolve()
    backend = settings.backend
    place = (backend.bucket, settings.state_key) if isinstance(backend, S3Backend) else None

    def is_on_it(works_in: Path) -> bool:
        if works_in.name.endswith(_DELETED):
            # Its backend can't be read any more; a process in a clone is recognized by the stack's name.
            left = works_in.with_name(works_in.name.removesuffix(_DELETED))
            return left == folder or (place is not None and left.name == folder.name)
        return works_in == folder or (place is not None and _s3_place(works_in) == place)

    return [
        number
        for number, command, works_in in _processes()
        # Providers ("terraform-provider-...") count too: one that runs longer than Terraform may still be creating
        # something.
        if Path(command).name.startswith(("terraform", "tofu", "opentofu"))
        and (works_in is None or is_on_it(works_in))
    ]


def _s3_place(folder: Path) -> tuple[str, str] | None:
    """Bucket and key of the S3 state for which a folder was initialized, from Terraform's file in it; None for another
    backend. A local state is recognized by its folder, and Terraform Cloud runs on other machines.

    Processes that only read a state (nixl_efa.state.read, for all our commands) hold no lock and change nothing.
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
    """This machine's processes: id, command, folder (None when the system does not show it)."""
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
