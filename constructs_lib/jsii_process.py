"""jsii's end of its Node.js process: takes the one that runs already, and loads the AWS bindings late and in part.

They are loaded when the first of their types is used, with the modules alone that Python has imported by then. When one
that was imported later is used, they are loaded anew, with it: jsii's kernel loads a package whose folder it does not
find, and goes on with the objects that it has.
"""

from __future__ import annotations

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

from constructs_lib.small_provider import SCRIPT, cache_directory, small_provider
from nixl_efa.jsii_node import Node

# The AWS bindings as jsii knows them.
PROVIDERS = ("@cdktf/provider-aws", "@cdktn/provider-aws")
# Neither is public, nor typed.
_NodeProcess: Any = process._NodeProcess
_provider: Any = kernel.provider


class NodeProcess(_NodeProcess):  # type: ignore[misc]
    """jsii's own, but for its start and for the bindings. `node` is None where jsii starts one, or has done so."""

    node: Node | None = None
    warn: Callable[[str], None]
    # What jsii was asked to load, until all of it is loaded; and the modules that are loaded of it.
    whole: Any = None
    loaded: frozenset[str] = frozenset()

    def start(self) -> None:
        if self.node is None:
            super().start()
            return
        self._process = self.node.process
        self._process.stdin = self.node.channel.makefile("wb")
        self._process.stdout = self.node.channel.makefile("rb")
        self.handshake()
        for _ in range(self.node.loading):
            answer = self._next_message()
            if "error" in answer:
                raise RuntimeError(answer["error"])

    def stop(self) -> None:
        if self.node is None:
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
            super().send(LoadRequest(package, self.whole.version, str(tarball)), LoadResponse)
        self.loaded = modules
        if str(tarball) == self.whole.tarball:
            self.whole = None

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
    """Let jsii speak through `node`, unless it has started a process; in any case it loads the bindings late."""
    NodeProcess.node, NodeProcess.warn = node, staticmethod(warn)
    process._NodeProcess = NodeProcess  # type: ignore[misc]
    _provider._process.__class__ = NodeProcess
