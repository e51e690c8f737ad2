"""Who buys, and with what: the account, the clients, the clock, the journals, and the messages to the user."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from nixl_efa.account import Account, caller
from nixl_efa.aws_errors import explain
from nixl_efa.capacity.journal import Journal, JournalFull, SharedJournal
from nixl_efa.capacity.order import Entry, Order, Place, State
from nixl_efa.clock import Clock
from nixl_efa.failure import BadInput

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

LOCK_REGION_VARIABLE = "NIXL_EFA_LOCK_REGION"
# One region of each partition that is enabled in every account (botocore, partitions.json).
_LOCK_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
}
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")
# EC2 shows a purchase only after some time, and a call may take a minute. After a shorter wait, a purchase that is not
# found may still exist.
LEAST_SETTLE_SECONDS = 300.0
LONGEST_WAIT_SECONDS = 86400.0


class AwsClients(Protocol):
    """Makes the clients (nixl_efa.aws.Clients is one); threads share it."""

    def ec2(self, region: str | None = None) -> EC2Client:
        """EC2 in a region."""
        ...

    def ec2_once(self, region: str | None = None) -> EC2Client:
        """EC2 in a region, without retries."""
        ...

    def ssm(self, region: str | None = None) -> SSMClient:
        """Parameter Store in a region."""
        ...

    def ssm_once(self, region: str | None = None) -> SSMClient:
        """Parameter Store in a region, without retries."""
        ...

    def sts(self, region: str | None = None) -> STSClient:
        """The Security Token Service."""
        ...

    def iam(self) -> IAMClient:
        """Identity and Access Management."""
        ...


class Talk(Protocol):
    """Messages and questions to the user."""

    def tell(self, message: str) -> None:
        """Shows a line that is not part of the result."""
        ...

    def ask(self, question: str) -> str:
        """The user's answer. Failure when nobody can answer."""
        ...

    def report(self, entry: Entry, outcome: str, kept_as: str = "") -> None:
        """Reports how an order ended: "bought", "already-bought" or "not-bought", and as which block of its environment
        it is kept ("current", "next" or empty). When this returns, the user has been told."""
        ...


@dataclass(frozen=True, slots=True)
class WaitingRule:
    """How long to look for a purchase whose answer was lost, in seconds.

    EC2 is eventually consistent: what was bought can stay invisible for some time, so one look that finds nothing
    proves nothing (EC2 API reference, eventual-consistency).

    look:   how long the command that lost the answer looks before it stops.
    settle: the age of the call from which on a purchase that is not found was not made.
    """

    look_seconds: float = 60
    settle_seconds: float = 600

    @property
    def pause_seconds(self) -> float:
        """The pause between two looks: 5 seconds, or less when the whole wait is short."""
        return min(5.0, max(self.settle_seconds / 10, 0.05))

    def settled_at(self, entry: Entry) -> datetime:
        """The time from which on a purchase that is not found was not made."""
        return entry.changed_at + timedelta(seconds=self.settle_seconds)


def checked_rule(look_seconds: float, settle_seconds: float) -> WaitingRule:
    """The rule with these two lengths. BadInput for one that is not between zero and a day."""
    for option, seconds in (("--look-seconds", look_seconds), ("--settle-seconds", settle_seconds)):
        if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
            raise BadInput(
                f"{option} {seconds:g}: give seconds, from 0 to {LONGEST_WAIT_SECONDS:.0f} (a day)"
            )
    return WaitingRule(look_seconds, settle_seconds)


@dataclass(frozen=True, slots=True)
class Buyer:
    """One buyer at one place (order.Place). state: the directory of its journal and locks."""

    clients: AwsClients
    clock: Clock
    state: Path
    account: Account
    lock_region: str
    talk: Talk
    rule: WaitingRule = field(default_factory=WaitingRule)

    def __post_init__(self) -> None:
        if not self.account.endpoint and self.rule.settle_seconds < LEAST_SETTLE_SECONDS:
            raise BadInput(
                f"--settle-seconds {self.rule.settle_seconds:g}: at AWS give {LEAST_SETTLE_SECONDS:.0f} or more. "
                "EC2 can show a purchase that late, and less could buy it twice."
            )

    @property
    def by(self) -> str:
        """The identity and the machine: a person who finds the lock then knows whom to ask and where to look."""
        return f"{self.account.arn} on {os.uname().nodename}"

    @property
    def locks(self) -> Path:
        """The directory of this machine's locks."""
        return self.state / "locks"

    @property
    def journal(self) -> Journal:
        """This machine's journal."""
        place = Place(self.account.id, self.account.endpoint)
        return Journal(self.state / "purchases", place, self.clock)

    def shared_journal(self, lock_name: str, region: str = "") -> SharedJournal:
        """The journal that all machines share, in the lock's region or in another one."""
        where = region or self.lock_region
        return SharedJournal(self.clients.ssm(where), where, lock_name, self.clock.sleep)

    def shared_journal_of(self, order: Order) -> SharedJournal:
        """The shared journal that an order is in."""
        return self.shared_journal(order.lock_name, order.lock_region)

    def record(self, entry: Entry, before: str = "") -> bool:
        """Writes an entry into this machine's journal, then into the shared one. Returns whether this machine's journal
        took it.

        A failure is not raised but shown to the user, with the text `before` in front.
        """
        try:
            self.journal.write(entry)
        except JournalFull as full:
            self.talk.tell(before + full.message)
            if entry.state is State.NOT_BOUGHT:
                return False
        shared = self.shared_journal_of(entry.order)
        try:
            shared.write(entry)
        except Exception as error:
            self.talk.tell(
                f"{before}{shared.path} in {shared.region} could not be written ({explain(error)}). "
                f"`nixl-efa capacity recover{entry.order.env_option}` writes it."
            )
        return True


def identify(clients: AwsClients, region: str, profile: str) -> Account:
    """The account of these credentials. Its alias is left out where the permission to read it is missing."""
    found = caller(clients.sts(region))
    try:
        aliases = clients.iam().list_account_aliases().get("AccountAliases") or [""]
    except Exception:
        # The alias is only shown: a missing permission or an unreachable service must not stop anything.
        aliases = [""]
    endpoint = own_endpoint(clients.ec2(region).meta.endpoint_url)
    return replace(found, alias=aliases[0], profile=profile, endpoint=endpoint)


def lock_region(account: Account, environ: Mapping[str, str]) -> str:
    """The region of the locks. It is the same for every caller, whatever region they use. BadInput for a variable that
    names no region."""
    chosen = environ.get(LOCK_REGION_VARIABLE, "")
    if chosen and not _REGION.fullmatch(chosen):
        raise BadInput(
            f"{LOCK_REGION_VARIABLE}={chosen!r} is not a region: give one such as us-east-1, or unset it"
        )
    known = chosen or _LOCK_REGIONS.get(account.partition, "")
    if not known:
        raise BadInput(
            f"the partition {account.partition!r} is not known here: set {LOCK_REGION_VARIABLE} to a region of it"
        )
    return known


def own_endpoint(url: str) -> str:
    """The endpoint when it is not AWS's own, else empty: purchases there are separate from purchases at AWS."""
    host = urlsplit(url).hostname or ""
    aws = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu")
    return "" if host.endswith(aws) else url
