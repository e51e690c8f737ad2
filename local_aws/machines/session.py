"""A replacement for AWS's session-manager-plugin, which opens a shell in the machine of an instance, or reaches a port
of it.

Usage: python -m local_aws.machines.session ARGUMENTS

It takes the plugin's arguments (aws/aws-cli, awscli/customizations/sessionmanager.py): the answer of StartSession, the
region, "StartSession", the profile, the parameters as JSON, the endpoint. The last one leads to the local AWS.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from local_aws.control import Control

_VERSION = "1.2.0.0"
_ARGUMENTS = 6
_FORWARDING, _SSH = "AWS-StartPortForwardingSession", "AWS-StartSSHSession"


def main(arguments: Sequence[str]) -> None:
    """Become a login shell in the machine, or a program that forwards bytes to a port of it. SystemExit with a line
    that says why not."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"{_VERSION}\n")
        return
    if len(arguments) != _ARGUMENTS:
        raise SystemExit(
            "session-manager-plugin of a rehearsal: it is called by `nixl-efa connect` and `aws ssm`"
        )
    asked, endpoint = json.loads(arguments[4]), arguments[5]
    target, document = asked["Target"], asked.get("DocumentName", "")
    try:
        machine = Control(endpoint).machines().get(target, {})
    except OSError as error:
        raise SystemExit(f"the local AWS at {endpoint} does not answer: {error}") from error
    if machine.get("state") != "up":
        raise SystemExit(f"{target}: its machine is not up")
    session, parameters = json.loads(arguments[0] or "{}").get("SessionId", ""), asked.get("Parameters", {})
    if document == _SSH:
        to_port = _to_port(machine["pid"], parameters["portNumber"][0])
        os.execvp(to_port[0], to_port)
    if document == _FORWARDING:
        _forward(machine["pid"], parameters["portNumber"][0], int(parameters["localPortNumber"][0]), session)
        return
    environ = {"TERM": os.environ.get("TERM", "dumb"), "HOME": "/root", "LC_ALL": "C.UTF-8"}
    command = ["nsenter", f"--target={machine['pid']}", "--all", "--", "/bin/bash", "--login"]
    os.execvpe(command[0], command, {**environ, "PATH": os.environ.get("PATH", os.defpath)})


def _to_port(pid: int, port: str) -> list[str]:
    """The command that sends its input to a port of the machine, and what the port answers to its output. It is our
    Python, only with the machine's network namespace."""
    program = str(Path(__file__).with_name("to_port.py"))
    return ["nsenter", f"--target={pid}", "--net", "--", sys.executable, "-I", program, port]


def _forward(pid: int, port: str, local_port: int, session: str) -> None:
    """Listen, and forward each connection to the port, until a signal. The messages are those of the plugin."""
    with socket.create_server(("127.0.0.1", local_port)) as server:
        opened = server.getsockname()[1]
        sys.stdout.write(f"Port {opened} opened for sessionId {session}.\nWaiting for connections...\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with suppress(KeyboardInterrupt):
            while True:
                connection, _ = server.accept()
                with connection:
                    carried = connection.fileno()
                    subprocess.Popen(_to_port(pid, port), stdin=carried, stdout=carried)


def write_plugin(folder: Path) -> None:
    """A program with the plugin's name, in a folder on the PATH of a kept rehearsal."""
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
