"""How long `nixl-efa verify` takes with two producers and four consumers, against a pair.

Its calls: against a local AWS that adds 200 ms to every answer, with simulated nodes. Its transfers: the program that
goes to the nodes with the real NIXL (UCX over TCP, loopback). There every node is a process, and all share this
machine's processors: of 2 x 4 nodes four are at work at a time, of 1 x 4 two, as in a pair. All in turn in one run,
each as fast as the fastest of three.

    .venv/bin/python -m benchmarks.verify
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console

from benchmarks.server import ROOT, local_aws
from local_aws.control import Control
from nixl_efa.clock import SystemClock
from nixl_efa.launch import Launch, launch_of
from nixl_efa.nodes import transfer, verify
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.rehearse.simulated_nodes import answer_as_planned
from nixl_efa.settings import Settings

DELAY_SECONDS = 0.2
WANTED = 2.0
RUNS = 3
REGION, TYPE, EFA_INTERFACES = "us-east-2", "g7e.8xlarge", 1
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
OVER_TCP = transfer.Attempt(transfer.NIXL, "UCX", transfer.DRAM)
# A pair; as many rounds as six nodes, of which two are at work at a time; six nodes.
SHAPES = ((1, 1), (1, 4), (2, 4))


@dataclass(frozen=True)
class Measured:
    """Seconds of the calls and of one attempt at transfers."""

    calls: float
    transfers: float

    @property
    def sum(self) -> float:
        """Of both."""
        return self.calls + self.transfers


def run(console: Console) -> bool:
    """Measures and prints; whether six nodes take at most twice as long as a pair. True, with a line, without NIXL."""
    with tempfile.TemporaryDirectory() as folder, local_aws() as (endpoint, _):
        if why := _install(Path(folder)):
            console.print(f"verify of six nodes: not measured, since {why}")
            return True
        pairs = [_launched(endpoint, *shape) for shape in SHAPES]
        Control(endpoint).faults.add("*", delay=DELAY_SECONDS, times=None)
        runs = [
            [Measured(_calls(endpoint, *pair), _transfers(Path(folder), pair[0])) for pair in pairs]
            for _ in range(RUNS)
        ]
    fastest = [
        Measured(min(one.calls for one in each), min(one.transfers for one in each))
        for each in zip(*runs, strict=True)
    ]
    two, six = fastest[0], fastest[-1]
    for (producers, consumers), one in zip(SHAPES, fastest, strict=True):
        console.print(
            f"verify of {producers} x {consumers}: calls {one.calls:.1f} s, transfers {one.transfers:.1f} s, "
            f"{one.sum / two.sum:.2f} times a pair's"
        )
    console.print(f"wanted: {WANTED:g} times at most")
    return six.sum <= WANTED * two.sum


def _install(folder: Path) -> str:
    """NIXL into a virtual environment of the folder; why that can't be done, else empty."""
    done = subprocess.run([ROOT / "scripts/fetch-nixl"], capture_output=True, text=True, check=False)
    if done.returncode or sys.version_info[:2] != (3, 11):
        return done.stderr.strip() or "its wheels are of Python 3.11"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [
        f"{folder}/bin/pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        f"--find-links={ROOT}/.tools/nixl/wheels",
    ]
    subprocess.run([*pip, "nixl==1.5.0", "nixl-cu13==1.5.0", "numpy", "nvidia-cuda-runtime"], check=True)
    return ""


def _launched(endpoint: str, producers: int, consumers: int) -> tuple[PairOutputs, Launch]:
    """Nodes of the local AWS that answer Run Command as planned."""
    session = _session()
    ec2: Any = session.client("ec2", endpoint_url=endpoint)
    image = session.client("ssm", endpoint_url=endpoint).get_parameter(Name=IMAGE)["Parameter"]["Value"]
    name = f"nodes-{producers}-{consumers}"
    session.client("iam", endpoint_url=endpoint).create_instance_profile(InstanceProfileName=name)
    count = producers + consumers
    instances = ec2.run_instances(
        ImageId=image, InstanceType=TYPE, MinCount=count, MaxCount=count, IamInstanceProfile={"Name": name}
    )["Instances"]
    names = [("producer", one) for one in range(producers)] + [("consumer", one) for one in range(consumers)]
    nodes = tuple(
        Node(
            f"{role}-{number + 1}" if number else role, role, each["InstanceId"], each["PrivateIpAddress"], ""
        )
        for (role, number), each in zip(names, instances, strict=True)
    )
    pair = PairOutputs("prod", nodes)
    launch = launch_of(
        Settings(name="prod", instance_type=TYPE, region=REGION, producers=producers, consumers=consumers)
    )
    answer_as_planned(Control(endpoint), pair, launch)
    return pair, launch


def _session() -> boto3.Session:
    return boto3.Session("local", "local", region_name=REGION)


def _calls(endpoint: str, pair: PairOutputs, launch: Launch) -> float:
    """Seconds of all calls of verify but those of a transfer, which are as many as those for the nodes' facts."""
    session = _session()
    ec2, ssm = session.client("ec2", endpoint_url=endpoint), session.client("ssm", endpoint_url=endpoint)
    began = time.perf_counter()
    report = verify.verify(
        ec2, ssm, pair, launch=launch, measure=False, clock=SystemClock(), say=lambda _: None
    )
    seconds = time.perf_counter() - began
    if any(finding.check == "Run Command" for finding in report.all_findings):
        raise SystemExit("the simulated nodes did not answer")
    return seconds


def _transfers(folder: Path, pair: PairOutputs) -> float:
    """Seconds until all nodes have ended their transfers."""
    at = {node: f"127.0.78.{number}" for number, node in enumerate(pair.nodes, 1)}
    nodes = [Node(node.name, node.role, node.name, address, "") for node, address in at.items()]
    links = transfer.links(*([one for one in nodes if one.role == role] for role in ("producer", "consumer")))
    environ = {"PATH": os.environ["PATH"], "UCX_TLS": "tcp", "UCX_NET_DEVICES": "lo"}
    environ["LD_LIBRARY_PATH"] = f"{ROOT}/.tools/nixl/libfabric-2.5.1/lib:{ROOT}/.tools/nixl/lib"
    began = time.perf_counter()
    running = []
    for node in nodes:
        _, role, own, peers, backend, segment, _, wait, program = transfer.scripts(OVER_TCP, links)[
            node.name
        ].arguments
        words = [f"{folder}/bin/python", "-c", program, role, backend, segment, wait, own, *peers.split()]
        running.append(
            subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
    documents = [json.loads(one.communicate()[0]) for one in running]
    seconds = time.perf_counter() - began
    if faults := [one for document in documents for one in (document, *document["peers"]) if one["error"]]:
        raise SystemExit(f"a transfer failed: {faults[0]['error']}")
    return seconds


if __name__ == "__main__":
    sys.exit(not run(Console()))
