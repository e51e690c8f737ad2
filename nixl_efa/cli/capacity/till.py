"""Where `buy`, `extend` and `recover` pay: the journal and the lock, the user's agreement, the handing
over."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nixl_efa.aws_errors import explain
from nixl_efa.capacity import calls, parameters, purchase
from nixl_efa.capacity.desk import Desk
from nixl_efa.capacity.evidence import WaitingRule, extensions_of
from nixl_efa.capacity.journal import Entry, Journal, JournalFull, State
from nixl_efa.capacity.order import Command, Kind, Order, Place
from nixl_efa.capacity.parameters import Stored
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, Reservation
from nixl_efa.capacity.reservations import find_reservation, reservations_in
from nixl_efa.cli.capacity.saving import asks, save_reservation
from nixl_efa.cli.capacity.tools import Tools
from nixl_efa.cli.capacity.words import amount, money
from nixl_efa.cli.output import BadInput, Failure, ask, say

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(slots=True)
class Till:
    """One buyer at one place. `problems` are what went wrong after a purchase that itself went well."""

    kit: Tools
    desk: Desk
    by: str
    replace: bool = False
    save: bool = True
    problems: list[str] = field(default_factory=list)

    def settle_open(self, environment: str) -> list[Entry]:
        """Settles what earlier commands left open for the environment; returns what turns out to be
        bought."""
        entries = self.desk.journal.open_entries(environment)
        closed = [purchase.settle(self.desk, entry, self.hand_over) for entry in entries]
        return [entry for entry in closed if entry.reservation_ids]

    def bought_before(self, command: Command) -> Entry | None:
        """What the same command has bought before and can still be used. None when there is nothing.

        A reservation that was just bought may be invisible for a while; then the journal's word counts.
        """
        for entry in self.desk.journal.bought(command):
            if command.kind is Kind.EXTENSION:
                return entry
            found = self._find(command.region, entry.reservation_ids[0])
            if found is not None and not found.is_dead:
                return entry
            if found is None and self.desk.clock.now() < self.desk.rule.settled_at(entry):
                return entry
        return None

    def made(self, command: Command) -> set[str]:
        """What was bought by anybody of that which the command buys more of: the usable reservations of its
        environment in its region, or the extensions of its block."""
        ec2, sleep = self.kit.clients.ec2(command.region), self.kit.clock.sleep
        if command.kind is Kind.EXTENSION:
            return extensions_of(ec2, command.target, sleep)
        return {
            one.id
            for one in reservations_in(ec2, command.region, sleep)
            if one.tags.get(ENVIRONMENT_TAG) == command.environment and not one.is_dead
        }

    def told(self, tags: Iterable[str]) -> None:
        """Notes that the user knows of these extensions. The same command again then is about another one."""
        for tag in tags:
            known = self.desk.journal.find(tag)
            if known is not None and known.order.kind is Kind.EXTENSION and known.state is State.BOUGHT:
                try:
                    self.desk.journal.tell(known)
                except JournalFull as full:
                    say(full.message)

    def buy(self, order: Order, known: set[str], stored: list[Stored]) -> Entry:
        """Buys the order that the user has agreed to, unless something has changed since the user was asked:
        `known` is what was made by then, `stored` the environment's parameters."""

        def guard() -> None:
            if self.save and order.kind is Kind.BLOCK:
                parameters.check_unchanged(self.kit.clients.ssm(order.region), stored)
            new = self.made(order.command) - known
            if new and order.kind is Kind.EXTENSION:
                raise Failure(
                    f"{order.target} was extended by somebody else just now: nothing was bought here. Run the "
                    f"command again if you want still more time."
                )
            if new:
                raise Failure(
                    f"{', '.join(sorted(new))} was bought for environment {order.environment!r} just now: "
                    f"nothing "
                    f"was bought here. Run the command again if you want another one."
                )

        def hand_over(entry: Entry) -> None:
            self.hand_over(entry, stored)

        client: EC2Client = self.kit.clients.ec2_purchases(order.region)
        try:
            return purchase.buy_once(
                order, self.desk, lambda entry: calls.send(client, entry), guard=guard, hand_over=hand_over
            )
        except JournalFull as full:
            # After the call a full disk only is said, so this one came before it.
            raise Failure(f"nothing was bought: {full.message}") from full

    def hand_over(self, entry: Entry, stored: list[Stored] | None = None) -> None:
        """Saves what was bought for its environment. A failure is kept: it must not look like a failed
        purchase."""
        order = entry.order
        if not self.save or order.kind is Kind.EXTENSION or not entry.reservation_ids:
            return
        try:
            save_reservation(
                self.kit,
                order.region,
                order.environment,
                entry.reservation_ids[0],
                order.zone,
                asks(replace=self.replace),
                stored,
            )
        except Exception as error:
            why = error.message if isinstance(error, Failure) else explain(error)
            self.problems.append(
                f"{entry.reservation_ids[0]} was bought, but not saved for {order.environment!r} ({why}). "
                f"Run: "
                f"nixl-efa capacity save {entry.reservation_ids[0]} --env {order.environment} --region "
                f"{order.region}"
            )

    def in_use(self, order: Order, stored: list[Stored]) -> Reservation | None:
        """The reservation that the environment would lose: stored for it, another, and still usable."""
        name = parameters.id_name(order.environment)
        for one in stored:
            if one.name in (name, parameters.LEGACY_ID_NAME) and one.value.startswith("cr-"):
                found = self._find(order.region, one.value)
                if found is not None and not found.is_dead:
                    return found
        return None

    def _find(self, region: str, reservation_id: str) -> Reservation | None:
        return find_reservation(self.kit.clients.ec2(region), region, reservation_id, self.kit.clock.sleep)


def open_till(
    kit: Tools, region: str, rule: WaitingRule, *, replace: bool = False, save: bool = True
) -> Till:
    """The till for the account that the credentials belong to."""
    identity = kit.clients.sts(region).get_caller_identity()
    place = Place(identity["Account"], _own_endpoint(kit.clients.ec2(region).meta.endpoint_url))
    desk = Desk(
        journal=Journal(kit.state / "journal", place, kit.clock),
        ec2_of=kit.clients.ec2,
        ssm_of=kit.clients.ssm,
        ssm_once_of=kit.clients.ssm_once,
        clock=kit.clock,
        tell=say,
        rule=rule,
    )
    # The ARN and the machine, so that whoever finds the lock knows whom to ask and where to look.
    return Till(kit, desk, f"{identity['Arn']} on {os.uname().nodename}", replace, save)


def _own_endpoint(url: str) -> str:
    """The endpoint when it is not AWS's own: what is bought there has nothing to do with what is bought at
    AWS."""
    host = urlsplit(url).hostname or ""
    return "" if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")) else url


def agree_to_fee(order: Order, *, yes: bool, max_fee: str | None) -> None:
    """The user types the fee, or has said --yes with --max-fee. Failure when they don't agree."""
    check_fee(order.fee, max_fee)
    if yes:
        return
    shown = money(order.fee)
    typed = ask(f"To buy, type the fee ({shown}); anything else stops:")
    if not typed or amount(typed, "the fee") != order.fee:
        raise Failure(f"{typed!r} is not the fee: nothing was bought")


def check_fee(fee: Decimal, max_fee: str | None) -> None:
    """Failure when the fee is above --max-fee."""
    if max_fee is not None and fee > amount(max_fee, "--max-fee"):
        raise Failure(f"the fee is {money(fee)}, more than --max-fee {max_fee}: nothing was bought")


def check_agreement(*, yes: bool, max_fee: str | None) -> None:
    """BadInput for --yes without a limit, before anything is looked up."""
    if yes and max_fee is None:
        raise BadInput("--yes needs --max-fee: say what the purchase may cost at most")
    if max_fee is not None:
        amount(max_fee, "--max-fee")
