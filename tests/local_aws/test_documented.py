"""docs/local-aws.md says what the local AWS does: its offerings, its settings, its faults, its options."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from local_aws import Control, LocalAws
from local_aws.faults import Fault

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PAGE = (Path(__file__).parents[2] / "docs" / "local-aws.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    return re.split(r"\n##+ ", PAGE.partition(f"# {title}\n")[2])[0]


def test_the_offerings_on_the_page_are_those_of_that_moment(ec2: EC2Client) -> None:
    pages = ec2.get_paginator("describe_capacity_block_offerings").paginate(
        InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=24
    )
    found = [
        (
            one["CapacityBlockOfferingId"],
            one["AvailabilityZone"],
            f"{one['StartDate']:%Y-%m-%dT%H:%M:%S.000Z}",
            f"{one['EndDate']:%Y-%m-%dT%H:%M:%S.000Z}",
            str(one["CapacityBlockDurationHours"]),
            one["UpfrontFee"],
        )
        for page in pages
        for one in page["CapacityBlockOfferings"]
    ]
    printed = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in PAGE.splitlines()
        if line.startswith("|  cb-")
    ]
    assert printed == found


def test_every_setting_of_the_control_api_is_on_the_page(aws: LocalAws) -> None:
    table = re.findall(r"^\| `(\w+)` \| (.*?) \| ", section("The control API"), re.MULTILINE)
    assert {name for name, _ in table} == set(Control(aws.endpoint).settings())


def test_every_member_of_a_fault_is_on_the_page() -> None:
    assert {member.name for member in fields(Fault)} <= set(re.findall(r"`(\w+)`", section("Faults")))


def test_every_option_of_the_command_is_on_the_page() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "local_aws", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"--[a-z-]+", told)) - {"--help"} == set(
        re.findall(r"`(--[a-z-]+)[ `]", section("Start and stop"))
    )
