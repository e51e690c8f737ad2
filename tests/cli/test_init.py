"""`nixl-efa init`: what it writes is right, can be synthesized, and nothing that was there changes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from nixl_efa.findings import failures
from nixl_efa.settings import app_context, load
from tests.cli.conftest import ROOT, Cli

ON_DEMAND = ("--instance-type", "g7e.12xlarge", "--region", "us-east-2")
BLOCK = ("--instance-type", "p5.48xlarge", "--region", "us-east-2", "--market", "capacity-block")


@pytest.fixture
def empty(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it, and no project above."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_becomes_a_project_whose_app_synthesizes_what_was_written(
    empty: Path, cli: Cli
) -> None:
    for name, options in (("dev", ON_DEMAND), ("prod", BLOCK), ("cheap", (*ON_DEMAND, "--market", "spot"))):
        done = cli("init", name, *options)
        assert done.code == 0, done.err
    assert sorted(written(empty)) == [
        ".gitignore", "cdktf.json", *(f"environments/{name}.toml" for name in ("cheap", "dev", "prod")),
    ]  # fmt: skip
    loaded = load(empty / "environments", {}, app_context({}, empty / "cdktf.json"))
    assert loaded.findings == ()
    app = json.loads((empty / "cdktf.json").read_text(encoding="utf-8"))["app"]
    assert app == "python -m stacks"
    ended = subprocess.run(
        [sys.executable, *app.split()[1:]],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.rpartition(", ")[0].rpartition(", ")[2] for line in ended.stdout.splitlines()] == [
        "Spot", "On-Demand", "1000 GiB gp3",
    ] or "Capacity Block in the reservation" in ended.stdout  # fmt: skip
    assert len(list(empty.glob("cdktf.out/stacks/*/cdk.tf.json"))) == 3


def test_the_next_three_commands_are_there(empty: Path, cli: Cli) -> None:
    assert cli("init", "dev", *ON_DEMAND).out.split("\n") == [
        "  nixl-efa doctor dev", "  nixl-efa check dev", "  nixl-efa deploy dev", "",
    ]  # fmt: skip
    assert cli("init", "prod", *BLOCK).out.split("\n") == [
        "  nixl-efa doctor prod",
        "  nixl-efa capacity search --env prod",
        "  nixl-efa capacity buy cb-... --env prod",
        "",
    ]


def test_in_a_project_only_the_environment_is_written(empty: Path, cli: Cli) -> None:
    (empty / "environments").mkdir()
    (empty / "cdktf.json").write_text("{}", encoding="utf-8")
    (empty / "below").mkdir()
    os.chdir(empty / "below")
    done = cli("init", "dev", *ON_DEMAND)
    assert done.code == 0
    assert "Written: environments/dev.toml." in done.err
    assert sorted(written(empty)) == ["cdktf.json", "environments/dev.toml"]


def test_what_is_there_stays_as_it_is(empty: Path, cli: Cli) -> None:
    (empty / ".gitignore").write_text("mine\n", encoding="utf-8")
    cli("init", "dev", *ON_DEMAND)
    before = written(empty)
    assert before[".gitignore"] == b"mine\n"
    again = cli("init", "dev", *BLOCK)
    assert again.code == 2
    assert again.err == (
        "nixl-efa: environments/dev.toml is there already and stays as it is: choose another name.\n"
    )
    assert written(empty) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("../dev", *ON_DEMAND),
            '"../dev" can\'t be the name of an environment: it must be at most 24 lower-case',
        ),
        (("spot", *ON_DEMAND), '"spot" can\'t be the name of an environment: it is the name of a setting'),
        (("dev", "--instance-type", "p5.48xlage", "--region", "us-east-2"), 'instance_type = "p5.48xlage"'),
        (("dev", "--instance-type", "p5", "--region", "us-east-2"), "Instance type 'p5' is not of the form"),
        (("dev", "--instance-type", "p5.48xlage", "--region", "us-east-2"), "Did you mean p5.48xlarge"),
        (
            ("dev", "--instance-type", 'x"\ny', "--region", "us-east-2"),
            "--instance-type 'x\"\\ny' has characters",
        ),
        (
            ("dev", "--instance-type", "p5.48xlarge\r", "--region", "us-east-2"),
            "'p5.48xlarge\\r' has characters",
        ),
        (("dev", *ON_DEMAND[:3], "us-east-2\udcff"), "--region 'us-east-2\\udcff' has characters"),
        (("dev", "--instance-type", "g7e.12xlarge", "--region", "useast2"), 'region = "useast2"'),
        (("dev", *ON_DEMAND[:2], "--region", "us-east-2", "--market", "sot"), "'sot' is not one of"),
        (
            ("dev", "--instance-type", "g6e.12xlarge", *ON_DEMAND[2:], "--market", "capacity-block"),
            "use_capacity_block",
        ),
        (("dev", *ON_DEMAND[:2]), "--region: missing, and there is no terminal to ask on."),
        ((), "ENV, --instance-type, --region: missing"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], words: str, empty: Path, cli: Cli
) -> None:
    done = cli("init", *arguments)
    assert done.code == 2
    assert words in done.err
    assert written(empty) == {}


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_link_to_nothing_and_a_file_of_another_process_stay_as_they_are(
    meanwhile: bool, empty: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty / "environments").mkdir()
    (empty / "environments/dev.toml").symlink_to(empty / "elsewhere")
    if meanwhile:
        monkeypatch.setattr(os.path, "lexists", lambda _: False)
    done = cli("init", "dev", *ON_DEMAND)
    assert (done.code, done.out) == (2, "")
    assert "environments/dev.toml is there already" in done.err
    assert not (empty / "elsewhere").exists()


def test_a_folder_that_is_gone_is_said(empty: Path, cli: Cli) -> None:
    empty.rmdir()
    done = cli("init", "dev", *ON_DEMAND)
    assert (done.code, done.err) == (
        1, "nixl-efa: this shell's folder was deleted: change to one that exists.\n",
    )  # fmt: skip


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_fault(closed: str, empty: Path) -> None:
    line = f'"{sys.executable}" -m nixl_efa init dev {" ".join(ON_DEMAND)} {closed}'
    done = subprocess.run(
        ["sh", "-c", line], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert (empty / "environments/dev.toml").is_file()
    assert b"Error" not in done.stderr


def test_a_folder_that_takes_no_file_is_one_line(empty: Path, cli: Cli) -> None:
    (empty / "environments").write_text("", encoding="utf-8")
    done = cli("init", "dev", *ON_DEMAND)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "can't be written" in done.err


def test_a_warning_of_the_settings_is_shown_and_the_file_written(empty: Path, cli: Cli) -> None:
    done = cli("init", "dev", "--instance-type", "g7e.2xlarge", "--region", "us-east-2")
    assert done.code == 0
    assert "WARN: Instance type g7e.2xlarge may not support EFA" in done.err


@pytest.mark.parametrize(
    ("typed", "code", "wrote"),
    [
        ("\ng7e.12xlarge\n\n\n", 0, ["dev"]),
        ("qa\np5.48xlarge\nus-east-2\ncapacity-block\n", 0, ["qa"]),
        ("qa\np5.48xlarge\nus-east-2\nblock\n", 2, []),
        ("qa\n\x04", 1, []),
    ],
)
def test_on_a_terminal_it_asks(typed: str, code: int, wrote: list[str], empty: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nixl_efa", "init"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AWS_REGION": "us-east-2"},
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(slave)
    os.write(master, typed.encode())
    _, said = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == code, said
    assert "Name of the environment [dev]:" in said
    assert "Traceback" not in said
    assert [path.stem for path in empty.glob("environments/*.toml")] == wrote
    if wrote:
        assert failures(load(empty / "environments", {}, {}).findings) == []
