from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.launches import subnet_in
from tests.local_aws.conftest import Launch

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@pytest.fixture
def instance(launch: Launch) -> str:
    return launch(InstanceType="p5.48xlarge")["InstanceId"]


def create(ec2: EC2Client, subnet: str, **more: Any) -> Any:
    return ec2.create_network_interface(SubnetId=subnet, **more)["NetworkInterface"]


def show(ec2: EC2Client, interface: Any) -> Any:
    found = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface["NetworkInterfaceId"]])
    return found["NetworkInterfaces"][0]


def test_an_interface_keeps_its_type_groups_tags_and_text(ec2: EC2Client, subnet: str) -> None:
    group = ec2.create_security_group(GroupName="pair", Description="pair")["GroupId"]
    made = create(
        ec2,
        subnet,
        InterfaceType="efa",
        Groups=[group],
        Description="node",
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    shown = show(ec2, made)
    assert (shown["InterfaceType"], shown["Description"]) == ("efa", "node")
    assert [item["GroupId"] for item in shown["Groups"]] == [group]
    assert shown["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert shown["Status"] == "available"
    assert "Association" not in shown


def test_an_efa_only_interface_has_no_address(ec2: EC2Client, subnet: str, refused: Any) -> None:
    made = create(ec2, subnet, InterfaceType="efa-only")
    assert "PrivateIpAddress" not in made
    assert made["PrivateIpAddresses"] == []
    with refused("InvalidParameterCombination", "can't have an IP address"):
        create(ec2, subnet, InterfaceType="efa-only", PrivateIpAddress="172.31.0.77")


def test_addresses_come_from_the_subnet_and_never_twice(ec2: EC2Client, subnet: str, refused: Any) -> None:
    asked = create(ec2, subnet, PrivateIpAddress="172.31.0.5")
    addresses = {create(ec2, subnet)["PrivateIpAddress"] for _ in range(5)}
    assert len(addresses) == 5
    assert asked["PrivateIpAddress"] not in addresses
    with refused("InvalidIPAddress.InUse", "172.31.0.5"):
        create(ec2, subnet, PrivateIpAddress="172.31.0.5")
    with refused("InvalidParameterValue", "does not fall within"):
        create(ec2, subnet, PrivateIpAddress="10.0.0.1")


def test_a_deleted_interface_gives_its_address_back(ec2: EC2Client, subnet: str) -> None:
    made = create(ec2, subnet, PrivateIpAddress="172.31.0.9")
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    assert create(ec2, subnet, PrivateIpAddress="172.31.0.9")["PrivateIpAddress"] == "172.31.0.9"


@pytest.mark.parametrize("kind", ["efa", "efa-only"])
def test_an_efa_is_not_attached_to_a_running_instance(
    ec2: EC2Client, subnet: str, instance: str, refused: Any, kind: Any
) -> None:
    made = create(ec2, subnet, InterfaceType=kind)["NetworkInterfaceId"]
    given: Any = {"NetworkInterfaceId": made, "InstanceId": instance, "DeviceIndex": 0, "NetworkCardIndex": 3}
    with refused("IncorrectInstanceState", "running"):
        ec2.attach_network_interface(**given)
    ec2.stop_instances(InstanceIds=[instance])
    attached = ec2.attach_network_interface(**given)
    assert attached["NetworkCardIndex"] == 3
    ec2.start_instances(InstanceIds=[instance])
    with refused("IncorrectInstanceState", "detached"):
        ec2.detach_network_interface(AttachmentId=attached["AttachmentId"])


def test_a_plain_interface_comes_and_goes(ec2: EC2Client, subnet: str, instance: str, refused: Any) -> None:
    made = create(ec2, subnet)
    given: Any = {"NetworkInterfaceId": made["NetworkInterfaceId"], "InstanceId": instance, "DeviceIndex": 1}
    attachment = ec2.attach_network_interface(**given)["AttachmentId"]
    shown = show(ec2, made)["Attachment"]
    assert (shown["InstanceId"], shown["DeviceIndex"], shown["NetworkCardIndex"]) == (instance, 1, 0)
    with refused("InvalidNetworkInterface.InUse"):
        ec2.attach_network_interface(**given)
    with refused("InvalidParameterValue", "currently in use"):
        ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    ec2.detach_network_interface(AttachmentId=attachment)
    assert show(ec2, made)["Status"] == "available"
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])


def test_the_primary_interface_stays(ec2: EC2Client, instance: str, refused: Any) -> None:
    (primary,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    with refused("OperationNotPermitted", "cannot be detached"):
        ec2.detach_network_interface(AttachmentId=primary["Attachment"]["AttachmentId"])


def test_delete_on_termination_can_be_changed(ec2: EC2Client, instance: str) -> None:
    (primary,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=primary["NetworkInterfaceId"],
        Attachment={"AttachmentId": primary["Attachment"]["AttachmentId"], "DeleteOnTermination": False},
    )
    ec2.terminate_instances(InstanceIds=[instance])
    assert [item["Status"] for item in ec2.describe_network_interfaces()["NetworkInterfaces"]] == [
        "available"
    ]


def test_an_elastic_ip_is_freed_when_its_interface_goes(ec2: EC2Client, subnet: str) -> None:
    made = create(ec2, subnet)["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=address, NetworkInterfaceId=made)
    assert show(ec2, {"NetworkInterfaceId": made})["Association"]["AllocationId"] == address
    ec2.delete_network_interface(NetworkInterfaceId=made)
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]


def test_interfaces_come_in_pages(ec2: EC2Client, subnet: str) -> None:
    made = {create(ec2, subnet)["NetworkInterfaceId"] for _ in range(7)}
    pages = ec2.get_paginator("describe_network_interfaces").paginate(PaginationConfig={"PageSize": 5})
    found = [item["NetworkInterfaceId"] for page in pages for item in page["NetworkInterfaces"]]
    assert (set(found), len(found)) == (made, 7)


def test_a_dry_run_makes_nothing(ec2: EC2Client, subnet: str, refused: Any) -> None:
    with refused("DryRunOperation"):
        create(ec2, subnet, DryRun=True)
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_rule_for_another_group_keeps_its_description(ec2: EC2Client) -> None:
    group = ec2.create_security_group(GroupName="pair", Description="pair")["GroupId"]
    peer: Any = {"GroupId": group, "Description": "EFA"}
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [peer]}]
    )
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    assert [rule["Description"] for rule in rules["SecurityGroupRules"] if not rule["IsEgress"]] == ["EFA"]


@pytest.fixture
def small(launch: Launch) -> str:
    """One network card, eight interfaces."""
    return launch()["InstanceId"]


@pytest.mark.parametrize(
    ("place", "code", "words"),
    [
        (
            {"DeviceIndex": 0},
            "InvalidParameterValue",
            "already has an interface attached at device index '0'",
        ),
        (
            {"DeviceIndex": 1, "NetworkCardIndex": 1},
            "InvalidParameterValue",
            "Network card index 1 is invalid",
        ),
        ({"DeviceIndex": 8}, "InvalidParameterValue", "The specified number '8' for the device index"),
        ({"DeviceIndex": 1, "InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound", "i-0123"),
    ],
)
def test_an_interface_is_attached_only_where_there_is_room(
    ec2: EC2Client, subnet: str, small: str, refused: Any, place: Any, code: str, words: str
) -> None:
    made = create(ec2, subnet)
    with refused(code, words):
        ec2.attach_network_interface(
            **{"NetworkInterfaceId": made["NetworkInterfaceId"], "InstanceId": small, **place}
        )
    assert show(ec2, made)["Status"] == "available"
    (instance,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert len(instance["NetworkInterfaces"]) == 1


def test_an_elastic_ip_stays_with_a_stopped_instance_and_an_automatic_address_does_not(
    ec2: EC2Client, small: str
) -> None:
    def address() -> str:
        (instance,) = ec2.describe_instances(InstanceIds=[small])["Reservations"][0]["Instances"]
        return instance["NetworkInterfaces"][0].get("Association", {}).get("PublicIp", "")

    assert address()
    ec2.stop_instances(InstanceIds=[small])
    assert address() == ""
    ec2.start_instances(InstanceIds=[small])
    elastic = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=elastic["AllocationId"], InstanceId=small)
    ec2.stop_instances(InstanceIds=[small])
    assert address() == elastic["PublicIp"]
    ec2.start_instances(InstanceIds=[small])
    assert address() == elastic["PublicIp"]


def test_a_stopped_instance_takes_one_efa_a_card(
    ec2: EC2Client, subnet: str, small: str, refused: Any
) -> None:
    ec2.stop_instances(InstanceIds=[small])
    first, second = (create(ec2, subnet, InterfaceType="efa-only")["NetworkInterfaceId"] for _ in range(2))
    ec2.attach_network_interface(NetworkInterfaceId=first, InstanceId=small, DeviceIndex=1)
    with refused("AttachmentLimitExceeded", "Only one Elastic Fabric Adapter"):
        ec2.attach_network_interface(NetworkInterfaceId=second, InstanceId=small, DeviceIndex=2)


def test_an_interface_of_another_zone_and_an_ended_instance_are_refused(
    ec2: EC2Client, subnet: str, small: str, refused: Any
) -> None:
    far = create(ec2, subnet_in(ec2, "us-east-2b"))["NetworkInterfaceId"]
    with refused("InvalidParameterCombination", "not in the same availability zone"):
        ec2.attach_network_interface(NetworkInterfaceId=far, InstanceId=small, DeviceIndex=1)
    ec2.terminate_instances(InstanceIds=[small])
    near = create(ec2, subnet)["NetworkInterfaceId"]
    with refused("IncorrectInstanceState", "is terminated"):
        ec2.attach_network_interface(NetworkInterfaceId=near, InstanceId=small, DeviceIndex=1)


def test_an_interface_that_was_attached_later_outlives_its_instance(
    ec2: EC2Client, subnet: str, small: str
) -> None:
    made = create(ec2, subnet)["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId=small, DeviceIndex=1)
    ec2.terminate_instances(InstanceIds=[small])
    left = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [(item["NetworkInterfaceId"], item["Status"]) for item in left] == [(made, "available")]


def test_words_that_the_api_lacks_and_groups_that_are_not_there_are_refused(
    ec2: EC2Client, subnet: str, refused: Any
) -> None:
    with refused("InvalidParameterValue", "Invalid value 'wifi' for InterfaceType."):
        create(ec2, subnet, InterfaceType="wifi")
    with refused("InvalidGroup.NotFound", "sg-0123456789abcdef0"):
        create(ec2, subnet, Groups=["sg-0123456789abcdef0"])
    made = create(ec2, subnet)
    with refused("InvalidGroup.NotFound", "sg-0123456789abcdef0"):
        ec2.modify_network_interface_attribute(
            NetworkInterfaceId=made["NetworkInterfaceId"], Groups=["sg-0123456789abcdef0"]
        )


def test_a_new_interface_shows_no_public_address(ec2: EC2Client, subnet: str) -> None:
    assert "Association" not in create(ec2, subnet)


def test_interfaces_are_found_by_public_address_and_by_what_becomes_of_them(
    ec2: EC2Client, subnet: str, small: str
) -> None:
    kept = create(ec2, subnet)["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=kept)

    def found(name: str, value: str) -> list[str]:
        answer = ec2.describe_network_interfaces(Filters=[{"Name": name, "Values": [value]}])
        return [item["NetworkInterfaceId"] for item in answer["NetworkInterfaces"]]

    assert found("association.public-ip", address["PublicIp"]) == [kept]
    assert found("attachment.delete-on-termination", "false") == [kept]
    assert len(found("attachment.delete-on-termination", "true")) == 1


def test_a_rule_of_all_protocols_is_changed_without_ports(ec2: EC2Client) -> None:
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    of_group: Any = [{"Name": "group-id", "Values": [group]}]
    [rule] = ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]
    changed: Any = {"IpProtocol": "-1", "CidrIpv4": "0.0.0.0/0", "Description": "out"}
    ec2.modify_security_group_rules(
        GroupId=group,
        SecurityGroupRules=[
            {"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": changed}
        ],
    )
    [after] = ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]
    assert (after["Description"], after["FromPort"], after["ToPort"]) == ("out", -1, -1)
