"""Wheels of Python packages, and of all that they need, for another machine than this one, by uv, which is run.

uv evaluates the markers of requirements (`; python_version < "3.12"`) for the Python and machine that it is asked for;
pip does so for the Python that runs it, whatever its --platform and --python-version are (pypa/pip#11664).
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from nixl_efa import nixl_releases
from nixl_efa.failure import Failure
from nixl_efa.image import python_of
from nixl_efa.launch import Launch
from nixl_efa.service.staged import File

# The oldest glibc of a system here that has a Python for NIXL's wheels: 2.35 of Ubuntu 22.04. Wheels of some packages
# need 2.31.
_GLIBC = "manylinux_2_34"
_SECONDS = 60
# Between tries.
PAUSES = (1.0, 5.0, 15.0)
_AGAIN = "Does this machine reach the index (UV_DEFAULT_INDEX, HTTPS_PROXY)? The same command continues."
T = TypeVar("T")


def machines(launch: Launch, python: str) -> tuple[tuple[str, str], ...]:
    """Python and machine of an environment's nodes, each pair once. python: as the user gave it; empty: by the image.

    Failure if the image does not tell its Python.
    """
    found = []
    for one in launch.requests:
        own = python or ("" if one.image_id else python_of(one.image_parameter))
        if not own:
            raise Failure(
                f"which Python is on the image {one.image_id or one.image_parameter} is not known: give --python with "
                "what `python3 --version` says there, as 3.12."
            )
        is_arm = one.type_facts is not None and "arm64" in one.type_facts.architectures
        found.append((own, "aarch64" if is_arm else "x86_64"))
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Wheels:
    """requirements: as pip writes them. python: as 3.12; machine: as `uname -m` tells it. cache: a folder here, in
    which a file is kept until it is in the bucket. alone: without what they need."""

    requirements: tuple[str, ...]
    python: str
    machine: str
    cache: Path
    alone: bool = False
    _urls: dict[str, str] = field(default_factory=dict)

    def files(self) -> tuple[str, tuple[File, ...]]:
        """No revision, and every wheel that such a machine can install: of some packages several of one version."""
        found = []
        for package in tomllib.loads(self._resolved()).get("packages", ()):
            for wheel in package.get("wheels", ()):
                name, url = _address(package["name"], wheel)
                self._urls[name] = url
                size = wheel.get("size") or _size(url)
                found.append(File(name, size, f"sha256:{wheel['hashes']['sha256']}"))
        return "", tuple(found)

    def fetch(self, file: File, _revision: str) -> Path:
        """Downloads a wheel."""
        path, url = self.cache / file.name, self._urls[file.name]

        def download() -> None:
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer, path.open("wb") as to:
                shutil.copyfileobj(answer, to, 1 << 20)
                # An answer that is read in parts may end early without an error.
                if to.tell() < file.bytes:
                    raise OSError(f"{to.tell():,} of {file.bytes:,} bytes have come")

        try:
            _patiently(download)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failure(f"{url} can't be downloaded: {error}. {_AGAIN}") from error
        return path

    def has(self, file: File) -> bool:
        """Whether it is among its files, once they are known."""
        return file.name in self._urls

    def _resolved(self) -> str:
        """The text of a pylock.toml (PEP 751): of each package the wheels that fit."""
        beside = str(Path(sys.executable).parent)
        uv = shutil.which("uv", path=os.pathsep.join((beside, os.environ.get("PATH", os.defpath))))
        if uv is None:
            raise Failure("they need uv, which is not installed: `pip install uv`.")
        words = ["--python-platform", f"{self.machine}-{_GLIBC}", "--python-version", self.python]
        words += [
            "--python",
            sys.executable,
            "--only-binary",
            ":all:",
            "--format",
            "pylock.toml",
            "--no-header",
            *(("--no-deps",) if self.alone else ()),
        ]
        done = subprocess.run(
            [uv, "pip", "compile", "-", "--quiet", "--color", "never", *words],
            input="\n".join(self.requirements),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            # The hints come after an empty line.
            said = " ".join(done.stderr.strip().partition("\n\n")[0].split())
            raise Failure(
                f"uv finds no wheels: {said.removeprefix('error: ').rstrip('.')}. Is the version right? {_AGAIN}"
            )
        return done.stdout


@dataclass(frozen=True, slots=True)
class NixlWheels:
    """What install-nixl.sh may choose from on nodes of these Pythons and machines: releases by the node's libfabric,
    CUDA builds by its driver. Several versions of one package are several sets."""

    sets: tuple[Wheels, ...]

    @property
    def cache(self) -> Path:
        """That of each set."""
        return self.sets[0].cache

    def files(self) -> tuple[str, tuple[File, ...]]:
        """No revision, and each wheel once. Failure if nodes would refuse one for its sum."""
        found: dict[str, File] = {}
        for one in self.sets:
            files = {file.name: file for file in one.files()[1]}
            sums = {file.sum.removeprefix("sha256:") for file in files.values()}
            for requirement in one.requirements:
                known = nixl_releases.sums(requirement, one.python)
                if known and not known & sums:
                    raise Failure(
                        f"the index has other wheels of {requirement} than those of which nodes know the SHA-256, and "
                        "which alone they install. Give uv another index (UV_DEFAULT_INDEX)."
                    )
            found |= files
        return "", tuple(found.values())

    def fetch(self, file: File, revision: str) -> Path:
        """Downloads a wheel."""
        return next(one for one in self.sets if one.has(file)).fetch(file, revision)


def nixl_wheels(versions: Iterable[str], of: Iterable[tuple[str, str]], cache: Path) -> NixlWheels:
    """NIXL of these versions, as install-nixl.sh asks pip for it. of: what `machines` returns."""

    def wanted(version: str, python: str) -> tuple[str, ...]:
        packages = (f"{name}=={version}" for name in ("nixl", "nixl-cu13", "nixl-cu12"))
        return (*packages, *nixl_releases.beside(python), "nvidia-cuda-runtime-cu12<14")

    return NixlWheels(
        tuple(
            Wheels(wanted(version, python), python, machine, cache, alone=True)
            for version in versions
            for python, machine in of
        )
    )


def _address(package: str, wheel: Mapping[str, Any]) -> tuple[str, str]:
    """The name and the URL of a wheel. Failure if the index keeps it in a folder, or tells no sum."""
    if "url" not in wheel or "sha256" not in wheel.get("hashes", {}):
        raise Failure(f"the index has no URL or no SHA-256 of a wheel of {package}: give uv another one.")
    url = str(wheel["url"])
    return Path(unquote(url.partition("?")[0])).name, url


def _size(url: str) -> int:
    """In bytes: an index of the older form does not tell it."""

    def look() -> int:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS) as answer:
            return int(answer.headers["Content-Length"])

    try:
        return _patiently(look)
    except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
        raise Failure(f"the size of {url} is not known: {error}. {_AGAIN}") from error


def _patiently(ask: Callable[[], T]) -> T:
    """What it returns. An error of the network or of the server is raised after some tries, a refusal at once."""
    for pause in PAUSES:
        try:
            return ask()
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(pause)
    return ask()
