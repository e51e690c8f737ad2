"""What every rule needs: findings by their level, AWS CLI calls to look by hand; lists in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from nixl_efa.checks.facts import Unseen
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import Launch


def passed(check: str, message: str, command: str = "") -> Finding:
    """In order."""
    return Finding(Level.PASS, check, message, "", command)


def warned(check: str, message: str, remedy: str, command: str = "") -> Finding:
    """Goes on, but may disappoint."""
    return Finding(Level.WARN, check, message, remedy, command)


def failed(check: str, message: str, remedy: str, command: str = "") -> Finding:
    """The launch would fail."""
    return Finding(Level.FAIL, check, message, remedy, command)


def skipped(check: str, message: str, remedy: str = "", command: str = "") -> Finding:
    """Could not be looked at."""
    return Finding(Level.SKIP, check, message, remedy, command)


def unseen(check: str, look: Unseen, command: str = "") -> Finding:
    """What a look that gave nothing means: SKIP without the permission (or after a fault that is shown by
    itself), FAIL for any other error, since a launch on a guess is what a check is there to prevent."""
    if look.denied:
        return skipped(
            check,
            f"No permission to look: {look.permission} is not allowed.",
            f"Have {look.permission} added to your role, or check with another profile.",
            command,
        )
    if look.follows:
        return skipped(check, f"Not looked at: {look.reason}.", "", command)
    return failed(check, f"The look failed: {look.reason}.", "Mend that and check again.", command)


def aws(launch: Launch, service: str, call: str, *words: str, region: str = "") -> str:
    """An AWS CLI call for a shell, in the launch's region unless another is given."""
    profile = ["--profile", launch.profile] if launch.profile else []
    return shlex.join(["aws", service, call, "--region", region or launch.region, *profile, *words])


def listed(words: Iterable[str], limit: int = 6) -> str:
    """Words with commas; those beyond the limit as a number. "none" for no words."""
    every = list(words)
    shown = ", ".join(every[:limit]) or "none"
    return f"{shown} and {len(every) - limit} more" if len(every) > limit else shown


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 instance", "2 instances", "3 addresses"."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def parameter_call(launch: Launch, name: str) -> str:
    """The AWS CLI call that reads a parameter of Parameter Store."""
    return aws(launch, "ssm", "get-parameter", "--name", name)
