"""Who the credentials belong to, and whether an environment may use that account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixl_efa.findings import Finding, failed, passed
from nixl_efa.launch import Launch

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


@dataclass(frozen=True, slots=True)
class Account:
    """account: the account's 12 digits; arn: the identity, a user or an assumed role."""

    account: str
    arn: str


def caller(sts: STSClient) -> Account:
    """The account and the identity of the credentials. Needs no permission."""
    answer = sts.get_caller_identity()
    return Account(account=answer["Account"], arn=answer["Arn"])


def account_finding(launch: Launch, found: Account, by_hand: str = "") -> Finding | None:
    """Whether it is the account that the settings name; None when they name none.

    by_hand: the command that shows the same.
    """
    if not launch.account_id:
        return None
    if found.account != launch.account_id:
        return failed(
            "account",
            f"The credentials are of account {found.account} ({found.arn}), but account_id is {launch.account_id} "
            f"({launch.account_set_by}).",
            f"Choose credentials of account {launch.account_id} (--profile or AWS_PROFILE), or change account_id.",
            by_hand,
        )
    return passed("account", f"It is the account {launch.account_id} that account_id names.", by_hand)
