from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local_aws.conftest import Launch

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def create(ec2: EC2Client, name: str = "pair", **more: Any) -> Any:
    return ec2.create_placement_group(**{"GroupName": name, "Strategy": "cluster", **more})["PlacementGroup"]


@pytest.mark.parametrize(
    ("strategy", "extra"),
    [("cluster", {}), ("spread", {"SpreadLevel": "rack"}), ("partition", {"PartitionCount": 2})],
)
def test_a_group_is_shown_as_it_was_made(ec2: EC2Client, strategy: str, extra: dict[str, Any]) -> None:
    tags: Any = [{"ResourceType": "placement-group", "Tags": [{"Key": "a", "Value": "b"}]}]
    made = create(ec2, Strategy=strategy, TagSpecifications=tags)
    (shown,) = ec2.describe_placement_groups(GroupNames=["pair"])["PlacementGroups"]
    assert shown == made
    assert {name: shown[name] for name in ("State", "Strategy", "Tags")} == {
        "State": "available",
        "Strategy": strategy,
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    assert {name: shown.get(name) for name in ("SpreadLevel", "PartitionCount") if name in shown} == extra
    assert ec2.describe_placement_groups(GroupIds=[made["GroupId"]])["PlacementGroups"] == [made]


def test_groups_are_found_by_filter(ec2: EC2Client) -> None:
    create(ec2)
    create(ec2, "other", Strategy="spread")
    for name, value in (("strategy", "spread"), ("group-name", "oth*"), ("spread-level", "rack")):
        found = ec2.describe_placement_groups(Filters=[{"Name": name, "Values": [value]}])["PlacementGroups"]
        assert [group["GroupName"] for group in found] == ["other"]
    (first,) = ec2.describe_placement_groups(Filters=[{"Name": "group-arn", "Values": ["*/pair"]}])[
        "PlacementGroups"
    ]
    assert first["GroupArn"].endswith(":placement-group/pair")


def test_a_strategy_is_the_apis_and_partitions_go_with_theirs_alone(ec2: EC2Client, refused: Any) -> None:
    with refused("InvalidParameterValue", "Invalid value 'heap' for Strategy."):
        create(ec2, Strategy="heap")
    with refused("InvalidParameterCombination", "PartitionCount"):
        create(ec2, PartitionCount=3)
    assert ec2.describe_placement_groups()["PlacementGroups"] == []


def test_a_name_is_there_once_and_a_group_that_is_not_there_is_unknown(ec2: EC2Client, refused: Any) -> None:
    create(ec2)
    with refused("InvalidPlacementGroup.Duplicate", "already exists"):
        create(ec2)
    with refused("InvalidPlacementGroup.Unknown", "nowhere"):
        ec2.delete_placement_group(GroupName="nowhere")
    with refused("InvalidPlacementGroup.Unknown", "nowhere"):
        ec2.describe_placement_groups(GroupNames=["nowhere"])
    with refused("MissingParameter"):
        create(ec2, name="")


def test_a_group_in_use_stays(ec2: EC2Client, launch: Launch, refused: Any) -> None:
    group = create(ec2)
    instance = launch(Placement={"GroupName": "pair"})
    assert (instance["Placement"]["GroupName"], instance["Placement"]["GroupId"]) == (
        "pair",
        group["GroupId"],
    )
    with refused("InvalidPlacementGroup.InUse", "in use"):
        ec2.delete_placement_group(GroupName="pair")
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    ec2.delete_placement_group(GroupName="pair")
    assert ec2.describe_placement_groups()["PlacementGroups"] == []


def test_a_type_that_knows_no_cluster_is_refused(ec2: EC2Client, launch: Launch, refused: Any) -> None:
    create(ec2)
    with refused("InvalidParameterCombination", "'t3.micro'"):
        launch(InstanceType="t3.micro", Placement={"GroupName": "pair"})


def test_dry_runs_change_nothing(ec2: EC2Client, refused: Any) -> None:
    with refused("DryRunOperation"):
        create(ec2, DryRun=True)
    create(ec2)
    with refused("DryRunOperation"):
        ec2.delete_placement_group(GroupName="pair", DryRun=True)
    assert len(ec2.describe_placement_groups()["PlacementGroups"]) == 1
