"""A node's root folder with our real scripts, real libfabrics and real wheels in it, run by the machine's own bash."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from nixl_efa.bootstrap.files import node_files
from tests.told_at_boot import P5

# The wheels that are fetched are of Python 3.11.
PYTHON = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11") or ""


class RealNode:
    """What the scripts find: libfabric's tools in EFA's folder, the loader's path as a variable.

    `ldconfig` is a stand-in: this machine's loader knows nothing of the root folder.
    """

    def __init__(self, root: Path, fetched: Path, libfabric: str, **changes: Any) -> None:
        self.root, self.fetched, self.libfabric = root, fetched, libfabric
        for file in node_files(replace(P5, **changes)):
            target = root / file.path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.content, encoding="utf-8")
            target.chmod(int(file.permissions, 8))
        efa = root / "opt/amazon/efa"
        efa.mkdir(parents=True)
        (efa / "bin").symlink_to(fetched / "libfabric-1.17.0/bin")
        (efa / "lib").symlink_to(fetched / f"libfabric-{libfabric}/lib")
        self.commands = root / "stand-ins"
        self.commands.mkdir()
        self.on_loader_path = ["libcuda.so.1", "libhwloc.so.15", "libfabric.so.1"]
        self.command("ldconfig", r"for name in $ON_LOADER_PATH; do printf '\t%s (libc6) => x\n' $name; done")
        self.command("apt-get", f'echo "$*" >>{root}/apt; exit 1')
        self.command("aws", "exit 1")
        self.command("python3", f'exec "{PYTHON}" "$@"')

    def command(self, name: str, script: str) -> None:
        """A stand-in of a command."""
        (self.commands / name).write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        (self.commands / name).chmod(0o755)

    def libraries(self) -> str:
        """The loader's path: libfabric, hwloc, CUDA's driver, and CUDA's runtime where the wheel has brought it."""
        (*runtime,) = self.root.glob("opt/nixl-efa/venv/lib/python3*/site-packages/nvidia/*/lib")
        return ":".join(
            map(str, [self.fetched / f"libfabric-{self.libfabric}/lib", self.fetched / "lib", *runtime])
        )

    def run(self, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """One of our scripts; what it says of the machine's Python is of PYTHON."""
        path = f"{self.commands}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", self.root / "opt/nixl-efa/bin" / script, *arguments, self.root],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
                "PATH": path,
                "LD_LIBRARY_PATH": self.libraries(),
                "ON_LOADER_PATH": " ".join(self.on_loader_path),
                "NIXL_PAUSE": "0",
                **environ,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> dict[str, Any]:
        """What install-nixl tells of its work."""
        text = (self.root / "var/lib/nixl-efa/install.json").read_text(encoding="utf-8")
        document: dict[str, Any] = json.loads(text)
        return document
