"""Files that are either complete on disk or do not exist; and the state directory of this machine."""

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
    """Writes the text to this file, readable by the owner only. After it returns, a crash or a power failure loses
    nothing. If it fails (OSError), the previous file is unchanged.

    The new file is synced before it is renamed, and the directory after that.
    """
    make_directory(path.parent)
    with written_at_once(path) as file:
        file.write(text.encode())
    _sync(path.parent)


@contextlib.contextmanager
def written_at_once(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends without an error, readable by the owner only. It is synced first.

    After an error in the block, or a disk error (OSError), the previous file is unchanged.
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
    """Writes the file that a user has named: completely or not at all (OSError), with the default mode, as a shell
    does. A link stays a link, and a device (/dev/stdout) stays a device."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    with written_at_once(path.resolve()) as file:
        os.umask(mask := os.umask(0))
        os.fchmod(file.fileno(), 0o666 & ~mask)
        file.write(text.encode())


@contextlib.contextmanager
def filled_at_once(folder: Path, last: str) -> Iterator[Path]:
    """An empty folder whose files are moved to `folder` when the block ends without an error.

    After an error in the block, or a disk error (OSError), `folder` is unchanged. Its other files stay. The file named
    `last`, which refers to the others, is moved last. The empty folder is inside `folder`, because `folder` may be a
    separate file system.
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
    """Syncs a file's content, or the names in a directory, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
