"""Which of AWS's deep-learning images fits an instance type. Pure."""

import re

from nixl_efa.findings import Finding, Level
from nixl_efa.instance_types import InstanceType

# Public parameters of AWS Deep Learning AMIs (DLAMI developer guide, ami-id; Neuron documentation, neuron-ami).
_NVIDIA = "/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
_NEURON = "/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id"
# See image_choice. Do not update it together with the parameters above.
_NVIDIA_CHOICE = (
    "/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_NEURON_CHOICE = "/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id"
# The python3 of a system, by the names of parameters that AWS and Canonical publish (Ubuntu packages, python3).
_PYTHONS = (
    (re.compile(r"\bubuntu\W.*\b24\.04\b"), "3.12"),
    (re.compile(r"\bubuntu\W.*\b22\.04\b"), "3.10"),
)
_COVERED = {"nvidia", "neuron", "none"}


def image_parameter(instance_type: InstanceType | None) -> str:
    """The public parameter that names the image: Neuron's for Trainium and Inferentia, NVIDIA's for all others.

    A type without an accelerator gets NVIDIA's too, for the EFA installer that it holds. Empty for an unknown type
    (None), because its architecture is not known, either.
    """
    return _for_type(instance_type, neuron=_NEURON, nvidia=_NVIDIA)


def python_of(parameter: str) -> str:
    """The python3 on the image that a public parameter names, as 3.12; empty if the name does not tell it."""
    return next((version for pattern, version in _PYTHONS if pattern.search(parameter)), "")


def image_choice(instance_type: InstanceType | None) -> str:
    """What decides the default image: the type's accelerator and architecture. This text must never change: otherwise
    each running pair would get another image. It is the text of the parameters that the first version read.
    """
    return _for_type(instance_type, neuron=_NEURON_CHOICE, nvidia=_NVIDIA_CHOICE)


def _for_type(instance_type: InstanceType | None, *, neuron: str, nvidia: str) -> str:
    if instance_type is None:
        return ""
    if instance_type.accelerator_kind == "neuron":
        return neuron
    return nvidia.format(architecture=instance_type.architectures[0])


def validate_image(instance_type: InstanceType | None, *, given: bool) -> list[Finding]:
    """A warning when no image was given and none of AWS's deep-learning images has the accelerator's driver."""
    if given or instance_type is None or instance_type.accelerator_kind in _COVERED:
        return []
    return [
        Finding(
            Level.WARN,
            "ami_id",
            f"No deep-learning image holds the driver for the {instance_type.accelerator_kind} accelerators of "
            f"{instance_type.name}; NVIDIA's is used for its EFA installer.",
            "Set ami_id or ami_parameter to an image with the driver.",
        )
    ]
