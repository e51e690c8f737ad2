"""Where instances and reservations are in the network, as EC2 tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.local_aws.conftest import Launch, MakeClient, Refused, into

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def nodes(ec2: EC2Client, *ids: str) -> list[list[str]]:
    """The network nodes of instances, in the order of their ids."""
    found = ec2.describe_instance_topology(InstanceIds=list(ids))["Instances"]
    by_id = {one["InstanceId"]: one.get("NetworkNodes", []) for one in found}
    return [by_id[one] for one in ids]


def test_a_cluster_placement_group_shares_all_network_nodes_and_an_instance_beside_it_the_upper_ones(
    ec2: EC2Client, launch: Launch
) -> None:
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    placed: Any = {"GroupName": "pair"}
    one, two, alone = launch(Placement=placed), launch(Placement=placed), launch()
    first, second, other = nodes(ec2, *(each["InstanceId"] for each in (one, two, alone)))
    assert first == second
    assert (len(first), first[:2], first[2] != other[2]) == (3, other[:2], True)
    found = ec2.describe_instance_topology(GroupNames=["pair"])["Instances"]
    assert [each["GroupName"] for each in found] == ["pair", "pair"]
    assert {each["ZoneId"] for each in found} == {"use2-az1"}


def test_a_block_shares_all_network_nodes_and_two_blocks_some(
    aws: LocalAws, ec2: EC2Client, launch: Launch, block: Any, image: str
) -> None:
    blocks = [block() for _ in range(3)]
    aws.clock.set(max(one["StartDate"] for one in blocks))
    ids = [
        launch(one["AvailabilityZone"], InstanceType="p5.48xlarge", **into(one))["InstanceId"]
        for one in (blocks[0], *blocks)
    ]
    same, first, second, third = nodes(ec2, *ids)
    assert same == first
    shared = [len(set(first) & set(other)) for other in (second, third)]
    assert shared == [2, 1], blocks
    told = ec2.describe_capacity_reservation_topology(
        CapacityReservationIds=[one["CapacityReservationId"] for one in blocks]
    )["CapacityReservations"]
    assert [one["NetworkNodes"] for one in told] == [first[:2], second[:2], third[:2]]


@pytest.mark.parametrize(
    ("instance_type", "count"),
    [("g7e.8xlarge", 3), ("p6-b200.48xlarge", 4), ("g5.8xlarge", 0), ("p5.4xlarge", 0)],
)
def test_the_type_says_how_many_network_nodes_there_are(
    ec2: EC2Client, launch: Launch, instance_type: str, count: int
) -> None:
    (found,) = nodes(ec2, launch(InstanceType=instance_type)["InstanceId"])
    assert len(found) == len(set(found)) == count


def test_an_instance_that_does_not_run_and_a_block_that_is_not_active_have_none(
    ec2: EC2Client, launch: Launch, block: Any
) -> None:
    instance = launch()["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance])
    assert nodes(ec2, instance) == [[]]
    block()
    (found,) = ec2.describe_capacity_reservation_topology()["CapacityReservations"]
    assert (found["State"], "NetworkNodes" in found) == ("payment-pending", False)


def test_all_are_told_in_pages_of_20_and_filtered(ec2: EC2Client, launch: Launch) -> None:
    launch(MinCount=21, MaxCount=21)
    first = ec2.describe_instance_topology()
    rest = ec2.describe_instance_topology(NextToken=first["NextToken"])
    assert [len(one["Instances"]) for one in (first, rest)] == [20, 1]
    for name, value in (
        ("instance-type", "g7e*"),
        ("availability-zone", "us-east-2a"),
        ("zone-id", "use2-az1"),
    ):
        given: Any = [{"Name": name, "Values": [value]}]
        assert ec2.describe_instance_topology(Filters=given, MaxResults=5)["Instances"]
    assert (
        ec2.describe_instance_topology(Filters=[{"Name": "instance-type", "Values": ["p5*"]}])["Instances"]
        == []
    )


def test_what_ec2_refuses(ec2: EC2Client, client: MakeClient, launch: Launch, refused: Refused) -> None:
    instance = launch()["InstanceId"]
    with refused("InvalidParameterValue", "instance-ids cannot contain over 100 values."):
        ec2.describe_instance_topology(InstanceIds=[instance] * 101)
    with refused("InvalidParameterValue", "capacity-reservation-ids cannot contain over 10 values."):
        ec2.describe_capacity_reservation_topology(CapacityReservationIds=["cr-0123456789abcdef0"] * 11)
    with refused("InvalidParameterCombination", "MaxResults"):
        ec2.describe_instance_topology(InstanceIds=[instance], MaxResults=5)
    with refused("InvalidInstanceID.NotFound"):
        ec2.describe_instance_topology(InstanceIds=["i-0123456789abcdef0"])
    with refused("InvalidCapacityReservationId.NotFound"):
        ec2.describe_capacity_reservation_topology(CapacityReservationIds=["cr-0123456789abcdef0"])
    with refused("DryRunOperation"):
        ec2.describe_instance_topology(DryRun=True)
    for region, action in (
        ("eu-south-1", "describe_instance_topology"),
        ("il-central-1", "describe_capacity_reservation_topology"),
    ):
        with refused("UnsupportedOperation"):
            getattr(client("ec2", region=region), action)()
