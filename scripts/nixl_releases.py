"""Writes nixl_efa/nixl_releases.json anew: what each release of NIXL needs of libfabric, and its wheels' hashes.

Usage: python scripts/nixl_releases.py    from the repository's root; needs pip, readelf and 1 GB below $TMPDIR.

From each release since 1.0.0, one wheel is downloaded, and the library versions that its LIBFABRIC plugin needs are
read: the highest symbol version of libfabric.so.1 (ELF, .gnu.version_r). The hashes
are those that the package index gives.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATA = Path("nixl_efa/nixl_releases.json")
# Of Ubuntu 22.04, Debian 12 and Ubuntu 24.04. Not of Ubuntu 26.04 (3.14): for that this numpy has no wheel.
PYTHONS = ("3.10", "3.11", "3.12")
MACHINES = ("x86_64", "arm64")
# Beside NIXL's wheels a node needs numpy, and libcudart. Hashes are kept for CUDA 13 alone: CUDA 12 is for the drivers
# of older images.
BESIDE = (("numpy==2.2.6", PYTHONS), ("nvidia-cuda-runtime==13.0.96", PYTHONS[:1]))
FIRST = (1, 0, 0)


def pip(*arguments: str) -> str:
    """pip's standard output. Raises CalledProcessError; pip has then said why."""
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def versions() -> list[str]:
    """The releases that have the plugin, the newest first; no pre-releases."""
    listed = re.search(r"^Available versions: (.+)$", pip("index", "versions", "nixl-cu13"), re.MULTILINE)
    found = listed[1].split(", ") if listed else []
    return [one for one in found if re.fullmatch(r"[\d.]+", one) and numbers(one) >= FIRST]


def numbers(version: str) -> tuple[int, ...]:
    """ "1.5.1" as numbers that can be compared."""
    return tuple(int(part) for part in version.split("."))


def options(python: str, machine: str) -> list[str]:
    """pip's options for another machine than this one."""
    of_linux = {"x86_64": "x86_64", "arm64": "aarch64"}[machine]
    tags = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
    platforms = [f"--platform={tag}_{of_linux}" for tag in tags]
    return ["--no-deps", "--only-binary=:all:", f"--python-version={python}", *platforms]


def sha256(requirement: str, python: str, machine: str) -> str:
    """The hash that the index gives for the wheel that pip would take; nothing is downloaded."""
    report = pip(
        *("install", "--quiet", "--dry-run", "--ignore-installed", "--report=-", "--target=unused"),
        *options(python, machine),
        requirement,
    )
    (found,) = json.loads(report)["install"]
    hashed: str = found["download_info"]["archive_info"]["hashes"]["sha256"]
    return hashed


def symbol_version(wheel: Path, library: str) -> str:
    """The highest version of a library's symbols that the LIBFABRIC plugin in a wheel needs: "1.10" of FABRIC_1.10."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        plugin = next(one for one in archive.namelist() if one.endswith("/libplugin_LIBFABRIC.so"))
        read = subprocess.run(
            ["readelf", "--version-info", archive.extract(plugin, folder)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    needed: list[str] = re.findall(rf"Name: {library}_([\d.]+)", read)
    return max(needed, key=numbers)


def release(version: str) -> dict[str, Any]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--quiet", f"--dest={folder}", *options("3.12", "x86_64"), f"nixl-cu13=={version}")
        (wheel,) = Path(folder).glob("*.whl")
        fabric = symbol_version(wheel, "FABRIC")
    wheels = [hashes(f"nixl=={version}", PYTHONS[:1]), hashes(f"nixl-cu13=={version}", PYTHONS)]
    return {"fabric": fabric, "wheels": wheels}


def hashes(requirement: str, pythons: Iterable[str]) -> dict[str, Any]:
    """What pip is to be asked for, and the hashes of its wheels by machine, in the order of the Pythons."""
    found = {machine: [sha256(requirement, python, machine) for python in pythons] for machine in MACHINES}
    return {"requirement": requirement, "sha256": found}


def main() -> None:
    """Writes the file; the newest release first."""
    document = {
        "pythons": PYTHONS,
        "releases": {one: release(one) for one in versions()},
        "beside": [hashes(*one) for one in BESIDE],
    }
    DATA.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
