"""The journals of purchases: what was about to be bought is written down before it is.

Each machine has one on its disk, a file an order. All machines share one for each environment in Parameter Store:
/nixl-efa/<environment>/purchases/000001, 000002, ... It is the environment's lock, too. The environment is locked
while the highest entry is open, so who wants to buy first makes the next one. Parameter Store makes a parameter only
once (PutParameter without Overwrite is its one conditional write), so of two buyers one gets the number and the other
is told who has it. An entry is closed the same way, by 000001-closed beside it, which its owner or `recover` makes.
Nothing is ever deleted, so nobody can take away a lock that somebody else has made since, or open what is closed.
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
    """Which of two states of one order holds: bought and closed for good; else bought; else the newer word. Pure.

    An order that was closed as not bought, and was bought after all, is closed as bought when it is told and saved,
    and is not opened for that.
    """
    if there.state is State.DONE:
        return there
    if there.state is State.NOT_BOUGHT:
        return entry if entry.state is State.DONE else there
    if there.state is State.BOUGHT and entry.state not in (State.BOUGHT, State.DONE):
        return there
    return entry


class Journal:
    """The orders of this machine at one place."""

    def __init__(self, directory: Path, place: Place, clock: Clock) -> None:
        self._directory = directory
        self._place = place
        self._clock = clock

    def prepare(self, order: Order) -> Entry:
        """Writes a new order with a tag of its own. JournalFull when the disk doesn't take it."""
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
        """Every order of this place, the oldest first. Failure when a file can't be read: it may be an order."""
        return [entry for entry in self._all() if entry.place == self._place]

    def _all(self) -> list[Entry]:
        try:
            paths = sorted(self._directory.glob("*.json")) if self._directory.is_dir() else []
            found = [from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"the journal of purchases in {self._directory} can't be read ({error}), so nothing is bought. "
                "Look there, and at `nixl-efa capacity list`, by hand."
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
        """The entry with this tag; None when it isn't of this machine."""
        return next((entry for entry in self.entries() if entry.tag == tag), None)


class SharedJournal:
    """The orders of all machines for one environment, in Parameter Store."""

    def __init__(self, ssm: SSMClient, region: str, lock_name: str, sleep: Sleep) -> None:
        self._ssm = ssm
        self._sleep = sleep
        self.region = region
        self.path = f"/nixl-efa/{lock_name}/purchases"

    def entries(self) -> list[Entry]:
        """Every order as far as it has come, the oldest first. Failure when a parameter holds something else."""
        found = all_items(self._ssm.get_parameters_by_path, "Parameters", self._sleep, {"Path": self.path})
        stored = {parameter["Name"]: parameter["Value"] for parameter in found}
        # "000001" stands before "000001-closed", which counts where it is.
        entries = [self._entry(name, stored[name]) for name in sorted(stored)]
        return list({entry.number: entry for entry in entries}.values())

    def take(self, entry: Entry, known: int) -> Entry:
        """Makes the next number for this entry, which locks the environment; returns it with its number.

        known: the highest number that was there when the user was asked. Busy when another order is open, or was
        bought since.
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
        """Writes how far the order has come; nothing where it has no number here.

        It is closed by a parameter of its own, which is made once: what is closed is never opened again, whoever
        writes at the same moment.
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
            # Somebody has closed it at the same moment. As not bought, that is not the last word.
            self._sleep(_WRITE_PAUSE_SECONDS)
        raise Failure(
            f"{self.path} in {self.region} was changed by somebody else at the same moment, several times"
        )

    def check_free(self, own: Callable[[str], Entry | None]) -> int:
        """The highest number there is, 0 for none. Busy when an entry is open.

        own: finds an entry of this machine by its tag. One that is closed there and could not be closed here is
        closed now.
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
        """Who has the entry's number: this entry, or the one that was quicker."""
        try:
            self._put(entry, overwrite=False)
        except Exception as error:
            if error_code(error) != "ParameterAlreadyExists":
                raise
            # Also when the answer to our own write was lost and the call was repeated.
            return self._holder(entry.number)
        return entry

    def _holder(self, number: int) -> Entry:
        """Who has a number that is known to be taken. Busy when Parameter Store does not show it yet."""
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
    """The environments (and what stands for none) that have a shared journal in this region."""
    request = {"Path": "/nixl-efa", "Recursive": True}
    found = all_items(ssm.get_parameters_by_path, "Parameters", sleep, request)
    return {match[1] for one in found if (match := _ENTRY_NAME.fullmatch(one["Name"]))}


def open_entries(shared: SharedJournal, own: Journal, lock_name: str) -> tuple[Entry, ...]:
    """The open orders of an environment, of this machine and of all others; each once, as far as the journal has it
    that knows more."""
    known = {entry.tag: entry for entry in shared.entries()}
    for entry in own.entries():
        if entry.order.lock_name == lock_name:
            known[entry.tag] = later_of(known.get(entry.tag, entry), entry)
    return tuple(entry for entry in known.values() if entry.is_open)


@contextlib.contextmanager
def machine_lock(directory: Path, lock_name: str) -> Iterator[None]:
    """Holds the environment's lock on this machine; it falls with its process, whatever ends that.

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
        # Only a help for the reader; the lock itself is flock's.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
