"""docs/from-cdk.md: all of the AWS CDK design is in it, and what it says to write is there."""

import re
from pathlib import Path

import pytest

from nixl_efa.settings import SETTING_NAMES
from nixl_efa.settings.cdk_options import without_effect
from nixl_efa.settings.context import OTHER_KEYS, setting_called
from tests.synthesis import settings_of, synthesize_settings

PAGE = (Path(__file__).resolve().parents[1] / "docs/from-cdk.md").read_text(encoding="utf-8")
# What cdk/bin/app.ts and cdk/lib/*.ts of the commit that the page names ask for and give.
KEYS = [
    "allowedCidrs",
    "availabilityZone",
    "branch",
    "bucketName",
    "capacityReservationId",
    "createVpc",
    "environment",
    "gitHash",
    "instanceType",
    "keyName",
    "mlflowStackName",
    "nixl-efaStackName",
    "owner",
    "projectPrefix",
    "region",
    "skipMlflow",
    "trackingServerName",
    "trackingServerSize",
    "useCapacityBlock",
    "vllmPort",
    "volumeSize",
    "vpcId",
]
OUTPUTS = [
    "ArtifactBucketArn",
    "ArtifactBucketName",
    "Ec2AccessRoleArn",
    "Ec2InstanceProfileArn",
    "Node1InstanceId",
    "Node1PrivateIp",
    "Node1PublicIp",
    "Node2InstanceId",
    "Node2PrivateIp",
    "Node2PublicIp",
    "PlacementGroupName",
    "ScriptsBucketName",
    "SecurityGroupId",
    "TrackingServerArn",
    "TrackingServerName",
    "TrackingServerRoleArn",
    "VpcId",
]


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    below = PAGE.partition(f"\n## {heading}\n")[2]
    table = below[below.index("| ") :].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_context_key_has_a_row_and_what_it_became_is_what_the_program_knows() -> None:
    told = {key: setting.strip("`") for keys, setting, _ in rows("Context keys") for key in names(keys)}
    assert sorted(told) == KEYS
    assert {key: setting_called(key) for key in KEYS if setting_called(key)} == {
        key: setting for key, setting in told.items() if setting in SETTING_NAMES
    }
    assert {key for key, became in told.items() if became in ("a file", "none")} == set(OTHER_KEYS)


def test_every_output_has_a_row_and_what_it_became_is_an_output_of_the_stack() -> None:
    stack = synthesize_settings(settings_of("dev"))
    table = rows("Outputs")
    assert {name for outputs, _ in table for name in names(outputs)} == set(OUTPUTS)
    became = [name for _, here in table for name in names(here)]
    assert len(became) >= 9
    assert set(became) <= stack["output"].keys()


@pytest.mark.parametrize("heading", ["Context keys", "Properties", "Commands", "Scripts"])
def test_every_row_says_what_is_here(heading: str) -> None:
    assert [row for row in rows(heading) if len(row) < 2 or not row[1]] == []


def test_the_warning_that_the_page_shows_is_the_one_that_is_printed() -> None:
    typed = ("deploy", "nixl-efa-dev", "-c", "instanceType=g7e.12xlarge")
    found = without_effect("cdktf", typed, ["dev", "prod"], ["dev", "prod"])
    assert found is not None
    assert f"WARN [nixl-efa-dev]: {found.line()}\n" in PAGE
