"""EC2's refusals."""

from __future__ import annotations

from moto.ec2.exceptions import DryRunClientError, EC2ClientError


def refuse(code: str, message: str) -> EC2ClientError:
    """An error with EC2's code and message, to be raised."""
    return EC2ClientError(code, message)


def dry_run() -> DryRunClientError:
    """What EC2 answers to a DryRun that would have worked."""
    return DryRunClientError()
