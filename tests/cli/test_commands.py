"""A command in what is printed is completed with what the user's shell does not know."""

from contextvars import copy_context
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa.cli import main
from nixl_efa.cli.app import COMMANDS, load
from nixl_efa.cli.commands import (
    ABOUT_A_PROJECT,
    TAKE_PROFILE,
    TAKE_REGION,
    Here,
    called_as,
    completed,
    remember,
    shown_values,
)

PLAIN = Here()
TEAM = Here(profile="team", acts_as="team", region="us-east-2")
BY_SETTINGS = Here(acts_as="team", region="us-east-2")
FAR = Here(project="../pair", region="us-east-2")
OF_PROD = Here(environment="prod", region="us-east-2")
CAPACITY = "`nixl-efa capacity wait cr-1 --for active` waits"


@pytest.mark.parametrize(
    ("here", "text", "printed"),
    [
        (PLAIN, CAPACITY, CAPACITY),
        (
            BY_SETTINGS,
            CAPACITY,
            "`nixl-efa capacity wait cr-1 --for active --profile team --region us-east-2` waits",
        ),
        (
            TEAM,
            "`nixl-efa capacity save cr-1 --env prod --region us-west-2`",
            "`nixl-efa capacity save cr-1 --env prod --region us-west-2 --profile team`",
        ),
        # The settings of the environment name both.
        (BY_SETTINGS, "`nixl-efa capacity save ID --env prod`", "`nixl-efa capacity save ID --env prod`"),
        (BY_SETTINGS, "`nixl-efa deploy prod`", "`nixl-efa deploy prod`"),
        (TEAM, "`nixl-efa deploy prod`", "`nixl-efa deploy prod --profile team`"),
        (TEAM, "`nixl-efa capacity recover`", "`nixl-efa capacity recover --profile team`"),
        (TEAM, "`nixl-efa deploy --help` and `nixl-efa`", "`nixl-efa deploy --help` and `nixl-efa`"),
        (TEAM, "`nixl-efa run prod -- nvidia-smi -L`", "`nixl-efa run prod --profile team -- nvidia-smi -L`"),
        (TEAM, "`nixl-efa instance-types list`", "`nixl-efa instance-types list`"),
        (
            OF_PROD,
            "`nixl-efa nodes sync` and `nixl-efa mend`",
            "`nixl-efa nodes sync prod` and `nixl-efa mend prod`",
        ),
        (OF_PROD, "`nixl-efa capacity search` finds", "`nixl-efa capacity search --env prod` finds"),
        (OF_PROD, "`nixl-efa capacity list`", "`nixl-efa capacity list --region us-east-2`"),
        (OF_PROD, "`nixl-efa deploy dev`", "`nixl-efa deploy dev`"),
        (FAR, "`nixl-efa mend prod`", "`nixl-efa --project ../pair mend prod`"),
        (FAR, "`nixl-efa --project DIR status prod`", "`nixl-efa --project DIR status prod`"),
        (FAR, "`nixl-efa instance-types list`", "`nixl-efa instance-types list`"),
        (Here(program=".venv/bin/nixl-efa"), "`nixl-efa mend prod`", "`.venv/bin/nixl-efa mend prod`"),
        (TEAM, "`aws kms enable-key`", "`aws kms enable-key --region us-east-2 --profile team`"),
        (BY_SETTINGS, "`aws sts get-caller-identity`", "`aws sts get-caller-identity --profile team`"),
        (
            TEAM,
            "Look. By hand: aws ec2 describe-instances --region us-east-2",
            "Look. By hand: aws ec2 describe-instances --region us-east-2 --profile team",
        ),
        (TEAM, "`aws configure` or `aws sso login`", "`aws configure` or `aws sso login --profile team`"),
        (TEAM, "`cdktf destroy nixl-efa-dev`", "`AWS_PROFILE=team cdktf destroy nixl-efa-dev`"),
        (TEAM, "`X=local cdktf synth`", "`AWS_PROFILE=team X=local cdktf synth`"),
        (TEAM, "`rm -rf cdktf.out`, `min_hours = 2`", "`rm -rf cdktf.out`, `min_hours = 2`"),
        (TEAM, "`no such thing`", "`no such thing`"),
    ],
)
def test_what_a_shell_does_not_know_is_added(here: Here, text: str, printed: str, tmp_path: Path) -> None:
    (tmp_path / "cdktf").touch(0o755)
    assert completed(text, here, Path(), {"PATH": str(tmp_path)}) == printed
    assert completed(printed, here, Path(), {"PATH": str(tmp_path)}) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("`cdktf synth`", "`(cd {project} && node_modules/.bin/cdktf synth)`"),
        (
            "`terraform -chdir=cdktf.out/stacks/x init`",
            "`(cd {project} && terraform -chdir=cdktf.out/stacks/x init)`",
        ),
        ("`mv state/a state/b`", "`(cd {project} && mv state/a state/b)`"),
        ("`terraform login app.terraform.io`", "`terraform login app.terraform.io`"),
        ("`nixl-efa mend dev`", "`nixl-efa mend dev`"),
    ],
)
def test_what_works_in_the_projects_folder_goes_there_with_its_own_cdktf(
    text: str, printed: str, tmp_path: Path
) -> None:
    program = tmp_path / "node_modules/.bin/cdktf"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert completed(text, PLAIN, tmp_path, {"PATH": ""}) == printed.format(project=tmp_path)


def test_our_program_is_called_by_its_name_where_that_is_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "nixl-efa").touch(0o755)
    assert called_as([".venv/bin/nixl-efa"], {"PATH": str(tmp_path)}) == "nixl-efa"
    assert called_as([".venv/bin/nixl-efa"], {"PATH": ""}) == ".venv/bin/nixl-efa"
    assert called_as(["/x/nixl_efa/__main__.py"], {"PATH": ""}) == "nixl-efa"


def options(command: str) -> dict[str, set[str]]:
    """The options of a command, or of each of its commands, by name."""
    found = load(command)
    each = getattr(found, "commands", {"": found})
    return {name: {word for one in single.params for word in one.opts} for name, single in each.items()}


def test_the_tables_of_options_are_what_the_commands_take() -> None:
    # A command without any option works with what is installed.
    taken = {name: [one for one in options(name).values() if one] for name in COMMANDS}
    assert {
        name for name, every in taken.items() if every and all("--profile" in one for one in every)
    } == TAKE_PROFILE
    assert {*COMMANDS} >= ABOUT_A_PROJECT
    # The others take their region from an environment or from what was searched.
    assert {name for name, one in options("capacity").items() if "--region" in one} - TAKE_REGION == {
        "buy",
        "purchase",
        "recover",
        "load",
        "calendar",
    }


def test_a_document_has_its_commands_completed_and_all_else_as_it_was() -> None:
    document = {
        "schema": "x/1",
        "n": 1,
        "none": None,
        "list": [{"text": "no command"}, True],
        "pair": ("a", "b"),
    }
    assert shown_values(document) == {**document, "pair": ["a", "b"]}


def test_the_command_of_a_finding_is_one_by_itself() -> None:
    with_profile = copy_context()
    with_profile.run(remember, acts_as="team")
    document = {"findings": [{"command": "aws ec2 describe-vpcs --region us-east-2"}, {"command": ""}]}
    shown = with_profile.run(shown_values, document)
    assert [one["command"] for one in shown["findings"]] == [
        "aws ec2 describe-vpcs --region us-east-2 --profile team",
        "",
    ]


def test_a_failure_from_another_folder_names_the_command_that_works_there(
    aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pair/environments").mkdir(parents=True)
    (tmp_path / "pair/environments/dev.toml").write_text(
        'instance_type = "g7e.8xlarge"\nregion = "us-east-2"\n'
    )
    (tmp_path / "pair/cdktf.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert main(["--project", "pair", "connect", "dev", "producer", "--print"]) == 1
    assert "Run `nixl-efa --project pair deploy dev`" in capsys.readouterr().err
    assert main(["capacity", "list", "--region", "us-east-2"]) == 0
    assert "--project pair" not in capsys.readouterr().err
