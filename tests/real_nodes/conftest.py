"""Machines that boot here. Where none can, the tests are skipped with the reason; in CI that is a failure."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws import LocalAws
from local_aws.machines.failure import CannotBootError
from local_aws.machines.root import home, prepare
from local_aws.machines.run import Run
from nixl_efa.bootstrap import Bootstrap, PeerNode, members_json, plain, user_data
from nixl_efa.node_policy import ASSUMED_BY_EC2, node_policy
from nixl_efa.nodes.outputs import Node
from nixl_efa.settings import Settings
from tests.launches import IMAGE

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

REGION = "us-east-2"
BUCKET = "trial-scripts"
UNDER_WAY = ("Pending", "InProgress")
MEMORY = Path("/dev/shm")
# What the machines of a few test files write at the same time, a GiB each, and as much again for what runs on them.
ROOM = 12 << 30


def place() -> Path:
    """Where machines write: in memory if there is enough, since a busy disk takes longer to delete their files than
    they took to boot."""
    memory = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"))
    free = shutil.disk_usage(MEMORY).free if MEMORY.is_mount() else 0
    enough = memory is not None and min(free, int(memory[1]) << 10) >= ROOM
    return MEMORY / "nixl-efa" if enough else home(os.environ)


@pytest.fixture(scope="session")
def tree() -> Path:
    """The root that machines boot from: built at the first use on this machine."""
    try:
        root = prepare(os.environ, lambda _: None)
        Run(home(os.environ), root).close()
    except CannotBootError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no machine can boot here: {error}")
        pytest.skip(str(error))
    return root


@pytest.fixture(scope="module")
def aws(tree: Path) -> Iterator[LocalAws]:
    """A local AWS whose instances boot."""
    with LocalAws(run=Run(place(), tree)) as running:
        yield running


@dataclass(frozen=True)
class Account:
    """What a user does with instances, by the API alone."""

    aws: LocalAws
    ec2: EC2Client
    ssm: SSMClient

    def client(self, service: str) -> Any:
        """A client of another service."""
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        made: Any = boto3.Session()
        return made.client(service, region_name=REGION, endpoint_url=self.aws.endpoint, **keys)

    def launch(
        self, user_data: Callable[[list[str]], str], count: int = 1, profile: str = "node"
    ) -> list[str]:
        """Instances with the addresses that their user data is told beforehand, the instance's own first."""
        subnet = self.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-2a"]}])
        made = [
            self.ec2.create_network_interface(SubnetId=subnet["Subnets"][0]["SubnetId"])["NetworkInterface"]
            for _ in range(count)
        ]
        for interface in made:
            # A way to Systems Manager.
            allocated = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
            name = interface["NetworkInterfaceId"]
            self.ec2.associate_address(AllocationId=allocated, NetworkInterfaceId=name)
        found = []
        for interface in made:
            others = [one for one in made if one is not interface]
            text = user_data([one["PrivateIpAddress"] for one in (interface, *others)])
            found += self.launch_on([interface["NetworkInterfaceId"]], text, profile)
        return found

    def launch_on(self, interfaces: list[str], text: str, profile: str = "node") -> list[str]:
        """An instance on each interface."""
        image = self.ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
        found = []
        for interface in interfaces:
            answer = self.ec2.run_instances(
                ImageId=image,
                InstanceType="g7e.8xlarge",
                MinCount=1,
                MaxCount=1,
                UserData=text,
                IamInstanceProfile={"Name": profile},
                NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}],
            )
            found.append(answer["Instances"][0]["InstanceId"])
        return found

    def state(self, instance: str) -> str:
        """EC2's word."""
        [reservation] = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        return str(reservation["Instances"][0]["State"]["Name"])

    def managed(self) -> list[str]:
        """Whose agents report."""
        listed = self.ssm.describe_instance_information()["InstanceInformationList"]
        return [one["InstanceId"] for one in listed]

    def wait_until_managed(self, *instances: str) -> None:
        """Until their machines are up."""
        wait_until(lambda: set(instances) <= set(self.managed()), "managed instances")

    def send(self, instance: str, *lines: str, **parameters: list[str]) -> str:
        """A command, sent; its id."""
        given = {"commands": list(lines), **parameters}
        answer = self.ssm.send_command(
            InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters=given
        )
        return str(answer["Command"]["CommandId"])

    def invocation(self, command: str, instance: str) -> Any:
        """The outcome of it until now."""
        return self.ssm.get_command_invocation(CommandId=command, InstanceId=instance)

    def run(self, instance: str, *lines: str, **parameters: list[str]) -> Any:
        """A command, and the outcome of it."""
        command = self.send(instance, *lines, **parameters)
        wait_until(lambda: self.invocation(command, instance)["Status"] not in UNDER_WAY, "the command's end")
        return self.invocation(command, instance)

    def out(self, instance: str, *lines: str) -> str:
        """What a command that succeeds prints."""
        answer = self.run(instance, *lines)
        assert answer["Status"] == "Success", answer
        return str(answer["StandardOutputContent"])


@pytest.fixture(scope="module")
def account(aws: LocalAws) -> Account:
    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        made: Any = boto3.Session()
        return made.client(service, region_name=REGION, endpoint_url=aws.endpoint, **keys)

    client("iam").create_instance_profile(InstanceProfileName="node")
    _make_role(client("iam"))
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    return Account(aws, client("ec2"), client("ssm"))


def _make_role(iam: Any) -> None:
    """The nodes' profile and its role, as the stack makes them."""
    policy = node_policy(
        Settings(name="trial", instance_type="g7e.8xlarge", region=REGION),
        bucket_arn=f"arn:aws:s3:::{BUCKET}",
        partition="aws",
    )
    iam.create_role(RoleName="trial", AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_EC2))
    iam.put_role_policy(RoleName="trial", PolicyName="node", PolicyDocument=json.dumps(policy))
    iam.create_instance_profile(InstanceProfileName="trial")
    iam.add_role_to_instance_profile(InstanceProfileName="trial", RoleName="trial")


def write_members(account: Account, *nodes: PeerNode) -> None:
    """What Terraform writes once it has made the interfaces."""
    body = plain(members_json("trial", nodes)).encode()
    account.client("s3").put_object(Bucket=BUCKET, Key="members.json", Body=body)


def boot(
    account: Account, first_boot: Callable[[PeerNode], Bootstrap], *names: str, known: Iterable[PeerNode] = ()
) -> list[Node]:
    """Nodes after their first boot. The list of members has those that are known, too."""
    nodes: list[PeerNode] = []

    def text(addresses: list[str]) -> str:
        if not nodes:
            nodes.extend(
                PeerNode(name, name.partition("-")[0], address)
                for name, address in zip(names, addresses, strict=True)
            )
            write_members(account, *known, *nodes)
        own = next(one for one in nodes if one.address == addresses[0])
        return plain(user_data(replace(first_boot(own), scripts_bucket=BUCKET)))

    made = account.launch(text, count=len(names), profile="trial")
    account.wait_until_managed(*made)
    for instance_id in made:
        account.run(instance_id, "cloud-init status --wait")
    return [
        Node(one.name, one.role, instance_id, one.address, "", 1)
        for one, instance_id in zip(nodes, made, strict=True)
    ]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """AssertionError when it does not come to hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
