"""Copies a model from S3 to a folder of a node by the AWS CLI, and tells how far it is.

A node runs it with its python3 (3.9 or later) and the standard library. Arguments: SOURCE (s3://BUCKET/FOLDER), FOLDER,
STATUS (a file), MANIFEST (the name of the manifest below SOURCE; empty where there is none). A second one for the same
folder waits for the first. The manifest, or MARK where there is none, comes into the folder last: with it, the copy is
complete.

STATUS holds a JSON document: state ("copying", "done", "failed") and line, which says how far it is or why it failed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any

GIB = 1 << 30
SPARE_BYTES = 5 * GIB
# As in start-service.sh.
MARK = "nixl-efa-whole"
# How often the status is written, and how often a line is printed.
STATUS_SECONDS, PRINT_SECONDS = 2.0, 30.0
# A role's permissions can come some seconds after its node.
PAUSES = (2, 5, 10, 20)
# What the AWS CLI fetches at once: its default, 10, leaves most of a large node's network unused (AWS CLI, S3
# configuration).
TUNED = (
    "s3 =\n  max_concurrent_requests = 64\n  max_queue_size = 10000\n"
    "  multipart_threshold = 64MB\n  multipart_chunksize = 64MB\n"
)


class CopyError(Exception):
    """Why the model can't be copied, in a sentence."""


def read(path: str) -> str:
    """A file's text; empty where it is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    """A file, whole."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def config() -> str:
    """The AWS CLI's configuration: the node's own, and more requests at once where it does not say how many."""
    own = read(os.environ.get("AWS_CONFIG_FILE") or os.path.expanduser("~/.aws/config"))
    if re.search(r"^s3\s*=", own, re.MULTILINE):
        return own
    if re.search(r"^\[default\]", own, re.MULTILINE):
        return re.sub(r"^\[default\].*\n?", lambda _: f"[default]\n{TUNED}", own, count=1, flags=re.MULTILINE)
    return f"{own}\n[default]\n{TUNED}"


def aws(*words: str, environ: dict[str, str]) -> tuple[str, str]:
    """What the AWS CLI prints, and why it failed; empty when it did not."""
    try:
        done = subprocess.run(
            ["aws", "s3", *words], capture_output=True, text=True, check=False, env=environ, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return done.stdout, _why(done.stderr, done.returncode)


def _why(said: str, code: int) -> str:
    lines = [one.strip() for one in said.splitlines() if one.strip()]
    return (lines[-1] if lines else f"exit code {code}") if code else ""


def sizes(source: str, manifest: str, environ: dict[str, str]) -> tuple[dict[str, int], str]:
    """The bytes of each file, and the manifest's text."""
    words = (
        ["cp", "--quiet", f"{source}/{manifest}", "-"] if manifest else ["ls", "--recursive", f"{source}/"]
    )
    for pause in (*PAUSES, 0):
        told, error = aws(*words, environ=environ)
        if not error:
            break
        time.sleep(pause)
    else:
        raise CopyError(f"{source}/{manifest} can't be read: {error}")
    if manifest:
        return {one["name"]: one["bytes"] for one in json.loads(told)["files"]}, told
    prefix = f"{source.split('/', 3)[3]}/"
    found = re.findall(r"^\S+ +\S+ +(\d+) (.+)$", told, re.MULTILINE)
    return {name[len(prefix) :]: int(size) for size, name in found if not name.endswith("/")}, ""


def taken(folder: str) -> int:
    """Bytes on the disk below the folder. Files that are being fetched are longer than what is in them."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                about = os.stat(os.path.join(at, name))
                total += min(about.st_size, about.st_blocks * 512)
    return total


class Status:
    """The file, and the lines for the journal."""

    def __init__(self, path: str, source: str, folder: str, total: int) -> None:
        self.path, self.source, self.folder, self.total = path, source, folder, total
        self.begun, self.first, self.printed = time.monotonic(), taken(folder), 0.0

    def copying(self) -> None:
        """How far it is."""
        now, seconds = taken(self.folder), time.monotonic() - self.begun
        rate = max(0, now - self.first) / max(seconds, 0.1)
        left = f", {(self.total - now) / rate / 60:.0f} min left" if rate > 0 and now < self.total else ""
        line = f"{min(now, self.total) / GIB:.1f} of {self.total / GIB:.1f} GiB, {rate / GIB:.2f} GiB/s{left}"
        self.tell("copying", line)

    def tell(self, state: str, line: str) -> None:
        """Writes it; prints it when some time is over, and when it is the last one."""
        write(self.path, json.dumps({"state": state, "line": line}) + "\n")
        if state != "copying" or time.monotonic() - self.printed > PRINT_SECONDS or not self.printed:
            self.printed = time.monotonic()
            sys.stdout.write(f"{self.source} to {self.folder}: {line}\n")
            sys.stdout.flush()


def copy(source: str, folder: str, status: str, manifest: str) -> None:
    """Copies what is missing. CopyError if it can't be."""
    environ = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    mark = manifest or MARK
    own = os.path.join(folder, mark)
    with tempfile.NamedTemporaryFile("w", suffix=".aws", encoding="utf-8") as file:
        file.write(config())
        file.flush()
        environ["AWS_CONFIG_FILE"] = file.name
        files, text = sizes(source, manifest, environ)
        total = sum(files.values())
        told = Status(status, source, folder, total)
        if text and read(own) == text:
            told.tell("done", f"{total / GIB:.1f} GiB, there already")
            return
        with suppress(FileNotFoundError):
            os.unlink(own)
        free, missing = shutil.disk_usage(folder).free, max(0, total - taken(folder))
        if missing + SPARE_BYTES > free:
            raise CopyError(
                f"{folder} has {free / GIB:.1f} GiB free, {missing / GIB:.1f} GiB are to be copied, and "
                f"{SPARE_BYTES / GIB:.0f} GiB stay free"
            )
        _sync(source, folder, mark, environ, told)
    for name, size in files.items():
        path = os.path.join(folder, name)
        there = os.path.getsize(path) if os.path.isfile(path) else -1
        if there != size:
            raise CopyError(f"{path} has {there} bytes in place of {size}: the model was changed meanwhile")
    write(own, text)
    seconds = max(time.monotonic() - told.begun, 0.1)
    told.tell("done", f"{total / GIB:.1f} GiB in {seconds:.0f} s")


def _sync(source: str, folder: str, mark: str, environ: dict[str, str], told: Status) -> None:
    """The AWS CLI's part. --exact-timestamps: else a file of the same size is left as it is, whatever is in it."""
    words = ["aws", "s3", "sync", "--only-show-errors", "--exact-timestamps", "--delete", "--exclude", mark]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen([*words, source, folder], env=environ, stderr=errors) as process:
            try:
                while True:
                    told.copying()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(STATUS_SECONDS)
                        break
            except BaseException:
                process.terminate()
                raise
        errors.seek(0)
        if why := _why(errors.read(), process.returncode):
            raise CopyError(f"aws s3 sync: {why}")


def main(source: str, folder: str, status: str, manifest: str = "") -> None:
    """One at a time for a folder."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            copy(source, folder, status, manifest)
        except (CopyError, OSError, ValueError) as error:
            why: Any = error
            Status(status, source, folder, 0).tell("failed", str(why))
            sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
