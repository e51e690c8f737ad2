"""The offerings that searches on this machine have shown, so that `buy` needs nothing but the offering's
id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.request import Request
from nixl_efa.files import write_durably

# Offerings are gone long before.
KEPT_DAYS = 7
_MOMENTS = ("start", "end", "at", "earliest_start", "latest_end")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was asked (type, count, hours, the window) to see an offering, and what it was."""

    region: str
    instance_type: str
    count: int
    hours: int
    zone: str
    start: datetime
    end: datetime
    fee: Decimal
    currency: str
    at: datetime
    earliest_start: datetime
    latest_end: datetime | None

    def same_block(self, offering: Offering) -> bool:
        """Whether the offering is this block: the same instances, zone and times, under whatever id."""
        return (self.instance_type, self.count, self.zone, self.start, self.end) == (
            offering.instance_type,
            offering.count,
            offering.zone,
            offering.start,
            offering.end,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask AWS for to see an offering again; `seen` is what a search showed, None when none did."""

    region: str
    instance_type: str
    count: int
    hours: int
    seen: Seen | None = None


def remember(path: Path, offerings: Iterable[Offering], request: Request, now: datetime) -> None:
    """Adds the offerings to the file and drops those that are old. OSError when it can't be written."""
    kept = {name: seen for name, seen in _read(path).items() if now - seen.at < timedelta(days=KEPT_DAYS)}
    for offering in offerings:
        kept[offering.id] = seen_from(offering, request, now)
    document = {name: _to_json(seen) for name, seen in kept.items()}
    write_durably(path, json.dumps(document, indent=1) + "\n")


def recall(path: Path, offering_id: str) -> Seen | None:
    """What a search showed under this id; None when none on this machine did."""
    return _read(path).get(offering_id)


def seen_from(offering: Offering, request: Request, now: datetime) -> Seen:
    """What to remember of an offering."""
    return Seen(
        offering.region,
        offering.instance_type,
        offering.count,
        offering.asked_hours,
        offering.zone,
        offering.start,
        offering.end,
        offering.fee,
        offering.currency,
        now,
        request.earliest_start,
        request.latest_end,
    )


def _read(path: Path) -> dict[str, Seen]:
    """The file's offerings. A file that is missing or damaged holds none: it is only a convenience."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: _from_json(seen) for name, seen in document.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return {}


def _to_json(seen: Seen) -> dict[str, Any]:
    document = asdict(seen)
    moments = {key: value.isoformat() for key, value in document.items() if isinstance(value, datetime)}
    return {**document, **moments, "fee": str(seen.fee)}


def _from_json(document: dict[str, Any]) -> Seen:
    moments = {key: datetime.fromisoformat(document[key]) for key in _MOMENTS if document[key] is not None}
    return Seen(**{**document, **moments, "fee": Decimal(document["fee"])})
