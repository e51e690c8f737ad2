"""Terraform, run in a stack's folder: its plans and its state as data, and the few steps that change them.

The same program that the cdktf command line runs: TERRAFORM_BINARY_NAME chooses another (OpenTofu).
"""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nixl_efa.cdk import program
from nixl_efa.failure import Failure

T = TypeVar("T")

_STDOUT, _STDERR = 1, 2

# Runs a program in a folder with an environment. Raises FileNotFoundError when there is no such program, and
# KeyboardInterrupt after the program's end when Ctrl-C was pressed meanwhile.
#   Capture: exit code, stdout, stderr.
#   Show:    exit code, stderr; the program's output goes where ours goes all the same.
Capture = Callable[[Sequence[str], Path, Mapping[str, str]], tuple[int, str, str]]
Show = Callable[[Sequence[str], Path, Mapping[str, str]], tuple[int, str]]


# The variable by which cdktf is told to run OpenTofu (CDKTF documentation, environment-variables).
BINARY_VARIABLE = "TERRAFORM_BINARY_NAME"
_COMMAND = re.compile(r"(`(?:[A-Z_]+=\S+ )?)terraform(?= )")


def program_of(environ: Mapping[str, str]) -> str:
    """The name or path of the program that the user chose: Terraform, or OpenTofu."""
    return environ.get(BINARY_VARIABLE) or "terraform"


def as_chosen(text: str, environ: Mapping[str, str]) -> str:
    """A text for the user, with Terraform's commands in it (`terraform init`) by the name of the chosen program."""
    return _COMMAND.sub(lambda found: f"{found[1]}{program_of(environ)}", text)


class TerraformError(Failure):
    """Terraform failed. `text` is its whole output, `message` one line of it."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


def capture(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str, str]:
    """A Capture that runs the program for real."""
    ran = _while_it_runs(
        lambda: subprocess.run(
            list(command), cwd=folder, env=dict(environ), check=False, capture_output=True, text=True
        )
    )
    return ran.returncode, ran.stdout, ran.stderr


def show(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    """A Show that runs the program for real."""
    return _shown(command, folder, environ, None)


def show_on_stderr(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    """A Show that runs the program for real; its output goes to stderr, because stdout holds a document."""
    return _shown(command, folder, environ, _STDERR)


def _shown(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], stdout: int | None
) -> tuple[int, str]:
    seen_on = _STDOUT if stdout is None else stdout
    # Terraform writes colors into files and pipes, too.
    plain = [] if os.isatty(seen_on) else ["-no-color"]
    told = [*command[:2], *plain, *command[2:]]
    return _while_it_runs(lambda: _copied(told, folder, environ, stdout))


def _copied(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], stdout: int | None
) -> tuple[int, str]:
    """Runs it; what it writes on stderr goes to ours as it comes, and is returned."""
    written = bytearray()
    with subprocess.Popen(
        list(command), cwd=folder, env=dict(environ), stdout=stdout, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stderr is not None
        while part := process.stderr.read(65536):
            written += part
            os.write(_STDERR, part)
    return process.returncode, written.decode("utf-8", "replace")


def _while_it_runs(run: Callable[[], T]) -> T:
    """Ctrl-C reaches the program from the terminal, too, and Terraform then ends what it has begun and frees the
    state's lock: the program is waited for, never killed. KeyboardInterrupt when it has ended."""
    if threading.current_thread() is not threading.main_thread():
        return run()  # Python delivers signals only to the main thread.
    pressed: list[int] = []
    # A handler: SIG_IGN would be inherited by the program.
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        ended = run()
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
    return ended


@dataclass(frozen=True)
class Terraform:
    """Terraform in one folder that holds a configuration.

    environ: of the program; it names the credentials, the endpoint and the provider's mirror.
    """

    folder: Path
    environ: Mapping[str, str]
    capture: Capture = capture
    show: Show = show

    @property
    def program(self) -> str:
        """The program's name or path."""
        return program_of(self.environ)

    def ask(self, *words: str) -> str:
        """What a command prints. TerraformError when it does not end well."""
        code, out, err = self._run(
            lambda command, environ: self.capture(command, self.folder, environ), words
        )
        if code:
            text = f"{err}\n{out}"
            raise TerraformError(f"`{self.program} {words[0]}` failed: {first_error(text)}.", text)
        return out

    def run(self, *words: str) -> tuple[int, str]:
        """Runs a command whose output the user sees; its exit code and what it said on stderr."""
        return self._run(lambda command, environ: self.show(command, self.folder, environ), words)

    def init(self) -> None:
        """Makes the folder ready: providers and backend. Never forgets another backend's state (no -reconfigure)."""
        self.ask("init", "-input=false", "-no-color")

    def plan(self, file: Path, *options: str) -> dict[str, Any]:
        """Plans into `file` and returns the plan (Terraform's documentation, JSON output format: `resource_changes`,
        `resource_drift`, `prior_state`)."""
        self.ask("plan", "-input=false", "-no-color", f"-out={file}", *options)
        return self._object("show", "-json", "-no-color", str(file))

    def state(self) -> dict[str, Any]:
        """The state as it is stored (version 4); {} when there is none."""
        text = self.ask("state", "pull")
        return json.loads(text) if text.strip() else {}

    def _object(self, *words: str) -> dict[str, Any]:
        text = self.ask(*words)
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise TerraformError(f"`{self.program} {' '.join(words)}` printed no JSON object.", text)
        return document

    def _run(self, run: Callable[[Sequence[str], Mapping[str, str]], T], words: Sequence[str]) -> T:
        if not self.folder.is_dir():
            raise Failure(
                f"there is no {self.folder}: nothing was synthesized there. Run `{program()} synth`"
            )
        environ = {**self.environ, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
        try:
            return run([self.program, *words], environ)
        except FileNotFoundError:
            raise Failure(
                f"{self.program} is not on PATH: install Terraform, or set TERRAFORM_BINARY_NAME=tofu for OpenTofu."
            ) from None


def first_error(text: str) -> str:
    """Terraform's error in one line: its first "Error:" line without the frame. Without one, frames hold warnings: the
    first line that is in none and announces no list ("2 problems:"); else the first line."""
    every = [line.strip() for line in text.splitlines()]
    lines = [line for one in every if (line := one.strip(" │╷╵"))]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error:")]
    said = [one.removeprefix("- ") for one in every if one and one[0] not in "│╷╵" and one[-1] != ":"]
    return (errors or said or lines or ["no message"])[0].rstrip(".")
