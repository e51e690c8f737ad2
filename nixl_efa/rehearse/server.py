"""The local AWS of a rehearsal: a separate process, so that it can be left running."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.server import HOST
from nixl_efa.failure import Failure

START_SECONDS = 30.0
# It ends at once, except that it deletes the files of its machines, which takes longer on a busy disk.
STOP_SECONDS = 60.0
PID_FILE = "local-aws.pid"
PORT_FILE = "local-aws.port"


@dataclass(frozen=True, slots=True)
class Server:
    """A running local AWS."""

    process: subprocess.Popen[bytes]
    endpoint: str


def start(
    python: str,
    folder: Path,
    port: int,
    region: str,
    environ: Mapping[str, str],
    *,
    machines: bool = False,
    layer: Path | None = None,
) -> Server:
    """Start it and wait until it listens. Failure with its own words when it does not.

    layer: a folder that lies over the root of its machines.

    It is in a separate session: Ctrl-C reaches only the rehearsal, which then stops it cleanly.
    """
    port_file, log = folder / PORT_FILE, folder / "local-aws.log"
    port_file.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(python, "-m", "local_aws", "--region", region),
                *("--port", str(port), "--port-file", str(port_file)),
                *(["--machines"] if machines else []),
                *(["--layer", str(layer)] if layer is not None else []),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    (folder / PID_FILE).write_text(f"{process.pid}\n", encoding="utf-8")
    deadline = time.monotonic() + START_SECONDS
    try:
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise Failure(f"the local AWS did not start: {said[-1] if said else 'it said nothing'}")
            time.sleep(0.02)
    except BaseException:
        stop(process)
        raise
    return Server(process, f"http://{HOST}:{port_file.read_text(encoding='utf-8').strip()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop it by its pid; kill it when it does not end."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def left_running(folder: Path) -> int | None:
    """The pid of a local AWS that an earlier rehearsal left running in this folder.

    Its pid may belong to another program by now, so its port must listen too.
    """
    try:
        pid = int((folder / PID_FILE).read_text(encoding="utf-8"))
        port = int((folder / PORT_FILE).read_text(encoding="utf-8"))
        os.kill(pid, 0)
        socket.create_connection((HOST, port), timeout=1.0).close()
    except (OSError, ValueError):
        return None
    return pid


def client(local: Server, service: str, region: str) -> Any:
    """A boto3 client of the local AWS, for the rehearsal's own calls."""
    import boto3
    from botocore.config import Config
    from botocore.session import Session

    # Not the user's own profile and configuration file, which the variables of this process may name.
    nobody = Session(
        session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    )
    session: Any = boto3.Session(botocore_session=nobody)
    return session.client(
        service,
        region_name=region,
        endpoint_url=local.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        # The local AWS is on this machine; without this, calls would go to the user's proxy.
        config=Config(proxies={}),
    )
