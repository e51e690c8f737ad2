"""Faults on demand: what goes wrong with the next calls of an action, and what was called."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

LONGEST_DELAY = 3600  # seconds


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    action:      the API action, for example "RunInstances"; "*" is every action.
    service:     the signing name of the service, for example "ec2"; empty is every service.
    code:        an error with this code is answered and the action is not carried out.
    message:     the message beside the code.
    status:      the HTTP status of the error; 0 chooses 400, 500 for internal errors, 503 for throttling.
    throttle:    the service's own throttling error is answered and the action is not carried out.
    delay:       seconds to wait before the action is carried out.
    lose_answer: the action is carried out, then the connection is closed without an answer.
    times:       for how many calls; None is for all that follow.
    """

    action: str = "*"
    service: str = ""
    code: str = ""
    message: str = ""
    status: int = 0
    throttle: bool = False
    delay: float = 0.0
    lose_answer: bool = False
    times: int | None = 1

    def matches(self, service: str, action: str) -> bool:
        """Whether this fault is meant for a call of `action` on `service`."""
        return self.action in ("*", action) and self.service in ("", service)


class Faults:
    """The faults that are due, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: deque[tuple[Fault, int | None]] = deque()

    def add(
        self,
        action: str = "*",
        *,
        service: str = "",
        code: str = "",
        message: str = "",
        status: int = 0,
        throttle: bool = False,
        delay: float = 0.0,
        lose_answer: bool = False,
        times: int | None = 1,
    ) -> None:
        """Add a fault; `Fault` says what each argument means. ValueError for one that could never happen."""
        if not (code or throttle or delay or lose_answer):
            raise ValueError("a fault needs one of code, throttle, delay and lose_answer")
        if times is not None and times < 1:
            raise ValueError(f"times is at least 1, or None for all calls that follow, not {times}")
        if not 0 <= delay <= LONGEST_DELAY:
            raise ValueError(f"delay is from 0 to {LONGEST_DELAY} seconds, not {delay}")
        if status != 0 and not 400 <= status <= 599:
            raise ValueError(f"status is an error's, from 400 to 599, not {status}")
        fault = Fault(action, service, code, message, status, throttle, delay, lose_answer, times)
        with self._lock:
            self._faults.append((fault, times))

    def clear(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._faults.clear()

    def pending(self) -> list[tuple[Fault, int | None]]:
        """Each fault that is still due, with the calls that are left to it (None: all)."""
        with self._lock:
            return list(self._faults)

    def take(self, service: str, action: str) -> list[Fault]:
        """The faults for one call: every delay, and the first of the others. Each is counted down."""
        taken: list[Fault] = []
        broken = False
        with self._lock:
            left: deque[tuple[Fault, int | None]] = deque()
            for fault, times in self._faults:
                only_slow = not (fault.code or fault.throttle or fault.lose_answer)
                if fault.matches(service, action) and (only_slow or not broken):
                    taken.append(fault)
                    broken = broken or not only_slow
                    times = None if times is None else times - 1
                if times is None or times > 0:
                    left.append((fault, times))
            self._faults = left
        return taken


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached the local AWS; `code` is the error's code, empty when it went well or was lost."""

    service: str
    action: str
    region: str
    status: int
    code: str = ""


class CallLog:
    """The calls in the order in which they were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Note one call."""
        with self._lock:
            self._calls.append(call)

    def all(self) -> tuple[Call, ...]:
        """Every call since the start or the last clear."""
        with self._lock:
            return tuple(self._calls)

    def actions(self) -> tuple[str, ...]:
        """The names of the actions alone."""
        return tuple(call.action for call in self.all())

    def clear(self) -> None:
        """Forget the calls."""
        with self._lock:
            self._calls.clear()
