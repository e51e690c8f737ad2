from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.launches import subnet_in
from tests.local_aws.conftest import ZONE, Launch, show

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef


def places(instance: InstanceTypeDef) -> list[tuple[int, int, str]]:
    return [
        (item["Attachment"]["NetworkCardIndex"], item["Attachment"]["DeviceIndex"], item["InterfaceType"])
        for item in instance["NetworkInterfaces"]
    ]


def test_a_launch_without_interfaces_makes_the_primary_one(launch: Launch) -> None:
    instance = launch()
    assert places(instance) == [(0, 0, "interface")]
    assert instance["Placement"]["AvailabilityZone"] == ZONE
    assert "InstanceLifecycle" not in instance
    assert "CapacityReservationId" not in instance
    assert instance["CapacityReservationSpecification"] == {"CapacityReservationPreference": "open"}


def test_every_interface_is_on_its_card_and_device(launch: Launch, ec2: EC2Client, subnet: str) -> None:
    inline = [
        {"NetworkCardIndex": card, "DeviceIndex": device, "InterfaceType": kind, "SubnetId": subnet}
        for card, device, kind in [(0, 0, "interface"), (0, 1, "efa-only"), (1, 0, "efa"), (3, 0, "efa-only")]
    ]
    instance = launch(InstanceType="p4d.24xlarge", NetworkInterfaces=inline)
    assert places(instance) == [(0, 0, "interface"), (0, 1, "efa-only"), (1, 0, "efa"), (3, 0, "efa-only")]
    addresses = [item.get("PrivateIpAddress") for item in instance["NetworkInterfaces"]]
    assert [bool(address) for address in addresses] == [True, False, True, False]
    assert len(set(addresses)) == 3  # two addresses, and None
    found = ec2.describe_network_interfaces(Filters=[{"Name": "interface-type", "Values": ["efa-only"]}])
    assert len(found["NetworkInterfaces"]) == 2
    assert all(item["PrivateIpAddresses"] == [] for item in found["NetworkInterfaces"])


def test_an_existing_interface_gives_the_instance_its_address_and_zone(
    launch: Launch, ec2: EC2Client, image: str
) -> None:
    made = ec2.create_network_interface(SubnetId=subnet_in(ec2, "us-east-2b"))["NetworkInterface"]
    instance = launch(
        NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": made["NetworkInterfaceId"]}]
    )
    assert instance["PrivateIpAddress"] == made["PrivateIpAddress"]
    assert instance["Placement"]["AvailabilityZone"] == "us-east-2b"
    assert instance["SubnetId"] == made["SubnetId"]


def test_a_template_with_existing_and_inline_interfaces_is_honoured(
    launch: Launch, ec2: EC2Client, subnet: str
) -> None:
    primary = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    data: Any = {
        "InstanceType": "g7e.8xlarge",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "UserData": base64.b64encode(b"#cloud-config\n").decode(),
        "NetworkInterfaces": [
            {
                "NetworkCardIndex": 0,
                "DeviceIndex": 0,
                "NetworkInterfaceId": primary,
                "DeleteOnTermination": False,
            },
            {
                "NetworkCardIndex": 0,
                "DeviceIndex": 1,
                "InterfaceType": "efa-only",
                "SubnetId": subnet,
                "DeleteOnTermination": True,
            },
        ],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": "Name", "Value": f"the {kind}"}]}
            for kind in ("instance", "volume", "network-interface")
        ],
    }
    template = ec2.create_launch_template(LaunchTemplateName="node", LaunchTemplateData=data)[
        "LaunchTemplate"
    ]
    instance = launch(LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"})
    assert places(instance) == [(0, 0, "interface"), (0, 1, "efa-only")]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["Name"] == "the instance"
    assert tags["aws:ec2launchtemplate:version"] == "1"
    user_data = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert base64.b64decode(user_data["UserData"]["Value"]) == b"#cloud-config\n"
    inline = instance["NetworkInterfaces"][1]["NetworkInterfaceId"]
    (efa,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[inline])["NetworkInterfaces"]
    assert efa["TagSet"] == [{"Key": "Name", "Value": "the network-interface"}]
    assert ec2.describe_volumes()["Volumes"][0]["Tags"] == [{"Key": "Name", "Value": "the volume"}]

    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    (left,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert (left["NetworkInterfaceId"], left["Status"]) == (primary, "available")
    assert "Attachment" not in left
    ended = show(ec2, instance["InstanceId"])
    assert (ended["State"]["Name"], ended["NetworkInterfaces"]) == ("terminated", [])


def test_volumes_are_as_asked_and_go_with_the_instance(launch: Launch, ec2: EC2Client) -> None:
    ebs = {"VolumeSize": 300, "VolumeType": "gp3", "Iops": 6000, "Throughput": 250, "Encrypted": True}
    instance = launch(BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert {name: volume[{"VolumeSize": "Size"}.get(name, name)] for name in ebs} == ebs  # type: ignore[literal-required]
    assert instance["RootDeviceName"] == "/dev/sda1"
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert ec2.describe_volumes()["Volumes"] == []


def test_a_root_volume_comes_from_the_image_when_nothing_is_said(launch: Launch, ec2: EC2Client) -> None:
    launch()
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Iops"], volume["Throughput"]) == (
        75,
        "gp3",
        3000,
        125,
    )


def test_an_instance_profile_is_shown(launch: Launch, client: Any) -> None:
    iam = client("iam", checked=False)
    iam.create_instance_profile(InstanceProfileName="node")
    instance = launch(IamInstanceProfile={"Name": "node"})
    assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/node")


def test_a_single_interface_in_a_default_subnet_gets_a_public_address_and_two_do_not(
    launch: Launch, subnet: str
) -> None:
    assert launch().get("PublicIpAddress")
    two = [
        {"DeviceIndex": 0, "SubnetId": subnet},
        {"DeviceIndex": 1, "SubnetId": subnet, "InterfaceType": "efa-only"},
    ]
    assert "PublicIpAddress" not in launch(NetworkInterfaces=two)


def test_a_spot_instance_has_its_lifecycle_and_request(launch: Launch, ec2: EC2Client) -> None:
    instance = launch(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "7.5"}})
    assert instance["InstanceLifecycle"] == "spot"
    identifier = instance["SpotInstanceRequestId"]

    def request() -> Any:
        return ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[identifier])[
            "SpotInstanceRequests"
        ][0]

    assert (request()["State"], request()["SpotPrice"], request()["InstanceId"]) == (
        "active",
        "7.5",
        instance["InstanceId"],
    )
    assert ec2.describe_spot_instance_requests()["SpotInstanceRequests"] == [request()]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[identifier])
    assert request()["State"] == "cancelled"
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert request()["State"] == "closed"


def test_the_default_subnet_is_taken_in_the_zone_asked_for_or_one_that_offers_the_type(
    ec2: EC2Client, image: str
) -> None:
    given: Any = {"ImageId": image, "InstanceType": "g7e.8xlarge", "MinCount": 1, "MaxCount": 1}
    zones = [
        ec2.run_instances(**given, **more)["Instances"][0]["Placement"]["AvailabilityZone"]
        for more in (
            {},
            {"Placement": {"AvailabilityZone": "us-east-2b"}},
            {"NetworkInterfaces": [{"DeviceIndex": 0}]},
        )
    ]
    assert zones == [ZONE, "us-east-2b", ZONE]


def test_groups_can_be_named_and_changed(launch: Launch, ec2: EC2Client, refused: Any) -> None:
    first, second = (ec2.create_security_group(GroupName=name, Description="d")["GroupId"] for name in "ab")
    instance = launch(SecurityGroups=["a"])
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [first]
    ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], Groups=[second])
    changed = show(ec2, instance["InstanceId"])
    assert [group["GroupId"] for group in changed["SecurityGroups"]] == [second]
    assert [group["GroupId"] for group in changed["NetworkInterfaces"][0]["Groups"]] == [second]
    with refused("InvalidGroup.NotFound", "'c'"):
        launch(SecurityGroups=["c"])


def test_user_data_is_kept_and_an_unwanted_device_is_left_out(launch: Launch, ec2: EC2Client) -> None:
    instance = launch(
        UserData="#cloud-config", BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "NoDevice": ""}]
    )
    kept = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert base64.b64decode(kept["UserData"]["Value"]) == b"#cloud-config"
    assert [volume["Attachments"][0]["Device"] for volume in ec2.describe_volumes()["Volumes"]] == [
        "/dev/sda1"
    ]
