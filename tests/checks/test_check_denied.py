"""`nixl-efa check` without a permission to look: the check is skipped, and the permission named."""

import boto3
import pytest

from local_aws import LocalAws
from tests.checks.local_project import REGION, Project
from tests.checks.test_check_command import by_check

# EC2's words where it names no cause (EC2 API reference, errors-overview, UnauthorizedOperation).
NOT_AUTHORIZED = "You are not authorized to perform this operation."
# What each look needs, and the check that is then skipped.
PERMISSIONS = [
    ("GetParameter", "ssm", "AccessDeniedException", "ssm:GetParameter", "image"),
    ("DescribeCapacityReservations", "ec2", "UnauthorizedOperation", "", "reservation"),
    ("DescribeInstanceTypeOfferings", "ec2", "UnauthorizedOperation", "", "type offered"),
    ("DescribeInstanceTypes", "ec2", "UnauthorizedOperation", "", "instance type"),
    ("DescribeInstances", "ec2", "UnauthorizedOperation", "", "reservation use"),
    ("GetCapacityReservationUsage", "ec2", "UnauthorizedOperation", "", "reservation use"),
    ("DescribeVpcs", "ec2", "UnauthorizedOperation", "", "vpc"),
    ("DescribeVpcAttribute", "ec2", "UnauthorizedOperation", "", "vpc DNS"),
    ("DescribeSubnets", "ec2", "UnauthorizedOperation", "", "subnet"),
    ("DescribeRouteTables", "ec2", "UnauthorizedOperation", "", "way out"),
    ("DescribeInternetGateways", "ec2", "UnauthorizedOperation", "", "internet gateway"),
    ("DescribeNetworkAcls", "ec2", "UnauthorizedOperation", "", "network ACL"),
    ("DescribeVpcBlockPublicAccessOptions", "ec2", "UnauthorizedOperation", "", "public access"),
    ("DescribeVpcEndpoints", "ec2", "UnauthorizedOperation", "", "endpoints"),
    ("DescribeDhcpOptions", "ec2", "UnauthorizedOperation", "", "vpc DNS"),
    ("GetEbsDefaultKmsKeyId", "ec2", "UnauthorizedOperation", "", "volume key"),
    ("DescribeVolumes", "ec2", "UnauthorizedOperation", "", "volume quota"),
    ("GetAllowedImagesSettings", "ec2", "UnauthorizedOperation", "", "allowed images"),
    ("SimulatePrincipalPolicy", "iam", "AccessDenied", "iam:SimulatePrincipalPolicy", "permissions"),
    ("DescribeAddresses", "ec2", "UnauthorizedOperation", "", "elastic IPs"),
    ("DescribeSecurityGroups", "ec2", "UnauthorizedOperation", "", "security group"),
    ("DescribeKeyPairs", "ec2", "UnauthorizedOperation", "", "key pair"),
    ("DescribeImages", "ec2", "UnauthorizedOperation", "", "image"),
    (
        "GetServiceQuota",
        "servicequotas",
        "AccessDeniedException",
        "servicequotas:GetServiceQuota",
        "elastic IPs",
    ),
]


@pytest.mark.parametrize(("action", "service", "code", "permission", "check"), PERMISSIONS)
def test_a_missing_permission_skips_its_check_and_is_named(
    project: Project, aws: LocalAws, action: str, service: str, code: str, permission: str, check: str
) -> None:
    ec2 = boto3.client("ec2", REGION)
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    zone = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["g7e.8xlarge"]}]
    )["InstanceTypeOfferings"][0]["Location"]
    reserved = ec2.create_capacity_reservation(
        InstanceType="g7e.8xlarge", InstancePlatform="Linux/UNIX", AvailabilityZone=zone, InstanceCount=2
    )["CapacityReservation"]
    project.environment(
        "prod",
        capacity_reservation_id=reserved["CapacityReservationId"],
        security_group_id=group,
        key_name="nobody",
        instance_type="g7e.8xlarge",
    )
    aws.faults.add(action=action, code=code, message=NOT_AUTHORIZED, times=None)
    ran = project.run("check", "prod", "--json")
    found = by_check(ran)[check]
    assert (found["level"], found["message"]) == (
        "SKIP",
        f"No permission to look: {permission or f'ec2:{action}'} is not allowed.",
    )


@pytest.mark.parametrize(
    ("action", "code", "permission", "check"),
    [
        ("GetCallerIdentity", "AccessDenied", "sts:GetCallerIdentity", "credentials"),
        ("DescribeVpcEndpoints", "UnauthorizedOperation", "ec2:DescribeVpcEndpoints", "way out"),
    ],
)
def test_a_missing_permission_of_a_launch_without_public_addresses_is_named(
    project: Project, aws: LocalAws, action: str, code: str, permission: str, check: str
) -> None:
    project.environment("prod", instance_type="g7e.8xlarge", elastic_ip=False)
    ec2 = boto3.client("ec2", REGION)
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        for table in ec2.describe_route_tables()["RouteTables"]:
            if any(route.get("GatewayId") == gateway["InternetGatewayId"] for route in table["Routes"]):
                ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    aws.faults.add(action=action, code=code, message=NOT_AUTHORIZED, times=None)
    found = by_check(project.run("check", "prod", "--json"))[check]
    assert (found["level"], found["message"]) == (
        "SKIP",
        f"No permission to look: {permission} is not allowed.",
    )


def test_no_permission_to_launch_is_a_failure(project: Project, aws: LocalAws) -> None:
    aws.faults.add(action="RunInstances", code="UnauthorizedOperation", message="not authorized")
    ran = project.run("check", "dev", "--json")
    assert ran.code == 1
    assert by_check(ran)["dry run"]["level"] == "FAIL"
    assert "ec2:RunInstances" in by_check(ran)["dry run"]["message"]
