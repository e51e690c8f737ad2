"""The machine images behind the public parameters of AWS's Deep Learning AMIs.

Sources: AWS Deep Learning AMIs developer guide (finding the ids with Parameter Store), AWS Neuron documentation
(Neuron DLAMI). Root device and the size of Neuron's images as there.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from moto.ec2.models.amis import Ami as MotoAmi

from local_aws.world import world

PREFIXES = ("/aws/service/deeplearning/ami/", "/aws/service/neuron/dlami/")
ROOT_DEVICE = "/dev/sda1"
_AMAZON = "898082745236"  # the account that publishes the Deep Learning AMIs
_NVIDIA = re.compile(
    r"/aws/service/deeplearning/ami/(?P<arch>x86_64|arm64)/"
    r"(?P<name>(base-oss-nvidia-driver-gpu|oss-nvidia-driver-gpu-pytorch-\d+\.\d+|base-with-single-cuda)"
    r"-(ubuntu-22\.04|ubuntu-24\.04|amazon-linux-2023))/latest/ami-id"
)
_NEURON = re.compile(
    r"/aws/service/neuron/dlami/(?P<name>(base|multi-framework|pytorch-\d+\.\d+|jax-\d+\.\d+)"
    r"/(ubuntu-22\.04|ubuntu-24\.04|amazon-linux-2023))/latest/image_id"
)
# Listed by GetParametersByPath; every other name of the same form resolves as well.
LISTED = (
    *(
        f"/aws/service/deeplearning/ami/{arch}/{name}-{system}/latest/ami-id"
        for arch in ("x86_64", "arm64")
        for name in ("base-oss-nvidia-driver-gpu", "oss-nvidia-driver-gpu-pytorch-2.9")
        for system in ("ubuntu-22.04", "ubuntu-24.04")
    ),
    *(
        f"/aws/service/neuron/dlami/{name}/{system}/latest/image_id"
        for name in ("base", "multi-framework")
        for system in ("ubuntu-22.04", "ubuntu-24.04")
    ),
)


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image: its id is the same for the same region, parameter and generation."""

    id: str
    name: str
    architecture: str
    root_gib: int


def image_for(region: str, parameter: str) -> Image | None:
    """The image that a public parameter currently names; None for a name that AWS would not have."""
    generation = world().image_generation
    digest = hashlib.sha256(f"{region}|{parameter}|{generation}".encode()).hexdigest()[:17]
    nvidia = _NVIDIA.fullmatch(parameter)
    if nvidia:
        size = 125 if "pytorch" in parameter else 75
        return Image(f"ami-{digest}", f"Deep Learning {nvidia['name']} {generation}", nvidia["arch"], size)
    neuron = _NEURON.fullmatch(parameter)
    if neuron:
        return Image(f"ami-{digest}", f"Deep Learning Neuron {neuron['name']} {generation}", "x86_64", 512)
    return None


def register(backend: Any, image: Image) -> None:
    """Make the image exist in a region's EC2, if nobody has deregistered it there."""
    if image.id in backend.amis or image.id in backend.deleted_amis:
        return
    backend.amis[image.id] = Ami(backend, image)


def register_listed(backend: Any) -> None:
    """Make the images of the listed parameters exist: a client may look for them without reading a parameter first."""
    for parameter in LISTED:
        image = image_for(backend.region_name, parameter)
        if image is not None:
            register(backend, image)


class Ami(MotoAmi):  # type: ignore[misc]
    """An image with a root volume of its own size. The class name is moto's: its serializer reads it."""

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
