"""`nixl-efa instance-types`: data on stdout, warnings on stderr, and a refresh that writes the data file."""

import json
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest

from nixl_efa import instance_types
from nixl_efa.cli import main
from nixl_efa.instance_types.data import DATA_FILE, decode
from tests.conftest import Disk

RECORDED = f"EC2 DescribeInstanceTypes as recorded in moto {moto.__version__}"


ALL_TYPES = "moto.ec2.models.instance_types.InstanceTypeBackend.describe_instance_types"


@pytest.fixture
def one_type_more(mocked_aws: None, described: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An EC2 that offers p5.48xlarge and a type that the data doesn't know, and nothing else."""
    ec2 = boto3.client("ec2", region_name="us-east-1")
    infos = ec2.describe_instance_types(InstanceTypes=["p5.48xlarge"])["InstanceTypes"]
    monkeypatch.setattr(ALL_TYPES, lambda *_, **__: [*infos, described])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = main(["instance-types", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], set(instance_types.all_types())),
        (["--family", "p5"], {"p5.4xlarge", "p5.48xlarge"}),
        (["--capacity-block"], set(instance_types.capacity_block_types())),
        (["--efa", "--family", "g5"], {f"g5.{n}xlarge" for n in (8, 12, 16, 24, 48)}),
        (["--accelerator", "qualcomm"], {"dl2q.24xlarge"}),
    ],
)
def test_list_takes_what_the_options_ask_for(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: set[str]
) -> None:
    document = run_json(capsys, "list", *options)

    assert {one["name"] for one in document["types"]} == expected
    assert document["schema"] == "nixl-efa/instance-types/1"
    assert document["source"] == RECORDED


def test_list_prints_a_table_whose_source_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "list", "--family", "p6-b200")

    assert code == 0
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "TYPE ACCELERATORS EFA GBPS VCPU MEMORY GIB VOLUME GIB CAPACITY BLOCK",
        "p6-b200.48xlarge 8 x B200 (179.1 GiB) 8 3200 192 2048 1000 yes",
    ]
    assert err == f"1 types. {RECORDED}, {instance_types.data_source().date}.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["list", "--family", "p9"],
            "--family 'p9' is not in the data. The nearest are p5, r9g, p5e, p4d, m9g.",
        ),
        (
            ["list", "--accelerator", "nvidea"],
            "--accelerator 'nvidea' is not in the data. The "
            "nearest are nvidia, none, neuron, xilinx, qualcomm.",
        ),
        (
            ["show", "p5"],
            "Instance type 'p5' is not of the form FAMILY.SIZE, for example p5.48xlarge. "
            "Did you mean p5.4xlarge or p5.48xlarge?",
        ),
        (["refresh", "--date", "yesterday"], "--date 'yesterday' is not a date such as 2026-11-23."),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(capsys, *arguments) == (2, "", f"nixl-efa: {message}\n")


def test_show_of_an_unknown_type_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "p5.49xlarge")

    assert (code, out) == (2, "")
    assert "Did you mean p5.48xlarge" in err


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p6-b300.48xlarge", "interface on network card 0; 16 efa-only on network cards 1 to 16"),
        ("g7e.8xlarge", "interface on network card 0; 1 efa-only on network card 0"),
        ("hpc6id.32xlarge", "efa on network card 0; 1 efa-only on network card 1"),
    ],
)
def test_show_says_which_interfaces_a_node_gets(
    capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    code, out, err = run(capsys, "show", name)

    assert (code, err) == (0, "")
    assert expected in out


def test_show_warns_on_stderr_of_a_type_without_efa_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "g7e.2xlarge")

    assert code == 0
    assert err.startswith("WARN Instance type g7e.2xlarge may not support EFA")
    assert "interface on network card 0\n" in out


def test_show_says_what_nixl_goes_over(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "g6e.12xlarge")
    assert "read, write (EC2 user guide, efa.html" in out
    assert "UCX over EFA (UCX_TLS=srd,self,sm)" in out


def test_show_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = run_json(capsys, "show", "p5.4xlarge")

    assert document == {
        "schema": "nixl-efa/instance-type/1",
        "date": instance_types.data_source().date,
        "source": RECORDED,
        "name": "p5.4xlarge",
        "vcpu": 16,
        "memory_gib": 256,
        "accelerators": [{"name": "H100", "manufacturer": "NVIDIA", "count": 1, "memory_gib": 80}],
        "efa_interfaces": 1,
        "network_cards": [
            {
                "index": 0,
                "max_interfaces": 4,
                "interface_types": ["interface", "efa", "efa-only"],
                "baseline_gbps": 100,
                "peak_gbps": 100,
            }
        ],
        "network_gbps": 100,
        "usage_classes": ["capacity-block", "on-demand", "spot"],
        "placement_strategies": ["cluster", "partition", "spread"],
        "architectures": ["x86_64"],
        "instance_storage_gb": 3800,
        "max_interfaces": 4,
        "supports_efa": True,
        "supports_capacity_block": True,
        "accelerator_kind": "nvidia",
        "default_volume_gib": 200,
        "interfaces": [
            {"network_card_index": 0, "device_index": 0, "interface_type": "interface"},
            {"network_card_index": 0, "device_index": 1, "interface_type": "efa-only"},
        ],
    }


def test_refresh_writes_the_committed_file_again(
    mocked_aws: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written = tmp_path / "types.json"
    day = instance_types.data_source().date

    code, out, err = run(
        capsys,
        "refresh",
        "--region",
        "us-east-1",
        "--output",
        str(written),
        "--date",
        day,
        "--source",
        RECORDED,
    )

    count = len(instance_types.all_types())
    assert (code, out, err) == (0, "", f"{written}: {count} types. New: none. Kept: none.\n")
    assert written.read_bytes() == Path(DATA_FILE).read_bytes()


def test_refresh_notes_the_endpoints_that_it_read(
    one_type_more: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written = tmp_path / "types.json"

    run(capsys, "refresh", "--region", "us-east-1", "--region", "eu-north-1", "--output", str(written))

    assert decode(written.read_text()).source.source == (
        "EC2 DescribeInstanceTypes, https://ec2.us-east-1.amazonaws.com, https://ec2.eu-north-1.amazonaws.com"
    )


def test_refresh_keeps_what_no_region_names_with_the_source_that_it_had(
    one_type_more: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written = tmp_path / "types.json"
    code, _, err = run(capsys, "refresh", "--region", "us-east-1", "--output", str(written))

    kept = ", ".join(sorted(instance_types.all_types().keys() - {"p5.48xlarge"}))
    count = len(instance_types.all_types()) + 1
    assert code == 0
    assert err == f"{written}: {count} types. New: x1test.large. Kept: {kept}.\n"
    read = decode(written.read_text())
    assert set(read.types) == {*instance_types.all_types(), "x1test.large"}
    assert read.source_of("p5.4xlarge") == instance_types.data_source()
    assert read.source_of("p5.48xlarge") == read.source
    assert read.source.date > instance_types.data_source().date


def test_refresh_leaves_the_file_alone_when_ec2_names_no_type(
    mocked_aws: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ALL_TYPES, lambda *_, **__: [])
    written = tmp_path / "types.json"
    written.write_text("before")

    code, _, err = run(capsys, "refresh", "--region", "us-east-1", "--output", str(written))

    assert code == 1
    assert "named no type with EFA or accelerators" in err
    assert written.read_text() == "before"


def test_refresh_into_a_place_that_is_none_is_bad_input(
    one_type_more: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "absent" / "types.json"

    code, _, err = run(capsys, "refresh", "--region", "us-east-1", "--output", str(path))

    assert (code, err) == (
        2,
        f"nixl-efa: --output {path} can't be written: No such file or directory. Name another file.\n",
    )


def test_refresh_onto_a_full_disk_leaves_the_file_as_it_was(
    one_type_more: None, capsys: pytest.CaptureFixture[str], disk: Disk
) -> None:
    written = disk.folder / "types.json"
    written.write_text("before")
    disk.leave_free(0)

    code, _, err = run(capsys, "refresh", "--region", "us-east-1", "--output", str(written))

    assert (code, err) == (
        2,
        f"nixl-efa: --output {written} can't be written: No space left on device. Name another file.\n",
    )
    assert written.read_text() == "before"
    assert sorted(path.name for path in disk.folder.iterdir()) == ["filler", "types.json"]
