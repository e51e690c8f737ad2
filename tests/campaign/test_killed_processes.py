"""Real processes of the real command line, ended by real signals at random moments while they buy: whatever was bought
is told to somebody and saved, and nothing is bought twice.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest

from local_aws import LocalAws
from tests.campaign.campaign import FIRST_SEED

REGION, TYPE = "us-east-2", "p5.48xlarge"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# With each of the signals.
TRIALS = 16
AT_A_TIME = 4
# A shell may have started this with signals ignored, which children keep: they are set as at a terminal.
START = (
    "import os, signal, sys\n"
    "for one in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM): signal.signal(one, signal.SIG_DFL)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'nixl_efa', *sys.argv[1:]])\n"
)


@dataclass
class Lines:
    """What all commands of one trial printed."""

    out: str = ""
    said: str = ""
    codes: list[int] = field(default_factory=list)


@dataclass
class Trial:
    """One environment, bought for by a process that is ended, and by others after it."""

    number: int
    ended_by: signal.Signals
    project: Path
    states: Path
    environ: dict[str, str]
    offers: list[dict[str, Any]]
    rng: random.Random
    lines: Lines = field(default_factory=Lines)

    @property
    def environment(self) -> str:
        return f"team-{self.number}"

    def start(self, machine: str, *arguments: str) -> subprocess.Popen[str]:
        """A command at a machine (a state directory)."""
        return subprocess.Popen(
            [sys.executable, "-c", START, "capacity", *arguments],
            cwd=self.project,
            env={**self.environ, "XDG_STATE_HOME": str(self.states / machine)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Waits for a command and keeps what it printed."""
        out, err = process.communicate(timeout=240)
        self.lines.out += out
        self.lines.said += err
        return process.returncode, out, err

    def buy(self, machine: str, offer: dict[str, Any]) -> subprocess.Popen[str]:
        return self.start(
            machine, "buy", offer["CapacityBlockOfferingId"], "--env", self.environment, "--yes", "--max-fee", "999999",
            "--type", TYPE, "--count", "2", "--hours", "24", "--region", REGION, "--settle-seconds", "3",
        )  # fmt: skip

    def recover(self, machine: str) -> tuple[int, str, str]:
        return self.end(
            self.start(machine, "recover", "--env", self.environment, "--settle-seconds", "3", "--yes")
        )

    def blocks(self) -> list[dict[str, Any]]:
        """What EC2 says was bought for the environment, asked without the product."""
        ec2 = _client("ec2", self.environ["AWS_ENDPOINT_URL"])
        found = ec2.describe_capacity_reservations()["CapacityReservations"]
        return [one for one in found if self.environment in {tag["Value"] for tag in one["Tags"]}]

    def saved(self) -> list[str]:
        """The values of the environment's parameters."""
        ssm = _client("ssm", self.environ["AWS_ENDPOINT_URL"])
        name = f"/nixl-efa/{self.environment}/capacity-reservation-id"
        return [one["Value"] for one in ssm.get_parameters(Names=[name, f"{name}-next"])["Parameters"]]

    def run(self) -> str:
        """Plays the trial; how the killed process had ended, for the count."""
        end = self.ended_by
        first, second = self.offers
        process = self.buy("a", first)
        self._wait_for_the_moment(process)
        process.send_signal(end)
        code, out, err = self.end(process)
        bought = self.blocks()
        what = f"{end.name}, exit {code}:\n{out}{err}"
        assert len(bought) <= 1, what
        if bought and end is not signal.SIGKILL:
            known = bought[0]["CapacityReservationId"] in out + err or "not known yet" in err
            assert known, f"bought and not said after {what}"
        if self.rng.random() < 0.5:
            self._buy_another(second)
            self._recover()
        else:
            self._recover()
            self._buy_another(second)
        assert "Traceback" not in self.lines.said.replace(err, ""), self.lines.said
        left = self.blocks()
        for one in left:
            name = one["CapacityReservationId"]
            assert name in self.lines.out, f"{name} was told to nobody: {what}{self.lines.said}"
            assert name in self.saved(), f"{name} is not saved: {what}{self.lines.said}"
        of_first = [one for one in left if one["EndDate"] == first["EndDate"]]
        assert len(of_first) <= 1, self.lines.said
        return "bought" if bought else "not bought"

    def _wait_for_the_moment(self, process: subprocess.Popen[str]) -> None:
        """A random moment of the start; of the time from the journal's first line on, in which the purchase is;
        or from the purchase on, which a slow machine reaches in none of the others."""
        kind = self.rng.random()
        if kind < 0.25:
            time.sleep(self.rng.uniform(0, 1.5))
            return
        if kind < 0.5:
            while process.poll() is None and not self.blocks():
                time.sleep(0.02)
            time.sleep(self.rng.uniform(0, 0.1))
            return
        journal = self.states / "a" / "nixl-efa" / "purchases"
        while process.poll() is None and not any(journal.glob("*.json")):
            time.sleep(0.005)
        time.sleep(self.rng.uniform(0, 0.6))

    def _buy_another(self, offer: dict[str, Any]) -> None:
        """A second purchase never goes through in silence: it names the block that lives, or is refused."""
        before = {one["CapacityReservationId"] for one in self.blocks()}
        code, out, err = self.end(self.buy(self.rng.choice("ab"), offer))
        after = {one["CapacityReservationId"] for one in self.blocks()}
        if after - before and before:
            assert all(name in out + err for name in before), f"{after - before} beside {before}: {err}"
        if code == 0:
            assert out.split()[-1] in after, f"{out}{err}"

    def _recover(self) -> None:
        """From another machine, which may have to wait for a proof, or from that of the purchase."""
        if self.rng.random() < 0.5:
            code, _, err = self.recover("b")
            assert code in (0, 1), err
            if code == 0:
                return
        code, out, err = self.recover("a")
        assert code == 0, f"{out}{err}"


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with LocalAws() as server:
        server.reset()
        # In the middle of a half hour, so that no offering's start passes while this runs.
        now = server.clock.now()
        server.clock.advance(timedelta(minutes=10) if now.minute % 30 >= 20 else timedelta(0))
        yield server


@pytest.mark.matrix
@pytest.mark.parametrize("ended_by", SIGNALS, ids=lambda one: str(one.name))
def test_what_a_killed_process_bought_is_told_and_saved_and_not_bought_again(
    ended_by: signal.Signals, aws: LocalAws, tmp_path: Path
) -> None:
    rng = random.Random(f"{os.environ.get('SEED', FIRST_SEED)} {ended_by.name}")
    environ = aws.environ(REGION)
    # What is on offer depends on the hour.
    while len(offers := _offers(environ, tmp_path / "searched")) < 2:
        aws.clock.advance(timedelta(hours=1))
    (tmp_path / "environments").mkdir()
    # Many are ended while their purchase is under way.
    aws.faults.add("PurchaseCapacityBlock", delay=0.2, times=None)
    trials = []
    for number in range(TRIALS):
        file = tmp_path / "environments" / f"team-{number}.toml"
        file.write_text(
            f'region = "{REGION}"\ninstance_type = "{TYPE}"\nuse_capacity_block = true\n'
            f'capacity_reservation_parameter = "/nixl-efa/team-{number}/capacity-reservation-id"\n'
        )
        pair = sorted(rng.sample(offers, 2), key=lambda one: one["EndDate"], reverse=rng.random() < 0.5)
        states = tmp_path / "states" / str(number)
        for machine in "ab":
            shutil.copytree(tmp_path / "searched", states / machine)
        trials.append(Trial(number, ended_by, tmp_path, states, environ, pair, random.Random(rng.random())))
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        ends = Counter(pool.map(Trial.run, trials))
    assert min(ends["bought"], ends["not bought"]) >= 1, ends


@cache
def _client(service: Literal["ec2", "ssm"], endpoint: str) -> Any:
    """The driver's own client."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def _offers(environ: dict[str, str], searched: Path) -> list[dict[str, Any]]:
    """Blocks that a search has shown, each with its own end: what buy takes an id from is in the folder `searched`."""
    command = [sys.executable, "-m", "nixl_efa", "capacity", "search", TYPE, "2"]
    done = subprocess.run(
        [*command, "--hours", "24", "--region", REGION, "--json"],
        env={**environ, "XDG_STATE_HOME": str(searched)},
        capture_output=True,
        text=True,
        check=True,
    )
    whole = [
        {"CapacityBlockOfferingId": one["offering_id"], "EndDate": datetime.fromisoformat(one["end"])}
        for one in json.loads(done.stdout)["offerings"]
        if one["usable"] and not one["shorter_than_asked"]
    ]
    return list({one["EndDate"]: one for one in whole}.values())
