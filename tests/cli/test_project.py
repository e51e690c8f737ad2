"""Which project a command is about: --project, else the nearest folder with cdktf.json and environments/."""

import json
from pathlib import Path

import pytest

from nixl_efa import __version__
from nixl_efa.cli.project import project_folder
from tests.cli.conftest import Cli

DEV = 'region = "us-east-2"\ninstance_type = "g7e.8xlarge"\n'


def made(folder: Path, region: str = "us-east-2") -> Path:
    """A project with the environment dev in a region."""
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "dev.toml").write_text(DEV.replace("us-east-2", region), encoding="utf-8")
    (folder / "cdktf.json").write_text("{}", encoding="utf-8")
    return folder


def region_seen(cli: Cli, *options: str) -> str:
    """The region of dev, as a command reads it that asks nothing of AWS."""
    ended = cli(*options, "policy", "check", "--env", "dev")
    assert ended.code == 0, ended.err
    found = {region for region in ("us-east-2", "eu-north-1") if region in json.dumps(ended.json)}
    assert len(found) == 1
    return found.pop()


def test_a_project_is_found_from_every_folder_below_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "a b")
    below = folder / "notes" / "more"
    below.mkdir(parents=True)
    for here, found in ((folder, Path()), (folder / "environments", folder), (below, folder)):
        monkeypatch.chdir(here)
        assert project_folder() == found
        assert region_seen(cli) == "us-east-2"


@pytest.mark.parametrize("mark", ["cdktf.json", "environments"])
def test_a_folder_with_one_mark_alone_does_not_hide_the_project_above(
    mark: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = made(tmp_path / "of-one-mark") / "below"
    (below / mark).mkdir(parents=True)
    monkeypatch.chdir(below)
    assert region_seen(cli) == "us-east-2"


def test_the_nearest_project_is_taken_and_the_option_goes_before_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = made(tmp_path / "outer")
    inner = made(outer / "inner", "eu-north-1")
    monkeypatch.chdir(inner)
    assert region_seen(cli) == "eu-north-1"
    assert region_seen(cli, "--project", "..") == "us-east-2"
    # The next run chooses again.
    assert region_seen(cli) == "eu-north-1"
    monkeypatch.chdir(tmp_path)
    assert region_seen(cli, "--project", str(inner)) == "eu-north-1"
    assert region_seen(cli, "--project", "outer") == "us-east-2"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "dev"),
        ("deploy", "dev"),
        ("verify", "dev"),
        ("status", "dev"),
        ("mend", "dev"),
        ("connect", "dev", "producer"),
        ("nodes", "sync", "dev"),
        ("policy", "--env", "dev"),
        ("rehearse", "dev"),
        ("capacity", "buy", "cb-1", "--env", "dev"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_outside_of_a_project_a_command_says_what_one_is_in_one_line(
    arguments: tuple[str, ...], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ended = cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "a project is a folder with cdktf.json and environments/" in ended.err
    assert "nixl-efa --project DIR" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_option_that_names_no_project_is_refused_before_the_command_runs(cli: Cli, tmp_path: Path) -> None:
    ended = cli("--project", str(tmp_path / "none"), "capacity", "list")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"nixl-efa: --project {tmp_path / 'none'}: there is no environments/ in it; ")


def test_the_version_is_the_package_s(cli: Cli) -> None:
    ended = cli("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"nixl-efa {__version__}\n", "")
