"""The machine image and the key pair."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nixl_efa.checks.facts import Image, KeyPair

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def image(ec2: EC2Client, image_id: str) -> Image | None:
    """An image by its id, None when it isn't there or not shared with the account."""
    answer = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [image_id]}], IncludeDeprecated=True)
    return next((parsed(each) for each in answer["Images"]), None)


def parsed(payload: Mapping[str, Any]) -> Image:
    """An image from EC2's payload."""
    root = payload.get("RootDeviceName", "")
    deprecated = payload.get("DeprecationTime")
    return Image(
        id=payload["ImageId"],
        name=payload.get("Name", ""),
        state=payload.get("State", ""),
        architecture=payload.get("Architecture", ""),
        platform=payload.get("PlatformDetails", ""),
        root_device=root,
        root_device_type=payload.get("RootDeviceType", ""),
        root_gib=next(
            (
                each.get("Ebs", {}).get("VolumeSize", 0)
                for each in payload.get("BlockDeviceMappings", ())
                if each.get("DeviceName") == root
            ),
            0,
        ),
        ena=payload.get("EnaSupport", False),
        boot_mode=payload.get("BootMode", ""),
        virtualization=payload.get("VirtualizationType", ""),
        deprecated_at=datetime.fromisoformat(deprecated) if deprecated else None,
    )


def key_pair(ec2: EC2Client, name: str) -> KeyPair | None:
    """A key pair by its name, None when it isn't there."""
    answer = ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [name]}])
    return next(
        (KeyPair(name=each["KeyName"], kind=each.get("KeyType", "")) for each in answer["KeyPairs"]), None
    )
