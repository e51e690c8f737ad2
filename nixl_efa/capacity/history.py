"""The results of searches, kept on this machine: when, which type, which regions, and the fee of each block.

The file is offers.jsonl in the state directory, beside the journals, with one line for each search. A line is written
in one write under a lock, so that several processes may search. A line that can't be read is left out; the others are
still used. Each line names the version of its form ("v"); members may be added to a version. The newest MOST_BYTES are
kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from nixl_efa.capacity.offering import Offering, fee_of, hours_of
from nixl_efa.capacity.search import Found, Request
from nixl_efa.failure import Failure
from nixl_efa.files import make_directory, written_at_once

FORM = 1
MOST_BYTES = 8 * 1024 * 1024
# What a page and a terminal can show in a cell: names, and the endpoint, which is empty for AWS's own.
_PRINTABLE = re.compile(r"[ -~]{0,200}")
_CURRENCY = re.compile(r"[A-Z]{3}")
# A lock is held for one write (some 100 KB for a search of all regions and lengths), so 2 seconds of tries are enough.
_LOCK_TRIES = 20
_LOCK_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """A block as a search showed it: its instances, the fee for all of them and the whole time, and whether a pair of
    nodes can use it."""

    region: str
    zone: str
    count: int
    start: datetime
    end: datetime
    fee: Decimal
    currency: str
    usable: bool

    @property
    def block(self) -> tuple[str, str, int, datetime, datetime, bool]:
        """What identifies the block: offering ids change from search to search."""
        return self.region, self.zone, self.count, self.start, self.end, self.usable

    @property
    def rate(self) -> Decimal:
        """The fee for one instance and one hour."""
        return self.fee / (self.count * hours_of(self.end - self.start))


@dataclass(frozen=True, slots=True)
class Look:
    """One search.

    instance_type, count: what was searched for: instances, or UltraServers. hours: the lengths asked for.
    regions: those that answered. endpoint: that of EC2 when it is not AWS's own; else empty.
    """

    at: datetime
    endpoint: str
    instance_type: str
    count: int
    hours: tuple[int, ...]
    regions: tuple[str, ...]
    seen: tuple[Seen, ...]

    def is_alike(self, other: Look) -> bool:
        """Whether both asked the same and found the same."""
        mine, theirs = (
            (one.endpoint, one.instance_type, one.count, one.hours, one.regions, set(one.seen))
            for one in (self, other)
        )
        return mine == theirs


@dataclass(frozen=True, slots=True)
class History:
    """The searches that were kept, the earliest first, and the number of lines that could not be read."""

    looks: tuple[Look, ...] = ()
    lost: int = 0

    def of(self, instance_type: str, count: int, endpoint: str) -> tuple[Look, ...]:
        """The searches for this type and count at one endpoint."""
        wanted = (instance_type, count, endpoint)
        return tuple(one for one in self.looks if (one.instance_type, one.count, one.endpoint) == wanted)


def seen(one: Offering) -> Seen:
    """An offering as it is kept."""
    return Seen(one.region, one.zone, one.count, one.start, one.end, one.fee, one.currency, not one.unusable)


def look(request: Request, regions: Iterable[str], found: Found, at: datetime, endpoint: str) -> Look:
    """A search as it is kept. regions: those that were asked."""
    silent = {*found.failed, *found.not_sold}
    return Look(
        at,
        endpoint,
        request.instance_type,
        request.count,
        request.hours,
        tuple(region for region in regions if region not in silent),
        tuple(seen(one) for one in found.offerings),
    )


def path_in(state: Path) -> Path:
    """The file in the state directory."""
    return state / "offers.jsonl"


def keep(path: Path, look: Look) -> None:
    """Adds a search to the file, and drops the oldest ones when the file is too long. OSError when that can't be
    done."""
    line = (json.dumps(_to_json(look), separators=(",", ":")) + "\n").encode()
    make_directory(path.parent)
    with _locked(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # A killed process can leave a line without its end. A newline ends it, so that only that line is lost.
            broken = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            whole = b"\n" + line if broken else line
            if os.write(descriptor, whole) != len(whole):
                os.ftruncate(descriptor, size)
                raise OSError(28, "no space left on the disk")
        finally:
            os.close(descriptor)
        if size + len(whole) > MOST_BYTES:
            _shorten(path)


def read(path: Path) -> History:
    """What the file holds. A line that is damaged, or of a version that this program does not know, is counted as lost.
    A missing file holds nothing. OSError when it can't be read."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return History()
    looks, lost = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            looks.append(_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, Failure):
            lost += 1
    return History(tuple(sorted(looks, key=lambda one: one.at)), lost)


def _shorten(path: Path) -> None:
    """Keeps the newest half of MOST_BYTES, so that this is needed only now and then."""
    kept: list[bytes] = []
    size = 0
    for line in reversed(path.read_bytes().splitlines(keepends=True)):
        size += len(line)
        if kept and size > MOST_BYTES // 2:
            break
        kept.append(line)
    with written_at_once(path) as file:
        file.writelines(reversed(kept))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock in a file of its own, since offers.jsonl is sometimes replaced. OSError when another process holds
    it too long: a search must not wait for its record."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            raise OSError(11, "another process keeps it locked")
        yield
    finally:
        os.close(descriptor)


def _to_json(look: Look) -> dict[str, Any]:
    return {
        "v": FORM,
        "at": look.at.isoformat(),
        "endpoint": look.endpoint,
        "type": look.instance_type,
        "count": look.count,
        "hours": look.hours,
        "regions": look.regions,
        "offers": [
            {
                "region": one.region,
                "zone": one.zone,
                "count": one.count,
                "start": one.start.isoformat(),
                "end": one.end.isoformat(),
                "fee": str(one.fee),
                "currency": one.currency,
                "usable": one.usable,
            }
            for one in look.seen
        ],
    }


def _from_json(document: dict[str, Any]) -> Look:
    if document["v"] != FORM:
        raise ValueError(f"form {document['v']}")
    return Look(
        _moment(document["at"]),
        _text(document["endpoint"]),
        _text(document["type"]),
        int(document["count"]),
        tuple(map(int, _list(document["hours"]))),
        tuple(map(_text, _list(document["regions"]))),
        tuple(_seen(one) for one in _list(document["offers"])),
    )


def _seen(document: dict[str, Any]) -> Seen:
    found = Seen(
        _text(document["region"]),
        _text(document["zone"]),
        int(document["count"]),
        _moment(document["start"]),
        _moment(document["end"]),
        fee_of(document["fee"], "a block"),
        _text(document["currency"], _CURRENCY),
        document["usable"] is True,
    )
    if found.count < 1 or not hours_of(found.end - found.start) > 0:
        raise ValueError("a block without instances or time")
    return found


def _text(value: object, form: re.Pattern[str] = _PRINTABLE) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise TypeError("no name")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"no zone: {text}")
    return found.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Track:
    """How one block's fee has changed: when and at what fee it was first seen, and the fee before the last change.

    before: None where the fee never changed. last_at: when the block was seen last.
    """

    first_at: datetime
    last_at: datetime
    last: Seen
    before: Decimal | None = None


def tracks(looks: Iterable[Look]) -> dict[tuple[Any, ...], Track]:
    """How each block's fee has changed, by `Seen.block`. Pure.

    looks: of one type and count, the earliest first.
    """
    found: dict[tuple[Any, ...], Track] = {}
    for look in looks:
        for one in look.seen:
            known = found.get(one.block)
            if known is None:
                found[one.block] = Track(look.at, look.at, one)
                continue
            before = known.last.fee if known.last.fee != one.fee else known.before
            found[one.block] = Track(known.first_at, look.at, one, before)
    return found


def is_worth_keeping(look: Look, before: Look | None, every: timedelta = timedelta(hours=1)) -> bool:
    """Whether to keep this look of a watch: its answer differs from the last one kept, or that one is an hour old.
    Pure."""
    return before is None or not look.is_alike(before) or look.at - before.at >= every


@dataclass(frozen=True, slots=True)
class Point:
    """The lowest rate of a region at one look, and how many blocks were on offer; rate None when none is usable."""

    at: datetime
    offers: int
    rate: Decimal | None


def rates(looks: Iterable[Look]) -> dict[tuple[str, str], tuple[Point, ...]]:
    """How the lowest fee for an instance-hour has changed, by region and currency. Pure.

    A look that found no offer in a region adds a point for every currency in which the region ever had offers.
    """
    every = list(looks)
    currencies: dict[str, set[str]] = {}
    for look in every:
        for one in look.seen:
            currencies.setdefault(one.region, set()).add(one.currency)
    found: dict[tuple[str, str], list[Point]] = {}
    for look in every:
        for region in look.regions:
            for currency in sorted(currencies.get(region, ())):
                here = [one for one in look.seen if (one.region, one.currency) == (region, currency)]
                lowest = min((one.rate for one in here if one.usable), default=None)
                found.setdefault((region, currency), []).append(Point(look.at, len(here), lowest))
    return {key: tuple(points) for key, points in sorted(found.items())}
