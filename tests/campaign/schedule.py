"""Simulated time, and commands that run in it at the same time, one step at a time.

Every command is a thread, but only one thread runs: whoever waits hands on to the command whose time comes next.
So a run is the same each time it is made from the same seed, and 120 seconds cost nothing.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
# Real seconds after which a run that does not end is given up.
PATIENCE = 120.0
# More than any command passes that is not caught in a list of pages without end.
MOST_POINTS = 50_000


def moment(seconds: float) -> datetime:
    """The simulated time as a date."""
    return EPOCH + timedelta(seconds=seconds)


def seconds_at(when: datetime) -> float:
    """The simulated time of a date."""
    return (when - EPOCH).total_seconds()


class Crash(BaseException):
    """SIGKILL: nothing of the command has an effect after it."""


class HungError(Exception):
    """A command waits for something that nobody in the simulation does."""


class Process:
    """One command that runs. It passes points: before and after each call, each write, each line it prints.

    crash_at, interrupt_at: the numbers of the points at which it is killed or gets Ctrl-C; 0: never.
    again_after: after how many points the user presses Ctrl-C a second time; 0: not.
    synced, unsynced: the files (inodes) that it has made durable, and the names that it gave to others.
    sleep_at, sleeps_for: the point at which its machine sleeps for so many seconds, as a laptop does.
    """

    def __init__(self, schedule: Schedule, name: str) -> None:
        self.schedule = schedule
        self.name = name
        self.points = 0
        self.crash_at = 0
        self.interrupt_at = 0
        self.again_after = 0
        self.sleep_at = 0
        self.sleeps_for = 0.0
        self.synced: set[int] = set()
        self.unsynced: list[str] = []
        self.is_dead = False
        self.ends = ""
        self.on_stop: Callable[[str, str], None] = lambda how, label: None
        self._turn = threading.Semaphore(0)

    def point(self, label: str) -> None:
        """A point at which the command may end. Raises Crash, or KeyboardInterrupt once."""
        if self.is_dead:
            raise Crash
        self.points += 1
        if self.points in (self.crash_at, MOST_POINTS):
            self.is_dead = True
            self.ends = "hung" if self.points == MOST_POINTS else "killed"
            self.on_stop(self.ends, label)
            raise Crash
        if self.points == self.interrupt_at:
            self.on_stop("interrupted", label)
            self.interrupt_at += self.again_after
            self.again_after = 0
            raise KeyboardInterrupt
        # A request is signed when it is sent, and AWS refuses an old signature: nothing else can stop a purchase
        # whose machine sleeps at that very moment.
        if self.points == self.sleep_at and "purchase" not in label:
            self.on_stop("sleeps", label)
            self.pause(self.sleeps_for)

    def pause(self, seconds: float) -> None:
        """Lets so much time pass, in which others run."""
        if self.is_dead:
            raise Crash
        self.schedule.wait(self, seconds)

    def start(self, body: Callable[[], None]) -> None:
        """Runs the body in a thread of its own; it has the turn."""

        def run() -> None:
            _here.process = self
            try:
                body()
            finally:
                self.schedule.hand_on(None)

        threading.Thread(target=run, daemon=True, name=self.name).start()

    def take_turn(self) -> None:
        self._turn.acquire()

    def give_turn(self) -> None:
        self._turn.release()


class _Here(threading.local):
    process: Process | None = None


_here = _Here()


def current() -> Process | None:
    """The command whose thread this is; None outside of a simulation."""
    return _here.process


class Schedule:
    """What happens when. `now` is in seconds since EPOCH."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Process | Callable[[], None]]] = []
        self._ended = threading.Semaphore(0)
        self._error: BaseException | None = None

    def at(self, seconds: float, what: Process | Callable[[], None]) -> None:
        """Plans an event, or the next step of a process."""
        heapq.heappush(self._events, (max(seconds, self.now), next(self._order), what))

    def run(self) -> None:
        """Runs until nothing is planned any more."""
        if not self._events:
            return
        self.hand_on(None)
        if not self._ended.acquire(timeout=PATIENCE):
            raise HungError(f"at {moment(self.now)}")
        if self._error is not None:
            raise self._error

    def wait(self, process: Process, seconds: float) -> None:
        """Returns in the process's thread when its time has come."""
        self.at(self.now + max(seconds, 0.0), process)
        if not self.hand_on(process):
            process.take_turn()

    def hand_on(self, me: Process | None) -> bool:
        """Runs what is planned until it is a process's turn. True when that is the caller's own."""
        while self._events:
            when, _, what = heapq.heappop(self._events)
            self.now = when
            if isinstance(what, Process):
                if what is not me:
                    what.give_turn()
                return what is me
            try:
                what()
            except BaseException as error:
                # A fault of the driver: it must not end in the command that happens to run.
                self._error = self._error or error
        self._ended.release()
        return False

    def launch(self, seconds: float, process: Process, body: Callable[[], None]) -> None:
        """Plans the start of a process."""

        def begin() -> None:
            process.start(turn_taker)
            self.at(self.now, process)

        def turn_taker() -> None:
            process.take_turn()
            body()

        self.at(seconds, begin)
