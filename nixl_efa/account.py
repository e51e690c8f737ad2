"""The account of the credentials, and whether an environment may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import result
from nixl_efa.findings import Finding, failed, passed

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

    from nixl_efa.launch import Launch


@dataclass(frozen=True, slots=True)
class Account:
    """Who the credentials belong to, and who pays.

    id:       the account's 12 digits. arn: the identity, a user or an assumed role.
    alias:    the account's name; empty where it has none or it may not be read.
    profile:  the AWS profile; empty for none.
    endpoint: where EC2 is asked when that is not AWS's own; else empty.
    """

    id: str
    arn: str
    alias: str = ""
    profile: str = ""
    endpoint: str = ""

    @property
    def partition(self) -> str:
        """The partition of the account: "aws", "aws-cn", "aws-us-gov", ..."""
        return self.arn.split(":")[1] if self.arn.count(":") > 1 else "aws"

    def text(self) -> str:
        """The account in a few words."""
        alias = f" ({self.alias})" if self.alias else ""
        return f"{self.id}{alias}, as {self.arn}" + (f", profile {self.profile}" if self.profile else "")


def caller(sts: STSClient) -> Account:
    """The account and the identity of the credentials. Needs no permission. NoResultError if the answer is not from
    AWS's service."""
    try:
        answer: Mapping[str, Any] = sts.get_caller_identity()
    except KeyError:
        # What botocore returns for an answer with status 200 that is not from the service (botocore.parsers,
        # QueryParser).
        answer = {}
    return Account(id=str(result(answer, "Account")), arn=str(result(answer, "Arn")))


def account_finding(launch: Launch, found: Account, by_hand: str = "") -> Finding | None:
    """Whether it is the account that the settings name; None when they name none.

    by_hand: the command that shows the same.
    """
    if not launch.account_id:
        return None
    if found.id != launch.account_id:
        return failed(
            "account",
            f"The credentials are of account {found.text()}, but account_id is {launch.account_id} "
            f"({launch.account_set_by}).",
            f"Choose credentials of account {launch.account_id} (--profile or AWS_PROFILE), or change account_id.",
            by_hand,
        )
    return passed("account", f"It is the account {launch.account_id} that account_id names.", by_hand)
