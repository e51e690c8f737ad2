"""The command line against the local AWS: in this process for most, as a process of its own where it is
killed."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from local_aws import LocalAws
from local_aws.gate import Gate
from nixl_efa.cli import main
from tests.clients import clients_are_made_once

__all__ = ["clients_are_made_once"]

MOMENT = datetime(2026, 12, 1, 8, tzinfo=UTC)
REGION = "us-east-2"
ID_NAME = "/nixl-efa/prod/capacity-reservation-id"
BLOCK = """region = "us-east-2"
instance_type = "p5.48xlarge"
use_capacity_block = true
capacity_reservation_parameter = "{parameter}"
availability_zone_parameter = "/nixl-efa/{name}/availability-zone"
"""
# In which the shared journals are, wherever the block is.
LOCK_REGION = "us-east-1"
# What a pair of prod asks for.
PAIR = ("p5.48xlarge", "2", "24")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """Runs `nixl-efa ...` with this user's environment."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        self._capsys.readouterr()
        code = main(arguments)
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The same as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "nixl_efa", *arguments],
            cwd=os.getcwd(),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            preexec_fn=_signals_as_ever,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def offer(self, *arguments: str) -> dict[str, Any]:
        """The first usable offering of a search."""
        found = self("capacity", "search", "p5.48xlarge", "2", "24", "--sort", "start", "--json", *arguments)
        assert found.code == 0, found.err
        return next(one for one in found.json["offerings"] if one["usable"] and not one["shorter_than_asked"])

    def buy(self, offering: dict[str, Any], *arguments: str) -> Result:
        """Buys it without questions, for prod unless another is named."""
        return self(*buying(offering, *arguments))

    def reservations(self) -> list[dict[str, Any]]:
        """What `list` shows."""
        found: list[dict[str, Any]] = self("capacity", "list", "--json").json["reservations"]
        return found


def buying(offering: dict[str, Any], *arguments: str) -> tuple[str, ...]:
    """The command that buys an offering without questions, for prod unless another is named."""
    whom = () if {"--env", "--unbound"} & {*arguments} else ("--env", "prod")
    return ("capacity", "buy", offering["offering_id"], "--yes", "--max-fee", "99999", *whom, *arguments)


def _signals_as_ever() -> None:
    """A shell that starts the tests in the background tells them to ignore SIGINT, nohup to ignore SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalAws:
    """An empty account. Payments take five simulated minutes."""
    local_aws.reset()
    # Its clock stands still, so that no offering's start passes while a test runs; and at one moment, since what is on
    # offer changes with the day and the hour.
    local_aws.clock.set(MOMENT)
    for name, value in local_aws.environ(REGION).items():
        if name.startswith("AWS_") or name.lower() == "no_proxy":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # A project of its own, so that ours may change: prod reads what `save` writes elsewhere than the default.
    folder = tmp_path / "project"
    (folder / "environments").mkdir(parents=True)
    for name, parameter in (("prod", ID_NAME), ("dev", "/team/dev-block")):
        write_environment(folder, name, BLOCK.format(name=name, parameter=parameter))
    monkeypatch.chdir(folder)
    return local_aws


@pytest.fixture
def cli(aws: LocalAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(capsys, monkeypatch)


def actions(aws: LocalAws, name: str) -> int:
    """How often an action reached the local AWS."""
    return sum(1 for call in aws.calls.all() if call.action == name)


def write_environment(project: Path, name: str, text: str) -> None:
    """The file of an environment."""
    (project / "environments" / f"{name}.toml").write_text(text, encoding="utf-8")


def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, script: str) -> None:
    """A program that stands for the real one."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def locked(environment: str = "prod", region: str = LOCK_REGION) -> bool:
    """Whether an entry of the environment's shared journal is open."""
    ssm = boto3.client("ssm", region_name=region)
    found = ssm.get_parameters_by_path(Path=f"/nixl-efa/{environment}/purchases")["Parameters"]
    names = {one["Name"] for one in found}
    return any(not name.endswith("-closed") and f"{name}-closed" not in names for name in names)


def stored(name: str) -> str:
    """A parameter's value; empty when there is none."""
    found = boto3.client("ssm", region_name=REGION).get_parameters(Names=[name])["Parameters"]
    return found[0]["Value"] if found else ""


def journal(state: Path) -> list[dict[str, Any]]:
    """The entries of a machine's journal, the directory of which is named by XDG_STATE_HOME."""
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((state / "nixl-efa" / "purchases").glob("*.json"))
    ]


def until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for something that the process does, as long as it runs."""
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@contextmanager
def holding(action: str, after: Callable[[], bool]) -> Iterator[None]:
    """Lets calls of an action that come after something else wait until the block ends; they have no effect."""
    ended = threading.Event()
    call = Gate._call

    def held(self: Gate, environ: Any, start_response: Any, request: Any, *more: Any) -> Iterable[bytes]:
        if request.action != action or not after():
            return call(self, environ, start_response, request, *more)
        ended.wait(120)
        start_response("400 local", [("Content-Type", "text/plain")])
        return [b""]

    with patch.object(Gate, "_call", held):
        try:
            yield
        finally:
            ended.set()


def usable(cli: Cli, *words: str, what: tuple[str, ...] = PAIR) -> list[dict[str, Any]]:
    """What a pair can use of what is on offer, as long as was asked for, the earliest start first."""
    found = cli("capacity", "search", *what, "--sort", "start", "--json", *words)
    return [one for one in found.json["offerings"] if one["usable"] and not one["shorter_than_asked"]]


def names_of(aws: LocalAws) -> list[str]:
    """All blocks that there are, wherever they are, by EC2's own word."""
    found = []
    for region in ("us-east-1", "us-east-2", "us-west-2", "ap-south-1", "eu-north-1"):
        answer = boto3.client("ec2", region_name=region).describe_capacity_reservations()
        found += [one["CapacityReservationId"] for one in answer["CapacityReservations"]]
    return found
