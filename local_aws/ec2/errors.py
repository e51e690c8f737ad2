"""EC2's refusals."""

from __future__ import annotations

from moto.ec2.exceptions import DryRunClientError, EC2ClientError


def refuse(code: str, message: str) -> Exception:
    """An error with EC2's code and message, to be raised."""
    error: Exception = EC2ClientError(code, message)
    return error


def dry_run() -> Exception:
    """What EC2 answers to a DryRun that would have worked."""
    error: Exception = DryRunClientError()
    return error
