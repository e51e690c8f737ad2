"""`python -m local_aws` and `local-aws`: the local AWS in the foreground, until Ctrl-C or a SIGTERM."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn

from local_aws.clock import Clock
from local_aws.machines.failure import CannotBootError
from local_aws.machines.root import home, prepare
from local_aws.machines.run import Run
from local_aws.server import DEFAULT_REGION, HOST, LocalAws, PortInUseError, client_environ

DEFAULT_PORT = 5577
_ENDING = (signal.SIGINT, signal.SIGTERM)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")

    def fail(self, message: str) -> NoReturn:
        """Exit for a reason other than bad input."""
        self.exit(1, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None, name: str = "local-aws") -> None:
    """Run the command; `name` is how it was called. SystemExit 2 for bad input, 1 when it can't listen."""
    parser = _parser(name)
    given = parser.parse_args(arguments)
    start = _start(given.now, given.speed, parser)
    if given.layer is not None and not (given.machines and given.layer.is_dir()):
        parser.error(f"--layer {given.layer}: it is a folder for the root of --machines.")
    run = _machines(parser, given.layer) if given.machines else None
    # Blocked before the server's threads start, so that a signal ends only the wait below and interrupts nothing else.
    # A shell starts background jobs with SIGINT ignored, and sigwait never returns for an ignored signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    aws = LocalAws(given.port, run)
    written: os.stat_result | None = None
    try:
        aws.start()
    except PortInUseError as error:
        parser.fail(f"{error}. Stop what listens there, or choose another with --port (0: any).")
    except OSError as error:
        parser.fail(f"port {given.port} can't be used: {error.strerror}. Choose another with --port.")
    except ImportError as error:
        parser.fail(f"the local AWS needs {error.name}, which is not installed. Run `make install`.")
    try:
        if start is not None:
            aws.clock.set(start)
        aws.clock.run(given.speed)
        if given.port_file is not None:
            written = _write(given.port_file, aws.port, parser)
        _explain(aws, given.region)
        signal.sigwait(_ENDING)
    finally:
        if written is not None:
            with suppress(OSError):
                found = given.port_file.lstat()
                # A new file at this path may have the same inode.
                if os.path.samestat(written, found) and written.st_mtime_ns == found.st_mtime_ns:
                    given.port_file.unlink()
        aws.stop()
    _say("The local AWS has stopped; what was in it is gone.")


def _machines(parser: _Parser, layer: Path | None) -> Run:
    try:
        tree = prepare(os.environ, _say)
        return Run(home(os.environ), tree, [] if layer is None else [layer.absolute()])
    except CannotBootError as error:
        parser.fail(f"--machines: {error}.")


def _parser(name: str) -> _Parser:
    parser = _Parser(
        prog=name,
        allow_abbrev=False,
        description=f"Start a local AWS on {HOST} for rehearsals and tests. "
        "Nothing in it costs anything or outlives it.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"Port on {HOST}; 0 takes a free one. Default: %(default)s.",
    )
    parser.add_argument(
        "--port-file",
        type=Path,
        help="Make this file with the port in it once it listens; removed at the end.",
    )
    parser.add_argument(
        "--region",
        default=DEFAULT_REGION,
        help="The region in the printed variables. Default: %(default)s.",
    )
    parser.add_argument(
        "--machines",
        action="store_true",
        help="Let each instance boot a Debian on this machine, with its user data. Needs Linux and root.",
    )
    parser.add_argument(
        "--layer",
        type=Path,
        help="A folder whose files lie over the root of the machines, at the same paths.",
    )
    parser.add_argument("--now", help="Start the simulated clock at this time (2026-12-01T08:00, UTC).")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="Simulated seconds in each second; 0 stops the clock. Default: %(default)s.",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 0 to 65535.")
    return int(text)


def _start(now: str | None, speed: float, parser: _Parser) -> datetime | None:
    """Where the clock starts. A separate clock checks both values before anything runs."""
    try:
        Clock().run(speed)
    except ValueError as error:
        parser.error(f"--speed {speed}: {error}.")
    if now is None:
        return None
    try:
        moment = datetime.fromisoformat(now)
    except ValueError:
        parser.error(f"--now {now!r} is not a time. Write it as 2026-12-01T08:00, in UTC.")
    try:
        Clock().set(moment)
    except ValueError as error:
        parser.error(f"--now {now!r}: {error}.")
    return moment


def _write(path: Path, port: int, parser: _Parser) -> os.stat_result:
    """Create the file with its whole content at once. A file that exists belongs to somebody else and is not
    changed."""
    try:
        with NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.", encoding="utf-8") as beside:
            beside.write(f"{port}\n")
            beside.flush()
            os.link(beside.name, path)
        return path.lstat()
    except FileExistsError:
        parser.error(f"--port-file {path} is there already. Remove it, or name another.")
    except OSError as error:
        parser.fail(f"--port-file {path} can't be written: {error.strerror}.")


def _explain(aws: LocalAws, region: str) -> None:
    _say(f"The local AWS listens on {aws.endpoint} ({HOST} only). In another shell:")
    for name, value in client_environ(aws.endpoint, region).items():
        print(f"export {name}={value}")
    sys.stdout.flush()
    _say(
        "Then use the AWS CLI, boto3 or Terraform as usual. "
        f"Clock and faults: {aws.endpoint}/nixl-efa-api/ (docs/local-aws.md). Ctrl-C stops it."
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
