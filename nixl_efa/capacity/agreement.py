"""The user's agreement to a purchase: amounts of money as people write them, and what is asked before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from nixl_efa.capacity.buyer import Talk
from nixl_efa.failure import BadInput, Failure

# A comma stands only before groups of three digits: 500,75 and 1.555,58 are amounts elsewhere, and mean other ones.
_AMOUNT = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the user has agreed to beforehand.

    yes:       to everything that is not asked for by itself; needs max_fee.
    max_fee:   the highest total fee; None: not said.
    min_hours: the shortest length of a block that is shorter than what was asked for; None: not said.
    replace:   that the environment's living block is put aside.
    """

    yes: bool = False
    max_fee: Decimal | None = None
    min_hours: float | None = None
    replace: bool = False


def agreement(*, yes: bool, max_fee: str | None, min_hours: float | None, replace: bool) -> Agreement:
    """The agreement in a command's options. BadInput for --yes without a limit, and for what is no amount."""
    if yes and max_fee is None:
        raise BadInput("--yes needs --max-fee: say what the purchase may cost at most")
    if min_hours is not None and not 0 <= min_hours < float("inf"):
        raise BadInput(f"--min-hours {min_hours:g}: give a number of hours")
    return Agreement(yes, None if max_fee is None else amount(max_fee, "--max-fee"), min_hours, replace)


def amount(text: str, option: str) -> Decimal:
    """The amount that a person typed, with or without commas before groups of three digits. BadInput names the
    option."""
    typed = text.strip()
    if not _AMOUNT.fullmatch(typed):
        raise BadInput(
            f"{option} {text!r}: give an amount with a point before the cents, such as 1888.42 or 1,888.42"
        )
    return Decimal(typed.replace(",", ""))


def money(value: Decimal) -> str:
    """An amount with two decimals, or all that it has when two don't hold it: 1,888.42."""
    cents = value.quantize(Decimal("0.01"))
    return f"{cents:,}" if cents == value else f"{value:,}"


def check_limit(fee: Decimal, agreed: Agreement) -> None:
    """Failure when the fee is above the limit."""
    if agreed.max_fee is not None and fee > agreed.max_fee:
        raise Failure(
            f"the fee is {money(fee)}, more than --max-fee {money(agreed.max_fee)}: nothing was bought"
        )


def ask_for_fee(fee: Decimal, agreed: Agreement, talk: Talk) -> None:
    """The user types the fee, unless agreed beforehand. Failure when they don't."""
    if agreed.yes:
        return
    typed = talk.ask(f"To buy, type the fee ({money(fee)}); anything else stops:")
    if not _AMOUNT.fullmatch(typed.strip()) or amount(typed, "the fee") != fee:
        raise Failure(f"{typed!r} is not the fee: nothing was bought")


def ask_for_nodes(count: int, why: str, talk: Talk) -> None:
    """The user types how many running nodes are lost; no option answers that. Failure when they don't."""
    if not count:
        return
    typed = talk.ask(f"{why} To go on, type how many ({count}); anything else stops:")
    if typed.strip() != str(count):
        raise Failure(f"{typed!r} is not {count}: nothing was done")
