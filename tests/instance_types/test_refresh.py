"""`nixl-efa instance-types refresh` against the local AWS, where each region speaks of its own types, as EC2's do."""

import os
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa import instance_types
from nixl_efa.cli import main
from nixl_efa.instance_types.data import decode

NOTED = ("--date", "2026-10-27", "--source", "the local AWS")
# In one or two regions of the world, none of them American.
RARE = ("trn2.3xlarge", "trn2u.48xlarge")


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalAws:
    """Emptied, and the only AWS that this process can reach; in a folder without a project."""
    local_aws.reset()
    for name in [name for name in os.environ if name.startswith(("AWS_", "NIXL_EFA_"))]:
        monkeypatch.delenv(name)
    for name, value in local_aws.environ("us-east-2").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return local_aws


def refresh(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> tuple[int, str]:
    code = main(["instance-types", "refresh", "--output", str(path), *arguments])
    return code, capsys.readouterr().err


def environment(folder: Path, name: str, **settings: str) -> None:
    (folder / "environments").mkdir(exist_ok=True)
    lines = [f'{key} = "{value}"' for key, value in settings.items()]
    (folder / "environments" / f"{name}.toml").write_text("\n".join([*lines, ""]), encoding="utf-8")


def test_three_regions_lose_no_type_that_is_in_others_alone(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    regions = [f"--region={region}" for region in ("us-east-1", "us-east-2", "us-west-2")]
    code, err = refresh(capsys, tmp_path / "types.json", *regions, *NOTED)

    assert (code, err.endswith("New: none. Kept: none.\n")) == (0, True), err
    read = decode((tmp_path / "types.json").read_text())
    assert read.types == instance_types.all_types()
    assert set(RARE) <= set(read.types)


def test_the_regions_are_those_of_the_environments_and_of_the_shell(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environment(tmp_path, "dev", region="eu-north-1", instance_type="p5.48xlarge")
    # The very fault that a refresh mends.
    environment(tmp_path, "prod", region="ap-south-1", instance_type="p99.48xlarge")
    code, _ = refresh(capsys, tmp_path / "types.json", *NOTED)

    asked = [call.region for call in aws.calls.all() if call.action == "DescribeInstanceTypes"]
    assert (code, sorted(asked)) == (0, ["ap-south-1", "eu-north-1", "us-east-2"])


def refuse(aws: LocalAws, times: int) -> None:
    message = "not authorized to perform: ec2:DescribeInstanceTypes with an explicit deny in a service control policy"
    aws.faults.add("DescribeInstanceTypes", code="UnauthorizedOperation", message=message, times=times)


def test_a_region_that_refuses_is_said_and_the_others_are_read(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refuse(aws, times=1)
    code, err = refresh(
        capsys, tmp_path / "types.json", "--region=us-gov-west-1", "--region=us-east-2", *NOTED
    )

    assert code == 0
    assert err.count("Left out, us-") == 1
    assert "DescribeInstanceTypes" in err
    assert len(decode((tmp_path / "types.json").read_text()).types) == len(instance_types.all_types())


def test_when_every_region_refuses_it_is_one_error_and_the_file_is_as_it_was(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "types.json"
    path.write_text("before")
    refuse(aws, times=2)
    code, err = refresh(capsys, path, "--region=us-east-1", "--region=cn-north-1", *NOTED)

    assert (code, err.count("\n"), path.read_text()) == (1, 1, "before")
    assert err.startswith(f"nixl-efa: no region could be read, and {path} is as it was. us-east-1: ")
    assert "cn-north-1: " in err


def test_what_is_not_aws_needs_the_date_of_its_facts(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, err = refresh(capsys, tmp_path / "types.json")

    assert code == 2
    assert err == (
        f"nixl-efa: {aws.endpoint} is not AWS, so how old its facts are is not known: give --date and --source.\n"
    )


def test_without_a_region_it_is_said_where_one_can_be_given(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    code, err = refresh(capsys, tmp_path / "types.json", *NOTED)

    assert code == 2
    assert err == (
        "nixl-efa: no region is known: run this in the project's folder or below it, give --region, "
        "or set AWS_REGION.\n"
    )
