from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from tests.launches import IMAGE

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

PYTORCH = IMAGE.replace("base-oss-nvidia-driver-gpu", "oss-nvidia-driver-gpu-pytorch-2.9")


@pytest.mark.parametrize(
    ("parameter", "architecture", "size"),
    [
        (IMAGE, "x86_64", 75),
        (IMAGE.replace("x86_64", "arm64"), "arm64", 75),
        (PYTORCH, "x86_64", 125),
        ("/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id", "x86_64", 512),
        ("/aws/service/neuron/dlami/pytorch-2.9/ubuntu-24.04/latest/image_id", "x86_64", 512),
    ],
)
def test_a_public_parameter_names_an_image_that_is_there(
    ec2: EC2Client, ssm: SSMClient, parameter: str, architecture: str, size: int
) -> None:
    identifier = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    (image,) = ec2.describe_images(ImageIds=[identifier])["Images"]
    assert (image["Architecture"], image["RootDeviceName"], image["State"]) == (
        architecture,
        "/dev/sda1",
        "available",
    )
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == size
    assert image["ImageOwnerAlias"] == "amazon"


@pytest.mark.parametrize(
    "parameter",
    [
        IMAGE.replace("24.04", "12.04"),
        IMAGE.replace("ami-id", "image_id"),
        "/aws/service/neuron/dlami/base/ubuntu-24.04/latest/ami-id",
    ],
)
def test_a_parameter_that_aws_does_not_have_is_not_found(
    ssm: SSMClient, refused: Any, parameter: str
) -> None:
    with refused("ParameterNotFound"):
        ssm.get_parameter(Name=parameter)


def test_the_same_parameter_means_another_image_in_another_region(client: Any) -> None:
    values = {
        client("ssm", region=region).get_parameter(Name=IMAGE)["Parameter"]["Value"]
        for region in ("us-east-1", "us-east-2")
    }
    assert len(values) == 2


def test_latest_can_move_and_the_older_image_stays(aws: LocalAws, ec2: EC2Client, ssm: SSMClient) -> None:
    before = ssm.get_parameter(Name=IMAGE)["Parameter"]
    assert ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"] == before["Value"]
    aws.world.image_generation = 2
    after = ssm.get_parameter(Name=IMAGE)["Parameter"]
    assert after["Value"] != before["Value"]
    assert after["Version"] == before["Version"] + 1
    assert len(ec2.describe_images(ImageIds=[before["Value"], after["Value"]])["Images"]) == 2


def test_public_parameters_are_listed_by_path(ssm: SSMClient) -> None:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path="/aws/service/deeplearning/ami/x86_64", Recursive=True
    )
    assert IMAGE in [parameter["Name"] for page in pages for parameter in page["Parameters"]]


@pytest.mark.parametrize(
    ("path", "recursive", "found"),
    [
        (IMAGE.rpartition("/")[0], False, [IMAGE]),
        (IMAGE.rpartition("/")[0] + "/", True, [IMAGE]),
        ("/aws/service/deeplearning/ami", False, []),
        ("/nixl-efa", False, ["/nixl-efa/shared"]),
        ("/nixl-efa", True, ["/nixl-efa/prod/zone", "/nixl-efa/shared"]),
        ("/", True, ["/nixl-efa/prod/zone", "/nixl-efa/shared"]),
        ("/nothing/here", True, []),
    ],
)
def test_a_path_lists_what_is_below_it_and_public_parameters_below_their_own(
    ssm: SSMClient, path: str, recursive: bool, found: list[str]
) -> None:
    ssm.get_parameter(Name=IMAGE)
    for name in ("/nixl-efa/prod/zone", "/nixl-efa/shared"):
        ssm.put_parameter(Name=name, Value="x", Type="String")
    answer = ssm.get_parameters_by_path(Path=path, Recursive=recursive)
    assert sorted(one["Name"] for one in answer["Parameters"]) == found


def test_a_path_begins_with_a_slash(ssm: SSMClient, refused: Any) -> None:
    with refused("ValidationException", "forward slash"):
        ssm.get_parameters_by_path(Path="nixl-efa")


def test_a_public_path_that_no_service_publishes_is_no_namespace(ssm: SSMClient, refused: Any) -> None:
    name = "/aws/service/deeplearing/ami/x86_64/latest/ami-id"
    with refused("ValidationException", "is not a valid namespace"):
        ssm.get_parameter(Name=name)
    with refused("ValidationException", "is not a valid namespace"):
        ssm.get_parameters_by_path(Path=name.rpartition("/")[0])


def test_a_secure_string_is_encrypted_unless_it_is_decrypted_and_keeps_its_type(
    ssm: SSMClient, refused: Any
) -> None:
    """Systems Manager user guide, secure-string-parameter-kms-encryption; botocore's HierarchyTypeMismatchException."""
    ssm.put_parameter(Name="/team/id", Value="cr-0123456789abcdef0", Type="SecureString")
    [listed] = ssm.get_parameters_by_path(Path="/team")["Parameters"]
    for found in (listed, ssm.get_parameter(Name="/team/id")["Parameter"]):
        assert found["Value"].startswith("AQIC")
        assert "cr-" not in found["Value"]
    assert ssm.get_parameter(Name="/team/id", WithDecryption=True)["Parameter"]["Value"].startswith("cr-0123")
    with refused("HierarchyTypeMismatchException"):
        ssm.put_parameter(Name="/team/id", Value="cr-0123456789abcdef0", Type="String", Overwrite=True)


def test_own_parameters_are_written_and_read(ssm: SSMClient, refused: Any) -> None:
    name = "/nixl-efa/prod/capacity-reservation-id"
    with refused("ParameterNotFound"):
        ssm.get_parameter(Name=name)
    ssm.put_parameter(Name=name, Value="cr-1", Type="String")
    with refused("ParameterAlreadyExists"):
        ssm.put_parameter(Name=name, Value="cr-2", Type="String")
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"] == "cr-1"


def test_awss_images_are_found_before_anybody_asked_for_a_parameter(ec2: EC2Client, ssm: SSMClient) -> None:
    found = ec2.describe_images(
        Owners=["amazon"], Filters=[{"Name": "name", "Values": ["Deep Learning base-oss-nvidia-driver-gpu*"]}]
    )["Images"]

    assert ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"] in {image["ImageId"] for image in found}
    assert {image["Architecture"] for image in found} == {"x86_64", "arm64"}
