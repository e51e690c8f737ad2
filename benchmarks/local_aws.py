"""How fast the local AWS answers in a large account: what tests and rehearsals wait for.

.venv/bin/python -m benchmarks.local_aws
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
from rich.console import Console

from benchmarks.server import local_aws
from local_aws.control import Control

REGION = "us-east-2"
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
INSTANCES, INTERFACES = 1000, 2000
# Seconds at most, by what is asked.
WANTED = {"6 instances of 1,000 by a tag": 0.03, "a launch into a subnet with 2,000 interfaces": 0.3}
RUNS = 5


def run(console: Console) -> bool:
    """Measures and prints; whether each is as fast as wanted."""
    with local_aws() as (endpoint, _):
        Control(endpoint).settings(quotas={"L-DB2E81BA": 1e6})
        session = boto3.session.Session("local", "local", region_name=REGION)
        ec2, ssm = session.client("ec2", endpoint_url=endpoint), session.client("ssm", endpoint_url=endpoint)
        subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]
        launch: dict[str, Any] = {
            "ImageId": ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"],
            "InstanceType": "g7e.8xlarge",
        }
        for environment, count in (("other", INSTANCES - 6), ("dev", 6)):
            tags: Any = [{"ResourceType": "instance", "Tags": [{"Key": "Environment", "Value": environment}]}]
            for _ in range(count):
                ec2.run_instances(
                    **launch, MinCount=1, MaxCount=1, SubnetId=subnets[0], TagSpecifications=tags
                )
        for _ in range(INTERFACES):
            ec2.create_network_interface(SubnetId=subnets[1])
        wanted: Any = [{"Name": "tag:Environment", "Values": ["dev"]}]
        asked: tuple[Callable[[], Any], ...] = (
            lambda: ec2.describe_instances(Filters=wanted),
            lambda: ec2.run_instances(**launch, MinCount=1, MaxCount=1, SubnetId=subnets[1]),
        )
        fast = True
        for (what, limit), ask in zip(WANTED.items(), asked, strict=True):
            seconds = min(_seconds(ask) for _ in range(RUNS))
            console.print(f"{what}: {seconds:.3f} s (wanted: {limit} s at most)")
            fast = fast and seconds <= limit
    return fast


def _seconds(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(0 if run(Console()) else 1)
