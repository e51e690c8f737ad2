"""The journals of purchases: an order is written to them before it is sent.

Each machine has a journal on its disk, with one file for each order. For each environment all machines share a journal
in Parameter Store: /nixl-efa/<environment>/purchases/000001, 000002, ... It is also the environment's lock: while the
highest entry is open, the environment is locked. A buyer therefore first creates the next entry. Parameter Store
creates a parameter only once (PutParameter without Overwrite is its only conditional write), so of two buyers one gets
the number, and the other one learns who has it. An entry is closed in the same way, by a second parameter such as
000001-closed, which its owner or `recover` creates. Nothing is ever deleted, so nobody can remove a newer lock of
somebody else, or open a closed entry again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Sleep, all_items, result
from nixl_efa.aws_errors import error_code
from nixl_efa.capacity.order import Entry, Order, Place, State, from_json, locked_for, to_json
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.files import make_directory, write_durably

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_DIGITS = 6
_CLOSED = "-closed"
_ENTRY_NAME = re.compile(r"/nixl-efa/([^/]+(?:/[^/]+)?)/purchases/\d+(-closed)?")
_WRITE_TRIES = 5
_WRITE_PAUSE_SECONDS = 1.0


class Busy(Failure):
    """Somebody else is buying for the environment. `entry` is their order, None when it can't be read."""

    def __init__(self, message: str, entry: Entry | None = None) -> None:
        super().__init__(message)
        self.entry = entry


class JournalFull(Failure):
    """The disk did not take an entry."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"the journal of purchases can't be written ({path.parent}: {error.strerror or error}). "
            "Make room, or set XDG_STATE_HOME to a directory of yours on a disk that is kept."
        )


def later_of(there: Entry, entry: Entry) -> Entry:
    """Which of two entries of one order is valid: DONE before all others, then `there` when it is NOT_BOUGHT, then
    BOUGHT, else the newer one. Pure.

    An order that was closed as NOT_BOUGHT, but was in fact bought, becomes DONE after it is reported and saved. It is
    not opened again for that.
    """
    if there.state is State.DONE:
        return there
    if there.state is State.NOT_BOUGHT:
        return entry if entry.state is State.DONE else there
    if there.state is State.BOUGHT and entry.state not in (State.BOUGHT, State.DONE):
        return there
    return entry


class Journal:
    """The orders of this machine at one place (order.Place)."""

    def __init__(self, directory: Path, place: Place, clock: Clock) -> None:
        self._directory = directory
        self._place = place
        self._clock = clock

    def prepare(self, order: Order) -> Entry:
        """Writes a new order with a new, unique tag. JournalFull when the disk doesn't take it."""
        entry = Entry(f"nixl-efa-{uuid.uuid4().hex}", order, self._place, State.PREPARED, self._clock.now())
        return self.write(entry)

    def moved(self, entry: Entry, state: State, **changes: Any) -> Entry:
        """The entry in a new state, not yet written."""
        return replace(entry, state=state, changed_at=self._clock.now(), **changes)

    def write(self, entry: Entry) -> Entry:
        """Writes the entry to the disk and returns it. JournalFull when the disk doesn't take it."""
        path = self._directory / f"{entry.tag}.json"
        try:
            write_durably(path, json.dumps(to_json(entry), indent=2) + "\n")
        except OSError as error:
            raise JournalFull(path, error) from error
        return entry

    def entries(self) -> list[Entry]:
        """Every order of this place, the oldest first. Failure when a file can't be read: it may hold an order."""
        return [entry for entry in self._all() if entry.place == self._place]

    def _all(self) -> list[Entry]:
        try:
            paths = sorted(self._directory.glob("*.json")) if self._directory.is_dir() else []
            found = [from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"the journal of purchases in {self._directory} can't be read ({error}), so nothing is bought. "
                "Look there, and at `nixl-efa capacity list`."
            ) from error
        return sorted(found, key=lambda entry: entry.changed_at)

    def open_in_other_accounts(self) -> list[Entry]:
        """The open orders of other accounts at the same endpoint: these credentials can't settle them."""
        return [
            entry
            for entry in self._all()
            if entry.is_open
            and entry.place.account != self._place.account
            and entry.place.endpoint == self._place.endpoint
        ]

    def open_entries(self, lock_name: str | None = None) -> list[Entry]:
        """The open orders, of one environment or of all."""
        return [
            entry for entry in self.entries() if entry.is_open and lock_name in (None, entry.order.lock_name)
        ]

    def find(self, tag: str) -> Entry | None:
        """The entry with this tag; None when this machine has none."""
        return next((entry for entry in self.entries() if entry.tag == tag), None)


class SharedJournal:
    """The orders of all machines for one environment, in Parameter Store."""

    def __init__(self, ssm: SSMClient, region: str, lock_name: str, sleep: Sleep) -> None:
        self._ssm = ssm
        self._sleep = sleep
        self.region = region
        self.path = f"/nixl-efa/{lock_name}/purchases"

    def entries(self) -> list[Entry]:
        """The latest entry of every order, the oldest order first. Failure when a parameter holds something else."""
        found = all_items(self._ssm.get_parameters_by_path, "Parameters", self._sleep, {"Path": self.path})
        stored = {parameter["Name"]: parameter["Value"] for parameter in found}
        # "000001" sorts before "000001-closed", which replaces it where it exists.
        entries = [self._entry(name, stored[name]) for name in sorted(stored)]
        return list({entry.number: entry for entry in entries}.values())

    def take(self, entry: Entry, known: int) -> Entry:
        """Creates the next number for this entry, which locks the environment. Returns the entry with its number.

        known: the highest number at the time when the user was asked. Busy when another order is open, or was bought
        since then.
        """
        number = known + 1
        while True:
            holder = self._create(replace(entry, number=number))
            if holder.tag == entry.tag:
                return holder
            if holder.state is not State.NOT_BOUGHT:
                raise Busy(self._told(holder), holder)
            number += 1

    def find(self, tag: str) -> Entry | None:
        """The order with this tag; None when it has no number here."""
        return next((entry for entry in self.entries() if entry.tag == tag), None)

    def write(self, entry: Entry) -> None:
        """Writes the order's state; does nothing when the order has no number here.

        A separate parameter closes the order. It is created only once: a closed order is never opened again, even when
        several machines write at the same moment.
        """
        for _ in range(_WRITE_TRIES):
            there = self.find(entry.tag)
            if there is None or later_of(there, entry) == there:
                return
            newer = replace(entry, number=there.number)
            try:
                self._put(newer, overwrite=newer.is_open or not there.is_open)
                return
            except Exception as error:
                if error_code(error) != "ParameterAlreadyExists":
                    raise
            # Somebody has closed it at the same moment. If they wrote NOT_BOUGHT, that can still be corrected.
            self._sleep(_WRITE_PAUSE_SECONDS)
        raise Failure(
            f"{self.path} in {self.region} was changed by somebody else at the same moment, several times"
        )

    def check_free(self, own: Callable[[str], Entry | None]) -> int:
        """The highest number that exists, 0 for none. Busy when an entry is open.

        own: finds an entry of this machine by its tag. An entry that is closed in this machine's journal, but could not
        be closed in this one, is closed now.
        """
        entries = self.entries()
        for entry in entries:
            known = own(entry.tag) if entry.is_open else None
            if known is not None and not known.is_open:
                self.write(replace(known, number=entry.number))
            elif entry.is_open:
                raise Busy(self._told(entry), entry)
        return entries[-1].number if entries else 0

    def _create(self, entry: Entry) -> Entry:
        """The entry that has this number: this one, or one that was created earlier."""
        try:
            self._put(entry, overwrite=False)
        except Exception as error:
            if error_code(error) != "ParameterAlreadyExists":
                raise
            # It can be our own, when the answer to our write was lost and the call was repeated.
            return self._holder(entry.number)
        return entry

    def _holder(self, number: int) -> Entry:
        """The entry that has a number which is known to be taken. Busy when Parameter Store does not show it yet."""
        name = f"{self.path}/{number:0{_DIGITS}}"
        answer = self._ssm.get_parameters(Names=[name, name + _CLOSED])
        found = {one["Name"]: one["Value"] for one in result(answer, "Parameters")}
        for known in (name + _CLOSED, name):
            if known in found:
                return self._entry(known, found[known])
        raise Busy(f"somebody has just made {name} in {self.region}: nothing was bought here. Try again.")

    def _put(self, entry: Entry, *, overwrite: bool) -> None:
        answer = self._ssm.put_parameter(
            Name=f"{self.path}/{entry.number:0{_DIGITS}}{'' if entry.is_open else _CLOSED}",
            Value=json.dumps(to_json(entry)),
            Type="String",
            Overwrite=overwrite,
        )
        result(answer, "Version")

    def _entry(self, name: str, value: str) -> Entry:
        try:
            return replace(
                from_json(json.loads(value)), number=int(name.rpartition("/")[2].removesuffix(_CLOSED))
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"the parameter {name} in {self.region} holds no purchase ({value!r}), so nothing is bought. "
                "Whoever wrote it should remove it."
            ) from error

    def _told(self, holder: Entry) -> str:
        whom, recover = holder.order.whom, f"`nixl-efa capacity recover{holder.order.env_option}`"
        if holder.state in (State.BOUGHT, State.DONE):
            bought = ", ".join(holder.reservation_ids)
            end = (
                f"Run {recover} first: it saves it."
                if holder.is_open
                else "Run the command again to buy another."
            )
            return f"{bought} was bought for {whom} by {holder.text()}: nothing was bought here. {end}"
        block = holder.order.offering.extends
        what = f"an extension of {block}" if block else f"a purchase for {whom}"
        return (
            f"{what} was begun by {holder.text()}: nothing was bought here. "
            f"Wait for it to end. If its command has ended, run {recover}: it finds out whether it was bought."
        )


def shared_names(ssm: SSMClient, sleep: Sleep) -> set[str]:
    """The environments that have a shared journal in this region; UNBOUND and the names of extensions' locks too."""
    request = {"Path": "/nixl-efa", "Recursive": True}
    found = all_items(ssm.get_parameters_by_path, "Parameters", sleep, request)
    return {match[1] for one in found if (match := _ENTRY_NAME.fullmatch(one["Name"]))}


def open_entries(shared: SharedJournal, own: Journal, lock_name: str) -> tuple[Entry, ...]:
    """The open orders of an environment, of this machine and of all others. Each is listed once, from the journal with
    the later state."""
    known = {entry.tag: entry for entry in shared.entries()}
    for entry in own.entries():
        if entry.order.lock_name == lock_name:
            known[entry.tag] = later_of(known.get(entry.tag, entry), entry)
    return tuple(entry for entry in known.values() if entry.is_open)


@contextlib.contextmanager
def machine_lock(directory: Path, lock_name: str) -> Iterator[None]:
    """Holds the environment's lock on this machine. The lock is released when its process ends, for whatever reason.

    Busy when another process has it; Failure when the file can't be made.
    """
    path = directory / f"{lock_name.replace('/', '_')}.lock"
    try:
        make_directory(directory)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(
            f"the lock {path} can't be made ({error.strerror}), so nothing is bought. "
            "Set XDG_STATE_HOME to a directory of yours."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Busy(
                f"process {holder} on this machine is buying for {locked_for(lock_name)} right now: nothing was bought here. "  # noqa: E501
                "Wait for it to end."
            ) from None
        # The process id only helps a person who reads the file; the lock itself is flock's.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
