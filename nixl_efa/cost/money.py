"""Amounts with their currency, and what is not known. Pure.

What is not known is never taken for 0: a sum says which parts of it are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

CENT, MILL = Decimal("0.01"), Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum of money: of one currency, or none at all (0, where nothing is charged)."""

    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A price that is not known. reason: why, as a part of a sentence. word: "none" where it is known that there is
    nothing to buy."""

    reason: str
    word: str = "unknown"


Price = Amount | Unknown


@dataclass(frozen=True, slots=True)
class Sum:
    """Several prices together. known: by currency. unknown: the names of what is missing. reasons: why it is."""

    known: Mapping[str, Decimal]
    unknown: tuple[str, ...] = ()
    reasons: tuple[str, ...] = field(default=(), compare=False)

    @property
    def whole(self) -> Amount | None:
        """The sum as one amount; None where a part is not known, or the currencies differ."""
        if self.unknown or len(self.known) != 1:
            return None
        ((currency, value),) = self.known.items()
        return Amount(value, currency)


def times(price: Price, factor: Decimal | int) -> Price:
    """So many of it."""
    return price if isinstance(price, Unknown) else Amount(price.value * factor, price.currency)


def added(parts: Iterable[tuple[str, Price | Sum | None]]) -> Sum:
    """Parts by their names. None is nothing to pay."""
    known: dict[str, Decimal] = {}
    unknown: list[str] = []
    reasons: list[str] = []
    for name, part in parts:
        reasons += reasons_of(part)
        if isinstance(part, Unknown):
            unknown.append(name)
        elif isinstance(part, Amount):
            known[part.currency] = known.get(part.currency, Decimal(0)) + part.value
        elif isinstance(part, Sum):
            if part.unknown:
                unknown.append(name)
            for currency, value in part.known.items():
                known[currency] = known.get(currency, Decimal(0)) + value
    return Sum(known, tuple(dict.fromkeys(unknown)), tuple(dict.fromkeys(reasons)))


def reasons_of(price: Price | Sum | None) -> tuple[str, ...]:
    """Why a price, or parts of a sum, are not known; none where all is."""
    if isinstance(price, Unknown):
        return (price.reason,)
    return price.reasons if isinstance(price, Sum) else ()


def shown(price: Price | Sum | None, places: Decimal = CENT) -> str:
    """A price in words, to the cent: "1,535.64 USD", "unknown", "nothing"; a sum also "12.30 USD + unknown"."""
    if price is None:
        return "nothing"
    if isinstance(price, Unknown):
        return price.word
    if isinstance(price, Amount):
        return f"{price.value.quantize(places, ROUND_HALF_UP):,} {price.currency}"
    amounts = [shown(Amount(value, currency), places) for currency, value in price.known.items()]
    if price.unknown:
        amounts.append("unknown")
    return " + ".join(amounts) or "nothing"


def written(price: Price | None) -> str | None:
    """A price as JSON has it: its figure as a text; null where it is not known, or nothing is to be paid."""
    return _plain(price.value) if isinstance(price, Amount) else None


def _plain(value: Decimal) -> str:
    """Without an exponent and without the zeros that a calculation leaves; to a millionth."""
    text = f"{value.quantize(Decimal('0.000001'), ROUND_HALF_UP):f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text
