"""A server of this machine that answers GET and HEAD as long as it is entered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

# Code, body and headers.
Answer = tuple[int, bytes, Mapping[str, str]]


class LocalServer:
    """url: of its root, once it is entered."""

    url = ""

    def answer(self, path: str, headers: Message, is_get: bool) -> Answer:
        """What is at a path. headers: the request's. Of an answer to HEAD the body is not sent."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                is_get = self.command == "GET"
                code, body, headers = server.answer(self.path, self.headers, is_get)
                self.send_response(code)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                if is_get:
                    self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
