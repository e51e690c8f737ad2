"""The error for "no machine can boot here", and a function that runs a program and raises it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CannotBootError(Exception):
    """No machine can boot here, or not now; the message says why, in one sentence."""


def run(
    command: Sequence[str],
    what: str,
    *,
    environ: Mapping[str, str] | None = None,
    log: Path | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program and return what it printed; CannotBootError with its last line when it fails.

    what: the beginning of the message, "the root can't be built". log: a file for its whole output.
    """
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if environ is None else dict(environ),
            cwd=folder,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise CannotBootError(f"{what}: {command[0]} can't be run: {error.strerror}") from error
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if line.strip()]
        raise CannotBootError(
            f"{what}: {Path(command[0]).name} ended with {done.returncode}: {said[-1].strip() if said else 'no words'}"
            + (f" (all of it: {log})" if log else "")
        )
    return done.stdout
