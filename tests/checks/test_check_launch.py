"""The launch that the settings describe, and the dry run that asks EC2 for it."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.checks.launch_request import request
from nixl_efa.launch import Volume, launch_of
from nixl_efa.settings import Settings
from nixl_efa.settings.parts import CapacityEntry
from tests.checks.in_order import BLOCK_ID, BLOCK_LAUNCH, DEMAND_LAUNCH, IMAGE

OWN_TAGS = {"Project": "nixl-efa", "Environment": "dev", "ManagedBy": "cdktf"}


def test_the_whole_request_of_a_dry_run_into_a_block() -> None:
    launch = replace(
        BLOCK_LAUNCH,
        interfaces=DEMAND_LAUNCH.interfaces,
        key_name="ann",
        security_group_id="sg-1",
        tags={"Team": "kv"},
        stack_identity="nixl-efa-prod local",
    )
    body = request(launch, subnet_id="subnet-1", image=IMAGE, reservation_id=BLOCK_ID)
    of_stack = [{"Key": "Team", "Value": "kv"}]
    of_node = [
        *of_stack,
        {"Key": "Name", "Value": "nixl-efa-prod-producer"},
        {"Key": "Role", "Value": "producer"},
        {"Key": "nixl-efa:stack", "Value": "nixl-efa-prod local"},
    ]
    assert body.pop("UserData").startswith("#cloud-config\n")
    assert body == {
        "DryRun": True,
        "InstanceType": "p5.48xlarge",
        "ImageId": "ami-1",
        "MinCount": 2,
        "MaxCount": 2,
        "KeyName": "ann",
        "NetworkInterfaces": [
            {
                "NetworkCardIndex": 0,
                "DeviceIndex": 0,
                "InterfaceType": "interface",
                "SubnetId": "subnet-1",
                "DeleteOnTermination": True,
                "Groups": ["sg-1"],
            },
            {
                "NetworkCardIndex": 0,
                "DeviceIndex": 1,
                "InterfaceType": "efa-only",
                "SubnetId": "subnet-1",
                "DeleteOnTermination": True,
                "Groups": ["sg-1"],
            },
        ],
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "VolumeType": "gp3",
                    "VolumeSize": 1000,
                    "Iops": 3000,
                    "Throughput": 125,
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 2,
            "InstanceMetadataTags": "disabled",
            "HttpProtocolIpv6": "disabled",
        },
        "InstanceMarketOptions": {"MarketType": "capacity-block"},
        "CapacityReservationSpecification": {
            "CapacityReservationTarget": {"CapacityReservationId": BLOCK_ID}
        },
        "TagSpecifications": [
            {"ResourceType": "network-interface", "Tags": of_node},
            {"ResourceType": "instance", "Tags": of_node},
            {"ResourceType": "volume", "Tags": of_stack},
        ],
        "Monitoring": {"Enabled": False},
        "HibernationOptions": {"Configured": False},
        "DisableApiTermination": False,
        "EbsOptimized": False,
    }


def test_a_launch_on_demand_names_no_market_reservation_group_or_key() -> None:
    body = request(DEMAND_LAUNCH, subnet_id="subnet-1", image=IMAGE, reservation_id=None)
    absent = {"InstanceMarketOptions", "CapacityReservationSpecification", "KeyName"}
    assert not absent & set(body)
    assert "Groups" not in body["NetworkInterfaces"][0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"market": "on-demand", "placement_group": True, "min_hours": 1.0}),
        ({}, {"volume": Volume(300, defaults=("gib", "iops", "throughput"))}),
        ({"spot": True}, {"market": "spot"}),
        ({"instance_type": "p5.48xlarge", "use_capacity_block": True}, {"market": "capacity-block"}),
        ({"instance_type": "p5.48xlarge", "use_capacity_block": True}, {"placement_group": False}),
        ({"ami_parameter": "/mine"}, {"image_parameter": "/mine", "image_id": ""}),
        ({"ami_id": "ami-0123456789abcdef0"}, {"image_id": "ami-0123456789abcdef0"}),
        ({"project_prefix": "kv"}, {"node_names": ("kv-dev-producer", "kv-dev-consumer")}),
        ({"tags": {"Team": "kv"}}, {"tags": {**OWN_TAGS, "Team": "kv"}}),
    ],
)
def test_the_launch_is_what_the_settings_say(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    launch = launch_of(Settings(**{"name": "dev", "instance_type": "g7e.8xlarge", **settings}))
    assert {name: getattr(launch, name) for name in expected} == expected


def test_the_hours_of_the_command_line_replace_the_setting() -> None:
    settings = Settings(name="dev", instance_type="g7e.8xlarge", min_hours=4)
    assert launch_of(settings).min_hours == 4
    assert launch_of(settings, min_hours=0).min_hours == 0


def test_only_a_launch_into_one_reservation_says_which_a_refusal_is_about() -> None:
    capacity = (
        CapacityEntry(capacity_reservation_id=BLOCK_ID, producers=1),
        CapacityEntry(capacity_reservation_id="cr-fedcba98765432100", consumers=1),
    )
    whole = launch_of(
        Settings(name="dev", instance_type="p5.48xlarge", region="us-east-2", capacity=capacity)
    )
    assert whole.asked.reservation_id == ""
    assert [one.asked.reservation_id for one in whole.requests] == [BLOCK_ID, "cr-fedcba98765432100"]
