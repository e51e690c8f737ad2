"""What each release of NIXL needs of libfabric, which libfabric has it, and which EFA installer brings that. Pure.

The plugin LIBFABRIC of a release is linked against symbols of libfabric.so.1 by version (FABRIC_1.7): an older library
does not load it. nixl_releases.json is written by scripts/nixl_releases.py, from the wheels themselves; the tables here
come from libfabric's sources and AWS's release notes.
"""

import json
import os.path
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from nixl_efa.nixl_backend import LIBFABRIC

DATA_FILE = os.path.join(os.path.dirname(__file__), "nixl_releases.json")

# The first libfabric with a version of symbols: libfabric.map.in in ofiwg/libfabric's tags v1.15.0 to v2.6.0 and, for
# 1.10, in what became 2.7.0. The real libraries agree: 1.17.0 of Debian ends at 1.6, 2.5.1 of PyPI's mpich at 1.9.
FIRST_LIBFABRIC = {"1.7": "1.20", "1.8": "2.0", "1.9": "2.5", "1.10": "2.7"}


@dataclass(frozen=True, slots=True)
class Installer:
    """A release of AWS's EFA installer, with the libfabric that it puts into /opt/amazon/efa."""

    version: str
    released: date
    libfabric: str


# EC2 user guide, efa-changelog; without the releases that did not change libfabric. The newest first. 1.48.0 is named
# with its libfabric in a public record of its use alone.
INSTALLERS: tuple[Installer, ...] = (
    Installer("1.51.0", date(2026, 10, 22), "2.7.0amzn2.0"),
    Installer("1.50.0", date(2026, 8, 21), "2.6.0amzn1.0"),
    Installer("1.49.0", date(2026, 6, 27), "2.4.0amzn5.0"),
    Installer("1.48.0", date(2026, 4, 14), "2.4.0amzn3.0"),
    Installer("1.47.0", date(2026, 1, 29), "2.4.0amzn1.0"),
    Installer("1.46.0", date(2025, 12, 12), "2.3.1amzn4.0"),
    Installer("1.45.0", date(2025, 11, 17), "2.3.1amzn2.0"),
    Installer("1.44.0", date(2025, 10, 29), "2.3.1amzn1.0"),
    Installer("1.43.0", date(2025, 7, 25), "2.1.0amzn4.0"),
    Installer("1.42.0", date(2025, 6, 6), "2.1.0amzn3.0"),
    Installer("1.40.0", date(2025, 5, 2), "2.1.0amzn2.0"),
    Installer("1.39.0", date(2025, 4, 16), "2.1.0"),
    Installer("1.37.0", date(2024, 11, 18), "1.22.0amzn4.0"),
    Installer("1.34.0", date(2024, 8, 6), "1.22.0amzn1.0"),
    Installer("1.32.0", date(2024, 4, 18), "1.21.0amzn1.0"),
    Installer("1.31.0", date(2024, 3, 7), "1.20.1amzn1.0"),
    Installer("1.30.0", date(2023, 12, 1), "1.19.0amzn4.0"),
)
# Of the deep-learning images of 2026-10-09, the newest of which release notes were found (DLAMI developer guide,
# aws-deep-learning-ami-gpubaseossarm64-ul2404-2026-10-09). When images with 1.51.0 appear, update this line.
NEWEST_IMAGE = "1.50.0"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a release needs at least: libfabric "2.7", brought by the EFA installer "1.51"."""

    libfabric: str
    installer: str


def needs(version: str) -> Needs | None:
    """What a release of NIXL needs; None for one that the table does not know."""
    release = _document()["releases"].get(version)
    if release is None:
        return None
    libfabric = FIRST_LIBFABRIC[release["fabric"]]
    installer = next(one for one in reversed(INSTALLERS) if _numbers(one.libfabric) >= _numbers(libfabric))
    return Needs(libfabric, installer.version.removesuffix(".0"))


def loads(version: str, libfabric: str) -> bool | None:
    """Whether a libfabric ("2.6.0amzn1.0") loads a release's plugin; None where either is not known."""
    needed = needs(version)
    if needed is None or not libfabric[:1].isdigit():
        return None
    return _numbers(libfabric) >= _numbers(needed.libfabric)


def why_not(version: str, libfabric: str) -> str:
    """Why a libfabric does not load a release, a sentence without a full stop; empty if it loads it, or may load it."""
    needed = needs(version)
    if needed is None or loads(version, libfabric) is not False:
        return ""
    return (
        f"NIXL {version} needs libfabric {needed.libfabric}, EFA installer {needed.installer}; "
        f"this node has {libfabric}"
    )


def newest_for(libfabric: str) -> str | None:
    """The newest release that a libfabric loads; None when none does."""
    return next((one for one in _document()["releases"] if loads(one, libfabric)), None)


def installer_of(day: date) -> Installer | None:
    """The newest EFA installer that an image of a day can hold; None for a day before the table."""
    return next((one for one in INSTALLERS if one.released <= day), None)


def for_node(versions: Sequence[str], machine: str) -> str:
    """The file releases.txt of a node: what each release needs, and the wheels that may be installed on `machine`.

    "# 1.5.0 1.20 1.31" is a release, its libfabric and its EFA installer; "#python" names the Pythons for which there
    are hashes; the rest are pip's requirements, each with its wheels' SHA-256. Releases that are not in the
    table are left out.
    """
    document = _document()
    known = [version for version in versions if version in document["releases"]]
    rows = [
        *(one for version in known for one in document["releases"][version]["wheels"]),
        *document["beside"],
    ]
    lines = [f"#python {' '.join(document['pythons'])}"]
    lines += [f"# {one} {needed.libfabric} {needed.installer}" for one in known if (needed := needs(one))]
    lines += [" ".join([row["requirement"], *row["sha256"].get(machine, ())]) for row in rows if known]
    return "".join(f"{line}\n" for line in lines)


def beside(python: str) -> tuple[str, ...]:
    """What a node with this Python (3.12) installs with NIXL for CUDA 13, as pip writes it. Without hashes, any
    version."""
    document = _document()
    if python not in document["pythons"]:
        return "numpy", "nvidia-cuda-runtime<14"
    return tuple(row["requirement"] for row in document["beside"])


def sums(requirement: str, python: str) -> frozenset[str]:
    """The SHA-256 that a node with this Python knows of a requirement's wheels, of any machine; none: it takes any."""
    document = _document()
    if python not in document["pythons"]:
        return frozenset()
    rows = [
        *document["beside"],
        *(one for release in document["releases"].values() for one in release["wheels"]),
    ]
    found = (row["sha256"].values() for row in rows if row["requirement"] == requirement)
    return frozenset(one for machines in found for each in machines for one in each)


def choices(version: str, *, is_pinned: bool, backend: str) -> tuple[str, ...]:
    """The releases that a node may install, of which `version` is that of the settings. Only LIBFABRIC rests on the
    node's libfabric."""
    return (version,) if is_pinned or backend != LIBFABRIC else offered()


def offered() -> tuple[str, ...]:
    """The releases from which a node chooses by its libfabric: for each needed libfabric, the newest release; the
    newest first."""
    found: dict[str, str] = {}
    for version, release in _document()["releases"].items():
        found.setdefault(release["fabric"], version)
    return tuple(found.values())


def _numbers(version: str) -> tuple[int, int]:
    """The first two numbers of "2.6.0amzn1.0", on which a library's symbols depend."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@cache
def _document() -> dict[str, Any]:
    with open(DATA_FILE, encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
        return document


# The newest release that the newest deep-learning image loads.
DEFAULT = newest_for(next(one.libfabric for one in INSTALLERS if one.version == NEWEST_IMAGE)) or ""
