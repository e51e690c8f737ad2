"""The Python side of jsii's Node.js process: uses a process that already runs, and loads the AWS bindings late and in
part.

The bindings are loaded when the first of their types is used, with only the modules that Python has imported until
then. When a type of a module that was imported later is used, they are loaded again, with that module: jsii's kernel
loads a package whose folder it does not know, and keeps the objects that it has.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsii import kernel
from jsii._kernel.providers import process
from jsii._kernel.types import LoadRequest, LoadResponse
from jsii._reference_map import _types as imported_types
from jsii.errors import JSIIError

from constructs_lib.small_provider import SCRIPT, small_provider
from nixl_efa import jsii_node
from nixl_efa.files import cache_directory
from nixl_efa.jsii_node import Node, NodeError

# The names of the AWS bindings' packages in jsii.
PROVIDERS = ("@cdktf/provider-aws", "@cdktn/provider-aws")
# These two are neither public nor typed.
_NodeProcess: Any = process._NodeProcess
_provider: Any = kernel.provider


class NodeProcess(_NodeProcess):  # type: ignore[misc]
    """jsii's own class, except for the start of the process and for loading the bindings. `node` is None when jsii
    starts the process, or has started it."""

    node: Node | None = None
    warn: Callable[[str], None]
    # The package that jsii was asked to load, None once the whole of it is loaded; and its modules that are loaded.
    whole: Any = None
    loaded: frozenset[str] = frozenset()

    def start(self) -> None:
        if self.node is None:
            if not (shutil.which("node") or os.environ.get("JSII_NODE")):
                raise NodeError(
                    "Node.js (node) is not on PATH, and synthesis needs it: install version 20 or 22"
                )
            super().start()
            return
        try:
            self._greet(self.node)
        except RuntimeError:  # another user's cache, or a full disk: jsii can't continue
            NodeProcess.node = jsii_node.start_uncached(os.environ)
            if self.node is None:
                raise
            self._greet(self.node)

    def _greet(self, node: Node) -> None:
        self._process = node.process
        self._process.stdin = node.channel.makefile("wb")
        self._process.stdout = node.channel.makefile("rb")
        try:
            self.handshake()
            answers = [self._next_message() for _ in range(node.loading)]
        except (OSError, ValueError):  # the channel is closed
            raise NodeError(
                f"{shutil.which('node')} ended as soon as it was started, with what it says above: look at it, and at "
                f"NODE_OPTIONS ({os.environ.get('NODE_OPTIONS') or 'not set'})"
            ) from None
        for answer in answers:
            if "error" in answer:
                raise RuntimeError(answer["error"])

    def stop(self) -> None:
        if self.node is None and hasattr(self, "_process"):
            super().stop()

    def send(self, request: Any, response_type: Any) -> Any:
        if isinstance(request, LoadRequest) and request.name in PROVIDERS and not self.whole:
            self.whole = request
            return LoadResponse(assembly=request.name, types=0)
        if self.whole:
            package, _, name = getattr(request, "fqn", "").partition(".")
            if package == self.whole.name and name.partition(".")[0] not in self.loaded:
                self._load(package)
        return super().send(request, response_type)

    def _load(self, package: str) -> None:
        if self.loaded:
            folder = Path(kernel.getBinScriptCommand(package, SCRIPT).command).parent
            folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
        modules = frozenset(name.split(".")[1] for name in imported_types if name.startswith(f"{package}."))
        with TemporaryDirectory() as temporary:
            tarball = self._small(Path(self.whole.tarball), modules, Path(temporary))
            try:
                self._send_load(tarball)
            except (JSIIError, RuntimeError) as error:
                if tarball.parent in (Path(temporary), Path(self.whole.tarball).parent):
                    raise
                self.warn(
                    f"the copy that was kept of their package is damaged, and is made again ({tarball}: {error})"
                )
                with contextlib.suppress(OSError):
                    tarball.unlink()
                tarball = small_provider(Path(self.whole.tarball), modules, Path(temporary))
                self._send_load(tarball)
        self.loaded = modules
        if str(tarball) == self.whole.tarball:
            self.whole = None

    def _send_load(self, tarball: Path) -> None:
        super().send(LoadRequest(self.whole.name, self.whole.version, str(tarball)), LoadResponse)

    def _small(self, whole: Path, modules: frozenset[str], temporary: Path) -> Path:
        try:
            try:
                return small_provider(whole, modules, cache_directory(os.environ))
            except (OSError, RuntimeError) as error:  # no home
                self.warn(
                    f"each run makes a copy of their package, since none can be kept ({error}): set XDG_CACHE_HOME"
                )
                return small_provider(whole, modules, temporary)
        except (OSError, ValueError) as error:
            self.warn(f"Node.js loads all of them, since {error}")
            return whole


def take_over(node: Node | None, warn: Callable[[str], None]) -> None:
    """Let jsii use `node`, unless it has started a process already. In both cases the bindings are loaded late."""
    NodeProcess.node, NodeProcess.warn = node, staticmethod(warn)
    process._NodeProcess = NodeProcess  # type: ignore[misc]
    _provider._process.__class__ = NodeProcess
