"""`capacity save` and `load`: what an environment launches into, by Parameter Store."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import REGION, ROOT, Cli, write_environment

ID_NAME = "/team/dev-block"


@pytest.fixture
def block(cli: Cli, aws: LocalAws) -> str:
    """A block that no environment uses."""
    bought = cli.buy(cli.offer(), "--unbound")
    assert bought.code == 0, bought.err
    return bought.out.strip()


@pytest.fixture
def ssm(aws: LocalAws) -> Any:
    return boto3.client("ssm", region_name=REGION)


def value(ssm: Any, name: str = ID_NAME) -> str:
    text: str = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    return text


def test_what_was_not_saved_is_saved_afterwards(cli: Cli, aws: LocalAws, block: str, ssm: Any) -> None:
    saved = cli("capacity", "save", block, "--env", "dev", "--json")
    assert saved.json["parameters"] == ["/nixl-efa/dev/availability-zone", ID_NAME]
    assert value(ssm) == block
    assert value(ssm, "/nixl-efa/dev/availability-zone") == saved.json["availability_zone"]


@pytest.mark.parametrize(("answer", "kept"), [("n\n", True), ("", True), ("y\n", False)])
def test_another_value_is_shown_and_only_replaced_when_agreed(
    cli: Cli, aws: LocalAws, block: str, ssm: Any, answer: str, kept: bool
) -> None:
    ssm.put_parameter(Name=ID_NAME, Value="cr-00000009", Type="String")
    saved = cli("capacity", "save", block, "--env", "dev", stdin=answer)
    assert "cr-00000009" in saved.err
    assert value(ssm) == ("cr-00000009" if kept else block)
    assert saved.code == (1 if kept else 0)


def test_what_is_stored_already_is_not_written_again(cli: Cli, aws: LocalAws, block: str, ssm: Any) -> None:
    cli("capacity", "save", block, "--env", "dev")
    assert cli("capacity", "save", block, "--env", "dev").code == 0
    assert ssm.get_parameter(Name=ID_NAME)["Parameter"]["Version"] == 1


def test_a_block_that_another_environment_reads_is_not_taken_over_without_a_word(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    assert "until now" not in cli("capacity", "save", block, "--env", "dev").err
    dev = (Path("environments") / "dev.toml").read_text(encoding="utf-8")
    write_environment(Path(), "trial", dev.replace("/dev", "/trial"))
    saved = cli("capacity", "save", block, "--env", "trial")
    assert f"WARN: {block} was dev's until now. If dev still reads it, both launch into it." in saved.err


def test_a_reservation_that_has_ended_is_not_saved(cli: Cli, aws: LocalAws, block: str) -> None:
    aws.advance(timedelta(days=70))
    refused = cli("capacity", "save", block, "--env", "dev")
    assert (refused.code, "is expired" in refused.err) == (1, True)


def load(cli: Cli, environment: str = "dev") -> tuple[int, dict[str, Any]]:
    loaded = cli("capacity", "load", "--env", environment, "--json")
    return loaded.code, loaded.json


def test_nothing_stored_does_not_fit(cli: Cli, aws: LocalAws) -> None:
    code, loaded = load(cli)
    assert (code, loaded["fits"], loaded["reservation_id"]) == (1, False, None)


def test_a_stored_block_that_is_still_to_start_fits_with_a_warning(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    cli("capacity", "save", block, "--env", "dev")
    code, loaded = load(cli)
    assert (code, loaded["fits"], loaded["reservation_id"]) == (0, True, block)
    assert [one["level"] for one in loaded["findings"] if one["level"] != "PASS"] == ["WARN"]


def test_a_stored_block_that_has_ended_no_longer_fits(cli: Cli, aws: LocalAws, block: str) -> None:
    cli("capacity", "save", block, "--env", "dev")
    aws.advance(timedelta(days=70))
    code, loaded = load(cli)
    assert (code, loaded["fits"]) == (1, False)
    assert "expired" in loaded["findings"][0]["message"]


def test_a_stored_zone_that_is_not_the_reservation_s_does_not_fit(
    cli: Cli, aws: LocalAws, block: str, ssm: Any
) -> None:
    cli("capacity", "save", block, "--env", "dev")
    ssm.put_parameter(
        Name="/nixl-efa/dev/availability-zone", Value="us-east-2c", Type="String", Overwrite=True
    )
    code, loaded = load(cli)
    assert code == 1
    assert "the wanted zone is us-east-2c" in loaded["findings"][0]["message"]


def test_inside_of_the_project_the_settings_are_held_against_the_reservation(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    cli("capacity", "save", block, "--env", "dev")
    reads = f'capacity_reservation_parameter = "{ID_NAME}"\n'
    write_environment(Path(), "dev", f'region = "us-east-2"\ninstance_type = "g7e.8xlarge"\n{reads}')
    code, loaded = load(cli)
    messages = " ".join(one["message"] for one in loaded["findings"])
    assert code == 1
    assert "is for p5.48xlarge, but instance_type is g7e.8xlarge" in messages
    assert "but use_capacity_block is not set" in messages


def test_the_projects_prod_reads_what_save_writes(
    cli: Cli, aws: LocalAws, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli("capacity", "save", block, "--env", "prod").code == 0
    code, loaded = load(cli, "prod")
    assert (code, loaded["reservation_id"]) == (0, block)
    assert loaded["parameters"][1] in (
        "/nixl-efa/capacity-reservation-id",
        "/nixl-efa/prod/capacity-reservation-id",
    )
    listed = cli("capacity", "list", "--json").json["reservations"]
    assert [one["environments"] for one in listed] == [["prod"]]


@pytest.mark.parametrize("command", [("save", "cr-1"), ("load",), ("buy", "cb-1"), ("recover",)])
@pytest.mark.parametrize("name", ["../prod", "a/b/c", "", "-x"])
def test_what_can_not_be_an_environment_s_name_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, command: tuple[str, ...], name: str
) -> None:
    refused = cli("capacity", *command, f"--env={name}")
    assert (refused.code, f"--env {name!r}" in refused.err) == (2, True)
    assert not aws.calls.all()
