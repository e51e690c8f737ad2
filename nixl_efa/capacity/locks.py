"""One purchase at a time for an environment: a lock file on this machine, a parameter for everybody else.

The lock file falls with its process, whatever ends it. The parameter stays when its maker dies, on purpose:
as long as nobody knows whether the maker bought something, nobody else should buy. It names the order's tag,
so that `capacity recover` on any machine can look for the purchase and clear it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_errors import error_code
from nixl_efa.capacity.journal import Entry, entry_from, to_json
from nixl_efa.failure import Failure
from nixl_efa.files import make_directory

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


RELEASE_TRIES = 3


class Busy(Failure):
    """Somebody else is buying for the environment. `entry` is their order, None when it can't be read."""

    def __init__(self, message: str, entry: Entry | None = None) -> None:
        super().__init__(message)
        self.entry = entry


@contextlib.contextmanager
def machine_lock(directory: Path, environment: str) -> Iterator[None]:
    """Holds the environment's lock on this machine. Busy when another process has it; Failure when the file
    can't be made."""
    path = directory / f"{environment}.lock"
    try:
        make_directory(directory)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(
            f"the lock {path} can't be made ({error.strerror}), so nothing is bought: set XDG_STATE_HOME "
            f"to a "
            f"directory of yours"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            raise Busy(
                f"process {holder or 'unknown'} on this machine is buying for environment {environment!r} "
                f"right "
                f"now: nothing was bought here. Wait for it to end."
            ) from None
        # Only a help for the reader; the lock itself is flock's.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class SharedLock:
    """The environment's lock in Parameter Store: /nixl-efa/<environment>/purchase-in-progress.

    PutParameter without Overwrite is the one conditional write that Parameter Store has: of two at once, one
    gets ParameterAlreadyExists.
    """

    def __init__(self, ssm: SSMClient, once: SSMClient, environment: str) -> None:
        """`once` is a client that does not retry: it removes the lock."""
        self._ssm = ssm
        self._once = once
        self.name = f"/nixl-efa/{environment}/purchase-in-progress"
        self._environment = environment

    def acquire(self, entry: Entry) -> None:
        """Takes the lock for this entry. Busy when another order holds it."""
        try:
            self._ssm.put_parameter(
                Name=self.name,
                Value=json.dumps(to_json(entry)),
                Type="String",
                Overwrite=False,
                Description="A purchase of capacity is going on; see nixl-efa capacity recover",
            )
        except Exception as error:
            if error_code(error) != "ParameterAlreadyExists":
                raise
        # Also after a put that went well: of a lost answer and a retry, the second finds the first's
        # parameter.
        holder = self.holder()
        if holder is None or holder.tag != entry.tag:
            raise Busy(self._told(holder), holder)

    def holder(self) -> Entry | None:
        """The order that holds the lock, None when it is free. Failure when the parameter holds something
        else."""
        try:
            value = self._ssm.get_parameter(Name=self.name)["Parameter"]["Value"]
        except Exception as error:
            if error_code(error) == "ParameterNotFound":
                return None
            raise
        try:
            document: dict[str, Any] = json.loads(value)
            return entry_from(document)
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"the parameter {self.name} holds no purchase ({value!r}): whoever wrote it should remove it"
            ) from error

    def release(self, tag: str) -> None:
        """Removes the lock if the order with this tag holds it.

        After a removal whose answer was lost it is looked again whose lock it is: a blind retry would remove
        the lock of the buyer who came next.
        """
        problem: Exception | None = None
        for _ in range(RELEASE_TRIES):
            holder = self.holder()
            if holder is None or holder.tag != tag:
                return
            try:
                self._once.delete_parameter(Name=self.name)
                return
            except Exception as error:
                problem = error
        if problem is not None and error_code(problem) != "ParameterNotFound":
            raise problem

    def _told(self, holder: Entry | None) -> str:
        if holder is None:
            return (
                f"somebody is buying for environment {self._environment!r} ({self.name} came and went): "
                f"nothing "
                f"was bought here. Look at `nixl-efa capacity list`, then run this again."
            )
        return (
            f"{holder.order.by} began to buy for environment {self._environment!r} at "
            f"{holder.changed_at:%Y-%m-%d %H:%M:%S} UTC ({holder.order.text()}): nothing was bought here. "
            f"If that "
            f"purchase has ended without clearing {self.name}, run `nixl-efa capacity recover --env "
            f"{self._environment} --region {holder.order.lock_region}`."
        )
