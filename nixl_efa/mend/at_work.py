"""Which Terraform on this machine is at work on a state: it may be building, and the lock is then its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nixl_efa import state
from nixl_efa.settings import Settings


def at_work(settings: Settings, project: Path) -> list[int]:
    """The ids of Terraform's processes that work in the stack's folder, or on its state from another working copy.

    project: the folder of cdktf.json. Where the system does not tell a process's folder, every Terraform counts.
    """
    folder = (project / "cdktf.out" / "stacks" / settings.stack_name).resolve()
    block = state.backend_block(settings, local_path=str(state.local_state(settings, project).resolve()))
    return [
        number
        for number, command, works_in in _processes()
        # Its providers are "terraform-provider-...": one that outlives it may still be creating something.
        if Path(command).name.startswith(("terraform", "tofu"))
        and (works_in in (None, folder) or (works_in is not None and _backend_of(works_in) == _place(block)))
    ]


def _place(block: dict[str, dict[str, dict[str, object]]]) -> tuple[object, ...] | None:
    """What tells a state in S3 from others; None for other backends: a local state is told by its folder, and
    Terraform Cloud runs elsewhere."""
    values = block.get("backend", {}).get("s3")
    return (values["bucket"], values["key"]) if values else None


def _backend_of(folder: Path) -> tuple[object, ...] | None:
    """The same of the backend that a folder was initialized for, as Terraform notes it there."""
    try:
        noted = json.loads((folder / ".terraform" / "terraform.tfstate").read_text(encoding="utf-8"))
        return _place({"backend": {noted["backend"]["type"]: noted["backend"]["config"]}})
    except (OSError, ValueError, KeyError, TypeError):
        return ()


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
