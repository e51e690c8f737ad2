"""A person with a machine who runs `nixl-efa capacity buy` against an AWS in memory."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from nixl_efa import files
from nixl_efa.capacity import journal
from nixl_efa.capacity.agreement import Agreement
from nixl_efa.capacity.buy import BuyRequest, buy
from nixl_efa.capacity.buyer import Buyer as Program
from nixl_efa.capacity.buyer import WaitingRule, identify
from nixl_efa.capacity.order import Entry
from nixl_efa.capacity.purchase import Outcome
from nixl_efa.capacity.recover import recover
from nixl_efa.capacity.search import Question, Request
from nixl_efa.launch import launch_of
from nixl_efa.settings import Settings
from tests.capacity.fake_aws import OFFERING_ID, REGION, FakeAws, FakeClients

ENVIRONMENT = "prod"
ID_NAME = "/nixl-efa/prod/capacity-reservation-id"
LAUNCH = launch_of(
    Settings(
        name=ENVIRONMENT,
        instance_type="p5.48xlarge",
        use_capacity_block=True,
        capacity_reservation_parameter=ID_NAME,
        availability_zone_parameter="/nixl-efa/prod/availability-zone",
    )
)


@dataclass
class Person:
    """What the user was told."""

    told: list[str] = field(default_factory=list)
    reported: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def tell(self, message: str) -> None:
        self.told.append(message)

    def ask(self, question: str) -> str:
        raise AssertionError(f"nobody should be asked: {question}")

    def report(self, entry: Entry, outcome: str, kept_as: str = "") -> None:
        self.reported.append((outcome, entry.reservation_ids))


class Buyer:
    """One state directory, one user."""

    def __init__(
        self,
        aws: FakeAws,
        state: Path,
        user: str = "ada",
        rule: WaitingRule | None = None,
        *,
        save: bool = True,
    ) -> None:
        self.aws = aws
        self.state = state
        self.save = save
        self.yes = True
        self.person = Person()
        self._rule = rule or WaitingRule()
        self._clients = cast(Any, FakeClients(aws, user))
        self.account = identify(self._clients, REGION, "")

    def program(self) -> Program:
        return Program(
            self._clients, self.aws.clock, self.state, self.account, "us-east-1", self.person, self._rule
        )

    def buy(self, plan: Mapping[int, str] | None = None) -> Outcome:
        """One run of the command, in which the plan goes wrong."""
        self.aws.script.begin(plan)
        with self._journal_points():
            return self.run()

    def run(self) -> Outcome:
        """The command itself."""
        request = Request("p5.48xlarge", 2, (24,), self.aws.clock.now())
        question = Question(OFFERING_ID, REGION, request)
        agreed = Agreement(yes=self.yes, max_fee=Decimal(5000))
        return buy(
            BuyRequest(question, {ENVIRONMENT: LAUNCH}, ENVIRONMENT, agreed, self.save), self.program()
        )

    def recover(self) -> tuple[Entry, ...]:
        """`capacity recover`, on this machine, when nothing goes wrong."""
        self.aws.script.begin()
        return recover([ENVIRONMENT], self.program(), lambda _: True).entries

    def journal(self) -> list[Entry]:
        """Every entry of this machine's journal."""
        return self.program().journal.entries()

    def locked(self) -> bool:
        """Whether an entry of the shared journal is open."""
        self.aws.script.begin()
        return any(entry.is_open for entry in self.program().shared_journal(ENVIRONMENT).entries())

    @contextmanager
    def _journal_points(self) -> Iterator[None]:
        """Every write of the journal is a point at which the process can be killed or the disk be full."""
        write = files.write_durably

        def failing(path: Path, text: str) -> None:
            script = self.aws.script
            if script.plan.get(script.point) == "disk-full":
                script.point += 1
                raise OSError(28, "No space left on device")
            for _ in script.around("journal"):
                write(path, text)

        with patch.object(journal, "write_durably", failing):
            yield


def passed_points(kind: type[Buyer], aws: FakeAws) -> list[str]:
    """What happens in a run in which nothing goes wrong, in its order."""
    with tempfile.TemporaryDirectory() as state:
        kind(aws, Path(state)).buy()
    return aws.script.passed
