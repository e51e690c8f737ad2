"""Copies between this machine and nodes, through the scripts bucket: pieces.py is at both ends.

The pieces stay in the bucket below PREFIX/NAME/ until the copy has succeeded, so that the same copy, started again,
sends only the rest. NAME depends on what is copied, to where, and by whom. Nodes use their role and the AWS CLI.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa.clock import Clock
from nixl_efa.failure import BadInput
from nixl_efa.work import pieces

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef

    from nixl_efa.nodes.run_command import Bucket

PREFIX = "nixl-efa-copy"
ALL = "all"
# The age at which the next copy deletes what an unfinished copy has left.
KEPT = timedelta(days=1)
# How many pieces this machine sends or fetches at once; each is in memory.
AT_ONCE = 4
_REMOTE = re.compile(r"(?P<environment>[a-z][a-z0-9-]*):(?P<nodes>[a-z0-9,-]+):(?P<path>.*)", re.DOTALL)
_HALF_REMOTE = re.compile(r"[a-z][a-z0-9-]*:[^:]*")
_PROGRESS = re.compile(rb"^(\d+) of (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Remote:
    """A path on nodes. nodes: their names; none for all of them."""

    environment: str
    nodes: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied: sources of this machine to a path on nodes, or a path on nodes to one of this machine."""

    remote: Remote
    local: tuple[str, ...]
    to_nodes: bool

    def name(self, whose: str) -> str:
        """The same for the same copy of the same user (`whose`)."""
        told = [whose, self.to_nodes, self.remote.environment, self.remote.nodes, self.remote.path]
        text = json.dumps([*told, [str(Path(one).absolute()) for one in self.local]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse(words: Sequence[str]) -> Copy:
    """The copy that the paths of a command line describe; the last path is the destination. BadInput if they describe
    none."""
    if "" in words:
        raise BadInput(
            "one of the paths is empty: give a file or folder, ENV:NODE:PATH, or . for this folder."
        )
    *sources, destination = [_read(word) for word in words]
    remote = [one for one in sources if isinstance(one, Remote)]
    if isinstance(destination, Remote):
        if remote:
            raise BadInput("both ends are nodes: copy to this machine first, or run scp on a node.")
        return Copy(destination, tuple(one for one in sources if isinstance(one, str)), to_nodes=True)
    if not remote:
        raise BadInput(
            f"neither end is a node: write ENV:NODE:PATH for one, or ENV:{ALL}:PATH for all nodes."
        )
    if len(sources) > 1:
        raise BadInput("copy one path from the nodes at a time: a folder comes with all that is in it.")
    return Copy(remote[0], (destination,), to_nodes=False)


def _read(word: str) -> Remote | str:
    found = _REMOTE.fullmatch(word)
    if found is not None:
        if not found["path"]:
            raise BadInput(
                f"{word}: which file or folder of the node? For example {word}/opt/dlami/nvme/data"
            )
        names = tuple(dict.fromkeys(found["nodes"].split(",")))
        return Remote(found["environment"], () if names == (ALL,) else names, found["path"])
    if _HALF_REMOTE.fullmatch(word):
        raise BadInput(
            f"{word}: which node? Write ENV:NODE:PATH, or ENV:{ALL}:PATH for all nodes; a file here is ./{word}."
        )
    return word


def on_node(action: str, region: str, bucket: str, prefix: str, name: str, path: str) -> str:
    """The bash command for the node's part of the copy."""
    text = Path(pieces.__file__).read_text(encoding="utf-8")
    packed = b64encode(zlib.compress(text.encode(), 9)).decode()
    program = f"import zlib,base64;exec(zlib.decompress(base64.b64decode('{packed}')))"
    # As in read-members.sh: the AWS CLI must not load the libibverbs of the login environment.
    without = ["env", "-u", "LD_PRELOAD"]
    return shlex.join([*without, "python3", "-c", program, action, region, bucket, prefix, name, path])


class Progress:
    """The progress of the nodes, from their output."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, int]] = {}

    def heard(self, node: str, printed: bytes) -> None:
        """Receives lines of a node."""
        for found in _PROGRESS.finditer(printed):
            self._of[node] = int(found[1]), int(found[2])

    @property
    def done(self) -> int:
        """Bytes, of all nodes."""
        return sum(count for count, _ in self._of.values())


class Kept:
    """What a copy has in the scripts bucket."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self.prefix = f"{PREFIX}/{name}"
        self._sums = {
            one["Key"].rpartition("/")[2]: one["Size"] for one in self._bucket.objects(f"{self.prefix}/")
        }

    @property
    def place(self) -> str:
        """Where, for a message."""
        return f"s3://{self._bucket.name}/{self.prefix}/"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there now."""
        return not self._bucket.objects(f"{self.prefix}/")

    def store(self, name: str, data: bytes) -> None:
        """Put a piece, unless it is there."""
        if self._sums.get(name) != len(data):
            self._bucket.s3.put_object(Bucket=self._bucket.name, Key=f"{self.prefix}/{name}", Body=data)

    def put_list(self, prefix: str, listed: Mapping[str, object]) -> None:
        """Put the list of files, after the pieces."""
        body = json.dumps(listed).encode()
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=f"{prefix}/{pieces.LIST}", Body=body)

    def get(self, prefix: str, name: str) -> bytes:
        """An object's bytes."""
        return self._bucket.s3.get_object(Bucket=self._bucket.name, Key=f"{prefix}/{name}")["Body"].read()

    def forget(self) -> None:
        """Delete all of this copy."""
        self._bucket.delete(self._bucket.objects(f"{self.prefix}/"))

    def forget_old(self, clock: Clock) -> None:
        """Delete the copies of others into which nothing came for a day: one that still sends may have older pieces."""
        copies: dict[str, list[ObjectTypeDef]] = {}
        for one in self._bucket.objects(f"{PREFIX}/"):
            copies.setdefault("/".join(one["Key"].split("/")[:2]), []).append(one)
        before = clock.now() - KEPT
        for prefix, objects in copies.items():
            if prefix != self.prefix and max(one["LastModified"] for one in objects) < before:
                self._bucket.delete(objects)
