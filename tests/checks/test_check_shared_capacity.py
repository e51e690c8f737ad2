"""`nixl-efa check` on reservations, quotas and VPCs that the dry run and the rule must agree about."""

import json
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.checks.local_project import REGION, Project

OTHER = "999999999999"
ZONE = "us-east-2a"


def reserve(match: Any, count: int, client: Any = None, **more: Any) -> str:
    made = (client or boto3.client("ec2", REGION)).create_capacity_reservation(
        InstanceType="g7e.8xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=ZONE,
        InstanceCount=count,
        InstanceMatchCriteria=match,
        **more,
    )
    return str(made["CapacityReservation"]["CapacityReservationId"])


def checked(project: Project, *names: str) -> dict[str, str]:
    """The findings of a check of dev with these names: each its level and its words."""
    ran = project.run("check", "dev", "--json")
    return {
        each["check"]: f"{each['level']} {each['message']} {each['remedy']}"
        for each in json.loads(ran.out)["findings"]
        if each["check"] in names
    }


@pytest.mark.parametrize(
    ("match", "quota", "dry_run"),
    [
        (
            "targeted",
            "FAIL Running On-Demand G and VT instances (L-DB2E81BA) allows 128 vCPUs, of which 128",
            "FAIL",
        ),
        (
            "open",
            "PASS Running On-Demand G and VT instances (L-DB2E81BA): 128 vCPUs, 64 in use (64 of them",
            "PASS",
        ),
    ],
)
def test_four_unused_places_hold_the_whole_quota(
    project: Project, aws: LocalAws, match: str, quota: str, dry_run: str
) -> None:
    aws.world.quotas["L-DB2E81BA"] = 128
    project.environment("dev", instance_type="g7e.8xlarge", availability_zone=ZONE)
    made = reserve(match, 4)
    found = checked(project, "quota", "dry run")
    assert found["quota"].startswith(quota)
    assert (f"An untargeted launch can't use {made}" in found["quota"]) is (match == "targeted")
    assert found["dry run"].startswith(dry_run)
    project.environment(
        "dev", instance_type="g7e.8xlarge", availability_zone=ZONE, capacity_reservation_id=made
    )
    found = checked(project, "quota", "dry run")
    assert found["quota"].startswith(f"PASS {made} already counts against the quota")
    assert found["dry run"].startswith("PASS")


def test_p5_on_spot_is_held_against_the_quota_of_its_own(project: Project, aws: LocalAws) -> None:
    aws.world.quotas["L-C4BD4855"] = 0
    project.environment("dev", spot=True)
    found = checked(project, "quota", "dry run")
    assert found["quota"].startswith("FAIL All P5 Spot Instance Requests (L-C4BD4855) allows 0 vCPUs")
    assert "MaxSpotInstanceCountExceeded" in found["dry run"]
    aws.world.one_spot_p_quota = True
    found = checked(project, "quota", "dry run")
    assert found["quota"].startswith("PASS All P Spot Instance Requests (L-7212CCBC): 384 vCPUs")
    assert found["dry run"].startswith("PASS")


def test_an_interruptible_reservation_is_refused_before_ec2_does(project: Project, aws: LocalAws) -> None:
    ec2 = boto3.client("ec2", REGION)
    ec2.create_interruptible_capacity_reservation_allocation(
        CapacityReservationId=reserve("targeted", 2), InstanceCount=2
    )
    [lent] = [
        each["CapacityReservationId"]
        for each in ec2.describe_capacity_reservations()["CapacityReservations"]
        if each.get("Interruptible")
    ]
    project.environment(
        "dev", instance_type="g7e.8xlarge", capacity_reservation_id=lent, availability_zone=ZONE
    )
    found = checked(project, "reservation kind", "dry run")
    assert found["reservation kind"].startswith(f"FAIL {lent} is interruptible")
    assert found["dry run"].startswith("FAIL EC2 would refuse the launch")


def test_a_dedicated_vpc_fits_no_reservation_of_default_tenancy(project: Project, aws: LocalAws) -> None:
    ec2 = boto3.client("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", InstanceTenancy="dedicated")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone=ZONE)["Subnet"][
        "SubnetId"
    ]
    project.environment(
        "dev", instance_type="g7e.8xlarge", capacity_reservation_id=reserve("targeted", 2), subnet_id=subnet
    )
    found = checked(project, "reservation tenancy", "vpc tenancy", "dry run")
    assert found["reservation tenancy"].startswith("FAIL")
    assert "all that is launched into the VPC has tenancy dedicated" in found["reservation tenancy"]
    assert found["vpc tenancy"].startswith(
        f"WARN Everything that is launched into {vpc} runs on dedicated hardware"
    )
    assert "Attribute: Tenancy" in found["dry run"]
    ec2.modify_vpc_tenancy(VpcId=vpc, InstanceTenancy="default")
    found = checked(project, "reservation tenancy", "vpc tenancy", "dry run")
    assert (found["reservation tenancy"], "vpc tenancy" in found) == ("PASS Its tenancy is default. ", False)
    assert found["dry run"].startswith("PASS")


def test_places_that_another_account_uses_are_told_and_not_waited_for(
    project: Project, aws: LocalAws
) -> None:
    keys = boto3.client("sts", REGION).assume_role(
        RoleArn=f"arn:aws:iam::{OTHER}:role/team", RoleSessionName="test"
    )["Credentials"]
    theirs = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)
    ec2 = theirs.client("ec2")
    made = reserve("targeted", 2, ec2)
    arn = f"arn:aws:ec2:{REGION}:{OTHER}:capacity-reservation/{made}"
    own = boto3.client("sts", REGION).get_caller_identity()["Account"]
    theirs.client("ram").create_resource_share(name="share", resourceArns=[arn], principals=[own])
    project.environment(
        "dev", instance_type="g7e.8xlarge", capacity_reservation_id=made, availability_zone=ZONE
    )
    aws.world.quotas["L-DB2E81BA"] = 0
    found = checked(project, "quota", "reservation room", "reservation use")
    assert found["quota"].startswith(f"PASS {made} counts against the quota of its owner, account {OTHER}")
    assert found["reservation room"].startswith("PASS")
    aws.world.quotas["L-DB2E81BA"] = 64
    image = theirs.client("ssm").get_parameter(
        Name="/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    )["Parameter"]["Value"]
    [subnet] = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [ZONE]}])["Subnets"]
    ec2.run_instances(
        ImageId=image,
        InstanceType="g7e.8xlarge",
        SubnetId=subnet["SubnetId"],
        MinCount=1,
        MaxCount=1,
        CapacityReservationSpecification={"CapacityReservationTarget": {"CapacityReservationId": made}},
    )
    found = checked(project, "quota", "reservation room", "reservation use")
    assert found["reservation room"].startswith("FAIL 1 of 2 instances")
    assert "minutes" not in found["reservation room"]
    assert f"1 instance of account {OTHER}" in found["reservation use"]
