"""What nodes copy from a bucket, models and Python packages: where it is, and its manifest. Pure.

Below nixl-efa-models/ in the bucket, each has a folder of its own. The manifest is written last: what has none is not
complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from nixl_efa.service.prepare import WEIGHTS

PREFIX = "nixl-efa-models"
# Where install-nixl.sh looks for NIXL's wheels in a bucket. Others put wheels there, too.
NIXL = "nixl-wheels"
MANIFEST = "nixl-efa-manifest.json"
FORM = 1
# Weights that only other programs read.
_OTHER_WEIGHTS = (".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".npz", ".mlmodel")


@dataclass(frozen=True, slots=True)
class File:
    """A file. name: relative to its folder. sum: what its source knows its content by, with the kind of sum before a
    colon: sha256 of the hub and of wheels, git of the hub, etag of S3."""

    name: str
    bytes: int
    sum: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is staged. name: a hub's name, an S3 folder, or requirements. revision: the hub's commit; else empty.

    place: where its files are, s3://BUCKET/FOLDER.
    """

    name: str
    revision: str
    place: str
    files: tuple[File, ...]
    form: int = field(default=FORM)

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(one.bytes for one in self.files)

    @property
    def text(self) -> str:
        """The object's content; `sum` tells two contents of a name apart."""
        files = [asdict(one) for one in self.files]
        told = hashlib.sha256(json.dumps(files).encode()).hexdigest()
        return json.dumps({**asdict(self), "files": files, "bytes": self.bytes, "sum": told}, indent=1) + "\n"


def unfit(files: Iterable[File]) -> str:
    """A name that can't be a file below a folder, as S3 allows it; empty for none."""
    names = {one.name for one in files}
    for name in sorted(names):
        parts = name.split("/")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if {"", ".", ".."} & {*parts} or above & names:
            return name
    return ""


def folder(model: str) -> str:
    """The prefix of a model's objects in the bucket, without a slash at its end."""
    kind, name = ("s3", model.removeprefix("s3://")) if model.startswith("s3://") else ("hub", model)
    return f"{PREFIX}/{kind}/{name}"


def packages_folder(requirements: Iterable[str]) -> str:
    """The prefix of packages, NAME==VERSION. Below it, each Python and machine has a folder of its own, as
    python3.12-x86_64: install-engine.sh looks for that of its node."""
    return "/".join((PREFIX, "packages", *(one.replace("==", "-") for one in requirements)))


def wanted(files: Iterable[File]) -> tuple[File, ...]:
    """The files of a hub's model that an engine reads: of the weights one kind, and none in folders below.

    Repositories often hold the same weights in several kinds. A commit that changes documents alone is no new content,
    for which engines would start again.
    """
    every = sorted(files, key=lambda one: one.name)
    kinds = [kind for kind in WEIGHTS if any(_is_weights(one, kind) for one in every)]
    return tuple(
        one
        for one in every
        if (kinds and _is_weights(one, kinds[0]))
        or not (one.name.endswith((*WEIGHTS, *_OTHER_WEIGHTS)) or _is_document(one))
    )


def _is_weights(file: File, kind: str) -> bool:
    return file.name.endswith(kind) and "/" not in file.name


def _is_document(file: File) -> bool:
    name = file.name.rpartition("/")[2]
    return name.startswith(("README", "LICENSE")) or name.endswith((".md", ".gitattributes"))


def has_weights(files: Iterable[File]) -> bool:
    """Whether any of the files holds weights."""
    return any(one.name.endswith(WEIGHTS) for one in files)


@dataclass(frozen=True, slots=True)
class Change:
    """What makes the objects of a folder those of a model: files to be copied, names to be deleted."""

    missing: tuple[File, ...]
    left_over: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        """Whether all is there already."""
        return not self.missing and not self.left_over


def change(files: Iterable[File], there: Mapping[str, tuple[int, str]]) -> Change:
    """there: size and sum of each object of the folder, by its name; the manifest is not among them."""
    wanted_files = tuple(files)
    names = {one.name for one in wanted_files}
    return Change(
        tuple(one for one in wanted_files if there.get(one.name) != (one.bytes, one.sum)),
        tuple(name for name in there if name not in names),
    )
