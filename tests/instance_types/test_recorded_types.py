"""DescribeInstanceTypes as recorded (tests/recorded/instance_types), through the data's reader, layout and check."""

from typing import Any

import pytest

from nixl_efa.checks.gather.launch import parsed_type
from nixl_efa.efa_layout import efa_interface_count, layout
from nixl_efa.instance_types.describe import from_pages, instance_type
from tests.records import answer, names

# EFA interfaces, those of the layout, accelerators, Gbps, and whether it is sold as a block.
TYPES: dict[str, tuple[int, int, int, float, bool]] = {
    "instance_types/g6f.large": (0, 0, 1, 10, False),
    "instance_types/g7e.2xlarge": (0, 0, 1, 50, False),
    "instance_types/g7e.48xlarge": (4, 4, 8, 1600, False),
    "instance_types/p5.48xlarge": (32, 32, 8, 3200, True),
    "instance_types/p5.4xlarge": (1, 1, 1, 100, True),
    "instance_types/p6-b300.48xlarge": (16, 16, 8, 6400, True),
    "instance_types/trn2u.48xlarge": (16, 16, 0, 3200, True),
}


def test_every_recorded_type_is_read() -> None:
    assert set(names("instance_types")) == set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_read_as_ec2_tells_it(name: str) -> None:
    efa, laid_out, accelerators, gbps, sold = TYPES[name]
    one = instance_type(answer(name))
    assert (one.efa_interfaces, efa_interface_count(layout(one))) == (efa, laid_out)
    assert one.accelerator_count == accelerators
    assert one.network_gbps == gbps
    assert one.supports_capacity_block is sold
    seen = parsed_type(answer(name))
    assert (seen.name, seen.vcpu, seen.efa_interfaces) == (one.name, one.vcpu, efa)
    assert ("capacity-block" in seen.usage_classes) is sold


def test_the_first_card_of_a_b300_has_no_efa() -> None:
    _, *others = layout(instance_type(answer("instance_types/p6-b300.48xlarge")))
    assert [one.network_card_index for one in others] == list(range(1, 17))
    assert {one.interface_type for one in others} == {"efa-only"}


def test_a_part_of_a_gpu_counts_as_one_with_its_own_memory() -> None:
    (part,) = instance_type(answer("instance_types/g6f.large")).accelerators
    assert (part.count, round(part.memory_gib, 1)) == (1, 2.8)


def test_a_type_of_which_ec2_tells_no_accelerators_is_kept_for_its_efa() -> None:
    page: Any = {"InstanceTypes": [answer(name) for name in TYPES]}
    assert {one.name for one in from_pages([page])} == {name.partition("/")[2] for name in TYPES}
