"""How long `nixl-efa --help` takes, and how long `capacity list` takes until its first call to AWS.

.venv/bin/python -m benchmarks.cli_startup
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from local_aws.server import client_environ

ROOT = Path(__file__).resolve().parent.parent
RUNS = 7
HELP_SECONDS = 0.4
FIRST_CALL_SECONDS = 0.8


def run(console: Console) -> bool:
    """Prints both figures, the fastest of some runs each; whether both are within their limits."""
    shown = min(_help_seconds() for _ in range(RUNS))
    called = min(_first_call_seconds() for _ in range(RUNS))
    console.print(f"nixl-efa --help: {shown:.2f} s (at most {HELP_SECONDS})")
    console.print(
        f"nixl-efa capacity list, until its first call: {called:.2f} s (at most {FIRST_CALL_SECONDS})"
    )
    return shown <= HELP_SECONDS and called <= FIRST_CALL_SECONDS


def _help_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nixl_efa", "--help"], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def _first_call_seconds() -> float:
    """From the start of the process to the moment at which it connects to AWS, for which a socket stands
    in."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {**os.environ, **client_environ(f"http://127.0.0.1:{listener.getsockname()[1]}")}
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "nixl_efa", "capacity", "list"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listener.settimeout(60)
        connection, _ = listener.accept()
        seconds = time.perf_counter() - began
        process.kill()
        process.wait()
        connection.close()
        return seconds


if __name__ == "__main__":
    sys.exit(0 if run(Console()) else 1)
