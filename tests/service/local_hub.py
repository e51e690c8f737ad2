"""A hub of this machine: the few answers of the Hugging Face hub's API that its library needs for a model.

As in huggingface_hub 2.4: the list of a model's files (HfApi.model_info), and each file by HEAD and GET with a range
(hf_hub_download).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from tests.service.local_server import Answer, LocalServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# As the hub: larger files are kept by LFS.
LFS_BYTES = 1 << 20


@dataclass
class Hub(LocalServer):
    """One model. gets: the files that were downloaded, with the range. damaged: those of which other bytes are sent."""

    name: str
    files: dict[str, bytes]
    gets: list[tuple[str, str]] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)

    def answer(self, path: str, headers: Message, is_get: bool) -> Answer:
        """The model's document, or one of its files."""
        if path.startswith(f"/api/models/{self.name}"):
            return 200, json.dumps(self.listed()).encode(), {}
        found = re.fullmatch(rf"/{re.escape(self.name)}/resolve/{COMMIT}/(.+)", path)
        if found is None or found[1] not in self.files:
            return 404, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        return self.file(found[1], headers.get("Range", ""), is_get)

    def file(self, name: str, asked: str, is_get: bool) -> Answer:
        """asked: a range of it, or nothing."""
        data = self.files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{self.sum(name)}"', "Accept-Ranges": "bytes"}
        if is_get:
            self.gets.append((name, asked))
            if name in self.damaged:
                data = b"?" * len(data)
        begin = int(re.findall(r"bytes=(\d+)-", asked)[0]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        return 206 if asked else 200, data[begin:], headers

    def sum(self, name: str) -> str:
        """What the hub names a content by: git's sum, of large files their SHA-256."""
        data = self.files[name]
        if len(data) >= LFS_BYTES:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def listed(self) -> dict[str, Any]:
        """The model's document."""
        siblings = []
        for name, data in self.files.items():
            one: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": self.sum(name)}
            if len(data) >= LFS_BYTES:
                one["lfs"] = {"sha256": self.sum(name), "size": len(data), "pointerSize": 134}
            siblings.append(one)
        return {
            "_id": "1",
            "id": self.name,
            "modelId": self.name,
            "sha": COMMIT,
            "siblings": siblings,
            "tags": [],
        }
