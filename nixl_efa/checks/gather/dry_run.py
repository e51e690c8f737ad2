"""The launch itself, as a dry run: EC2 says whether it would do it, and does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_errors import error_code, error_message
from nixl_efa.bootstrap import bootstrap_of, plain, user_data
from nixl_efa.checks.facts import DryRun, Image
from nixl_efa.launch import Launch, Node

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# All that the launch of a node has and a dry run before it has not, or has otherwise, by member of RunInstances.
NOT_BEFORE_THE_STACK: Mapping[str, str] = {
    "IamInstanceProfile": "the stack makes the nodes' role and profile",
    "Placement": "the stack makes the placement group",
    "NetworkInterfaces[0]": "the stack makes the primary interface: one of its kind is asked for in its subnet",
    "NetworkInterfaces[].Groups": "the stack makes the security group, unless the settings name one",
    "UserData": "the stack makes the nodes' addresses and the bucket: the longest ones stand for them",
    "MinCount, MaxCount": "one request asks for every node at once, with the first one's tags and user data",
}

# What Terraform's AWS provider says of an instance where a configuration says nothing: EC2's own defaults.
_SAID_BY_THE_PROVIDER: Mapping[str, Any] = {
    "Monitoring": {"Enabled": False},
    "HibernationOptions": {"Configured": False},
    "DisableApiTermination": False,
    "EbsOptimized": False,
}

# The longest that they can be: EC2 measures the user data.
_ADDRESS = "255.255.255.255"
_BUCKET = "b" * 63


def dry_run(
    ec2: EC2Client, launch: Launch, *, subnet_id: str, image: Image, reservation_id: str | None
) -> DryRun:
    """EC2's answer. An error's code is the answer here, also a missing permission to launch."""
    from botocore.exceptions import ClientError

    try:
        ec2.run_instances(**request(launch, subnet_id=subnet_id, image=image, reservation_id=reservation_id))
    except ClientError as error:
        return DryRun(code=error_code(error), message=" ".join(error_message(error).split()))
    raise RuntimeError("EC2 answered a dry run as if it had launched instances")


def request(launch: Launch, *, subnet_id: str, image: Image, reservation_id: str | None) -> dict[str, Any]:
    """The whole request of RunInstances: the launch as the stack makes it, but for NOT_BEFORE_THE_STACK."""
    first = launch.nodes[0]
    body: dict[str, Any] = {
        **_SAID_BY_THE_PROVIDER,
        "DryRun": True,
        "InstanceType": launch.instance_type,
        "ImageId": image.id,
        "MinCount": launch.count,
        "MaxCount": launch.count,
        "NetworkInterfaces": _interfaces(launch, subnet_id),
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device,
                "Ebs": {
                    "VolumeType": launch.volume.kind,
                    "VolumeSize": launch.volume.gib,
                    "Iops": launch.volume.iops,
                    "Throughput": launch.volume.throughput,
                    "Encrypted": launch.volume.encrypted,
                    "DeleteOnTermination": launch.volume.delete_on_termination,
                },
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": launch.metadata.http_endpoint,
            "HttpTokens": launch.metadata.http_tokens,
            "HttpPutResponseHopLimit": launch.metadata.http_put_response_hop_limit,
            "InstanceMetadataTags": launch.metadata.instance_metadata_tags,
            "HttpProtocolIpv6": "disabled",
        },
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": key, "Value": text} for key, text in tags.items()]}
            for kind, tags in _tags(launch, first).items()
        ],
        "UserData": _user_data(launch, first),
    }
    if launch.key_name:
        body["KeyName"] = launch.key_name
    if launch.market != "on-demand":
        body["InstanceMarketOptions"] = {"MarketType": launch.market}
    if reservation_id:
        body["CapacityReservationSpecification"] = {
            "CapacityReservationTarget": {"CapacityReservationId": reservation_id}
        }
    return body


def _interfaces(launch: Launch, subnet_id: str) -> list[dict[str, Any]]:
    groups = {"Groups": [launch.security_group_id]} if launch.security_group_id else {}
    return [
        {
            "NetworkCardIndex": each.network_card_index,
            "DeviceIndex": each.device_index,
            "InterfaceType": each.interface_type,
            "SubnetId": subnet_id,
            "DeleteOnTermination": True,
            **groups,
        }
        for each in launch.interfaces
    ]


def _tags(launch: Launch, node: Node) -> dict[str, dict[str, str]]:
    # The provider gives the volume its Name and Role only when it is there.
    own = launch.tags_of(node)
    return {"network-interface": own, "instance": own, "volume": dict(launch.tags)}


def _user_data(launch: Launch, node: Node) -> str:
    addresses = {each.name: _ADDRESS for each in launch.nodes}
    return plain(user_data(bootstrap_of(launch, node.name, addresses=addresses, scripts_bucket=_BUCKET)))
