"""Deploying one stack with the cdktf command line, and waiting until its nodes have booted."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa.checks.gather.machine import cdktf_path
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.nodes import run_command
from nixl_efa.nodes.run_command import Script
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# Runs a program in a folder with an environment, its output going where ours goes; returns its exit code.
Execute = Callable[[Sequence[str], Path, Mapping[str, str]], int]

_BETWEEN_TRIES_SECONDS = 15.0
# cloud-init's own exit code says whether it went well; verify looks at that. Here it only must have ended.
_WAIT = Script("cloud-init status --wait > /dev/null 2>&1 || true")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A command line of cdktf and the environment that it runs in."""

    command: tuple[str, ...]
    environ: Mapping[str, str]


def deployment(
    settings: Settings, project: Path, environ: Mapping[str, str], extra: Sequence[str], profile: str | None
) -> Deployment:
    """`cdktf deploy` of one environment's stack. Failure when there is no cdktf.

    extra: further arguments for cdktf. The other environments are left out of the synthesis, so that a fault of
    theirs does not stop this one; and the check at synthesis is off, since it has just been made.
    """
    program = cdktf_path(project, environ.get("PATH", ""))
    if not program:
        raise Failure("the cdktf command line is not installed: run `make install`")
    chosen = {
        "NIXL_EFA_ENVIRONMENTS": settings.name,
        variable("check", settings.name): "off",
        **({"AWS_PROFILE": profile} if profile else {}),
    }
    return Deployment(command=(program, "deploy", settings.stack_name, *extra), environ={**environ, **chosen})


def deploy(wanted: Deployment, project: Path, execute: Execute) -> None:
    """Runs it. Failure when cdktf does not end well."""
    try:
        code = execute(wanted.command, project, wanted.environ)
    except OSError as error:
        raise Failure(f"{wanted.command[0]} can't be run: {error.strerror}. Run `make install`.") from error
    if code:
        raise Failure(f"cdktf deploy ended with exit code {code}; nothing was verified")


def execute(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> int:
    """An Execute that runs the program for real. Ctrl-C reaches the program from the terminal, too, and Terraform
    then ends what it has begun and frees the state's lock: the program is waited for, never killed."""
    # A handler that does nothing, where SIG_IGN would be handed on to the program.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(list(command), cwd=folder, env=dict(environ), check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for_boot(
    ssm: SSMClient, instance_ids: Sequence[str], clock: Clock, limit: timedelta, say: Callable[[str], None]
) -> bool:
    """Waits until each node can be reached and its first boot has ended, well or not; False after `limit`."""
    until = clock.now() + limit
    waiting = list(instance_ids)
    say(f"Waiting for the nodes' first boot (at most {limit.total_seconds() / 60:.0f} minutes) ...")
    while waiting:
        seconds = max(60, int((until - clock.now()).total_seconds()))
        outcomes = run_command.run(
            ssm, dict.fromkeys(waiting, _WAIT), clock, seconds, "nixl-efa deploy: first boot"
        )
        waiting = [instance_id for instance_id in waiting if outcomes[instance_id].problem]
        if waiting and _is_over(clock.now(), until):
            return False
        if waiting:
            clock.sleep(_BETWEEN_TRIES_SECONDS)
    return True


def _is_over(now: datetime, until: datetime) -> bool:
    return now + timedelta(seconds=_BETWEEN_TRIES_SECONDS) > until
