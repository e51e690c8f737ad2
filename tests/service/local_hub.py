"""A hub of this machine: the few answers of the Hugging Face hub's API that its library needs for a model.

As in huggingface_hub 2.4: the list of a model's files (HfApi.model_info), and each file by HEAD and GET with a range
(hf_hub_download).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# As the hub: larger files are kept by LFS.
LFS_BYTES = 1 << 20


@dataclass
class Hub:
    """One model. gets: the files that were downloaded, with the range. damaged: those of which other bytes are sent."""

    name: str
    files: dict[str, bytes]
    gets: list[tuple[str, str]] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    url: str = ""

    def __enter__(self) -> Hub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if self.path.startswith(f"/api/models/{hub.name}"):
                    return self.reply(200, json.dumps(hub.listed()).encode(), {})
                found = re.fullmatch(rf"/{re.escape(hub.name)}/resolve/{COMMIT}/(.+)", self.path)
                if found is None or found[1] not in hub.files:
                    codes = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
                    return self.reply(404, b"", codes)
                return self.file(found[1])

            def file(self, name: str) -> None:
                data = hub.files[name]
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hub.sum(name)}"', "Accept-Ranges": "bytes"}
                asked = self.headers.get("Range", "")
                if self.command == "GET":
                    hub.gets.append((name, asked))
                    if name in hub.damaged:
                        data = b"?" * len(data)
                begin = int(re.findall(r"bytes=(\d+)-", asked)[0]) if asked else 0
                if asked:
                    headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
                self.reply(206 if asked else 200, data[begin:], headers)

            def reply(self, code: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                for key, value in headers.items():
                    self.send_header(key, value)
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
