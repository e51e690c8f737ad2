"""Which image the nodes start from."""

import pytest

from nixl_efa import instance_types
from nixl_efa.image import image_parameter, validate_image
from tests.sent_by_terraform import parameter_of
from tests.synthesis import resources, synthesize

DLAMI = "/aws/service/deeplearning/ami"


@pytest.mark.parametrize(
    ("instance_type", "parameter"),
    [
        ("p5.48xlarge", f"{DLAMI}/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"),
        ("g5g.16xlarge", f"{DLAMI}/arm64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"),
        ("trn2.48xlarge", "/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id"),
        ("inf2.48xlarge", "/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id"),
        ("c7gn.16xlarge", f"{DLAMI}/arm64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"),
    ],
)
def test_the_image_fits_the_accelerator_and_the_architecture(instance_type: str, parameter: str) -> None:
    assert instance_types.find(instance_type) is not None
    assert image_parameter(instance_types.find(instance_type)) == parameter
    stack = synthesize("dev", instance_type=instance_type)
    assert parameter_of(stack, "local.newest_image") == parameter


def test_a_type_that_is_not_known_gets_no_image_since_its_architecture_is_not_known_either() -> None:
    assert image_parameter(None) == ""


def test_an_accelerator_without_a_deep_learning_image_is_warned_of_unless_an_image_is_given() -> None:
    qualcomm = instance_types.find("dl2q.24xlarge")

    [warning] = validate_image(qualcomm, given=False)
    assert warning.message.startswith(
        "No deep-learning image holds the driver for the qualcomm accelerators of dl2q"
    )
    assert validate_image(qualcomm, given=True) == []
    assert validate_image(instance_types.find("p5.48xlarge"), given=False) == []


def test_a_newer_image_is_not_taken_until_the_parameter_is_another() -> None:
    frozen = resources(synthesize("dev"), "terraform_data")["image"]

    assert frozen["input"] == {"value": "${local.newest_image}"}
    assert frozen["lifecycle"]["ignore_changes"] == ["input"]
    assert list(frozen["triggers_replace"]) == ["parameter"]


def test_a_given_image_is_used_as_it_is() -> None:
    stack = synthesize("dev", ami_id="ami-0123456789abcdef0")

    assert resources(stack, "aws_instance")["producer"]["ami"] == "ami-0123456789abcdef0"
    assert "image" not in resources(stack, "terraform_data")
