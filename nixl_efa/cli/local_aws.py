"""`nixl-efa local-aws`: the local AWS in the foreground, until Ctrl-C or a SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from nixl_efa.cli.output import BadInput, Failure, data, say
from nixl_efa.rehearsal.server import HOST, LocalAws, PortInUseError, client_environ

DEFAULT_PORT = 5577


def command(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = DEFAULT_PORT,
    port_file: Annotated[
        Path | None, typer.Option(help="Write the port to this file once it listens; removed at the end.")
    ] = None,
    region: Annotated[str, typer.Option(help="The region in the printed variables.")] = "us-east-1",
    now: Annotated[
        str | None, typer.Option(help="Start the simulated clock at this time (2026-12-01T08:00, UTC).")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Simulated seconds in each second; 0 stops the clock.")
    ] = 1.0,
) -> None:
    """Start a local AWS on 127.0.0.1 for rehearsals and tests. Nothing in it costs anything or outlives it."""
    start = _moment(now)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    aws = LocalAws(port)
    try:
        aws.start()
    except PortInUseError as error:
        raise Failure(f"{error}. Stop what listens there, or choose another with --port (0: any).") from error
    except ImportError as error:
        raise Failure(
            f"the local AWS needs {error.name}, which is not installed. Run `make install`."
        ) from error
    try:
        if start is not None:
            aws.clock.set(start)
        aws.clock.run(speed)
        if port_file is not None:
            _write(port_file, aws.port)
        _explain(aws, region)
        while not stopped.wait(1.0):
            pass
    finally:
        if port_file is not None:
            with suppress(OSError):
                port_file.unlink()
        aws.stop()
    say("The local AWS has stopped; what was in it is gone.")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--now {text!r} is not a time. Write it as 2026-12-01T08:00, in UTC.") from error


def _write(path: Path, port: int) -> None:
    """Write the port so that whoever waits for the file never reads half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_text(f"{port}\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise Failure(f"--port-file {path} can't be written: {error.strerror}.") from error


def _explain(aws: LocalAws, region: str) -> None:
    say(f"The local AWS listens on {aws.endpoint} ({HOST} only). In another shell:")
    for name, value in client_environ(aws.endpoint, region).items():
        data(f"export {name}={value}")
    sys.stdout.flush()
    say(
        f"Then use the AWS CLI, boto3 or Terraform as ever. Clock and faults: {aws.endpoint}"
        "/nixl-efa-api/ (docs/local-aws.md). Ctrl-C stops it."
    )
