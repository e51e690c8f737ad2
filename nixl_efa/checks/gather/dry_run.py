"""The launch itself, as a dry run: EC2 says whether it would do it, and does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nixl_efa.aws_errors import error_code, error_message
from nixl_efa.checks.facts import DryRun, Image
from nixl_efa.launch import Launch

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


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
    """The whole request of RunInstances: what the stack's instances and launch templates amount to.

    Left out is what exists only once the stack does: its role, its placement group, its own security group and
    the primary interfaces that it makes beforehand.
    """
    body: dict[str, Any] = {
        "DryRun": True,
        "InstanceType": launch.instance_type,
        "ImageId": image.id,
        "MinCount": launch.count,
        "MaxCount": launch.count,
        "NetworkInterfaces": [
            {
                "NetworkCardIndex": each.network_card_index,
                "DeviceIndex": each.device_index,
                "InterfaceType": each.interface_type,
                "SubnetId": subnet_id,
                **({"Groups": [launch.security_group_id]} if launch.security_group_id else {}),
            }
            for each in launch.interfaces
        ],
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
        },
    }
    if launch.key_name:
        body["KeyName"] = launch.key_name
    if launch.market != "on-demand":
        body["InstanceMarketOptions"] = {"MarketType": launch.market}
    if reservation_id:
        body["CapacityReservationSpecification"] = {
            "CapacityReservationTarget": {"CapacityReservationId": reservation_id}
        }
    tags = [{"Key": key, "Value": text} for key, text in launch.tags.items()]
    body["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tags}]
    return body
