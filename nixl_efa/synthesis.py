"""The synthesis of one environment's stack by the cdktf command line, for commands that run Terraform afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from nixl_efa.checks.gather.machine import cdktf_path
from nixl_efa.failure import Failure
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable
from nixl_efa.terraform import Capture, capture

# The cdktf CLI draws a spinner even where there is no terminal.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def synthesize(
    settings: Settings,
    project: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    run: Capture = capture,
    changes: Mapping[str, str] | None = None,
) -> None:
    """Writes the stack to cdktf.out below `project`. Failure when it does not end well.

    The other environments are left out, so that a fault of theirs does not stop this one; and the check at synthesis is
    off: these commands look by themselves. Warnings are said.

    changes: settings that differ this time, by name, as text.
    """
    program = cdktf_path(project, environ.get("PATH", ""))
    if not program:
        raise Failure("the cdktf command line is not installed: run `make install`")
    given = {"check": "off", **(changes or {})}
    chosen = {variable(setting, settings.name): value for setting, value in given.items()}
    try:
        code, out, err = run(
            (program, "synth"), project, {**environ, "NIXL_EFA_ENVIRONMENTS": settings.name, **chosen}
        )
    except OSError as error:
        raise Failure(f"{program} can't be run: {error.strerror}. Run `make install`") from error
    said = [line.strip() for line in _ESCAPES.sub("", f"{out}\n{err}").splitlines()]
    for line in said:
        if line and (code or line.startswith("WARN")):
            say(line)
    if code:
        raise Failure(f"cdktf synth ended with exit code {code}: nothing was planned")
