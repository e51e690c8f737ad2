"""Stand-ins for what the programs on a node ask: an engine of HTTP alone, commands of the system."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from nixl_efa.service import vllm

# What a node is told of its drain, and /etc/nixl-efa/env.
OWN = "http://10.0.0.11:8100"
DRAIN_CONFIG: dict[str, Any] = {
    "instance": "i-a",
    "engines": [OWN, "http://10.0.0.12:8200"],
    "own": OWN,
    "router": "http://10.0.0.12:8000",
    "has_router": True,
    "busy": vllm.BUSY,
    "limit": 300,
    "every": 5.0,
    "block": {"id": "cr-1", "end": "2026-12-01T11:30:00+00:00", "lead": 1800.0},
}
DRAIN_ENVIRON = {
    "AWS_REGION": "us-east-2",
    "PAIR_ENVIRONMENT": "prod",
    "PAIR_NODE": "consumer",
    "PAIR_SCRIPTS_BUCKET": "bucket",
}

MODELS = {"data": [{"id": "tiny", "max_model_len": 2048}]}
COUNT = 'vllm:nixl_bytes_transferred_count{engine="0"} '
COUNTED = 'vllm:generation_tokens_total{engine="0"} '


@dataclass
class Server:
    """An engine of HTTP alone. answers: what POST gets, one after the other, the last again and again. address: by
    default with a free port."""

    answers: list[tuple[int, dict[str, Any]]]
    models: dict[str, Any] = field(default_factory=lambda: MODELS)
    address: tuple[str, int] = ("127.0.0.1", 0)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> str:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def reply(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                told = ("# a comment", f"{COUNT}{len(server.requests)}.0", f"{COUNTED}0.0", "vllm:other 1")
                text = "\n".join([*told, 'vllm:nixl_bytes_transferred_bucket{le="1"} 3', ""])
                self.reply(
                    200, text.encode() if self.path == "/metrics" else json.dumps(server.models).encode()
                )

            def do_POST(self) -> None:
                server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                code, body = server.answers[min(len(server.requests), len(server.answers)) - 1]
                self.reply(code, json.dumps(body).encode())

        self._server = ThreadingHTTPServer(self.address, Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def text(words: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"choices": [{"text": words}], **more}


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
