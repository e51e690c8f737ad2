"""Times, amounts and questions as the command line shows them."""

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from rich.table import Table

from nixl_efa.capacity.agreement import amount, money
from nixl_efa.cli import output
from nixl_efa.failure import BadInput, Failure
from nixl_efa.times import span

NOON = datetime(2026, 12, 1, 11, 30, tzinfo=UTC)


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This machine in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "both", "short", "heading"),
    [
        ("UTC", "2026-12-01 11:30 UTC", "12-01 11:30", "START UTC"),
        ("CET-1", "2026-12-01 11:30 UTC (Tue 12:30 CET)", "12-01 11:30 (12:30)", "START UTC (CET)"),
        ("AEDT-13", "2026-12-01 11:30 UTC (Wed 00:30 AEDT)", "12-01 11:30 (00:30+1)", "START UTC (AEDT)"),
        ("HST12", "2026-12-01 11:30 UTC (Mon 23:30 HST)", "12-01 11:30 (23:30-1)", "START UTC (HST)"),
    ],
    indirect=["zone"],
)
def test_times_are_utc_with_the_local_time_beside_them(
    zone: str, both: str, short: str, heading: str
) -> None:
    assert output.both_times(NOON) == both
    assert output.short_times(NOON) == short
    assert output.times_heading("START", NOON) == heading


def test_json_is_one_document_with_the_name_of_its_form(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json("thing", {"at": NOON, "fee": Decimal("1.50")})
    assert '"schema": "nixl-efa/thing/1"' in (shown := capsys.readouterr().out)
    assert '"at": "2026-12-01T11:30:00Z"' in shown


def test_a_table_is_neither_folded_nor_filled_up(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("FIRST")
    table.add_column("A HEADING")
    table.add_row("x" * 80, "y")
    output.print_table(table)
    assert capsys.readouterr().out.splitlines() == ["FIRST".ljust(82) + "A HEADING", "x" * 80 + "  y"]


def test_a_question_is_asked_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" yes \n"))
    assert output.ask("Sure?") == "yes"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "Sure? \n")


def test_nobody_there_to_answer_is_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(Failure, match="no answer"):
        output.ask("Sure?")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1888.42", "1,888.42"),
        ("1888.4", "1,888.40"),
        ("1888.4200", "1,888.42"),
        ("1888.4207", "1,888.4207"),
        ("5", "5.00"),
    ],
)
def test_an_amount_has_two_decimals_or_all_that_it_has(text: str, shown: str) -> None:
    assert money(Decimal(text)) == shown
    assert amount(shown, "the fee") == Decimal(text)


@pytest.mark.parametrize("text", ["", "yes", "-5", "nan", "1e400x"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--max-fee"):
        amount(text, "--max-fee")


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (timedelta(days=2, hours=4, minutes=5), "2 d 4 h"),
        (timedelta(days=1), "1 d 0 h"),
        (timedelta(hours=5, minutes=30), "5 h 30 min"),
        (timedelta(hours=5), "5 h 0 min"),
        (timedelta(seconds=59), "59 s"),
    ],
)
def test_a_length_of_time_is_shown_in_its_two_largest_units(length: timedelta, shown: str) -> None:
    assert span(length) == shown
