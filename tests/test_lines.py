"""Text in the width of a terminal: what breaks where, and what stays whole."""

import shlex

import pytest

from nixl_efa.lines import Column, folded, folded_command, table

COMMAND = "aws ec2 describe-capacity-reservations --region us-east-2 --capacity-reservation-ids cr-0123456789abcdef0"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", None, ["- one two three"]),
        ("one two three", 15, ["- one two three"]),
        ("one two three", 14, ["- one two", "  three"]),
        ("one two three", 8, ["- one", "  two", "  three"]),
        # A word that is longer than the line stays whole, and begins one.
        ("a cr-0123456789abcdef0 b", 10, ["- a", "  cr-0123456789abcdef0", "  b"]),
        # So does a command, with what stands around it.
        ("run (`nixl-efa check prod`), then", 14, ["- run", "  (`nixl-efa check prod`),", "  then"]),
        ("a ` b", 80, ["- a ` b"]),
        ("it is 5` long", 9, ["- it is", "  5` long"]),
    ],
)
def test_text_breaks_between_words(text: str, width: int | None, lines: list[str]) -> None:
    assert folded(text, width, "- ") == lines


def test_lines_after_the_first_may_begin_elsewhere() -> None:
    assert folded("one two three", 10, "WARN  ", 2) == ["WARN  one", "  two", "  three"]


def test_a_command_breaks_before_options_and_is_still_one_to_a_shell() -> None:
    lines = folded_command(COMMAND, 70, "by hand: ")
    assert lines == [
        "by hand: aws ec2 describe-capacity-reservations --region us-east-2 \\",
        "           --capacity-reservation-ids cr-0123456789abcdef0",
    ]
    pasted = "\n".join(lines).removeprefix("by hand: ").replace("\\\n", "")
    assert shlex.split(pasted) == shlex.split(COMMAND)


@pytest.mark.parametrize(
    ("command", "width"),
    [
        (COMMAND, None),
        (COMMAND, 120),
        ("run 'a --b' " + "c" * 30, 30),  # it would break inside of quotes
        ("grep -c '" + "c" * 30, 20),  # a quote is open
    ],
)
def test_a_command_that_fits_or_has_no_place_to_break_stays_in_one_line(
    command: str, width: int | None
) -> None:
    assert folded_command(command, width) == [command]


COLUMNS = [Column("ID"), Column("ZONE", 1), Column("FEE", right=True), Column("FOR A PAIR", 2)]
ROWS = [["cb-1", "us-east-2b", "1,535.64", "yes"], ["cb-2", "us-east-2a", "9.50", "no: two segments"]]
WHOLE = """
ID    ZONE             FEE  FOR A PAIR
cb-1  us-east-2b  1,535.64  yes
cb-2  us-east-2a      9.50  no: two segments
"""
NARROW = """
ID    ZONE             FEE
cb-1  us-east-2b  1,535.64
    FOR A PAIR yes
cb-2  us-east-2a      9.50
    FOR A PAIR no: two segments
"""
NARROWER = """
ID         FEE
cb-1  1,535.64
    ZONE us-east-2b,
    FOR A PAIR yes
cb-2      9.50
    ZONE us-east-2a, FOR
    A PAIR no: two
    segments
"""
# What never leaves is wider than the terminal: it stays whole.
LEAST = """
ID         FEE
cb-1  1,535.64
    ZONE
    us-east-2b,
    FOR A
    PAIR yes
cb-2      9.50
    ZONE
    us-east-2a,
    FOR A
    PAIR no:
    two
    segments
"""


@pytest.mark.parametrize(
    ("width", "text"), [(None, WHOLE), (44, WHOLE), (43, NARROW), (25, NARROWER), (12, LEAST)]
)
def test_a_table_loses_no_value(width: int | None, text: str) -> None:
    assert [line for row in table(COLUMNS, ROWS, width) for line in row] == text.strip().splitlines()


def test_no_line_of_a_table_ends_with_blanks() -> None:
    rows = table([Column("A"), Column("B")], [["x", ""], ["longer", "y"]], 80)
    assert [line for row in rows for line in row] == ["A       B", "x", "longer  y"]
