"""How much faster `nixl-efa capacity search --region all` is than the same calls in turn.

Both run against a local AWS in a process of its own that adds 200 ms to every answer, one after the other in
one run. In turn: one client a region, one call after the other, every page, made beforehand; the search: the
whole command, with starting Python and making its clients. The calls are counted at the local AWS: the same
number on both sides means that nothing is asked twice.

    .venv/bin/python -m benchmarks.capacity_search
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

import boto3
from botocore.exceptions import ClientError
from rich.console import Console

from benchmarks.server import ROOT, local_aws
from local_aws.control import Control
from local_aws.server import client_environ

DELAY_SECONDS = 0.2
HOURS = (24, 48, 96, 168, 336)
WANTED = 8.0


def run(console: Console) -> bool:
    """Measures both and prints the figures; whether the search is at least 8 times as fast."""
    with local_aws() as (endpoint, folder):
        return _compare(console, endpoint, folder)


def _compare(console: Console, endpoint: str, folder: str) -> bool:
    local = client_environ(endpoint, "us-east-1")
    environ = {**os.environ, **local, "XDG_STATE_HOME": folder}
    session = boto3.session.Session("local", "local", region_name="us-east-1")
    control = Control(endpoint)
    _in_turn(session, endpoint)  # what the local AWS computes once is computed for both
    control.faults.add("*", delay=DELAY_SECONDS, times=None)
    control.calls.clear()
    began = time.perf_counter()
    offerings = _in_turn(session, endpoint)
    in_turn = time.perf_counter() - began
    calls_in_turn = len(control.calls.all())
    control.calls.clear()
    lengths = ",".join(map(str, HOURS))
    command = ["capacity", "search", "p5.48xlarge", "2", "--hours", lengths, "--region", "all", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "nixl_efa", *command], env=environ, cwd=ROOT, check=True, capture_output=True
    )
    search = time.perf_counter() - began
    calls = len(control.calls.all())
    found = len(json.loads(done.stdout)["offerings"])
    console.print(f"in turn: {in_turn:6.2f} s, {calls_in_turn} calls, {offerings} offerings")
    console.print(f"search:  {search:6.2f} s, {calls} calls, {found} offerings")
    console.print(f"{in_turn / search:.1f} times as fast (wanted: {WANTED:.0f})")
    same = (calls, found) == (calls_in_turn, offerings)
    return same and in_turn / search >= WANTED


def _in_turn(session: boto3.session.Session, endpoint: str) -> int:
    """The same questions, one after the other; how many offerings came."""
    everywhere: Any = session.client("ec2", endpoint_url=endpoint)
    found: set[tuple[Any, ...]] = set()  # each answer gives its own ids
    block = ("AvailabilityZone", "StartDate", "EndDate", "UpfrontFee")
    for region in everywhere.describe_regions(AllRegions=False)["Regions"]:
        ec2: Any = session.client("ec2", region_name=region["RegionName"], endpoint_url=endpoint)
        for hours in HOURS:
            request = {"InstanceType": "p5.48xlarge", "InstanceCount": 2, "CapacityDurationHours": hours}
            while True:
                try:
                    answer = ec2.describe_capacity_block_offerings(**request)
                except ClientError:  # what a region says that sells none
                    break
                found.update(tuple(map(one.get, block)) for one in answer["CapacityBlockOfferings"])
                if not answer.get("NextToken"):
                    break
                request["NextToken"] = answer["NextToken"]
    return len(found)


if __name__ == "__main__":
    sys.exit(0 if run(Console()) else 1)
