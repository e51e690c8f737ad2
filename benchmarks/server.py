"""A local AWS in a process of its own, for what is measured against it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def local_aws() -> Iterator[tuple[str, str]]:
    """Its endpoint, and an empty folder for what a command keeps; both are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        server = subprocess.Popen(
            [sys.executable, "-m", "nixl_efa", "local-aws", "--port", "0", "--port-file", str(port_file)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not port_file.exists():
                if server.poll() is not None:
                    raise SystemExit("the local AWS did not start")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port_file.read_text(encoding='utf-8').strip()}", folder
        finally:
            server.terminate()
            server.wait()
