"""From DescribeInstanceTypes' answers to facts: the cases that EC2's data has, and those that it may have."""

from typing import Any

import pytest

from nixl_efa.instance_types import Accelerator, NetworkCard
from nixl_efa.instance_types.describe import from_pages, instance_type

Described = dict[str, Any]


def test_every_field_is_taken(described: Described) -> None:
    described["InstanceStorageInfo"] = {"TotalSizeInGB": 1900}

    one = instance_type(described)

    assert (one.name, one.family, one.size) == ("x1test.large", "x1test", "large")
    assert (one.vcpu, one.memory_gib, one.instance_storage_gb) == (16, 64, 1900)
    assert one.network_cards == (NetworkCard(0, 4, ("interface", "efa", "efa-only"), 60.0, 75.5),)
    assert (one.efa_interfaces, one.max_interfaces, one.network_gbps) == (1, 4, 100)
    assert one.usage_classes == ("on-demand",)
    assert one.placement_strategies == ("cluster", "spread")
    assert one.architectures == ("x86_64",)


@pytest.mark.parametrize(
    ("performance", "gbps"),
    [
        ("3200 Gigabit", 3200),
        ("8x 100 Gigabit", 800),
        ("Up to 12.5 Gigabit", 12.5),
        ("Moderate", 75.5),  # no number: the cards' peaks
    ],
)
def test_the_bandwidth_is_what_ec2_states(described: Described, performance: str, gbps: float) -> None:
    described["NetworkInfo"]["NetworkPerformance"] = performance

    assert instance_type(described).network_gbps == gbps


def _device(name: str, count: int, mib: int, **more: str | int) -> Described:
    """A device as EC2 describes it in the list of its kind."""
    return {"Name": name, "Count": count, "MemoryInfo": {"SizeInMiB": mib}, **more}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"GpuInfo": {"Gpus": [_device("H100", 8, 81920, Manufacturer="NVIDIA")]}},
            [Accelerator("H100", "NVIDIA", 8, 80)],
            id="GPUs",
        ),
        pytest.param(
            {"GpuInfo": {"Gpus": [_device("L4", 0, 2861, Manufacturer="NVIDIA", LogicalGpuCount=1)]}},
            [Accelerator("L4", "NVIDIA", 1, 2.794)],
            id="a part of a GPU is one",
        ),
        pytest.param(
            {
                "NeuronInfo": {"NeuronDevices": [_device("Inferentia2", 12, 32768)]},
                "InferenceAcceleratorInfo": {
                    "Accelerators": [_device("Inferentia2", 12, 32768, Manufacturer="AWS")]
                },
            },
            [Accelerator("Inferentia2", "AWS", 12, 32)],
            id="listed twice, counted once",
        ),
        pytest.param(
            {
                "InferenceAcceleratorInfo": {
                    "Accelerators": [{"Name": "AI100", "Manufacturer": "Qualcomm", "Count": 8}]
                }
            },
            [Accelerator("AI100", "Qualcomm", 8, 0)],
            id="inference chips without Neuron or stated memory",
        ),
        pytest.param(
            {"NeuronInfo": {"NeuronDevices": [_device("Trainium2", 16, 524288)]}},
            [Accelerator("Trainium2", "AWS", 16, 96)],
            id="the memory that EC2 states wrong for Trainium2",
        ),
        pytest.param(
            {"NeuronInfo": {"NeuronDevices": [_device("Trainium2", 16, 100000)]}},
            [Accelerator("Trainium2", "AWS", 16, 97.656)],
            id="Trainium2, once EC2 states another memory",
        ),
        pytest.param(
            {"FpgaInfo": {"Fpgas": [_device("VU47P", 2, 81920, Manufacturer="Xilinx")]}},
            [Accelerator("VU47P", "Xilinx", 2, 80)],
            id="FPGAs",
        ),
        pytest.param(
            {"MediaAcceleratorInfo": {"Accelerators": [_device("U30", 2, 24576, Manufacturer="Xilinx")]}},
            [Accelerator("U30", "Xilinx", 2, 24)],
            id="media accelerators",
        ),
    ],
)
def test_accelerators_of_every_kind(
    described: Described, fields: Described, expected: list[Accelerator]
) -> None:
    assert list(instance_type(described | fields).accelerators) == expected


def test_a_type_with_neither_efa_nor_accelerators_is_left_out(described: Described) -> None:
    del described["NetworkInfo"]["EfaInfo"]

    assert from_pages([{"InstanceTypes": [described]}]) == []


def test_regions_are_merged_into_one_type_with_the_usage_classes_of_all(described: Described) -> None:
    elsewhere = described | {"SupportedUsageClasses": ["spot", "capacity-block"]}
    another = described | {"InstanceType": "x1test.xlarge"}

    types = from_pages([{"InstanceTypes": [described]}, {"InstanceTypes": [elsewhere, another]}])

    assert [(one.name, one.usage_classes) for one in types] == [
        ("x1test.large", ("capacity-block", "on-demand", "spot")),
        ("x1test.xlarge", ("on-demand",)),
    ]


def test_cards_are_put_in_the_order_of_their_index(described: Described) -> None:
    card = described["NetworkInfo"]["NetworkCards"][0]
    described["NetworkInfo"]["NetworkCards"] = [card | {"NetworkCardIndex": 1}, card]

    assert [card.index for card in instance_type(described).network_cards] == [0, 1]


def test_a_card_whose_interface_types_ec2_does_not_name_is_a_plain_one(described: Described) -> None:
    del described["NetworkInfo"]["NetworkCards"][0]["InterfaceTypes"]

    assert instance_type(described).network_cards[0].interface_types == ("interface",)


def test_the_ultraserver_type_has_the_accelerators_that_ec2_leaves_out(described: Described) -> None:
    devices = {"NeuronDevices": [_device("Trainium2", 16, 98304)]}
    plain = described | {"InstanceType": "trn2.48xlarge", "NeuronInfo": devices}
    ultra = described | {"InstanceType": "trn2u.48xlarge"}

    types = from_pages([{"InstanceTypes": [ultra, plain]}])

    assert [one.accelerators for one in types] == [(Accelerator("Trainium2", "AWS", 16, 96),)] * 2


def test_the_ultraserver_type_keeps_the_accelerators_that_ec2_may_name_one_day(described: Described) -> None:
    def devices(count: int) -> Described:
        return {"NeuronDevices": [_device("Trainium2", count, 98304)]}

    plain = described | {"InstanceType": "trn2.48xlarge", "NeuronInfo": devices(16)}
    ultra = described | {"InstanceType": "trn2u.48xlarge", "NeuronInfo": devices(64)}

    types = from_pages([{"InstanceTypes": [plain, ultra]}])

    assert [one.accelerator_count for one in types] == [16, 64]
