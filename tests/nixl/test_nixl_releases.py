"""The table of NIXL's releases: what each needs, which libfabric and EFA installer have it, what a node is told."""

import re
from datetime import date

import pytest

from nixl_efa import nixl_releases
from nixl_efa.nixl_releases import DEFAULT, INSTALLERS, NEWEST_IMAGE, Needs
from nixl_efa.settings.model import Settings


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.5.1", Needs("2.7", "1.51")),
        ("1.5.0", Needs("1.20", "1.31")),
        ("1.0.0", Needs("1.20", "1.31")),
        ("9.9.9", None),
    ],
)
def test_what_a_release_needs(version: str, expected: Needs | None) -> None:
    assert nixl_releases.needs(version) == expected


@pytest.mark.parametrize(
    ("version", "libfabric", "expected"),
    [
        ("1.5.1", "2.7.0amzn2.0", True),
        ("1.5.1", "2.10.0", True),
        ("1.5.1", "2.6.0amzn1.0", False),
        ("1.5.0", "1.22.0amzn4.0", True),
        ("1.5.0", "1.9.0", False),
        ("9.9.9", "2.6.0", None),
        ("1.5.1", "simulated", None),
        ("1.5.1", "", None),
    ],
)
def test_whether_a_libfabric_loads_a_release(version: str, libfabric: str, expected: bool | None) -> None:
    assert nixl_releases.loads(version, libfabric) is expected
    assert bool(nixl_releases.why_not(version, libfabric)) is (expected is False)


@pytest.mark.parametrize(
    ("libfabric", "expected"), [("2.7.0", "1.5.1"), ("2.6.0amzn1.0", "1.5.0"), ("1.17.0", None), ("", None)]
)
def test_the_newest_release_for_a_libfabric(libfabric: str, expected: str | None) -> None:
    assert nixl_releases.newest_for(libfabric) == expected


def test_the_default_is_the_newest_that_the_newest_image_loads() -> None:
    libfabric = next(one.libfabric for one in INSTALLERS if one.version == NEWEST_IMAGE)
    assert nixl_releases.newest_for(libfabric) == DEFAULT == "1.5.0"
    assert Settings.model_fields["nixl_version"].default == DEFAULT
    assert DEFAULT in nixl_releases.offered()


def test_installers_stand_in_order_and_that_of_a_day_is_the_newest_before_it() -> None:
    assert [one.released for one in INSTALLERS] == sorted((one.released for one in INSTALLERS), reverse=True)
    for day, version in (
        (date(2026, 10, 22), "1.51.0"),
        (date(2026, 10, 21), "1.50.0"),
        (date(2024, 3, 7), "1.31.0"),
    ):
        found = nixl_releases.installer_of(day)
        assert found is not None
        assert found.version == version
    assert nixl_releases.installer_of(date(2020, 1, 1)) is None


@pytest.mark.parametrize("machine", ["x86_64", "arm64"])
def test_a_node_is_told_needs_and_hashes_of_each_wheel_that_it_may_install(machine: str) -> None:
    lines = nixl_releases.for_node(["1.5.1", "1.5.0"], machine).splitlines()
    assert lines[:3] == ["#python 3.10 3.11 3.12", "# 1.5.1 2.7 1.51", "# 1.5.0 1.20 1.31"]
    hashed = {line.split()[0]: line.split()[1:] for line in lines[3:]}
    assert {name: len(hashes) for name, hashes in hashed.items()} == {
        "nixl==1.5.1": 1,
        "nixl-cu13==1.5.1": 3,
        "nixl==1.5.0": 1,
        "nixl-cu13==1.5.0": 3,
        "numpy==2.2.6": 3,
        "nvidia-cuda-runtime==13.0.96": 1,
    }
    every = [one for hashes in hashed.values() for one in hashes]
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in every)
    assert len(set(every)) == len(every)


def test_of_a_release_that_the_table_does_not_know_a_node_is_told_nothing() -> None:
    assert nixl_releases.for_node(["9.9.9"], "x86_64") == "#python 3.10 3.11 3.12\n"
