"""A package index of this machine, and wheels for it.

The index answers as the simple API does, in its JSON form (PyPA, "Simple repository API"), which tells sizes, or in the
older HTML form, which does not.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/vnd.pypi.simple.v1+json"
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
class Index:
    """files: wheels by name. gets: the files that were downloaded; damaged: those of which other bytes are sent."""

    files: dict[str, bytes]
    is_json: bool = True
    gets: list[str] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    url: str = ""

    def __enter__(self) -> Index:
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                kind, name = self.path.strip("/").split("/")
                if kind == "simple":
                    return self.reply(*index.page(name))
                if name.endswith(".metadata"):
                    return self.reply(_metadata(index.files[name.removesuffix(".metadata")]), "text/plain")
                data = index.files[name]
                if self.command == "GET":
                    index.gets.append(name)
                    data = b"?" * len(data) if name in index.damaged else data
                return self.reply(data, "application/octet-stream")

            def reply(self, body: bytes, kind: str) -> None:
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self, package: str) -> tuple[bytes, str]:
        """A package's page and its type; nothing for one that is not there."""
        found = {
            name: data
            for name, data in self.files.items()
            if name.partition("-")[0].replace("_", "-") == package
        }
        if not found:
            return b"", "text/html"
        if not self.is_json:
            links = (
                f'<a href="/files/{name}#sha256={_sum(data)}" data-core-metadata="true">{name}</a>'
                for name, data in found.items()
            )
            return "".join(links).encode(), "text/html"
        return json.dumps(_document(package, found)).encode(), JSON


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
