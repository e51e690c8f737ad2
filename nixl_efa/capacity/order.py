"""An entry of the journals: what is bought, for whom, and the state of the purchase."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from nixl_efa.capacity import offering as offerings
from nixl_efa.capacity.offering import Offering

# Used instead of an environment's name, in names of locks and journals, for a purchase that is for no environment. No
# environment can have this name: theirs begin with a letter.
UNBOUND = "_unbound"

# The text of an error can be the whole error page of a proxy, and a standard parameter holds 4 KB (Systems Manager user
# guide, parameter-store-advanced-parameters): a longer entry could not be closed.
LONGEST_NOTE = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where money is spent: an account and an endpoint. Each place has journals of its own: a purchase of one account
    can't be found in another one, and a purchase of a rehearsal can't be found at AWS.

    endpoint: that of EC2 when it is not AWS's own; else empty.
    """

    account: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One offering to buy.

    environment: empty for a block that is bought for no environment.
    by:          who buys, and on which machine.
    lock_region: the region of the journal that all machines share.
    id_parameter, zone_parameter: where the reservation is to be saved; empty when it is not.
    """

    environment: str
    offering: Offering
    by: str
    lock_region: str
    id_parameter: str = ""
    zone_parameter: str = ""

    @property
    def lock_name(self) -> str:
        """The name of its lock: the environment's, or UNBOUND for a purchase that is for no environment. An extension's
        lock is named by the block, so it is the same for whatever environment the block is."""
        if self.is_extension:
            return extension_lock(self.offering.extends, self.offering.block_id)
        return self.environment or UNBOUND

    @property
    def is_extension(self) -> bool:
        """Whether it buys more time for a block."""
        return bool(self.offering.extends)

    @property
    def is_saved(self) -> bool:
        """Whether what is bought is to be written to the environment's parameters."""
        return bool(self.id_parameter) and not self.is_extension

    @property
    def env_option(self) -> str:
        """The option of a command that names the environment, with a space before it."""
        return f" --env {self.environment}" if self.environment and not self.is_extension else ""

    @property
    def whom(self) -> str:
        """For whom it is, in words."""
        return f"environment {self.environment!r}" if self.environment else "no environment"


def extension_lock(reservation_id: str, block_id: str = "") -> str:
    """The name of the lock of a block's extensions. block_id: of UltraServers, which have several reservations."""
    return f"_{block_id or reservation_id}"


def locked_for(lock_name: str) -> str:
    """What a lock is for, in words."""
    if lock_name == UNBOUND:
        return "no environment"
    return lock_name[1:] if lock_name.startswith("_") else f"environment {lock_name!r}"


class State(StrEnum):
    """The state of an order.

    PREPARED    nothing has been sent;
    CALLING     from just before the call: only AWS knows whether it is bought;
    BOUGHT      bought, and not yet reported to the user and saved;
    DONE        bought, reported and saved;
    NOT_BOUGHT  certainly not bought.
    """

    PREPARED = "prepared"
    CALLING = "calling"
    BOUGHT = "bought"
    DONE = "done"
    NOT_BOUGHT = "not-bought"


_CLOSED = (State.DONE, State.NOT_BOUGHT)


@dataclass(frozen=True, slots=True)
class Entry:
    """An order in the journals. changed_at: when `state` was written. reservation_ids: what was bought. number: its
    number in the shared journal, 0 while it has none."""

    tag: str
    order: Order
    place: Place
    state: State
    changed_at: datetime
    reservation_ids: tuple[str, ...] = ()
    note: str = ""
    number: int = 0

    @property
    def is_open(self) -> bool:
        """Whether work is left: to find out whether it was bought, to report it, or to save it. An environment with an
        open entry is locked."""
        return self.state not in _CLOSED

    def text(self) -> str:
        """The entry in a few words: who, when, what."""
        return f"{self.order.by} at {self.changed_at:%Y-%m-%d %H:%M:%S} UTC ({self.order.offering.text()})"

    def state_text(self) -> str:
        """The state of an open entry, as a sentence."""
        if self.reservation_ids:
            bought = ", ".join(self.reservation_ids)
            return f"{bought} was bought for {self.order.whom} by {self.text()}, but the environment was not saved yet."
        return f"The outcome of a purchase for {self.order.whom} by {self.text()} is not known yet."

    def recover_text(self) -> str:
        """What to do about an open entry, as a sentence."""
        return f"`nixl-efa capacity recover{self.order.env_option}` finds out its outcome."


def to_json(entry: Entry) -> dict[str, Any]:
    """The entry as journals hold it."""
    return {
        **asdict(entry),
        "state": entry.state.value,
        "changed_at": entry.changed_at.isoformat(),
        "note": entry.note[:LONGEST_NOTE],
        "reservation_ids": list(entry.reservation_ids),
        "order": {**asdict(entry.order), "offering": offerings.to_json(entry.order.offering)},
    }


def from_json(document: Mapping[str, Any]) -> Entry:
    """The entry from a journal. KeyError, TypeError or ValueError when the document is not an entry."""
    order = document["order"]
    return Entry(
        **{
            **document,
            "order": Order(**{**order, "offering": offerings.from_json(order["offering"])}),
            "place": Place(**document["place"]),
            "state": State(document["state"]),
            "changed_at": datetime.fromisoformat(document["changed_at"]),
            "reservation_ids": tuple(document["reservation_ids"]),
        }
    )
