"""Every table, finding and message in a terminal of 80 columns, and in a pipe."""

import re

import pytest

from tests.cli.conftest import Cli

COLUMNS = 80
# What stays whole, so that it can be copied: a path, an id, a parameter's name, the values of an option.
_WHOLE = re.compile(r"\S{45,}")


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on all is printed on one."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "dumb")
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)


def commands(cli: Cli) -> list[tuple[str, ...]]:
    """What prints tables, findings and messages, with a block that prod has."""
    assert cli.buy(cli.offer()).code == 0
    reservation = cli.reservations()[0]["reservation_id"]
    return [
        ("capacity", "search", "p5.48xlarge", "2", "24"),
        ("capacity", "list"),
        ("capacity", "show", reservation),
        ("capacity", "extend", reservation, "--hours", "24", "--yes", "--max-fee", "9999"),
        ("check", "prod"),
        ("check", "nothing"),
        ("instance-types", "list"),
        ("instance-types", "show", "p5.48xlarge"),
        ("--help",),
        ("capacity", "--help"),
        ("capacity", "buy", "--help"),
    ]


def test_nothing_is_wider_than_a_terminal_of_80_columns(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    told = commands(cli)
    on_a_terminal(monkeypatch)
    for command in told:
        ran = cli(*command)
        lines = (ran.out + ran.err).splitlines()
        assert lines
        wide = [line for line in lines if len(line) > COLUMNS and not _WHOLE.search(line)]
        assert wide == [], command


@pytest.mark.parametrize("local", ["UTC", "CET-1"])
def test_what_80_columns_have_no_room_for_stands_below_its_row(
    local: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", local)
    on_a_terminal(monkeypatch)
    out = cli("capacity", "search", "p5.48xlarge", "2", "24").out
    rows = [line for line in out.splitlines() if line.startswith("cb-")]
    below = re.sub(r"\n +", " ", out)
    assert len(rows) == below.count("FOR A PAIR") == below.count("STARTS IN") > 3


def test_a_pipe_gets_each_finding_in_one_line_and_no_line_ends_with_blanks(cli: Cli) -> None:
    told = commands(cli)
    for command in told:
        ran = cli(*command)
        assert [line for line in (ran.out + ran.err).splitlines() if line != line.rstrip()] == [], command
    kind = r"^PASS  reservation kind        cr-\w+ is a Capacity Block, as the settings say\.$"
    assert re.search(kind, cli("check", "prod").out, re.MULTILINE)
