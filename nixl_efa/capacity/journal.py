"""The journal of purchases: what was about to be bought is on disk before it is.

One file an order, named by its tag, in the state directory. An entry is PREPARED when nothing has been sent
yet, CALLING from just before the call until its outcome is known, then BOUGHT or NOT_BOUGHT for good. After
a crash, PREPARED means that nothing was bought; CALLING means that only AWS knows, and it is asked for the
tag.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from nixl_efa.capacity.order import Command, Kind, Order, Place
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.files import write_durably

# The note of a purchase of which the user knows.
TOLD = "told"


class State(StrEnum):
    """How far an order has come."""

    PREPARED = "prepared"
    CALLING = "calling"
    BOUGHT = "bought"
    NOT_BOUGHT = "not-bought"


@dataclass(frozen=True, slots=True)
class Entry:
    """One order in the journal. changed_at is when `state` was written; reservation_ids what was bought."""

    tag: str
    order: Order
    place: Place
    state: State
    changed_at: datetime
    reservation_ids: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_told(self) -> bool:
        """Whether a command has told the user that it is bought."""
        return self.note == TOLD

    @property
    def is_open(self) -> bool:
        """Whether its outcome isn't known yet."""
        return self.state in (State.PREPARED, State.CALLING)


class Journal:
    """The orders of one machine at one place."""

    def __init__(self, directory: Path, place: Place, clock: Clock) -> None:
        self._directory = directory
        self._place = place
        self._clock = clock

    def prepare(self, order: Order) -> Entry:
        """Writes a new order with a tag of its own. Failure when the disk doesn't take it."""
        entry = Entry(f"nixl-efa-{uuid.uuid4().hex}", order, self._place, State.PREPARED, self._clock.now())
        return self._write(entry)

    def move(
        self, entry: Entry, state: State, *, reservation_ids: tuple[str, ...] = (), note: str = ""
    ) -> Entry:
        """Writes the entry's new state. Failure when the disk doesn't take it."""
        return self._write(
            replace(
                entry, state=state, changed_at=self._clock.now(), reservation_ids=reservation_ids, note=note
            )
        )

    def entries(self) -> list[Entry]:
        """Every order of this place, the oldest first. Failure when a file can't be read: it may be an
        order."""
        try:
            paths = sorted(self._directory.glob("*.json")) if self._directory.is_dir() else []
            found = [entry_from(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"the journal of purchases in {self._directory} can't be read ({error}), so nothing is "
                f"bought: "
                f"look there, and at `nixl-efa capacity list`, by hand"
            ) from error
        ours = [entry for entry in found if entry.place == self._place]
        return sorted(ours, key=lambda entry: entry.changed_at)

    def open_entries(self, environment: str | None = None) -> list[Entry]:
        """The orders whose outcome isn't known, of one environment or of all."""
        return [
            entry
            for entry in self.entries()
            if entry.is_open and environment in (None, entry.order.environment)
        ]

    def bought(self, command: Command) -> list[Entry]:
        """What the command has bought before."""
        return [
            entry
            for entry in self.entries()
            if entry.state is State.BOUGHT and entry.order.command == command
        ]

    def untold_extension(self, block_id: str) -> Entry | None:
        """An extension of this block that was bought by a command which ended before it could say so."""
        for entry in self.entries():
            extends = entry.order.kind is Kind.EXTENSION and entry.order.target == block_id
            if extends and entry.state is State.BOUGHT and not entry.is_told:
                return entry
        return None

    def tell(self, entry: Entry) -> Entry:
        """Writes that the user knows of this purchase. Failure when the disk doesn't take it."""
        return self._write(replace(entry, note=TOLD))

    def find(self, tag: str) -> Entry | None:
        """The entry with this tag; None when it isn't of this machine."""
        return next((entry for entry in self.entries() if entry.tag == tag), None)

    def _write(self, entry: Entry) -> Entry:
        path = self._directory / f"{entry.tag}.json"
        try:
            write_durably(path, json.dumps(to_json(entry), indent=2) + "\n")
        except OSError as error:
            raise JournalFull(path, error) from error
        return entry


class JournalFull(Failure):
    """The disk did not take an entry."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"the journal of purchases can't be written ({path.parent}: {error.strerror or error}). Make "
            f"room, or "
            f"set XDG_STATE_HOME to a directory of yours on a disk that stays."
        )


def to_json(entry: Entry) -> dict[str, Any]:
    """The entry as its file holds it."""
    order = {
        **asdict(entry.order),
        "kind": entry.order.kind.value,
        "start": entry.order.start.isoformat(),
        "end": entry.order.end.isoformat(),
        "fee": str(entry.order.fee),
    }
    return {
        "tag": entry.tag,
        "state": entry.state.value,
        "changed_at": entry.changed_at.isoformat(),
        "reservation_ids": list(entry.reservation_ids),
        "note": entry.note,
        "place": asdict(entry.place),
        "order": order,
    }


def entry_from(document: dict[str, Any]) -> Entry:
    """The entry in a file. KeyError or ValueError when it is none."""
    return Entry(
        tag=document["tag"],
        order=order_from(document["order"]),
        place=Place(**document["place"]),
        state=State(document["state"]),
        changed_at=datetime.fromisoformat(document["changed_at"]),
        reservation_ids=tuple(document["reservation_ids"]),
        note=document["note"],
    )


def order_from(document: dict[str, Any]) -> Order:
    """The order in a file. KeyError or ValueError when it is none."""
    try:
        return Order(
            **{
                **document,
                "kind": Kind(document["kind"]),
                "start": datetime.fromisoformat(document["start"]),
                "end": datetime.fromisoformat(document["end"]),
                "fee": Decimal(document["fee"]),
            }
        )
    except (TypeError, ArithmeticError) as error:
        raise ValueError(f"not an order: {error}") from error
