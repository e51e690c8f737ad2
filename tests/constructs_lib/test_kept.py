"""What is kept of a pair: protected nodes, the results in its bucket, and the volume that the settings leave open."""

import pytest

from tests.synthesis import resources, synthesize


@pytest.mark.parametrize("protected", [True, False])
def test_protected_nodes_are_never_destroyed(protected: bool) -> None:
    for node in resources(synthesize("prod", protect_nodes=protected), "aws_instance").values():
        assert node["lifecycle"].get("prevent_destroy", False) == protected


@pytest.mark.parametrize("emptied", [True, False])
def test_a_bucket_that_holds_something_stays_unless_the_settings_let_it_go(emptied: bool) -> None:
    bucket = resources(synthesize("prod", empty_scripts_bucket=emptied), "aws_s3_bucket")["scripts"]
    assert bucket.get("force_destroy", False) == emptied


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, ["volume_size", "iops", "throughput"]),
        ({"volume_size": 600}, ["iops", "throughput"]),
        ({"volume_iops": 3000, "volume_throughput": 125}, ["volume_size"]),
        ({"volume_size": "none"}, ["volume_size", "iops", "throughput"]),
    ],
    ids=["nothing", "size", "the defaults' very values", "size taken back"],
)
def test_of_a_volume_that_is_there_only_what_a_setting_names_is_changed(
    settings: dict[str, object], kept: list[str]
) -> None:
    node = resources(synthesize("dev", **settings), "aws_instance")["producer"]
    ignored = [name for name in node["lifecycle"]["ignore_changes"] if name.startswith("root_block_device")]
    assert ignored == [f"root_block_device[0].{name}" for name in kept]
