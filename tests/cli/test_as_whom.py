"""As whom a command calls AWS: as the Terraform of its environment does."""

import os
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa.aws import Clients, clients_of
from nixl_efa.cli.environments import environment_settings
from nixl_efa.settings import AssumeRole
from tests.cli.conftest import BLOCK, ID_NAME, REGION, Cli, write_environment

ACCOUNT = "222222222222"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"
CONFIG = """[profile {0}]
aws_access_key_id = {0}
aws_secret_access_key = {0}
"""


def reserve_as_the_role() -> str:
    """A reservation in the role's account, saved for prod."""
    clients = Clients(None, REGION, role=AssumeRole(arn=ROLE))
    made = clients.ec2().create_capacity_reservation(
        InstanceType="p5.48xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{REGION}a",
        InstanceCount=2,
    )["CapacityReservation"]
    reservation_id = made["CapacityReservationId"]
    clients.ssm().put_parameter(Name=ID_NAME, Value=reservation_id, Type="String")
    return reservation_id


def test_a_command_for_an_environment_calls_as_its_role(cli: Cli, aws: LocalAws) -> None:
    write_environment(
        Path(), "prod", f'{BLOCK.format(parameter=ID_NAME, name="prod")}assume_role = "{ROLE}"\n'
    )
    reservation_id = reserve_as_the_role()
    loaded = cli("capacity", "load", "--env", "prod", "--json")
    assert loaded.json["reservation"]["reservation_id"] == reservation_id, loaded.err


def test_a_command_without_an_environment_calls_as_all_of_them_do(cli: Cli, aws: LocalAws) -> None:
    for path in Path("environments").glob("*.toml"):
        path.unlink()
    reservation_id = reserve_as_the_role()
    for name in ("prod", "lab"):
        text = BLOCK.format(parameter=f"/nixl-efa/{name}/capacity-reservation-id", name=name)
        write_environment(Path(), name, f'{text}assume_role = "{ROLE}"\n')
    assert [one["reservation_id"] for one in cli.reservations()] == [reservation_id]

    text = BLOCK.format(parameter="/nixl-efa/lab/capacity-reservation-id", name="lab")
    write_environment(Path(), "lab", text)
    assert cli.reservations() == []


@pytest.mark.parametrize(
    ("setting", "option", "variable", "used"),
    [
        ("of_setting", None, "of_variable", "of_setting"),
        ("of_setting", "of_option", "of_variable", "of_option"),
        (None, "of_option", "of_variable", "of_option"),
        (None, None, "of_variable", "of_variable"),
    ],
)
def test_the_option_comes_before_the_setting_and_that_before_the_variable(
    setting: str | None,
    option: str | None,
    variable: str,
    used: str,
    aws: LocalAws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "config"
    config.write_text("".join(map(CONFIG.format, ("of_setting", "of_option", "of_variable"))))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", variable)
    folder = tmp_path / "environments"
    folder.mkdir()
    own = f'profile = "{setting}"\n' if setting else ""
    (folder / "dev.toml").write_text(f'instance_type = "g7e.8xlarge"\n{own}')
    settings = environment_settings("dev", os.environ, tmp_path, option)
    ec2 = clients_of(settings, option).ec2()
    assert ec2._request_signer._credentials.access_key == used  # type: ignore[attr-defined]
    # What is synthesized names the setting's, for the provider: where there is none, AWS_PROFILE tells it.
    assert settings.profile == (used if setting else None)
