"""What every purchase needs, handed in once: the journal, the clients, the clock, the rule for waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixl_efa.capacity.evidence import WaitingRule
from nixl_efa.capacity.journal import Entry, Journal
from nixl_efa.capacity.locks import SharedLock
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True, slots=True)
class Desk:
    """Where orders are placed.

    ec2_of, ssm_of: clients of a region, for everything but the purchase itself; ssm_once_of: one that does not
    retry; tell: talks to the user.
    """

    journal: Journal
    ec2_of: Callable[[str], EC2Client]
    ssm_of: Callable[[str], SSMClient]
    ssm_once_of: Callable[[str], SSMClient]
    clock: Clock
    tell: Callable[[str], None]
    rule: WaitingRule = field(default_factory=WaitingRule)

    def lock_of(self, entry: Entry) -> SharedLock:
        """The lock of the entry's environment."""
        return self.lock_in(entry.order.lock_region, entry.order.environment)

    def lock_in(self, region: str, environment: str) -> SharedLock:
        """The lock of an environment whose locks are in this region."""
        return SharedLock(self.ssm_of(region), self.ssm_once_of(region), environment)


class Unclear(Failure):
    """Nobody knows yet whether the entry's order was bought. Nothing else is bought until it is known."""

    def __init__(self, entry: Entry, rule: WaitingRule, exit_code: int = 1) -> None:
        environment = entry.order.environment
        super().__init__(
            f"whether {entry.order.offering_id} was bought is not known yet (tag {entry.tag}). Run the same "
            f"command again, or `nixl-efa capacity recover --env {environment}`: both look for the "
            f"purchase and "
            f"never buy it twice. If it can't be found until {rule.settled_at(entry):%Y-%m-%d %H:%M:%S} "
            f"UTC, it "
            f"was not made.",
            exit_code,
        )
        self.entry = entry
