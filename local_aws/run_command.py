"""Run Command on a machine: runs the script as the agent of Systems Manager does, and gives what GetCommandInvocation
returns.

Sources: Systems Manager user guide, documents-command-ssm-plugin-reference (aws:runShellScript) and monitor-commands;
amazon-ssm-agent for the script's file, its shell and its folder.
"""

import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Any

from local_aws.machines.machine import Machine
from local_aws.world import CommandOutput, world

_DEFAULT_SECONDS, _DEFAULT_FOLDER = 3600.0, "/usr/bin"
_FOLDER = (
    "/var/lib/amazon/ssm/{instance}/document/orchestration/{command}/awsrunShellScript/0.awsrunShellScript"
)
# systemd ends the service when its time is over, then kills every process that is left.
_GRACE_SECONDS = 5.0
_STOPPED = 137  # amazon-ssm-agent, CommandStoppedPreemptivelyExitCode
_DETAILS = {"InProgress": "In Progress", "TimedOut": "Execution Timed Out"}
_CANCELLING = "Cancelling"
# systemctl(1), is-system-running: the states of a machine that does not go down.
_ON = ("initializing", "starting", "running", "degraded", "maintenance")


def begin(machine: Machine, invocation: dict[str, Any], parameters: Mapping[str, list[str]]) -> None:
    """Run a command's script on a machine, in the background, and keep its status in moto's `invocation`.

    If the machine goes down meanwhile, its agent is gone, too: the invocation stays as it is.
    """
    times = dict.fromkeys(("ExecutionStartDateTime", "ExecutionEndDateTime", "ExecutionElapsedTime"), "")
    invocation.update(times, Status="InProgress", StatusDetails=_DETAILS["InProgress"], ResponseCode=-1)
    name = f"run-command-{invocation['CommandId']}"
    threading.Thread(
        target=_carry_out, args=(machine, invocation, parameters), name=name, daemon=True
    ).start()


def cancel(machine: Machine, invocation: dict[str, Any]) -> None:
    """End a running command: its whole service is killed."""
    if invocation["Status"] != "InProgress":
        return
    invocation.update(Status=_CANCELLING, StatusDetails=_CANCELLING)
    # Its service may not exist yet.
    for _ in range(20):
        if invocation["Status"] != _CANCELLING or _kill(machine, _unit(invocation)):
            return
        time.sleep(0.1)


def _carry_out(machine: Machine, invocation: dict[str, Any], parameters: Mapping[str, list[str]]) -> None:
    began = world().clock.now()
    try:
        output = _run(machine, invocation, parameters)
    except OSError as error:
        output = CommandOutput("", str(error), -1, "Failed")
    if not _has_agent(machine):
        return
    ended = world().clock.now()
    world().invocation_outputs[invocation["CommandId"], invocation["InstanceId"]] = output
    invocation.update(
        ExecutionStartDateTime=began.isoformat(),
        ExecutionEndDateTime=ended.isoformat(),
        ExecutionElapsedTime=f"PT{(ended - began).total_seconds():.3f}S",
        ResponseCode=output.response_code,
        StatusDetails=_DETAILS.get(output.status, output.status),
        Status=output.status,
    )


def _run(
    machine: Machine, invocation: Mapping[str, Any], parameters: Mapping[str, list[str]]
) -> CommandOutput:
    seconds = float((parameters.get("executionTimeout") or [""])[0] or _DEFAULT_SECONDS)
    folder = (parameters.get("workingDirectory") or [""])[0] or _DEFAULT_FOLDER
    names = {"instance": invocation["InstanceId"], "command": invocation["CommandId"]}
    path = f"{_FOLDER.format(**names)}/_script.sh"
    file = machine.path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(parameters.get("commands", [])) + "\n", encoding="utf-8")
    file.chmod(0o700)
    unit = _unit(invocation)
    process = machine.service(unit, ["/bin/sh", "-c", path], folder=folder, seconds=seconds)
    began = time.monotonic()
    try:
        out, err = process.communicate(timeout=seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        # The client ends by itself when its service is gone.
        _kill(machine, unit)
        out, err = process.communicate()
    stdout, stderr = (text.decode(errors="replace") for text in (out, err))
    if invocation["Status"] == _CANCELLING:
        return CommandOutput(stdout, stderr, _STOPPED, "Cancelled")
    if process.returncode == 0:
        return CommandOutput(stdout, stderr)
    if time.monotonic() - began >= seconds:
        return CommandOutput(stdout, stderr, _STOPPED, "TimedOut")
    return CommandOutput(stdout, stderr, process.returncode, "Failed")


def _has_agent(machine: Machine) -> bool:
    """Whether an agent can still report: a machine that goes down ends its agent with all other services."""
    command = machine.enter(["systemctl", "is-system-running"])
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() in _ON


def _unit(invocation: Mapping[str, Any]) -> str:
    return f"run-command-{invocation['CommandId']}"


def _kill(machine: Machine, unit: str) -> bool:
    """Kill the service; whether it existed."""
    command = machine.enter(["systemctl", "kill", "--signal=KILL", unit])
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
