"""Faults on demand: what goes wrong with the next calls of an action, and what was called."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

Answer = Literal["", "html", "empty", "endless"]
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
    late:        seconds to wait after it, before the answer.
    simulated:   delay and late move the local clock instead of waiting.
    lose_answer: the action is carried out, then the connection is closed without an answer.
    answer: the action is carried out, but another answer with the status 200 is sent:
                 "html", a page as a proxy sends it; "empty", an answer without its result element;
                 "endless", a page that another follows, each with a new NextToken (EC2, services that speak JSON).
    effect: False: if the answer is lost or replaced, the action is not carried out, either.
    times:       for how many calls; None is for all that follow.

    ValueError for one that could never happen.
    """

    action: str = "*"
    service: str = ""
    code: str = ""
    message: str = ""
    status: int = 0
    throttle: bool = False
    delay: float = 0.0
    late: float = 0.0
    simulated: bool = False
    lose_answer: bool = False
    answer: Answer = ""
    effect: bool = True
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.only_slow and not (self.delay or self.late):
            raise ValueError("a fault needs one of code, throttle, delay, late, lose_answer and answer")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times is at least 1, or None for all calls that follow, not {self.times}")
        for name, seconds in (("delay", self.delay), ("late", self.late)):
            if not 0 <= seconds <= LONGEST_DELAY:
                raise ValueError(f"{name} is from 0 to {LONGEST_DELAY} seconds, not {seconds}")
        if self.status != 0 and not 400 <= self.status <= 599:
            raise ValueError(f"status is an error's, from 400 to 599, not {self.status}")
        if not self.effect and not (self.lose_answer or self.answer in ("html", "empty")):
            raise ValueError("effect false goes with lose_answer, and with the answers html and empty")

    @property
    def only_slow(self) -> bool:
        """Whether the fault only delays: the action is carried out and answered normally, but later."""
        return not (self.code or self.throttle or self.lose_answer or self.answer)

    def matches(self, service: str, action: str) -> bool:
        """Whether this fault is meant for a call of `action` on `service`."""
        return self.action in ("*", action) and self.service in ("", service)


class Faults:
    """The faults that are due, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: deque[tuple[Fault, int | None]] = deque()

    def add(self, action: str = "*", **members: Any) -> None:
        """Add a fault; `Fault` says what each member means. ValueError for one that could never happen."""
        fault = Fault(action, **members)
        with self._lock:
            self._faults.append((fault, fault.times))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def pending(self) -> list[tuple[Fault, int | None]]:
        """Each fault that is still due, with its remaining calls (None: all)."""
        with self._lock:
            return list(self._faults)

    def take(self, service: str, action: str) -> list[Fault]:
        """The faults for one call: every delay, and the first of the others. Each is counted down."""
        taken: list[Fault] = []
        broken = False
        with self._lock:
            left: deque[tuple[Fault, int | None]] = deque()
            for fault, times in self._faults:
                if fault.matches(service, action) and (fault.only_slow or not broken):
                    taken.append(fault)
                    broken = broken or not fault.only_slow
                    times = None if times is None else times - 1
                if times is None or times > 0:
                    left.append((fault, times))
            self._faults = left
        return taken


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached the local AWS; `code` is the error's code, empty when it went well or was lost.

    `status` is that of AWS's own answer; 0 for a call that a fault kept from being carried out.
    """

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
        """Record one call."""
        with self._lock:
            self._calls.append(call)

    def all(self) -> tuple[Call, ...]:
        """Every call since the start or the last clear."""
        with self._lock:
            return tuple(self._calls)

    def actions(self) -> tuple[str, ...]:
        """Only the names of the actions."""
        return tuple(call.action for call in self.all())

    def clear(self) -> None:
        """Forget the calls."""
        with self._lock:
            self._calls.clear()
