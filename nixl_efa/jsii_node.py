"""The Node.js process in which jsii runs cdktf: started at once, and cdktf loaded in it while Python does other work.

jsii itself starts it when cdktf is imported, and waits for each step; and it starts two, of which one copies messages.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from nixl_efa.cdk import library

# As jsii starts it (jsii/_kernel/providers/process.py and @jsii/runtime's bin/jsii-runtime.ts), with a small young
# generation: Node.js lets it grow to 48 MB before it collects, and a synthesis is as fast with 6.
OPTIONS = ("--max-old-space-size=4069", "--preserve-symlinks", "--max-semi-space-size=2")
# jsii's program talks through descriptor 3, which only a shell can give to a child.
SHELL = ("/bin/sh", "-c", 'exec "$@" 3<&0 </dev/null', "sh")
FILES = ("program.js", "runtime-index-worker.js")
# Seconds in which Node.js, which nobody asks any more, finishes what it was doing.
LAST_SECONDS = 10
# jsii's runtime, package-cache: without its cache it unpacks the packages in each run, 0.5 s longer.
UNCACHED = {"JSII_RUNTIME_PACKAGE_CACHE": "disabled"}
# Each run of cdktf loads archiver, which an asset alone uses, and takes Node.js' stack for each token, which only a
# message about that token would show.
PROGRAM = """
const Module = require("node:module");
const load = Module._load;
Module._load = function (name, ...from) {
  const whole = () => load.call(this, name, ...from);
  if (name === "archiver") return (...options) => whole()(...options);
  if (name.endsWith("/stack-trace")) return { ...whole(), captureStackTrace: () => [] };
  return whole();
};
require(process.argv[1]);
"""


class NodeError(Exception):
    """Node.js is not there, or did not start; the message says so, and Node.js before it why."""


@dataclass(frozen=True, slots=True)
class Node:
    """The process, our end of its channel, and how many answers come before the first one that is asked for."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    loading: int
    folder: Path
    printer: Thread
    owner: int

    def stop(self) -> None:
        """When nobody can ask any more it ends by itself, with its temporary files. It may answer until then.

        A process that was forked off leaves it to the one that continues asking.
        """
        if os.getpid() != self.owner:
            return
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)
        try:
            self.process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.printer.join()
        self.channel.close()
        shutil.rmtree(self.folder, ignore_errors=True)


_started: list[Node] = []


def start(environ: Mapping[str, str]) -> Node | None:
    """Start it, once; it is stopped when Python ends. None where it is left to jsii, which says what is wrong."""
    if not _started and (node := _start({**environ, **_cache(environ)})):
        _started.append(node)
        atexit.register(node.stop)
    return _started[0] if _started else None


def start_uncached(environ: Mapping[str, str]) -> Node | None:
    """Stop the one that runs, and start another that needs no cache of jsii's."""
    while _started:
        _started.pop().stop()
    return start({**environ, **UNCACHED})


def _cache(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Whether jsii has a place for its cache, as variables for it.

    Node.js' recursive mkdir never returns below a folder that takes none with ENOENT, as one of automounts does.
    """
    if "JSII_RUNTIME_PACKAGE_CACHE_ROOT" in environ:
        return {}
    try:
        (Path.home() / ".cache").mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home
        return UNCACHED
    return {}


def _start(environ: Mapping[str, str]) -> Node | None:
    try:
        packages = [_installed(name) for name in ("constructs", library(environ))]
        sources = {name: _installed("jsii") / "_embedded" / "jsii" / f"lib__{name}" for name in FILES}
    except (ValueError, ModuleNotFoundError):
        return None
    tarballs = [path for package in packages for path in package.glob("_jsii/*@*.jsii.tgz")]
    node = shutil.which("node")
    if not node or environ.get("JSII_NODE") or environ.get("JSII_RUNTIME") or len(tarballs) != len(packages):
        return None
    if not all(path.is_file() for path in (Path(SHELL[0]), *sources.values())):
        return None
    folder = Path(tempfile.mkdtemp(prefix="jsii-runtime-"))
    for name, source in sources.items():
        (folder / name).symlink_to(source)
    ours, its = socket.socketpair()
    with its:
        process = subprocess.Popen(
            [*SHELL, node, *OPTIONS, "-e", PROGRAM, str(folder / FILES[0])],
            stdin=its.fileno(),
            # Its own pipe: it would make ours non-blocking, and Python loses what does not fit in at once.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **environ,
                "JSII_AGENT": f"Python/{platform.python_version()}",
                # A TMPDIR that is not there, or takes no file, is ignored by Python alone.
                "TMPDIR": tempfile.gettempdir(),
            },
        )
    for path in tarballs:
        name, version = path.name.removesuffix(".jsii.tgz").split("@")
        request = {"api": "load", "name": name, "version": version, "tarball": str(path)}
        with contextlib.suppress(OSError):  # one that has ended has said why
            ours.sendall(f"{json.dumps(request)}\n".encode())
    printer = Thread(target=_print, args=(process,), daemon=True)
    printer.start()
    return Node(process, ours, len(tarballs), folder, printer, os.getpid())


def _print(process: subprocess.Popen[bytes]) -> None:
    with process.stdout as lines:  # type: ignore[union-attr]  # it is a pipe
        for line in lines:
            sys.stderr.write(line.decode(errors="replace"))


def _installed(package: str) -> Path:
    """The folder of a package, which is not imported. ModuleNotFoundError."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent
