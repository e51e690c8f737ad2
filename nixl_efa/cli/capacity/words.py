"""Amounts, lengths of time and errors in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from nixl_efa.aws_errors import explain
from nixl_efa.cli.output import BadInput, say


def money(amount: Decimal) -> str:
    """An amount with two decimals, or all that it has when two don't hold it: 1,888.42."""
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents:,}" if cents == amount else f"{amount:,}"


def amount(text: str, option: str) -> Decimal:
    """The amount that a person typed, with or without commas. BadInput names the option."""
    try:
        value = Decimal(text.replace(",", "").strip())
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value < 0:
        raise BadInput(f"{option} {text!r}: give an amount, for example 1888.42")
    return value


def length(span: timedelta) -> str:
    """A length of time in its two largest units: 2d 4h, 5h 30m, 12m."""
    minutes = int(span.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h {rest}m" if rest else f"{hours}h"
    return f"{rest}m"


def tell_failed(failed: Mapping[str, Exception]) -> None:
    """Names the regions that could not be asked, those with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for region, error in failed.items():
        by_reason.setdefault(explain(error), []).append(region)
    for reason, regions in by_reason.items():
        say(f"not asked: {', '.join(regions)}: {reason}")
