"""The dry run asks for what the stack launches, with every setting changed in turn.

What the stack launches is read from its Terraform JSON; tests/terraform/test_what_is_launched.py shows, with the real
provider, that this reading is right.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.checks.facts import Subnet
from nixl_efa.checks.gather.network import choose_subnet
from nixl_efa.checks.launch_request import NOT_BEFORE_THE_STACK, request
from nixl_efa.launch import launch_of
from nixl_efa.settings import SETTING_NAMES
from tests.checks.in_order import ACCOUNT, BLOCK_ID, IMAGE
from tests.sent_by_terraform import (
    comparable,
    differences,
    explains,
    filled,
    parameter_of,
    sent_by_terraform,
    unexplained,
)
from tests.synthesis import settings_of, synthesize

BASE = {"instance_type": "g7e.8xlarge"}
BLOCK = {"instance_type": "p5.4xlarge", "use_capacity_block": True, "capacity_reservation_id": BLOCK_ID}
ARN = f"arn:aws:sagemaker:us-east-2:{ACCOUNT}:mlflow-tracking-server/kv"

# Each setting changed, with what it needs beside it.
CHANGES: Mapping[str, Mapping[str, object]] = {
    "region": {"region": "us-west-2"},
    "account_id": {"account_id": ACCOUNT},
    "profile": {"profile": "team"},
    "assume_role": {"assume_role": f"arn:aws:iam::{ACCOUNT}:role/deploy"},
    "availability_zone": {"availability_zone": "us-east-2b"},
    "availability_zone_parameter": {"availability_zone_parameter": "/team/zone"},
    "instance_type": {"instance_type": "p5.48xlarge"},
    "producer": {"producer": {"instance_type": "g6e.12xlarge", "volume_size": 555}},
    "consumer": {"consumer": {"volume_size": 555}},
    "capacity": {
        "capacity": [
            {"capacity_reservation_parameter": "/team/block", "consumers": 1},
            {"capacity_reservation_id": BLOCK_ID, "producers": 1},
        ]
    },
    "volume_size": {"volume_size": 777},
    "volume_iops": {"volume_iops": 4000},
    "volume_throughput": {"volume_throughput": 250},
    "kms_key_id": {"kms_key_id": f"arn:aws:kms:us-east-2:{ACCOUNT}:key/0d990263-018e-4e65-a703-eff731de951e"},
    "vpc_id": {"vpc_id": "vpc-0123456789abcdef0"},
    "subnet_id": {"subnet_id": "subnet-0123456789abcdef0"},
    "security_group_id": {"security_group_id": "sg-0123456789abcdef0"},
    "key_name": {"key_name": "ann"},
    "use_capacity_block": BLOCK,
    "capacity_reservation_id": {"capacity_reservation_id": BLOCK_ID},
    "capacity_reservation_parameter": {"capacity_reservation_parameter": "/team/block"},
    "spot": {"spot": True},
    "placement_group": {"placement_group": "off"},
    "ami_id": {"ami_id": "ami-0123456789abcdef0"},
    "ami_parameter": {"ami_parameter": "/team/image"},
    "instance_profile": {"instance_profile": "team"},
    "permissions_boundary": {"permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/team"},
    "elastic_ip": {"elastic_ip": False},
    "protect_nodes": {"protect_nodes": True},
    "empty_scripts_bucket": {"empty_scripts_bucket": True},
    "service_ports": {"service_ports": [9000]},
    "service_cidrs": {"service_cidrs": ["10.20.0.0/16"]},
    "install_nixl": {"install_nixl": False},
    "nixl_version": {"nixl_version": "1.4.0"},
    "nixl_wheels": {"nixl_wheels": "/opt/wheels"},
    "service": {
        "service": {
            "model": "s3://models/x",
            "flags": ["--hf-overrides", '{"a": "$x"}'],
            "start_at_boot": True,
        }
    },
    "models_bucket": {"models_bucket": "acme-models"},
    "mlflow_tracking_server_arn": {"mlflow_tracking_server_arn": ARN},
    "mlflow_artifact_bucket_arn": {"mlflow_artifact_bucket_arn": "arn:aws:s3:::kv-artifacts"},
    "project_prefix": {"project_prefix": "kv"},
    "owner": {"owner": "ann"},
    "tags": {"tags": {"Cost Center": "a/b", "Project": "mine"}},
    "backend": {"backend": {"type": "s3", "bucket": "team-state"}},
    "provider_version": {"provider_version": "~> 6.0"},
    "check": {"check": "warn"},
    "min_hours": {"min_hours": 9},
}
# These change what is around the launch (who calls, role, addresses, open ports, state, checks, what a destroy may do,
# where a subnet is looked for), not the launch.
AROUND_THE_LAUNCH = {
    "account_id",
    "profile",
    "assume_role",
    "consumer",
    "vpc_id",
    "permissions_boundary",
    "elastic_ip",
    "protect_nodes",
    "empty_scripts_bucket",
    "service_cidrs",
    "mlflow_tracking_server_arn",
    "mlflow_artifact_bucket_arn",
    "provider_version",
    "check",
    "min_hours",
}

ZONES = ("us-east-2a", "us-east-2b", "us-east-2c")
SUBNETS = tuple(Subnet(f"subnet-{zone[-1]}", "vpc-1", zone, 4091) for zone in ZONES)
PARAMETERS = {"/team/zone": "us-east-2c", "/team/block": BLOCK_ID, "/team/image": "ami-2"}
NEWEST_IMAGE = "ami-1"
BUCKET = "nixl-efa-dev-20261201"
LONGEST = "255.255.255.255"
MADE_BY_THE_STACK = {
    "aws_network_interface.producer.private_ip": "10.0.0.11",
    "aws_network_interface.consumer.private_ip": "10.0.0.12",
    "aws_s3_bucket.scripts.id": BUCKET,
}


def launched(settings: Mapping[str, object]) -> dict[str, Any]:
    """What the stack of these settings launches as its producer."""
    stack = synthesize("dev", **{**BASE, **settings})

    def value_of(expression: str) -> str:
        kind, name = expression.split(".")[:2]
        if kind == "local":
            return PARAMETERS.get(parameter_of(stack, expression), NEWEST_IMAGE)
        if (kind, name) == ("terraform_data", "image"):
            return filled(stack["resource"][kind][name]["input"]["value"], value_of)
        if (kind, name) == ("terraform_data", "subnet"):
            return subnet(stack["resource"][kind][name])
        return MADE_BY_THE_STACK.get(expression, f"<{expression}>")

    def subnet(chosen: Mapping[str, Any]) -> str:
        if "aws_subnets.given" in json.dumps(chosen):
            return str(chosen["input"]["value"])
        wanted = filled(chosen["triggers_replace"]["availability_zone"], value_of)
        zone = wanted if wanted.startswith("us-") else ZONES[0]
        return f"subnet-{zone[-1]}"

    return sent_by_terraform(stack, "producer", value_of, IMAGE.root_device)


def asked_for(settings: Mapping[str, object]) -> dict[str, Any]:
    """What the dry run of these settings asks for."""
    launch = launch_of(settings_of("dev", **{**BASE, **settings})).requests[0]
    source = launch.reservation
    zone = source.zone or (PARAMETERS[source.zone_parameter] if source.reads_zone else None)
    given = Subnet(launch.subnet_id, "vpc-1", "us-east-2a", 4091)
    subnet = choose_subnet(launch, (given,) if launch.subnet_id else SUBNETS, zone, ZONES)
    assert subnet is not None
    image_id = launch.image_id or PARAMETERS.get(launch.image_parameter, NEWEST_IMAGE)
    reservation_id = source.id or (PARAMETERS[source.id_parameter] if source.reads_id else None)
    body = request(
        launch, subnet_id=subnet.id, image=replace(IMAGE, id=image_id), reservation_id=reservation_id
    )
    return comparable(body)


def test_every_setting_is_changed() -> None:
    # How many nodes there are is no part of a launch.
    assert set(CHANGES) == set(SETTING_NAMES) - {"producers", "consumers"}


@pytest.mark.parametrize("setting", CHANGES)
def test_the_dry_run_asks_for_what_the_stack_launches(setting: str) -> None:
    sent, asked = launched(CHANGES[setting]), asked_for(CHANGES[setting])

    assert (sent != launched({})) == (setting not in AROUND_THE_LAUNCH)
    assert unexplained(sent, asked) == []
    for made, longest in (("10.0.0.11", LONGEST), ("10.0.0.12", LONGEST), (BUCKET, "b" * 63)):
        sent["UserData"] = sent["UserData"].replace(made, longest)
    assert sent["UserData"].splitlines() == asked["UserData"].splitlines()


def test_each_difference_that_is_explained_is_there() -> None:
    found: set[str] = set()
    for settings in CHANGES.values():
        found |= set(differences(launched(settings), asked_for(settings)))
    explained = {name for names in NOT_BEFORE_THE_STACK for name in names.split(", ")}
    stale = {name for name in explained if not any(explains(name, member) for member in found)}
    assert stale == {"MinCount", "MaxCount"}  # which a comparison of one node leaves out


def test_the_second_node_differs_in_its_name_role_and_user_data_alone() -> None:
    stack = synthesize("dev")
    producer, consumer = (
        sent_by_terraform(stack, node, lambda expression: expression, "/dev/sda1")
        for node in ("producer", "consumer")
    )
    assert {re.sub(r"\[\d+\]", "[]", member) for member in differences(producer, consumer)} == {
        "NetworkInterfaces[].NetworkInterfaceId",
        "TagSpecifications.instance.Name",
        "TagSpecifications.instance.Role",
        "TagSpecifications.network-interface.Name",
        "TagSpecifications.network-interface.Role",
        "UserData",
    }
