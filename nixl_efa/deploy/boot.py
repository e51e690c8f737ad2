"""Waiting until the nodes of a pair have booted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nixl_efa.clock import Clock
from nixl_efa.nodes import run_command
from nixl_efa.nodes.run_command import Script

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_BETWEEN_TRIES_SECONDS = 15.0
# cloud-init's exit code shows whether the boot succeeded; verify checks that. Here it only must have ended.
_WAIT = Script("cloud-init status --wait > /dev/null 2>&1 || true")


def wait_for_boot(
    ssm: SSMClient, instance_ids: Sequence[str], clock: Clock, limit: timedelta, say: Callable[[str], None]
) -> bool:
    """Waits until each node can be reached and its first boot has ended, with or without success; False after
    `limit`."""
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
