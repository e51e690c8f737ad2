"""The root of the command line: its help imports nothing, and every failure is one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa.cli import app, main
from nixl_efa.failure import BadInput, Failure
from tests.cli.conftest import ROOT, Cli

HEAVY = (
    "boto3",
    "botocore",
    "rich",
    "pydantic",
    "cdktf",
    "jsii",
    "moto",
    "nixl_efa.capacity",
    "nixl_efa.checks",
)


def modules_after(arguments: list[str]) -> set[str]:
    """The modules that a run of the command line has imported."""
    script = (
        "import sys\nfrom nixl_efa.cli import main\nimport io, contextlib\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    main({arguments!r})\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout))


def test_the_help_lists_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, target in app.COMMANDS.items():
        assert f"  {name} " in shown
        assert target.help in shown
    loaded = modules_after(["--help"])
    assert not loaded & {target.module for target in app.COMMANDS.values()}
    assert not loaded & set(HEAVY)


def test_the_help_of_capacity_imports_no_sdk() -> None:
    loaded = modules_after(["capacity", "--help"])
    assert not loaded & {"boto3", "botocore", "rich", "cdktf", "nixl_efa.settings"}


@pytest.mark.parametrize("name", list(app.COMMANDS))
def test_every_line_of_the_help_is_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"nixl-efa {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["capacity", "serve", "nodes", "instance-types"])
def test_what_a_command_of_a_group_does_is_said_in_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Click cuts a first sentence that is longer, and puts three dots there."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    lines = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert [line for line in lines if (line and not line.endswith(".")) or line.endswith("...")] == []


@pytest.mark.parametrize(
    "arguments", [["capacty"], ["capacity", "serch"], ["capacity", "buy"], ["capacity", "list", "--x"]]
)
def test_wrong_use_ends_with_exit_code_2_and_no_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error" in captured.err


def test_a_slip_in_a_command_s_name_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    main(["capacty"])
    assert "Did you mean 'capacity'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Failure("it is broken"), 1, "nixl-efa: it is broken"),
        (BadInput("--x 5: give 4"), 2, "nixl-efa: --x 5: give 4"),
        (KeyError("inside"), 1, "nixl-efa: KeyError: 'inside' (set NIXL_EFA_TRACEBACK=1 to see where)"),
    ],
)
def test_a_failure_is_one_line_on_stderr(
    error: Exception,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(app, "load", lambda _: _command(broken))
    assert main(["capacity"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{line}\n")


def _command(function: object) -> object:
    import typer

    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command("capacity")(function)  # type: ignore[type-var]
    return typer.main.get_command(single)


def test_ctrl_c_while_the_command_line_loads_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "command", interrupted)
    assert main(["--version"]) == 130


def test_a_command_whose_module_is_missing_breaks_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = app.Target("nixl_efa.cli.not_there", "app", "Gone.")
    monkeypatch.setitem(app.COMMANDS, "gone", target)
    assert main(["gone"]) == 1
    assert "the command 'gone' can't be loaded" in capsys.readouterr().err
    assert main(["capacity", "--help"]) == 0


@pytest.mark.parametrize(
    ("environ", "arguments", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, (), "there are no AWS credentials. Run"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, (), "Check the network"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, (), "no AWS region is chosen: give --region NAME"),
        ({}, ("--profile", "nobody"), "The config profile (nobody) could not be found"),
        ({"AWS_REGION": "us east"}, (), "Give --region"),
    ],
    ids=["no credentials", "no network", "no region", "no such profile", "no name of a region"],
)
def test_what_is_missing_is_one_line_that_says_what_to_do(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], arguments: tuple[str,
    ...], words: str,
) -> None:  # fmt: skip
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    ended = cli("capacity", "show", "cr-00000001", *arguments)
    assert ended.code in (1, 2)
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_bad_credentials_are_said_to_be_bad(cli: Cli, aws: LocalAws) -> None:
    aws.faults.add(
        "DescribeCapacityReservations", code="AuthFailure", message="AWS was not able to validate", status=401
    )
    ended = cli("capacity", "show", "cr-00000001")
    assert (ended.code, "means that AWS does not accept the credentials" in ended.err) == (1, True)
    assert "AuthFailure: AWS was not able to validate" in ended.err


def test_the_script_of_the_cdk_design_takes_its_positional_arguments(
    cli: Cli, aws: LocalAws, tmp_path: Path
) -> None:
    script = str(ROOT / "scripts" / "manage-capacity-block.sh")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ},
            cwd=tmp_path,
        )

    found = run("search", "p5.48xlarge", "2", "24", "--json")
    offering = next(one for one in json.loads(found.stdout)["offerings"] if one["usable"])
    bought = run("purchase", offering["offering_id"], "--yes", "--max-fee", "99999", "--unbound")
    assert bought.returncode == 0, bought.stderr
    assert bought.stdout.strip() in run("list").stdout
    assert run("steal").returncode == 2
