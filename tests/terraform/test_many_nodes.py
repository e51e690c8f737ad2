"""A pair that becomes one producer and three consumers, and a pair again: by Terraform, on the local AWS."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws.server import LocalAws
from tests.synthesis import synthesize
from tests.terraform.conftest import Terraform, place

REGION, ZONE = "us-east-2", "us-east-2a"
KINDS = ("aws_eip", "aws_instance", "aws_launch_template", "aws_network_interface")


@pytest.mark.matrix
def test_more_consumers_are_added_and_fewer_destroyed_and_nothing_else_is_touched(
    aws_environ: dict[str, str], tmp_path: Path, local_aws: LocalAws
) -> None:
    s3 = s3_of(local_aws)
    terraform = place(tmp_path, synthesize("dev"), aws_environ)
    terraform("init", "-input=false")
    terraform.apply()
    before = terraform.ids()
    added = {f"{kind}.consumer_{number}" for kind in KINDS for number in (2, 3)}
    added |= {f"terraform_data.launch_consumer_{number}" for number in (2, 3)}
    added |= {f'terraform_data.nodes_beyond_a_pair["consumer-{number}"]' for number in (2, 3)}

    place(tmp_path, synthesize("dev", consumers=3), aws_environ)
    terraform.apply()
    three = terraform.ids()
    assert {address: three[address] for address in before} == before
    assert three.keys() - before.keys() == added
    assert members_in(s3) == ["producer", "consumer", "consumer-2", "consumer-3"]
    assert terraform.changes() == {}
    # Who wrote another text into the bucket has it only until the next deployment.
    [bucket] = buckets(s3)
    s3.put_object(Bucket=bucket, Key="members.json", Body=b"{}")
    changes = {address: change["actions"] for address, change in terraform.changes().items()}
    assert changes == {"aws_s3_object.members": ["update"]}
    terraform.apply()
    assert members_in(s3) == ["producer", "consumer", "consumer-2", "consumer-3"]

    place(tmp_path, synthesize("dev"), aws_environ)
    terraform.apply()
    assert terraform.ids() == before
    assert members_in(s3) == ["producer", "consumer"]

    # The bucket is not emptied (empty_scripts_bucket): what is in it is Terraform's own, and goes before it.
    terraform("destroy", "-auto-approve", "-input=false", "-no-color")
    assert buckets(s3) == []


def s3_of(local_aws: LocalAws) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    made: Any = boto3.Session()
    return made.client("s3", region_name="us-east-2", endpoint_url=local_aws.endpoint, **keys)


def buckets(s3: Any) -> list[str]:
    names = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    return [name for name in names if name.startswith("nixl-efa-dev-")]


def members_in(s3: Any) -> list[str]:
    """The nodes' names by the object that they read. Each address is there."""
    [bucket] = buckets(s3)
    nodes = json.loads(s3.get_object(Bucket=bucket, Key="members.json")["Body"].read())["nodes"]
    assert all(ip_address(one["address"]).is_private for one in nodes)
    return [one["name"] for one in nodes]


@pytest.mark.parametrize("protected", [True, False])
def test_a_plan_that_leaves_out_a_protected_node_fails_and_names_it(
    protected: bool, plain_environ: dict[str, str], tmp_path: Path
) -> None:
    """A node's own prevent_destroy goes with its block. Needs no provider."""

    def placed(consumers: int) -> Terraform:
        stack = synthesize("dev", consumers=consumers, protect_nodes=protected)
        guard = {"nodes_beyond_a_pair": stack["resource"]["terraform_data"]["nodes_beyond_a_pair"]}
        return place(tmp_path, {"resource": {"terraform_data": guard}}, plain_environ)

    terraform = placed(3)
    terraform("init", "-input=false")
    terraform.apply()
    assert [one["actions"] for one in placed(4).changes().values()] == [["create"]]
    for fewer, gone in ((2, 'nodes_beyond_a_pair["consumer-3"]'), (1, 'nodes_beyond_a_pair["consumer-2"]')):
        ran = placed(fewer)("plan", "-input=false", "-no-color", check=False)
        assert ran.returncode == (1 if protected else 0)
        assert (
            f"terraform_data.{gone} has lifecycle.prevent_destroy" in " ".join(ran.stderr.split())
        ) == protected


def reservations(count: int, subnet_zone: str) -> list[str]:
    """Targeted On-Demand reservations of two places each."""
    ec2 = boto3.client("ec2", REGION)
    return [
        ec2.create_capacity_reservation(
            InstanceType="g7e.8xlarge",
            InstancePlatform="Linux/UNIX",
            AvailabilityZone=subnet_zone,
            InstanceCount=2,
            InstanceMatchCriteria="targeted",
        )["CapacityReservation"]["CapacityReservationId"]
        for _ in range(count)
    ]


def test_a_node_is_replaced_for_its_own_reservation_and_type_and_the_others_stay(
    local_aws: LocalAws, aws_environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_aws.environ(REGION).items():
        monkeypatch.setenv(name, value)
    first, second, third = reservations(3, ZONE)

    def planned(**settings: object) -> dict[str, list[str]]:
        """What a plan does to the nodes."""
        found = place(
            tmp_path, synthesize("dev", availability_zone=ZONE, elastic_ip=False, **settings), aws_environ
        ).changes()
        return {
            address.removeprefix("aws_instance."): change["actions"]
            for address, change in found.items()
            if address.startswith("aws_instance.") and change["actions"] != ["no-op"]
        }

    def entry(reservation: str, **shares: object) -> dict[str, object]:
        return {"capacity_reservation_id": reservation, **shares}

    pair = synthesize("dev", availability_zone=ZONE, elastic_ip=False, capacity_reservation_id=first)
    terraform = place(tmp_path, pair, aws_environ)
    terraform("init", "-input=false")
    terraform.apply()
    more = {"consumers": 3, "capacity": [entry(first, producers=1, consumers=1), entry(second, consumers=2)]}
    # From a pair to several reservations: what is there stays, or moves alone.
    assert planned(**more) == {"consumer_2": ["create"], "consumer_3": ["create"]}
    assert planned(capacity=[entry(first, producers=1), entry(second, consumers=1)]) == {
        "consumer": ["delete", "create"]
    }
    assert planned(capacity_reservation_id=first, producer={"volume_size": 400}) == {"producer": ["update"]}
    assert planned(capacity_reservation_id=first, producer={"instance_type": "g6e.12xlarge"}) == {
        "producer": ["delete", "create"]
    }
    place(tmp_path, synthesize("dev", availability_zone=ZONE, elastic_ip=False, **more), aws_environ).apply()
    assert planned(**more) == {}
    # Another reservation in the second entry, as when its block has ended.
    entries = [entry(first, producers=1, consumers=1), entry(third, consumers=2)]
    assert planned(consumers=3, capacity=entries) == {
        "consumer_2": ["delete", "create"],
        "consumer_3": ["delete", "create"],
    }
    # All into the second reservation, as when the first has ended: who runs there already stays.
    assert planned(consumers=3, capacity_reservation_id=second) == {
        "producer": ["delete", "create"],
        "consumer": ["delete", "create"],
    }
    # And back to a pair.
    assert planned(capacity_reservation_id=first) == {"consumer_2": ["delete"], "consumer_3": ["delete"]}
