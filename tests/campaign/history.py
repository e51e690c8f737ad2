"""What happened in one run, as the driver saw it: which command ran when, what it said, what stood where.

The record is the driver's own. Nothing in it is asked of the product.
"""

from dataclasses import dataclass, field

from tests.campaign.schedule import moment


@dataclass(slots=True)
class Command:
    """One run of a command of the product.

    name:     unique in the run; AWS knows the command's calls by it.
    block:    the reservation that the user named.
    is_stopped: whether it was killed or interrupted.
    how:      how it ended: "done" (exit 0), "refused" (a message to the user), "killed", "interrupted", "broken" (an
              exception that no user should meet), "hung" (it would not have ended), "running".
    reported: when, with which outcome, tag and ids a line of result was given to the user.
    said:     when and what else was said to the user, its last message as well.
    """

    name: str
    kind: str
    machine: str
    environment: str = ""
    offer: str = ""
    block: str = ""
    replace: bool = False
    is_calm: bool = False
    is_stopped: bool = False
    started: float = 0.0
    ended: float = 0.0
    how: str = "running"
    reported: list[tuple[float, str, str, tuple[str, ...]]] = field(default_factory=list)
    said: list[tuple[float, str]] = field(default_factory=list)

    def text(self) -> str:
        """What the user typed."""
        about = " ".join(
            filter(None, (self.offer, self.block, self.environment, "--replace" if self.replace else ""))
        )
        return f"{self.machine}$ {self.kind} {about}"


@dataclass(frozen=True, slots=True)
class Write:
    """A parameter that was written or deleted (after is None).

    by: a command, or a person. read_at: when it had read the parameter last; 0 when it never had.
    """

    at: float
    region: str
    name: str
    before: str | None
    after: str | None
    by: str
    read_at: float


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase call at the moment of its effect.

    id: the block's; of an extension, too. journals: the shared ones as they were then, by the parameter's name.
    read_at: when its command had read the environment's parameter last.
    """

    at: float
    by: str
    id: str
    offer: str
    tags: tuple[str, ...]
    journals: dict[str, str]
    read_at: float
    is_extension: bool = False


@dataclass(slots=True)
class History:
    """Everything of one run, and each line of it in words for who reads it."""

    commands: dict[str, Command] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    # When a command last read a parameter.
    reads: dict[tuple[str, str, str], float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def note(self, at: float, who: str, text: str) -> None:
        """A line for the reader."""
        self.lines.append(f"{moment(at):%d %H:%M:%S} {who:<10} {text}")

    def told_at(self, id: str) -> float | None:
        """When a user was first told of a reservation, by a result or in words."""
        times = [at for one in self.commands.values() for at, _, _, ids in one.reported if id in ids] + [
            at for one in self.commands.values() for at, text in one.said if id in text
        ]
        return min(times, default=None)

    def text(self) -> str:
        return "\n".join(self.lines)
