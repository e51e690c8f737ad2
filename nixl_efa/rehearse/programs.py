"""Runs the rehearsal's programs: their output, their exit codes, and what an interrupt does to them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.failure import Failure

GRACE_SECONDS = 20.0
LAST_LINES = 25
# The cdktf CLI draws a spinner even where there is no terminal.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SPINNER = re.compile(r"^[\u2800-\u28ff]\s")


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs programs in one folder with one environment; `log` takes what is too much to show."""

    folder: Path
    environ: Mapping[str, str]
    log: Path

    def show(self, command: Sequence[str], *, accept: Sequence[int] = (0,)) -> int:
        """Run it; its output goes to our output. Failure for an exit code that is not accepted."""
        with _Child(command, self.folder, self.environ, out=None, err=None) as child:
            code = child.wait()
        return self._judge(command, code, accept)

    def read(self, command: Sequence[str], *, accept: Sequence[int] = (0,)) -> str:
        """Run it and return its standard output; what it says beside goes where ours goes."""
        with _Child(command, self.folder, self.environ, out=subprocess.PIPE, err=None) as child:
            out = child.stdout.read() if child.stdout else ""
            code = child.wait()
        self._judge(command, code, accept)
        return out

    def follow(
        self,
        command: Sequence[str],
        tell: Callable[[str], None],
        wanted: re.Pattern[str],
        *,
        accept: Sequence[int] = (0,),
    ) -> int:
        """Run it, put all it says into the log and tell the lines that match `wanted`.

        Failure with the last lines for an exit code that is not accepted.
        """
        last: list[str] = []
        with (
            self.log.open("a", encoding="utf-8") as log,
            _Child(command, self.folder, self.environ, out=subprocess.PIPE, err=subprocess.STDOUT) as child,
        ):
            log.write(f"$ {' '.join(command)}\n")
            for raw in child.stdout or ():
                line = _ESCAPES.sub("", raw).rstrip()
                if not line or _SPINNER.match(line):
                    continue
                log.write(f"{line}\n")
                last = [*last, line][-LAST_LINES:]
                if wanted.search(line):
                    tell(line.strip())
            code = child.wait()
        return self._judge(command, code, accept, last)

    def _judge(
        self, command: Sequence[str], code: int, accept: Sequence[int], last: Sequence[str] = ()
    ) -> int:
        if code not in accept:
            tail = "".join(f"\n  {line}" for line in last)
            raise Failure(f"`{shown(command)}` ended with exit code {code}.{tail}")
        return code


def shown(command: Sequence[str]) -> str:
    """As a user would type it: without the program's folder."""
    return " ".join([Path(command[0]).name, *command[1:]])


class _Child:
    """A child in a process group of its own, which goes with it: cdktf starts Terraform, which starts providers."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        *,
        out: int | None,
        err: int | None,
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"{command[0]} can't be run: {error.strerror}") from error
        self.stdout = self._process.stdout

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._signal(number)
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        # Processes that it started and that still run, if any.
        self._signal(signal.SIGKILL)
        if self.stdout:
            self.stdout.close()

    def wait(self) -> int:
        return self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
