"""The Node.js process in which jsii runs cdktf: started early, so that it loads cdktf while Python does other work.

jsii itself starts Node.js when cdktf is imported, and waits for each step. It also starts two processes; one of them
only copies messages.
"""

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
# Seconds for Node.js to finish its work after the last request.
LAST_SECONDS = 10
# jsii's runtime, package-cache: without its cache, it unpacks the packages in each run, which takes 0.5 s.
UNCACHED = {"JSII_RUNTIME_PACKAGE_CACHE": "disabled"}
# Each run of cdktf loads archiver, which only an asset uses, and takes a Node.js stack trace for each token, which only
# a message about that token would show.
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
    """Node.js is missing or did not start; the message says so. Node.js itself has printed the reason before."""


@dataclass(frozen=True, slots=True)
class Node:
    """The process, our end of its channel, and how many answers come before the answer to the first request."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    loading: int
    folder: Path
    printer: Thread
    owner: int

    def stop(self) -> None:
        """When the channel is closed, it ends by itself and deletes its temporary files. Until then, it may still
        answer.

        A forked process does not stop it; the process that continues to use it does.
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
    """Start it, once; it is stopped when Python ends. None if jsii must start it itself; jsii then reports what is
    wrong."""
    if not _started and (node := _start({**environ, **_cache(environ)})):
        _started.append(node)
        atexit.register(node.stop)
    return _started[0] if _started else None


def start_uncached(environ: Mapping[str, str]) -> Node | None:
    """Stop the running one, and start another that does not need jsii's cache."""
    while _started:
        _started.pop().stop()
    return start({**environ, **UNCACHED})


def _cache(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that tell jsii whether it has a place for its cache.

    The recursive mkdir of Node.js never returns below a folder that refuses new folders with ENOENT, as automount
    folders do.
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
            # A separate pipe: Node.js would make ours non-blocking, and Python then loses data that does not fit into
            # it.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **environ,
                "JSII_AGENT": f"Python/{platform.python_version()}",
                # Only Python ignores a TMPDIR that does not exist or can't be written; Node.js does not.
                "TMPDIR": tempfile.gettempdir(),
            },
        )
    for path in tarballs:
        name, version = path.name.removesuffix(".jsii.tgz").split("@")
        request = {"api": "load", "name": name, "version": version, "tarball": str(path)}
        with contextlib.suppress(OSError):  # if it has ended, it has printed the reason
            ours.sendall(f"{json.dumps(request)}\n".encode())
    printer = Thread(target=_print, args=(process,), daemon=True)
    printer.start()
    return Node(process, ours, len(tarballs), folder, printer, os.getpid())


def _print(process: subprocess.Popen[bytes]) -> None:
    with process.stdout as lines:  # type: ignore[union-attr]  # it is a pipe
        for line in lines:
            sys.stderr.write(line.decode(errors="replace"))


def _installed(package: str) -> Path:
    """The folder of a package, without importing it. ModuleNotFoundError."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent
