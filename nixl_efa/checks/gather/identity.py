"""Who the credentials belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixl_efa.checks.facts import Account

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


def account(sts: STSClient) -> Account:
    """The account and the identity of the credentials."""
    answer = sts.get_caller_identity()
    return Account(account=answer["Account"], arn=answer["Arn"])
