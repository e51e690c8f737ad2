"""The state directory of this machine: files that are complete on disk or not there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

DIRECTORY_MODE = 0o700


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where this machine keeps journals and searches: XDG_STATE_HOME/nixl-efa, ~/.local/state/nixl-efa
    without it. Source: XDG Base Directory Specification."""
    base = environ.get("XDG_STATE_HOME", "")
    # The specification says to ignore a path that isn't absolute.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return root / "nixl-efa"


def make_directory(directory: Path) -> None:
    """Makes a directory that only its owner can read, and its name durable. OSError when it can't be."""
    if not directory.is_dir():
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        sync_directory(directory.parent)


def write_durably(path: Path, text: str) -> None:
    """Puts the text on disk under this name, readable by the owner only: after it returned, a crash or a
    power cut loses nothing; if it failed (OSError), what was there before still is.

    The new file is synced before it takes the name, and the directory after it.
    """
    make_directory(path.parent)
    # mkstemp makes the file with mode 600.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
