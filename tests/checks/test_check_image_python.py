"""The image's system, where its Python is too old for NIXL's wheels."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.checks.rules import judge
from nixl_efa.findings import Level
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, IMAGE, NOW


@pytest.mark.parametrize(
    ("name", "launch", "words"),
    [
        (
            "Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) 20261008",
            {},
            "is Amazon Linux 2023, with Python 3.9",
        ),
        ("al2023-ami-2023.9.20261020.0-kernel-6.12-x86_64", {}, "is Amazon Linux 2023, with Python 3.9"),
        ("amzn2-ami-hvm-2.0.20261001.0-x86_64-gp2", {}, "is Amazon Linux 2, with Python 3.7"),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2) 20250601", {}, "is Amazon Linux 2,"),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 20.04) 20250601", {}, "is Ubuntu 20.04"),
        ("ubuntu/images/hvm-ssd/ubuntu-focal-20.04-amd64-server-20250601", {}, "is Ubuntu 20.04"),
        ("RHEL-9.6.0_HVM-20261001-x86_64-0-Hourly2-GP3", {}, "with Python 3.9"),
        (
            "",
            {
                "image_id": "",
                "image_parameter": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
            },
            "is Amazon Linux 2023",
        ),
        (
            "",
            {
                "image_id": "",
                "image_parameter": "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023"
                "/latest/ami-id",
            },
            "is Amazon Linux 2023",
        ),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261008", {}, ""),
        ("mine-2023", {}, ""),
        ("al2023-ami-2023.9.20261020.0-kernel-6.12-x86_64", {"nixl_version": ""}, ""),
    ],
)
def test_an_image_whose_python_is_too_old_for_nixl_is_refused(
    name: str, launch: dict[str, Any], words: str
) -> None:
    changed = replace(BLOCK_LAUNCH, **({"image_id": "ami-1", "nixl_version": "1.5.0"} | launch))
    facts = replace(BLOCK_FACTS, image=replace(IMAGE, name=name))
    found = [each for each in judge([(changed, facts)], NOW) if each.check == "image python"]
    assert [each.level for each in found] == ([Level.FAIL] if words else [])
    assert all(words in each.message and "install_nixl = false" in each.remedy for each in found)
