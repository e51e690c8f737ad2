"""Public images in EC2. The class name is moto's: its serializer reads it."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.amis import Ami as MotoAmi

from local_aws.images import ROOT_DEVICE, Image

_AMAZON = "898082745236"  # the account that publishes the Deep Learning AMIs


class Ami(MotoAmi):  # type: ignore[misc]
    """An image with a root volume of its own size."""

    def __init__(self, ec2_backend: Any, image: Image) -> None:
        super().__init__(
            ec2_backend,
            image.id,
            name=image.name,
            description=image.name,
            owner_id=_AMAZON,
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture=image.architecture,
            image_location=f"amazon/{image.name}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=ROOT_DEVICE,
            region_name=f"{ec2_backend.region_name}a",
        )
        self._root_gib = image.root_gib

    @property
    def ena_support(self) -> bool:
        """Every Deep Learning AMI supports ENA."""
        return True

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """The root volume, deleted with its instance."""
        ebs = {
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self._root_gib,
            "DeleteOnTermination": True,
            "VolumeType": "gp3",
            "Encrypted": False,
        }
        return [{"DeviceName": self.root_device_name, "Ebs": ebs}]
