"""A person with a machine who runs `nixl-efa capacity buy` against an AWS in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from nixl_efa import files
from nixl_efa.capacity import journal
from nixl_efa.capacity.evidence import WaitingRule
from nixl_efa.capacity.journal import Entry
from nixl_efa.capacity.locks import machine_lock
from nixl_efa.capacity.recover import settle_all, settle_foreign
from nixl_efa.capacity.seen import Wanted
from nixl_efa.cli.capacity.purchasing import Choices, Outcome, buy_block
from nixl_efa.cli.capacity.till import Till, open_till
from nixl_efa.cli.capacity.tools import Tools
from tests.capacity.fake_aws import OFFERING_ID, REGION, FakeAws, FakeClients

ENVIRONMENT = "prod"
WANTED = Wanted(REGION, "p5.48xlarge", 2, 24)


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
        self.rule = rule or WaitingRule()
        self.save = save
        self._clients = cast(Any, FakeClients(aws, user))

    def till(self) -> Till:
        kit = Tools(self._clients, self.aws.clock, self.state)
        return open_till(kit, REGION, self.rule, save=self.save)

    def buy(self, plan: Mapping[int, str] | None = None) -> Outcome:
        """One run of the command, in which the plan goes wrong."""
        self.aws.script.begin(plan)
        with self._journal_points():
            return self.run()

    def run(self) -> Outcome:
        """The command itself."""
        choices = Choices(ENVIRONMENT, yes=True, max_fee="5000")
        till = self.till()
        return buy_block(till, OFFERING_ID, WANTED, choices)

    def recover(self) -> list[Entry]:
        """`capacity recover`, on this machine, when nothing goes wrong."""
        self.aws.script.begin()
        till = self.till()
        with machine_lock(self.state / "locks", ENVIRONMENT):
            closed = settle_all(till.desk, ENVIRONMENT, till.hand_over)
            foreign = settle_foreign(till.desk, till.desk.lock_in(REGION, ENVIRONMENT), lambda _: True)
        return [*closed, *([foreign] if foreign else [])]

    def journal(self) -> list[Entry]:
        """Every entry of this machine's journal."""
        return self.till().desk.journal.entries()

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
