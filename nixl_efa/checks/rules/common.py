"""What every rule needs: what a look that gave nothing means, and AWS CLI calls to look by hand."""

from __future__ import annotations

from nixl_efa.checks.facts import Unseen
from nixl_efa.findings import Finding, aws_call, failed, skipped
from nixl_efa.launch import Launch


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


def aws(launch: Launch, service: str, call: str, *words: str) -> str:
    """An AWS CLI call for a shell, in the launch's region and with its profile."""
    return aws_call(service, call, *words, region=launch.region, profile=launch.profile)


def parameter_call(launch: Launch, name: str) -> str:
    """The AWS CLI call that reads a parameter of Parameter Store."""
    return aws(launch, "ssm", "get-parameter", "--name", name)
