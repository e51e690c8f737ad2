"""Files that are complete on disk or not there at all; and the state directory of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

DIRECTORY_MODE = 0o700


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where this machine keeps journals and searches: XDG_STATE_HOME/nixl-efa, ~/.local/state/nixl-efa
    without it. Source: XDG Base Directory Specification."""
    return _base_directory(environ, "XDG_STATE_HOME", ".local/state")


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Where this user's copies of packages are: XDG_CACHE_HOME/nixl-efa, ~/.cache/nixl-efa without it."""
    return _base_directory(environ, "XDG_CACHE_HOME", ".cache")


def _base_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    base = environ.get(variable, "")
    # The specification says to ignore a path that isn't absolute.
    root = Path(base) if os.path.isabs(base) else Path.home() / below_home
    return root / "nixl-efa"


def make_directory(directory: Path) -> None:
    """Makes a directory that only its owner can read, and its name durable. OSError when it can't be."""
    if not directory.is_dir():
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        _sync(directory.parent)


def write_durably(path: Path, text: str) -> None:
    """Puts the text on disk under this name, readable by the owner only: after it returned, a crash or a
    power cut loses nothing; if it failed (OSError), what was there before still is.

    The new file is synced before it takes the name, and the directory after it.
    """
    make_directory(path.parent)
    with written_at_once(path) as file:
        file.write(text.encode())
    _sync(path.parent)


@contextlib.contextmanager
def written_at_once(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name when the block has ended well, readable by the owner only. It is synced before.

    After an error in the block, or one of the disk (OSError), what was there before still is.
    """
    # mkstemp makes the file with mode 600.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def put(path: Path, text: str) -> None:
    """Writes the file that a user has named: whole or not at all (OSError), for everybody to read as one that a shell
    writes. A link stays one, and a device (/dev/stdout) what it is."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    with written_at_once(path.resolve()) as file:
        os.umask(mask := os.umask(0))
        os.fchmod(file.fileno(), 0o666 & ~mask)
        file.write(text.encode())


@contextlib.contextmanager
def filled_at_once(folder: Path, last: str) -> Iterator[Path]:
    """An empty folder whose files take their places in `folder` when the block has ended well.

    After an error in the block, or one of the disk (OSError), `folder` is as it was. What else it holds stays. The
    file named `last`, which speaks of the others, is moved last. The empty folder lies inside `folder`, which may be
    a file system of its own.
    """
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        new = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
        try:
            yield new
            _move_in(new, folder, last)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _move_in(new: Path, folder: Path, last: str) -> None:
    paths = [path for path in new.rglob("*") if path.is_file()]
    names = sorted((path.relative_to(new) for path in paths), key=lambda name: (name.name == last, name))
    parents = {folder / parent for name in names for parent in name.parents}
    made = sorted(parent for parent in parents if not parent.exists())
    before = new / ".before"
    for name in names:
        _sync(new / name)
        if (folder / name).exists():
            (before / name).parent.mkdir(parents=True, exist_ok=True)
            _keep(folder / name, before / name)
    try:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(new / name, folder / name)
    except BaseException:
        _put_back(names, new, before, folder)
        for directory in reversed(made):
            with contextlib.suppress(FileNotFoundError):
                directory.rmdir()
        raise
    for directory in parents:
        _sync(directory)


def _keep(file: Path, kept: Path) -> None:
    try:
        os.link(file, kept)
    except OSError:  # a file system without links
        shutil.copy2(file, kept)


def _put_back(names: Sequence[Path], new: Path, before: Path, folder: Path) -> None:
    for name in names:
        if (new / name).exists():
            continue  # it was not moved
        if (before / name).exists():
            os.replace(before / name, folder / name)
        else:
            (folder / name).unlink()


def _sync(path: Path) -> None:
    """Puts a file's content, or the names in a directory, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
