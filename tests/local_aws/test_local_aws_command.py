"""`nixl-efa local-aws` as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_aws import Control

COMMAND = [sys.executable, "-m", "nixl_efa", "local-aws"]


@contextmanager
def started(*options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def exports(process: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that it prints; they come once it listens."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.strip().removeprefix("export ").partition("=")
        found[name] = value
        if name == "no_proxy":
            break
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_how_to_use_it_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "port"
    with started("--port", "0", "--port-file", str(file), "--region", "us-east-2") as process:
        variables = exports(process)
        port = file.read_text(encoding="utf-8").strip()
        assert variables["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
        assert variables["AWS_REGION"] == "us-east-2"
        assert Control(variables["AWS_ENDPOINT_URL"]).clock.now()
        process.send_signal(number)
        _, talk = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in talk
    assert talk.splitlines()[-1] == "The local AWS has stopped; what was in it is gone."
    assert not file.exists()


def test_the_clock_starts_where_it_is_told() -> None:
    with started("--port", "0", "--now", "2026-12-01T08:00", "--speed", "0") as process:
        clock = Control(exports(process)["AWS_ENDPOINT_URL"]).clock
        assert clock.now().isoformat() == "2026-12-01T08:00:00+00:00"


def failure(*options: str) -> tuple[int, str]:
    ended = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60)
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


def test_a_port_in_use_is_named_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = failure("--port", str(port))
    assert code == 1
    assert f"port {port} on 127.0.0.1 is taken" in line
    assert "--port" in line


def test_a_port_file_that_can_not_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    code, line = failure("--port", "0", "--port-file", str(folder))
    assert (code, "can't be written: Is a directory" in line) == (1, True), line
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--port", "0", "--now", "noon"), 2, "--now 'noon' is not a time"),
        (("--port", "0", "--now", "0001-01-01"), 2, "--now '0001-01-01': the clock goes from 2000 to 2199"),
        (("--port", "0", "--speed", "nan"), 2, "--speed nan: the clock's speed is from 0 to"),
        (("--port", "0", "--speed", "-1"), 2, "--speed -1.0: the clock's speed is from 0 to"),
        (("--port", "0", "--port-file", "/nowhere/port"), 1, "--port-file /nowhere/port can't be written"),
    ],
)
def test_bad_input_is_one_line(options: tuple[str, ...], code: int, words: str) -> None:
    found, line = failure(*options)
    assert (found, words in line) == (code, True), line
