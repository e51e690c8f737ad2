"""`nixl-efa local-aws`: the local AWS in the foreground, until Ctrl-C or a SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from local_aws.clock import Clock
from local_aws.server import HOST, LocalAws, PortInUseError, client_environ
from nixl_efa.cli.output import BadInput, Failure, data, say

DEFAULT_PORT = 5577
_ENDING = (signal.SIGINT, signal.SIGTERM)


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
    speed: Annotated[float, typer.Option(help="Simulated seconds in each second; 0 stops the clock.")] = 1.0,
) -> None:
    """Start a local AWS on 127.0.0.1 for rehearsals and tests. Nothing in it costs anything or outlives
    it."""
    start = _start(now, speed)
    # Blocked before the server's threads begin, so that a signal ends the wait below and interrupts nothing else.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    aws = LocalAws(port)
    try:
        aws.start()
    except PortInUseError as error:
        raise Failure(f"{error}. Stop what listens there, or choose another with --port (0: any).") from error
    except OSError as error:
        raise Failure(f"port {port} can't be used: {error.strerror}. Choose another with --port.") from error
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
        signal.sigwait(_ENDING)
    finally:
        if port_file is not None:
            with suppress(OSError):
                port_file.unlink()
        aws.stop()
    say("The local AWS has stopped; what was in it is gone.")


def _start(now: str | None, speed: float) -> datetime | None:
    """Where the clock starts. A clock of its own tries both figures out before anything runs."""
    try:
        Clock().run(speed)
    except ValueError as error:
        raise BadInput(f"--speed {speed}: {error}.") from error
    if now is None:
        return None
    try:
        moment = datetime.fromisoformat(now)
    except ValueError as error:
        raise BadInput(f"--now {now!r} is not a time. Write it as 2026-12-01T08:00, in UTC.") from error
    try:
        Clock().set(moment)
    except ValueError as error:
        raise BadInput(f"--now {now!r}: {error}.") from error
    return moment


def _write(path: Path, port: int) -> None:
    """Write the port so that whoever waits for the file never reads half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_text(f"{port}\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
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
