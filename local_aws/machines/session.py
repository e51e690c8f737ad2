"""A stand-in of AWS's session-manager-plugin, which enters the machine of an instance.

Usage: python -m local_aws.machines.session ARGUMENTS

It takes the plugin's arguments (aws/aws-cli, awscli/customizations/sessionmanager.py): the answer of StartSession, the
region, "StartSession", the profile, the parameters as JSON, the endpoint. The last one leads to the local AWS.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local_aws.control import Control

_VERSION = "1.2.0.0"
_ARGUMENTS = 6


def main(arguments: Sequence[str]) -> None:
    """Become a login shell in the machine. SystemExit with a line that says why not."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"{_VERSION}\n")
        return
    if len(arguments) != _ARGUMENTS:
        raise SystemExit(
            "session-manager-plugin of a rehearsal: it is called by `nixl-efa connect` and `aws ssm`"
        )
    target, endpoint = json.loads(arguments[4])["Target"], arguments[5]
    try:
        machine = Control(endpoint).machines().get(target, {})
    except OSError as error:
        raise SystemExit(f"the local AWS at {endpoint} does not answer: {error}") from error
    if machine.get("state") != "up":
        raise SystemExit(f"{target}: its machine is not up")
    environ = {"TERM": os.environ.get("TERM", "dumb"), "HOME": "/root", "LC_ALL": "C.UTF-8"}
    command = ["nsenter", f"--target={machine['pid']}", "--all", "--", "/bin/bash", "--login"]
    os.execvpe(command[0], command, {**environ, "PATH": os.environ.get("PATH", os.defpath)})


def write_plugin(folder: Path) -> None:
    """A program of the plugin's name in a folder that is put on the PATH of a rehearsal that was kept."""
    folder.mkdir(exist_ok=True)
    program = folder / "session-manager-plugin"
    package = Path(__file__).parents[2]
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{package}" exec "{sys.executable}" -m local_aws.machines.session "$@"\n',
        "utf-8",
    )
    program.chmod(0o755)


if __name__ == "__main__":
    main(sys.argv[1:])
