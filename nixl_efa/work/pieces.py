"""Files as one row of bytes, cut into pieces that are named by their SHA-256; and files put together from pieces.

Both ends of a copy are here, and a node's python3 runs this text as a program (below, `main`): standard library of
Python 3.9 alone. A list of files: {"form": 2, "piece_bytes", "folders": [[path, mode]], "files": [[path, bytes, mode,
mtime in ns]], "sums": [of each piece], "notes": [sentence]}; paths are relative, with "/", and begin with the name of
what is copied. Notes say what the copy does not have, or may not have.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

FORM = 2
MIB = 1 << 20
LEAST_BYTES, MOST_BYTES = 8 * MIB, 64 * MIB
LIST = "list.json"
# Of the folder beside a destination in which files grow until all of them are there.
PART = ".nixl-efa-copy-"
Listing = dict[str, Any]
# Says how many bytes more are done.
Done = Callable[[int], None]


class CopyError(Exception):
    """Why files can't be copied, in a sentence."""


def why(error: Exception) -> str:
    """What stopped a copy, in a sentence."""
    if not (isinstance(error, OSError) and error.strerror):
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def listing(sources: list[str]) -> tuple[Listing, list[str]]:
    """The list of files without sums, and where each of its files is. Links are followed, as scp does."""
    folders: list[list[Any]] = []
    files: list[list[Any]] = []
    places: list[str] = []
    notes, names = list[str](), set[str]()
    for source in sources:
        name = os.path.basename(os.path.abspath(source))
        if not os.path.exists(source):
            raise CopyError(f"{source}: there is no such file or folder")
        if not name:
            raise CopyError(f"{source}: it has no name: give a folder or file below it")
        if name in names:
            raise CopyError(f"{source}: another source has the same name: copy it with a command of its own")
        if not (os.path.isdir(source) or os.path.isfile(source)):
            raise CopyError(f"{source}: it is neither a file nor a folder")
        names.add(name)
        for path, place, about in _found(name, source, (), notes):
            mode = stat.S_IMODE(about.st_mode)
            if stat.S_ISDIR(about.st_mode):
                folders.append([path, mode])
            else:
                files.append([path, about.st_size, mode, about.st_mtime_ns])
                places.append(place)
    # A thousand pieces, unless they would be very small or very large.
    piece = min(max(LEAST_BYTES, sum(one[1] for one in files) // 1000 // MIB * MIB), MOST_BYTES)
    return {"form": FORM, "piece_bytes": piece, "folders": folders, "files": files, "notes": notes}, places


def _found(
    path: str, place: str, above: tuple[tuple[int, int], ...], notes: list[str]
) -> Iterator[tuple[str, str, os.stat_result]]:
    """A file or folder and all below it, in order. What is left out is noted: a link that leads to nothing or back up,
    what is neither (a socket, a device), and a file of the kernel, whose size is 0 before it is read."""
    if not os.path.exists(place):
        notes.append(f"{place} is left out: it leads to nothing")
        return
    about = os.stat(place)
    own = (about.st_dev, about.st_ino)
    if own in above:
        notes.append(f"{place} is left out: it leads back to a folder above it")
    elif stat.S_ISDIR(about.st_mode):
        yield path, place, about
        for name in sorted(os.listdir(place)):
            yield from _found(f"{path}/{name}", os.path.join(place, name), (*above, own), notes)
    elif stat.S_ISREG(about.st_mode) and not about.st_size and not os.statvfs(place).f_blocks:
        notes.append(f"{place} is left out: the kernel writes it when it is read (/proc): `cat` prints it")
    elif stat.S_ISREG(about.st_mode):
        yield path, place, about
    else:
        notes.append(f"{place} is left out: it is neither a file nor a folder")


def total_of(listed: Listing) -> int:
    """The bytes of all files."""
    return sum(size for _, size, _, _ in listed["files"])


def spans(listed: Listing) -> list[list[tuple[int, int, int]]]:
    """What each piece consists of: which file, from which byte on, how many."""
    found: list[list[tuple[int, int, int]]] = []
    room = 0
    for number, (_, size, _, _) in enumerate(listed["files"]):
        begin = 0
        while begin < size:
            if not room:
                found.append([])
                room = listed["piece_bytes"]
            count = min(room, size - begin)
            found[-1].append((number, begin, count))
            begin, room = begin + count, room - count
    return found


def read(places: list[str], parts: list[tuple[int, int, int]]) -> bytes:
    """A piece's bytes."""
    found = bytearray()
    for number, begin, count in parts:
        with open(places[number], "rb") as file:
            file.seek(begin)
            data = file.read(count)
        if len(data) != count:
            raise CopyError(f"{places[number]}: it became shorter while it was read")
        found += data
    return bytes(found)


def send(
    listed: Listing, places: list[str], store: Callable[[str, bytes], None], at_once: int, done: Done
) -> Listing:
    """Stores each piece under its sum; the list of files with the sums, and with notes of the files that changed."""
    pieces = spans(listed)
    sums = [""] * len(pieces)

    def one(index: int) -> int:
        data = read(places, pieces[index])
        sums[index] = hashlib.sha256(data).hexdigest()
        store(sums[index], data)
        return len(data)

    side_by_side(list(range(len(pieces))), one, at_once, done)
    changed = [
        f"{place} was written to during the copy, which may have parts of both: copy it again when it is at rest"
        for place, (*_, mtime) in zip(places, listed["files"])  # noqa: B905  (new in Python 3.10)
        if not os.path.exists(place) or os.stat(place).st_mtime_ns != mtime
    ]
    return {**listed, "sums": sums, "notes": [*listed["notes"], *changed]}


def side_by_side(indexes: list[int], work: Callable[[int], int], at_once: int, done: Done) -> None:
    """`work` for each index, so many at once. An error of one, or of `done`, ends it; those that run are left to it."""
    pool = ThreadPoolExecutor(at_once)
    try:
        left = list(reversed(indexes))
        running: set[Future[int]] = set()
        while left or running:
            while left and len(running) < at_once:
                running.add(pool.submit(work, left.pop()))
            ended, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            done(sum(future.result() for future in ended))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def targets(listed: Listing, destination: str) -> list[str]:
    """Where each folder and then each file comes to be. A destination that ends with "/", or is "." or "..", is a
    folder to put into; any other is the name that the copy gets, but a file goes into a folder that is there."""
    names = list(dict.fromkeys(path.partition("/")[0] for path in _paths(listed)))
    into = destination.endswith("/") or os.path.basename(destination) in (".", "..")
    is_file = names == [path for path, *_ in listed["files"]]
    if not into and (len(names) > 1 or (is_file and os.path.isdir(destination))):
        if not os.path.isdir(destination):
            raise CopyError(f"{destination}: there is no such folder to put {len(names)} things into")
        into = True
    return [os.path.join(destination, *path.split("/")[0 if into else 1 :]) for path in _paths(listed)]


def _check_places(folders: list[str], files: list[str]) -> None:
    """Refuses a file where a folder is, and a folder where a file is."""
    for end in filter(os.path.isdir, files):
        raise CopyError(f"{end}: it is a folder, and a file of that name is to be put there")
    for folder in sorted({*folders, *(os.path.dirname(os.path.abspath(end)) for end in files)}):
        there = os.path.abspath(folder)
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        if not os.path.isdir(there):
            raise CopyError(f"{there}: it is no folder, and a folder of that name is to be put there")


def receive(
    listed: Listing,
    destination: str,
    name: str,
    fetch: Callable[[str], bytes],
    at_once: int,
    done: Done,
) -> None:
    """Fetches the pieces by their sums and puts the files in their places once all of them are there.

    name: of this copy: one that was interrupted goes on from what it has beside the destination.
    """
    _check(listed)
    ends = targets(listed, destination)
    folders, ends = ends[: len(listed["folders"])], ends[len(listed["folders"]) :]
    _check_places(folders, ends)
    part = _part(destination, f"{PART}{name}")
    with alone(part):
        _fetch(listed, destination, part, fetch, at_once, done)
        _put(listed, folders, ends, part)


def _fetch(
    listed: Listing, destination: str, part: str, fetch: Callable[[str], bytes], at_once: int, done: Done
) -> None:
    """All pieces that are not in `part` yet."""
    had = _had(part, listed)
    pieces = spans(listed)
    wanted = [index for index in range(len(pieces)) if f"{index} {listed['sums'][index]}" not in had]
    sizes = [sum(count for _, _, count in one) for one in pieces]
    missing = sum(sizes[index] for index in wanted)
    if shutil.disk_usage(part).free < missing:
        raise CopyError(f"{destination}: {missing:,} bytes are to come, and its disk has fewer")
    done(sum(sizes) - missing)

    def one(index: int) -> int:
        data = fetch(listed["sums"][index])
        if hashlib.sha256(data).hexdigest() != listed["sums"][index]:
            raise CopyError(f"piece {index} of {len(pieces)} arrived damaged: its SHA-256 is another one")
        begin = 0
        for number, offset, count in pieces[index]:
            _write(os.path.join(part, str(number)), offset, data[begin : begin + count])
            begin += count
        with open(os.path.join(part, "done"), "a", encoding="utf-8") as file:
            file.write(f"{index} {listed['sums'][index]}\n")
        return sizes[index]

    side_by_side(wanted, one, at_once, done)


def _part(destination: str, name: str) -> str:
    """The folder in which files grow: in the destination where that is a folder, which may be a disk of its own, else
    beside it; where an earlier try has begun one, there."""
    beside = os.path.dirname(os.path.abspath(destination))
    found = [os.path.join(base, name) for base in (beside, destination)]
    for begun in filter(os.path.isdir, found):
        return begun
    os.makedirs(beside, exist_ok=True)
    return found[1] if os.path.isdir(destination) else found[0]


@contextmanager
def alone(part: str) -> Iterator[None]:
    """Makes the folder, and keeps a second copy of the same out of it: CopyError there."""
    os.makedirs(part, 0o700, exist_ok=True)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CopyError(f"{part}: the same copy is under way already: wait for its end") from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _check(listed: Listing) -> None:
    """Refuses a list that another version wrote, or that leads elsewhere."""
    if listed.get("form") != FORM:
        raise CopyError("another version of nixl-efa sent this: use the same one on both ends")
    for path in _paths(listed):
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise CopyError(f"{path!r} is no path to put anything at")


def _had(part: str, listed: Listing) -> set[str]:
    """What an earlier try has fetched; the folder is there then, for this list of files."""
    layout = json.dumps([listed["piece_bytes"], listed["files"]])
    at = os.path.join(part, "layout")
    if os.path.exists(at) and _text(at) == layout:
        done = os.path.join(part, "done")
        return set(_text(done).splitlines()) if os.path.exists(done) else set()
    for entry in os.listdir(part):
        os.unlink(os.path.join(part, entry))
    with open(at, "w", encoding="utf-8") as file:
        file.write(layout)
    return set()


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path: str, offset: int, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while data:
            count = os.pwrite(descriptor, data, offset)
            data, offset = data[count:], offset + count
    finally:
        os.close(descriptor)


def _put(listed: Listing, folders: list[str], ends: list[str], part: str) -> None:
    """All is there: each file takes its name at once. A folder that was there keeps its mode."""
    made = []
    for folder, (_, mode) in zip(folders, listed["folders"]):  # noqa: B905  (new in Python 3.10)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
            made.append((folder, mode))
    for number, (_, size, mode, mtime) in enumerate(listed["files"]):
        path = os.path.join(part, str(number))
        if not size:
            _write(path, 0, b"")
        elif not os.path.exists(path):
            continue  # an earlier try has put it
        os.chmod(path, mode & 0o777)
        os.utime(path, ns=(mtime, mtime))
        os.makedirs(os.path.dirname(ends[number]) or ".", exist_ok=True)
        os.replace(path, ends[number])
    for folder, mode in reversed(made):
        os.chmod(folder, mode & 0o777 | 0o700)
    shutil.rmtree(part)


def _paths(listed: Listing) -> list[str]:
    """Of folders and files."""
    return [path for path, *_ in (*listed["folders"], *listed["files"])]


class NodeBucket:
    """The scripts bucket as a node has it: with the AWS CLI and the node's role."""

    def __init__(self, region: str, bucket: str, prefix: str) -> None:
        self._command = ["aws", "--region", region, "s3api"]
        self._bucket, self._prefix = bucket, prefix

    def put(self, name: str, data: bytes) -> None:
        """Store an object."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self._run("put-object", name, "--body", file.name)

    def get(self, name: str) -> bytes:
        """An object's bytes."""
        with tempfile.NamedTemporaryFile() as file:
            self._run("get-object", name, file.name)
            with open(file.name, "rb") as found:
                return found.read()

    def _run(self, action: str, name: str, *more: str) -> None:
        key = f"{self._prefix}/{name}"
        command = [*self._command, action, "--bucket", self._bucket, "--key", key, *more]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError as error:
            raise CopyError(f"the AWS CLI can't be run: {error.strerror}") from error
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise CopyError(f"s3://{self._bucket}/{key}: {said or 'the AWS CLI failed'}")


def main(action: str, region: str, bucket: str, prefix: str, name: str, *paths: str) -> None:
    """On a node: "send" PATH... or "receive" DESTINATION. Prints "BYTES of TOTAL" some times."""
    at, told = NodeBucket(region, bucket, prefix), [time.monotonic()]
    count = 0
    places = [os.path.expanduser(one) for one in paths]

    def done(more: int) -> None:
        nonlocal count
        count += more
        if count == total or time.monotonic() - told[0] > 1:
            told[0] = time.monotonic()
            sys.stdout.write(f"{count} of {total}\n")
            sys.stdout.flush()

    listed, found = listing(places) if action == "send" else (json.loads(at.get(LIST)), [])
    total = total_of(listed)
    if action == "send":
        at.put(LIST, json.dumps(send(listed, found, at.put, 8, done)).encode())
    else:
        receive(listed, places[0], name, at.get, 8, done)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (CopyError, OSError) as error:
        sys.exit(why(error))
