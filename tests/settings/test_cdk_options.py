"""`-c KEY=VALUE`, which cdktf hands to nobody: what is said, and that it can be pasted."""

import re
import shlex

import pytest

from nixl_efa.findings import Level
from nixl_efa.settings.cdk_options import without_effect
from nixl_efa.settings.context import OTHER_KEYS

KNOWN = ("dev", "prod", "prod-eu")


def said(*arguments: str, chosen: tuple[str, ...] = KNOWN) -> str:
    found = without_effect("cdktf", arguments, KNOWN, chosen)
    assert found is not None
    assert found.level is Level.WARN
    assert "\n" not in found.line()
    return found.line()


def instead(*arguments: str, chosen: tuple[str, ...] = KNOWN) -> str:
    (command,) = re.findall(r"`([^`]+)`", said(*arguments, chosen=chosen))
    return str(command)


@pytest.mark.parametrize(
    "option",
    [
        ("-c", "volumeSize=500"),
        ("-c=volumeSize=500",),
        ("-cvolumeSize=500",),
        ("--context", "volumeSize=500"),
        ("--context=volumeSize=500",),
    ],
    ids=" ".join,
)
def test_every_way_to_write_the_option_is_seen_and_the_variable_is_told(option: tuple[str, ...]) -> None:
    assert instead("synth", *option, "--hcl") == "NIXL_EFA_VOLUME_SIZE=500 cdktf synth --hcl"
    assert said("synth", *option).startswith("-c volumeSize=500 HAS NO EFFECT: cdktf ")


@pytest.mark.parametrize(
    "arguments", [(), ("synth",), ("deploy", "nixl-efa-dev", "--auto-approve"), ("synth", "-c")], ids=" ".join
)
def test_a_command_line_without_it_is_none(arguments: tuple[str, ...]) -> None:
    assert without_effect("cdktf", arguments, KNOWN, KNOWN) is None


@pytest.mark.parametrize(
    ("arguments", "chosen", "variable"),
    [
        (("synth",), KNOWN, "NIXL_EFA_SPOT"),
        (("synth",), ("prod-eu",), "NIXL_EFA_PROD_EU_SPOT"),
        (("deploy", "nixl-efa-dev"), KNOWN, "NIXL_EFA_DEV_SPOT"),
        (("deploy", "nixl-efa-dev", "nixl-efa-prod"), KNOWN, "NIXL_EFA_SPOT"),
        (("deploy", "nixl-efa-other"), KNOWN, "NIXL_EFA_SPOT"),
    ],
)
def test_the_variable_is_that_of_the_stack_that_was_named(
    arguments: tuple[str, ...], chosen: tuple[str, ...], variable: str
) -> None:
    command = instead(*arguments, "-c", "spot=true", chosen=chosen)
    assert command == f"{variable}=true cdktf {' '.join(arguments)}"


def test_the_file_is_named_where_the_environment_is_known() -> None:
    assert "or the settings into environments/dev.toml." in said("deploy", "nixl-efa-dev", "-c", "spot=true")
    assert "or the settings into environments/NAME.toml." in said("deploy", "-c", "spot=true")


def test_several_options_become_one_line() -> None:
    line = said(
        "synth",
        "-c",
        "instanceType=p5.48xlarge",
        "-c",
        "vllmPort=9000",
        "-c",
        "branch=x",
        "-c",
        "environment=qa",
    )
    assert "`NIXL_EFA_INSTANCE_TYPE=p5.48xlarge NIXL_EFA_SERVICE_PORTS=8000,9000,8200 cdktf synth`" in line
    assert "branch, environment: an environment is a file environments/NAME.toml" in line


def test_a_key_that_nobody_knows_is_told_as_that() -> None:
    line = said("synth", "-c", "instanceTyp=p5.48xlarge")
    assert "instanceTyp: there is no such setting." in line
    assert "Write" not in line


@pytest.mark.parametrize("value", ["a b", "x;ls", "$(ls)", "it's", ""])
def test_a_value_is_quoted_for_the_shell(value: str) -> None:
    command = instead("synth", "-c", f"owner={value}")
    assert shlex.split(command) == [f"NIXL_EFA_OWNER={value}", "cdktf", "synth"]
    assert command.startswith("NIXL_EFA_OWNER=")


def test_what_became_of_the_other_keys_names_a_setting_or_a_file() -> None:
    assert {
        key for key, what in OTHER_KEYS.items() if not re.search(r"vpc_id|mlflow_|environments/", what)
    } == set()
