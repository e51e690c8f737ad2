"""The disk of every machine: each file that is made durable or gets its name is a point, and may not fit.

Patched at the level of os, so that it holds for whatever the product writes, however it does it.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tests.campaign.schedule import current

# Asked before a file is synced: whether the disk is full then. By the process's name.
FULL: dict[str, Callable[[], bool]] = {}


@contextmanager
def watched() -> Iterator[None]:
    """For as long as it lasts, writes of simulated commands are points of their process."""
    with (
        patch.object(os, "fsync", _fsync(os.fsync)),
        patch.object(os, "replace", _renaming(os.replace)),
        patch.object(os, "rename", _renaming(os.rename)),
        patch.object(os, "link", _renaming(os.link)),
        patch.object(os, "unlink", _removing(os.unlink)),
    ):
        yield


def _fsync(real: Callable[[int], None]) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        process = current()
        if process is None:
            real(descriptor)
            return
        process.point("before fsync")
        if FULL.get(process.name, bool)():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        process.synced.add(os.fstat(descriptor).st_ino)

    return fsync


def _renaming(real: Callable[..., None]) -> Callable[..., None]:
    def rename(source: Any, target: Any, **options: Any) -> None:
        process = current()
        name = os.path.basename(os.fspath(target))
        if process is not None:
            process.point(f"before {name} is written")
            if os.stat(source).st_ino not in process.synced:
                process.unsynced.append(name)
        real(source, target, **options)
        if process is not None:
            process.point(f"after {name} was written")

    return rename


def _removing(real: Callable[..., None]) -> Callable[..., None]:
    def unlink(path: Any, **options: Any) -> None:
        process = current()
        if process is not None and process.is_dead:
            process.point("before a file is removed")
        real(path, **options)

    return unlink
