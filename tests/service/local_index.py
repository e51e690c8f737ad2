"""A package index of this machine, and wheels for it.

The index answers as the simple API does, in its JSON form (PyPA, "Simple repository API"), which tells sizes, or in the
older HTML form, which does not.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from tests.service.local_server import Answer, LocalServer

ANY = "py3-none-any"


def wheel(
    name: str, version: str, *requires: str, tag: str = ANY, files: Mapping[str, str] | None = None
) -> tuple[str, bytes]:
    """The name of a wheel's file, and its content. files: what it holds beside that, texts by their paths."""
    about = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
        for path, text in (files or {}).items():
            archive.writestr(path, text)
    return f"{name}-{version}-{tag}.whl", content.getvalue()


@dataclass
class Index(LocalServer):
    """files: wheels by name. gets: the files that were downloaded; damaged: those of which other bytes are sent.
    cut: those of which the connection ends early, once for each time that it is named."""

    files: dict[str, bytes]
    is_json: bool = True
    gets: list[str] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    cut: list[str] = field(default_factory=list)

    def answer(self, path: str, headers: Message, is_get: bool) -> Answer:
        """A package's page, a wheel, or what the index tells of a wheel."""
        kind, name = path.strip("/").split("/")
        if kind == "simple":
            body = self.page(name)
            # The JSON form, which clients ask for first, has a media type of its own.
            wanted = headers["Accept"].partition(",")[0] if self.is_json else "text/html"
            return 200 if body else 404, body, {"Content-Type": wanted.partition(";")[0]}
        if name.endswith(".metadata"):
            return 200, _metadata(self.files[name.removesuffix(".metadata")]), {"Content-Type": "text/plain"}
        data = self.files[name]
        if is_get:
            self.gets.append(name)
            data = b"?" * len(data) if name in self.damaged else data
        if is_get and name in self.cut:
            self.cut.remove(name)
            return 200, data[:-1], {"Content-Length": str(len(data)), "Connection": "close"}
        return 200, data, {"Content-Type": "application/octet-stream"}

    def page(self, package: str) -> bytes:
        """A package's page; nothing for one that is not there."""
        found = {
            name: data
            for name, data in self.files.items()
            if name.partition("-")[0].replace("_", "-") == package
        }
        if not found:
            return b""
        if not self.is_json:
            links = (
                f'<a href="/files/{name}#sha256={_sum(data)}" data-core-metadata="true">{name}</a>'
                for name, data in found.items()
            )
            return "".join(links).encode()
        return json.dumps(_document(package, found)).encode()


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _metadata(data: bytes) -> bytes:
    """Of a wheel."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return next(archive.read(name) for name in archive.namelist() if name.endswith("/METADATA"))


def _document(package: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    listed = [
        {
            "filename": name,
            "url": f"/files/{name}",
            "size": len(data),
            "hashes": {"sha256": _sum(data)},
            "core-metadata": True,
        }
        for name, data in files.items()
    ]
    versions = sorted({name.split("-")[1] for name in files})
    return {"meta": {"api-version": "1.1"}, "name": package, "versions": versions, "files": listed}
