"""What an environment costs as plain values for JSON. Amounts are texts; what is not known is null, with the reason.
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from nixl_efa.cost.billed import Billed
from nixl_efa.cost.blocks import Block
from nixl_efa.cost.compare import MONTH_HOURS, Comparison, whole
from nixl_efa.cost.money import Amount, Price, Sum, Unknown, times, written
from nixl_efa.cost.rendering import MARKETS, NOTES
from nixl_efa.cost.running import Node, Spent, together
from nixl_efa.launch import Launch


def document(
    launch: Launch,
    comparisons: Sequence[Comparison],
    running: tuple[Sequence[Node], Sequence[Spent]] | Unknown | None,
    left_addresses: int | Unknown,
    billed: Billed | None,
) -> dict[str, Any]:
    """Everything. running: None where nothing runs. billed: None where it was not asked for."""
    return {
        "environment": launch.environment,
        "region": launch.region,
        "hours_a_month": MONTH_HOURS,
        "requests": [_request(one) for one in comparisons],
        "together": {market: price(whole(comparisons, market)) for market in MARKETS},
        "running": _running(running),
        "left_addresses": _left(left_addresses, comparisons[0].rates.address),
        "billed": None if billed is None else _billed(billed),
        "notes": list(NOTES),
    }


def price(found: Price | Sum | None) -> dict[str, Any]:
    """amount: a text; null where any part is not known. unknown: the reason, or the names of the missing parts."""
    if found is None:
        return {"amount": "0", "currency": None, "unknown": ""}
    if isinstance(found, Unknown):
        return {"amount": None, "currency": None, "unknown": found.reason}
    if isinstance(found, Amount):
        return {"amount": written(found), "currency": found.currency, "unknown": ""}
    if found.whole is not None:
        return price(found.whole)
    if not found.known and not found.unknown:
        return price(None)
    unknown = ", ".join(found.unknown) or "the currencies differ"
    known = {currency: written(Amount(value, currency)) for currency, value in found.known.items()}
    return {"amount": None, "currency": None, "unknown": unknown, "known_part": known}


def _request(one: Comparison) -> dict[str, Any]:
    request, rates = one.request, one.rates
    accelerators = request.type_facts.accelerator_count if request.type_facts else 0
    return {
        "nodes": [node.name for node in request.nodes],
        "instance_type": request.instance_type,
        "accelerators": accelerators,
        "market": request.market,
        "hours": _number(one.hours),
        "block": _block(one, accelerators),
        "next_block": _next_block(one.next_block),
        "on_demand": {"instance_hour": price(rates.on_demand), "total": price(one.on_demand)},
        "spot": {
            "instance_hour": price(rates.spot),
            "total": price(one.spot),
            "availability_zone": rates.spot_zone,
            "lowest": None if rates.spot_span is None else _number(rates.spot_span[0]),
            "highest": None if rates.spot_span is None else _number(rates.spot_span[1]),
            "placement_scores": None
            if isinstance(rates.scores, Unknown)
            else {each.zone: each.score for each in rates.scores},
        },
        "volumes": price(one.volumes),
        "public_addresses": price(one.addresses),
        "together": {market: price(one.total(market)) for market in MARKETS},
        "break_even": [
            {"market": each.market, "hours": _number(each.hours), "reached": each.reached}
            for each in one.break_even
        ],
    }


def _block(one: Comparison, accelerators: int) -> dict[str, Any]:
    block = one.block
    if isinstance(block, Unknown):
        return {"id": None, "unknown": block.reason}
    hour = block.instance_hour
    return {
        "id": block.id,
        "bought": block.bought,
        "state": block.state,
        "availability_zone": block.zone,
        "instances": block.instances,
        "start": block.start,
        "end": block.end,
        "fee": price(block.price),
        "extension_fees": [price(each) for each in block.extensions],
        "payment_pending": price(block.pending),
        "instance_hour": price(hour),
        "accelerator_hour": price(times(hour, Decimal(1) / accelerators)) if accelerators else None,
        "instance_hours": _number(block.instance_hours),
        "covered_hours": _number(one.block_hours),
        "used_instance_hours": _number(one.used),
        "idle_instance_hours": _number(one.idle),
        "nodes_without_place": one.without_place,
    }


def _next_block(block: Block | Unknown | None) -> dict[str, Any] | None:
    if block is None:
        return None
    if isinstance(block, Unknown):
        return {"id": None, "unknown": block.reason}
    return {"id": block.id, "start": block.start, "end": block.end, "fee": price(block.price)}


def _running(found: tuple[Sequence[Node], Sequence[Spent]] | Unknown | None) -> dict[str, Any] | None:
    if found is None:
        return None
    if isinstance(found, Unknown):
        return {"nodes": None, "unknown": found.reason}
    nodes, parts = found
    so_far, by_end = together(parts)
    return {
        "nodes": [
            {"name": one.name, "instance_id": one.id, "state": one.state, "since": one.launched}
            for one in nodes
        ],
        "parts": [
            {
                "what": one.what,
                "so_far": price(one.so_far),
                "by_end": None if one.by_end is None else price(one.by_end),
                "end": one.end,
                "each_hour": price(one.each_hour),
                "used_instance_hours": None if one.used is None else _number(one.used),
                "idle_instance_hours": None if one.idle is None else _number(one.idle),
            }
            for one in parts
        ],
        "so_far": price(so_far),
        "by_end": None if by_end is None else price(by_end),
    }


def _left(count: int | Unknown, rate: Price) -> dict[str, Any]:
    if isinstance(count, Unknown):
        return {"count": None, "unknown": count.reason}
    return {"count": count, "each_hour": price(times(rate, count) if count else None)}


def _billed(found: Billed) -> dict[str, Any]:
    services: Mapping[str, Price] = {} if isinstance(found.services, Unknown) else found.services
    return {
        "start": found.start.isoformat(),
        "end": found.end.isoformat(),
        "services": {name: price(one) for name, one in services.items()},
        "total": price(found.total),
    }


def _number(value: Decimal) -> str:
    return written(Amount(value, "")) or ""
