"""The data file: reproducible, complete, and what EC2 says."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest

from nixl_efa import instance_types
from nixl_efa.instance_types.data import DATA_FILE, Catalogue, DataSource, decode, encode
from nixl_efa.instance_types.refresh import refresh

RECORDED = f"EC2 DescribeInstanceTypes as recorded in moto {moto.__version__}"
# The day of the files in each version's wheel (`unzip -l`): EC2 said it then, or before.
WHEELS = {"5.2.5": "2026-10-27"}
ACCELERATOR_FIELDS = {"GpuInfo", "NeuronInfo", "InferenceAcceleratorInfo", "FpgaInfo", "MediaAcceleratorInfo"}


@pytest.fixture
def described_by_ec2(mocked_aws: None) -> dict[str, dict[str, Any]]:
    pages = (
        boto3.client("ec2", region_name="us-east-1")
        .get_paginator("describe_instance_types")
        .paginate(IncludeUnsupportedInRegion=True)
    )
    return {info["InstanceType"]: dict(info) for page in pages for info in page["InstanceTypes"]}


@pytest.mark.parametrize("regions", [["us-east-1"], ["us-west-2", "eu-north-1"]])
def test_a_refresh_reproduces_the_committed_file_byte_for_byte(mocked_aws: None, regions: list[str]) -> None:
    clients = {region: boto3.client("ec2", region_name=region) for region in regions}
    nothing = Catalogue({}, DataSource("2026-01-01", "nothing"))
    source = DataSource(WHEELS[moto.__version__], RECORDED)

    text = encode(refresh(clients, nothing, source, sleep=lambda _: None).catalogue)

    assert text.encode() == Path(DATA_FILE).read_bytes()


def test_the_date_is_that_of_the_facts_and_not_of_their_conversion() -> None:
    assert instance_types.data_source() == DataSource(WHEELS[moto.__version__], RECORDED)


def test_the_file_holds_every_type_with_efa_or_an_accelerator_and_no_other(
    described_by_ec2: dict[str, dict[str, Any]],
) -> None:
    expected = {
        name
        for name, info in described_by_ec2.items()
        if info["NetworkInfo"]["EfaSupported"] or ACCELERATOR_FIELDS & info.keys()
    }

    assert set(instance_types.all_types()) == expected
    assert sum(one.supports_efa for one in instance_types.all_types().values()) == 303
    assert len(described_by_ec2) == 1395


def test_every_type_has_the_network_cards_that_ec2_describes(
    described_by_ec2: dict[str, dict[str, Any]],
) -> None:
    for name, one in instance_types.all_types().items():
        network = described_by_ec2[name]["NetworkInfo"]
        cards = [
            (card.index, card.max_interfaces, list(card.interface_types), card.baseline_gbps, card.peak_gbps)
            for card in one.network_cards
        ]
        assert cards == [
            (
                card["NetworkCardIndex"],
                card["MaximumNetworkInterfaces"],
                card["InterfaceTypes"],
                card["BaselineBandwidthInGbps"],
                card["PeakBandwidthInGbps"],
            )
            for card in network["NetworkCards"]
        ], name
        assert one.efa_interfaces == network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0), name
        assert one.max_interfaces == network["MaximumNetworkInterfaces"], name


# AWS's own figures (EC2 user guide and product pages, accelerated computing): bandwidth over EFA and memory.
@pytest.mark.parametrize(
    ("name", "efa", "gbps", "accelerators", "kind", "memory_gib", "cards"),
    [
        ("p4d.24xlarge", 4, 400, 8, "nvidia", 40, 4),
        ("p5.48xlarge", 32, 3200, 8, "nvidia", 80, 32),
        ("p5.4xlarge", 1, 100, 1, "nvidia", 80, 1),
        ("p5en.48xlarge", 16, 3200, 8, "nvidia", 141, 16),
        ("p6-b200.48xlarge", 8, 3200, 8, "nvidia", 179.062, 8),
        ("p6-b300.48xlarge", 16, 6400, 8, "nvidia", 268.594, 17),
        ("g6e.48xlarge", 4, 400, 8, "nvidia", 44.703, 4),
        ("g7e.2xlarge", 0, 50, 1, "nvidia", 96, 1),
        ("g7e.24xlarge", 2, 800, 4, "nvidia", 96, 2),
        ("g6f.large", 0, 10, 1, "nvidia", 2.794, 1),
        ("trn1.32xlarge", 8, 800, 16, "neuron", 32, 8),
        ("trn2.3xlarge", 1, 200, 1, "neuron", 96, 1),
        ("trn2.48xlarge", 16, 3200, 16, "neuron", 96, 16),
        ("trn2u.48xlarge", 16, 3200, 16, "neuron", 96, 16),
        ("inf2.48xlarge", 0, 100, 12, "neuron", 32, 1),
        ("dl2q.24xlarge", 1, 100, 8, "qualcomm", 15.625, 1),
        ("f2.48xlarge", 1, 100, 8, "xilinx", 80, 1),
        ("vt1.24xlarge", 1, 25, 8, "xilinx", 24, 1),
    ],
)
def test_what_is_known_of_a_type(
    name: str, efa: int, gbps: float, accelerators: int, kind: str, memory_gib: float, cards: int
) -> None:
    one = instance_types.find(name)

    assert one is not None
    assert one.efa_interfaces == efa
    assert one.network_gbps == gbps
    assert one.accelerator_count == accelerators
    assert one.accelerator_kind == kind
    assert [accelerator.memory_gib for accelerator in one.accelerators] == [memory_gib]
    assert len(one.network_cards) == cards


def test_a_type_without_accelerators_is_of_no_kind() -> None:
    one = instance_types.find("hpc7a.96xlarge")

    assert one is not None
    assert (one.accelerator_count, one.accelerator_kind) == (0, "none")
    assert (one.family, one.size) == ("hpc7a", "96xlarge")
    assert (one.vcpu, one.memory_gib, one.instance_storage_gb) == (192, 768, 0)


def test_the_types_that_are_sold_as_capacity_blocks() -> None:
    assert instance_types.capacity_block_types() == (
        "p4d.24xlarge",
        "p4de.24xlarge",
        "p5.4xlarge",
        "p5.48xlarge",
        "p5e.48xlarge",
        "p5en.48xlarge",
        "p6-b200.48xlarge",
        "p6-b300.48xlarge",
        "trn1.32xlarge",
        "trn2.3xlarge",
        "trn2.48xlarge",
        "trn2u.48xlarge",
    )


def test_an_unknown_type_is_not_found() -> None:
    assert instance_types.find("p5.49xlarge") is None


def test_sizes_are_listed_from_small_to_large() -> None:
    sizes = [one.size for one in instance_types.all_types().values() if one.family == "g7e"]

    assert sizes == ["2xlarge", "4xlarge", "8xlarge", "12xlarge", "24xlarge", "48xlarge"]


def test_what_was_written_is_read_back_whole_whatever_the_order() -> None:
    source = DataSource("2030-01-02", 'a "source"')
    types = dict(instance_types.all_types())
    older = {"p5.48xlarge": DataSource("2029-12-31", "b"), "p5.4xlarge": DataSource("2028-01-01", "c")}

    text = encode(Catalogue(dict(reversed(types.items())), source, older))

    assert text == encode(Catalogue(types, source, older))
    assert decode(text) == Catalogue(types, source, older)
    assert list(decode(text).types) == list(types)
    assert decode(text).source_of("p5.4xlarge") == older["p5.4xlarge"]
    assert decode(text).source_of("p5e.48xlarge") == source


def test_equal_cards_with_a_gap_between_their_indexes_keep_them() -> None:
    like = instance_types.all_types()["p5.4xlarge"]
    [card] = like.network_cards
    gapped = replace(like, network_cards=tuple(replace(card, index=index) for index in (0, 1, 3)))

    one = Catalogue({gapped.name: gapped}, instance_types.data_source())
    [read] = decode(encode(one)).types.values()

    assert read == gapped


def test_each_type_is_one_line_of_the_file() -> None:
    lines = Path(DATA_FILE).read_text(encoding="utf-8").splitlines()

    for name in instance_types.all_types():
        assert sum(f'"{name}":' in line for line in lines) == 1, name


def test_importing_the_facts_reads_no_file_and_imports_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "import nixl_efa.instance_types, nixl_efa.efa_layout\n"
        "assert not [path for path in opened if path.endswith('.json')], opened\n"
        "heavy = {'boto3', 'botocore', 'cdktf', 'jsii', 'pydantic', 'rich', 'typer', 'difflib'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "nixl_efa.instance_types.find('p5.48xlarge')\n"
        "assert [path for path in opened if path.endswith('.json')], opened\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
