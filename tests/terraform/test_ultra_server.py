"""A pair in an UltraServer's block, in the Local Zone that sells it: the real provider against the local AWS."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3

from local_aws.server import LocalAws
from nixl_efa.launch import launch_of
from tests.synthesis import settings_of, synthesize_settings
from tests.terraform.conftest import place

REGION, ZONE, GROUP = "us-east-1", "us-east-1-dfw-2a", "us-east-1-dfw-2"


def block_in_dallas(aws: LocalAws, ec2: Any) -> str:
    """The first reservation of an UltraServer's block, active; its zone gets a subnet in the default VPC."""
    ec2.modify_availability_zone_group(GroupName=GROUP, OptInStatus="opted-in")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="172.31.240.0/24", AvailabilityZone=ZONE)
    offered = ec2.describe_capacity_block_offerings(
        UltraserverType="u-p6e-gb200x36", CapacityDurationHours=24
    )
    chosen = max(
        offered["CapacityBlockOfferings"],
        key=lambda one: (one["EndDate"] - one["StartDate"], one["StartDate"]),
    )
    bought = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=chosen["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )
    aws.clock.set(chosen["StartDate"] + timedelta(minutes=6))
    return str(bought["CapacityReservation"]["CapacityReservationId"])


def test_a_pair_is_launched_into_an_ultra_server_with_its_efa_cards_and_addresses_of_its_zone(
    local_aws: LocalAws, plain_environ: dict[str, str], tmp_path: Path
) -> None:
    environ = local_aws.environ(REGION)
    credentials = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    ec2 = boto3.client("ec2", REGION, endpoint_url=local_aws.endpoint, **credentials)  # type: ignore[call-overload]
    reservation = block_in_dallas(local_aws, ec2)
    settings = settings_of(
        "prod",
        region=REGION,
        instance_type="p6e-gb200.36xlarge",
        capacity_reservation_parameter="none",
        availability_zone_parameter="none",
        capacity_reservation_id=reservation,
        availability_zone=ZONE,
    )
    terraform = place(
        tmp_path,
        synthesize_settings(settings),
        {**plain_environ, **environ, "TF_CLI_CONFIG_FILE": plain_environ.get("TF_CLI_CONFIG_FILE", "")},
    )
    terraform("init", "-input=false")

    terraform.apply()

    found = [
        one
        for each in ec2.describe_instances()["Reservations"]
        for one in each["Instances"]
        if one["InstanceType"] == "p6e-gb200.36xlarge"
    ]
    assert len(found) == launch_of(settings).count
    for node in found:
        assert (node["CapacityReservationId"], node["Architecture"]) == (reservation, "arm64")
        assert node["Placement"]["AvailabilityZone"] == ZONE
        attached = sorted(
            (one["Attachment"]["NetworkCardIndex"], one["Attachment"]["DeviceIndex"], one["InterfaceType"])
            for one in node["NetworkInterfaces"]
        )
        # EC2 user guide, efa-acc-inst-types, "EFA configuration for a P6e-GB200 instances".
        assert attached == [(0, 0, "interface"), *((card, 0, "efa-only") for card in (1, 5, 9, 13))]
    addresses = ec2.describe_addresses()["Addresses"]
    assert [one["NetworkBorderGroup"] for one in addresses] == [GROUP, GROUP]
    assert terraform.changes() == {}
    terraform("destroy", "-auto-approve", "-input=false", "-no-color")
