"""Local Zones: nothing before the account opts in; no default subnet; addresses of their own border group."""

from typing import Any

import pytest

ATLANTA = "us-east-1-atl-2a"
GROUP = "us-east-1-atl-2"


@pytest.fixture
def us_east_1(client: Any) -> Any:
    return client("ec2", region="us-east-1")


def zones(ec2: Any, **more: Any) -> dict[str, Any]:
    return {one["ZoneName"]: one for one in ec2.describe_availability_zones(**more)["AvailabilityZones"]}


def opt_in(ec2: Any) -> None:
    ec2.modify_availability_zone_group(GroupName=GROUP, OptInStatus="opted-in")


def subnet_in(ec2: Any, zone: str) -> Any:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.200.0/24", AvailabilityZone=zone)["Subnet"]


def test_a_local_zone_is_shown_with_its_opt_in_state_and_border_group(us_east_1: Any) -> None:
    assert ATLANTA not in zones(us_east_1)
    seen = zones(us_east_1, AllAvailabilityZones=True)[ATLANTA]
    assert (seen["ZoneType"], seen["OptInStatus"], seen["NetworkBorderGroup"]) == (
        "local-zone",
        "not-opted-in",
        GROUP,
    )
    opt_in(us_east_1)
    assert zones(us_east_1)[ATLANTA]["OptInStatus"] == "opted-in"
    assert zones(us_east_1)["us-east-1a"]["NetworkBorderGroup"] == "us-east-1"


def test_nobody_makes_a_subnet_before_the_opt_in_and_there_is_no_default_one(
    us_east_1: Any, refused: Any
) -> None:
    with refused("InvalidParameterValue", ATLANTA):
        subnet_in(us_east_1, ATLANTA)
    opt_in(us_east_1)
    default = us_east_1.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    assert ATLANTA not in {one["AvailabilityZone"] for one in default}
    made = subnet_in(us_east_1, ATLANTA)
    assert (made["AvailabilityZone"], made["DefaultForAz"]) == (ATLANTA, False)


def test_a_type_is_offered_there_once_the_account_has_opted_in(us_east_1: Any) -> None:
    def offered() -> set[str]:
        found = us_east_1.describe_instance_type_offerings(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["p5.48xlarge"]}]
        )
        return {one["Location"] for one in found["InstanceTypeOfferings"]}

    assert ATLANTA not in offered()
    opt_in(us_east_1)
    assert ATLANTA in offered()


@pytest.mark.parametrize("group", ["us-east-1", GROUP])
@pytest.mark.parametrize("zone", ["us-east-1a", ATLANTA])
def test_an_address_goes_only_where_its_border_group_is(
    us_east_1: Any, refused: Any, group: str, zone: str
) -> None:
    opt_in(us_east_1)
    allocated = us_east_1.allocate_address(Domain="vpc", NetworkBorderGroup=group)
    assert allocated["NetworkBorderGroup"] == group
    subnet = subnet_in(us_east_1, zone)["SubnetId"]
    interface = us_east_1.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ids = {"AllocationId": allocated["AllocationId"], "NetworkInterfaceId": interface}
    if (zone == ATLANTA) == (group == GROUP):
        assert us_east_1.associate_address(**ids)["AssociationId"]
        (shown,) = us_east_1.describe_addresses()["Addresses"]
        assert shown["NetworkBorderGroup"] == group
    else:
        with refused("InvalidParameterCombination", "network border group"):
            us_east_1.associate_address(**ids)


@pytest.mark.parametrize(("group", "status"), [("us-east-1", "opted-in"), (GROUP, "not-opted-in")])
def test_nobody_opts_in_to_what_is_no_local_zone_or_out_of_one(
    us_east_1: Any, refused: Any, group: str, status: str
) -> None:
    with refused("InvalidParameterValue"):
        us_east_1.modify_availability_zone_group(GroupName=group, OptInStatus=status)


def test_an_address_of_no_border_group_there_is_refused(us_east_1: Any, refused: Any) -> None:
    with refused("InvalidParameterValue", "us-east-1-atl-2"):
        us_east_1.allocate_address(Domain="vpc", NetworkBorderGroup=GROUP)
    assert us_east_1.allocate_address(Domain="vpc")["NetworkBorderGroup"] == "us-east-1"
