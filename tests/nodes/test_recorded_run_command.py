"""Run Command's answers as recorded (tests/recorded/run_command)."""

from typing import Any

from nixl_efa.nodes import run_command
from nixl_efa.nodes.run_command import Outcome, Script
from tests.nodes.stand_in import FakeClock
from tests.records import answer

MARKS = answer("run_command/agent-truncation-marks")
SUCCESS = answer("run_command/invocation-success")


class Ssm:
    """Answers every command with one invocation."""

    def __init__(self, invocation: dict[str, Any]) -> None:
        self.invocation = invocation

    def send_command(self, **_: Any) -> dict[str, Any]:
        return {"Command": {"CommandId": "command"}}

    def get_command_invocation(self, **_: Any) -> dict[str, Any]:
        return self.invocation


def outcome(**changes: Any) -> Outcome:
    ssm: Any = Ssm({**SUCCESS, **changes})
    return run_command.run(ssm, {"i-1": Script("true")}, FakeClock(), 10, "test")["i-1"]


def test_an_invocation_that_aws_shows_is_read() -> None:
    assert outcome() == Outcome("amazon-ssm-agent 2.3.842.0 has already been installed, update skipped\n")


def test_an_error_that_was_cut_is_told_without_the_agents_own_lines() -> None:
    failed = {"Status": "Failed", "StatusDetails": "Failed"}
    found = outcome(**failed, StandardErrorContent=MARKS["long_stderr"])
    assert found.problem == (
        "i-1: Run Command command ended as Failed: This is a sample text. This is a sample text. This is ...."
    )
