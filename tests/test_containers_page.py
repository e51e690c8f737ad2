"""docs/containers.md: its script asks the real docker client for what EFA needs, and systemd accepts its unit."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from nixl_efa.bootstrap.files import env_file
from tests.nodes.stand_in import StandIn, first_boot
from tests.printed import ROOT, blocks
from tests.records import answer

PAGE = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")


def tool(name: str) -> str:
    """A program's path; without it a skip, in CI a failure."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed: docs/containers.md is not tried with it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Engine(ThreadingMixIn, UnixStreamServer):
    """As much of the Docker Engine API as `docker run` asks before it starts a container; it starts none."""

    daemon_threads = True
    asked: dict[str, Any]


class Request(BaseHTTPRequestHandler):
    server: Engine

    def do_HEAD(self) -> None:
        self.answer(200, b"")

    def do_GET(self) -> None:
        self.answer(200, b"OK")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/containers/create" in self.path:
            self.server.asked = json.loads(body)
        self.answer(500, b'{"message": "no container is started here"}')

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Api-Version", "1.48")
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the client has read enough
            self.wfile.write(body)

    def address_string(self) -> str:
        return "docker"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(str(tmp_path / "docker.sock"), Request) as running:
        running.asked = {}
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_a_container_gets_the_efa_devices_alone_and_memory_that_it_may_lock(
    engine: Engine, tmp_path: Path
) -> None:
    tool("docker")
    node = StandIn("producer", tmp_path / "node", devices=8)
    for index in range(8):
        node.file(f"sys/class/infiniband/rdmap{index}s0/device/infiniband_verbs/uverbs{index + 2}/dev", "")
    for index, name in enumerate(answer("rdma/p6-b200-ten-devices")["nvlink_controllers"]):
        node.file(f"sys/class/infiniband/{name}/device/vendor", "0x15b3\n")
        node.file(f"sys/class/infiniband/{name}/device/infiniband_verbs/uverbs{index}/dev", "")
    environment = env_file(first_boot("producer", 8)) + "LD_PRELOAD=/usr/lib/libibverbs.so.1\n"
    node.file("etc/nixl-efa/env", environment)
    (block,) = blocks(PAGE, "bash")
    text = block.text
    for folder in ("/sys/", "/etc/nixl-efa/"):
        text = text.replace(f" {folder}", f" {node.root}{folder}").replace(
            f"<{folder}", f"<{node.root}{folder}"
        )
    program = node.file("efa-run", text)
    ran = subprocess.run(
        [
            "bash",
            "-c",
            f"set -a; . {node.root}/etc/nixl-efa/env; unset LD_PRELOAD; exec bash {program} --gpus all image fi_info",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"},
    )
    assert "no container is started here" in ran.stderr
    host = engine.asked["HostConfig"]
    assert [one["PathOnHost"] for one in host["Devices"]] == [
        f"/dev/infiniband/uverbs{n}" for n in range(2, 10)
    ]
    assert host["Ulimits"] == [{"Name": "memlock", "Hard": -1, "Soft": -1}]
    assert (host["NetworkMode"], host["IpcMode"], host["Privileged"]) == ("host", "host", False)
    names = {line.partition("=")[0] for line in environment.splitlines()}
    given = dict(one.split("=", 1) for one in engine.asked["Env"])
    assert set(given) == names - {"LD_PRELOAD"}
    assert given["FI_PROVIDER"] == "efa"
    # Without the quotes that the file has for a shell.
    assert json.loads(given["PAIR_KV_TRANSFER_CONFIG"])["kv_connector"] == "NixlConnector"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    (block,) = blocks(PAGE, "ini")
    there = tmp_path / "there"
    there.write_text("#!/bin/sh\n", encoding="utf-8")
    there.chmod(0o755)
    text = block.text.replace("/usr/local/bin/efa-run", str(there)).replace("/usr/bin/docker", str(there))
    for name in ("docker.service", "nixl-efa-boot-report.service"):
        (tmp_path / name).write_text(f"[Service]\nType=oneshot\nExecStart={there}\n", encoding="utf-8")
    unit = tmp_path / "vllm.service"
    unit.write_text(text, encoding="utf-8")
    seen = subprocess.run(
        [analyze, "verify", unit],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert (seen.returncode, str(tmp_path / "vllm") in seen.stderr) == (0, False), seen.stderr


def test_the_script_passes_shellcheck(tmp_path: Path) -> None:
    (block,) = blocks(PAGE, "bash")
    program = tmp_path / "efa-run"
    program.write_text(block.text, encoding="utf-8")
    checked = subprocess.run(
        [ROOT / ".venv" / "bin" / "shellcheck", program], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
