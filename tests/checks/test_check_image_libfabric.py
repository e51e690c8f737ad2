"""A deep-learning image is older than the EFA installer that the pinned NIXL needs."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.checks.rules import judge
from nixl_efa.findings import Level
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, IMAGE, NOW

BASE = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)"


@pytest.mark.parametrize(
    ("name", "launch", "words"),
    [
        (
            f"{BASE} 20261009",
            {"nixl_version": "1.5.1"},
            "is of 2026-10-09, when EFA installer 1.50.0 had libfabric 2.6.0amzn1.0: NIXL 1.5.1 needs 2.7",
        ),
        (f"{BASE} 20261022", {"nixl_version": "1.5.1"}, ""),
        (f"{BASE} 20261009", {"nixl_version": "1.5.0"}, ""),
        (f"{BASE} 20240101", {"nixl_version": "1.5.0"}, "NIXL 1.5.0 needs 1.20, EFA installer 1.31"),
        # Nothing is known: of the release, the image's day, its EFA installer.
        (f"{BASE} 20261009", {"nixl_version": "9.9.9"}, ""),
        (f"{BASE} 20261399", {"nixl_version": "1.5.1"}, ""),
        (f"{BASE} 20220101", {"nixl_version": "1.5.1"}, ""),
        ("mine 20261009", {"nixl_version": "1.5.1"}, ""),
        # No NIXL, and one that goes without libfabric.
        (f"{BASE} 20261009", {"nixl_version": ""}, ""),
        (f"{BASE} 20261009", {"nixl_version": "1.5.1", "interfaces": BLOCK_LAUNCH.interfaces[:1]}, ""),
    ],
)
def test_a_release_for_which_the_images_libfabric_is_too_old_is_warned_about(
    name: str, launch: dict[str, Any], words: str
) -> None:
    changed = replace(BLOCK_LAUNCH, **({"image_id": "ami-1"} | launch))
    facts = replace(BLOCK_FACTS, image=replace(IMAGE, name=name))
    found = [each for each in judge([(changed, facts)], NOW) if each.check == "image libfabric"]
    assert [each.level for each in found] == ([Level.WARN] if words else [])
    assert all(words in each.message for each in found)
