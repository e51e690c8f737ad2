"""Text for the width of a terminal: lines that break between words, and tables that show every value. Pure.

A width is in characters. None means no limit, as in a pipe or a file: then no line is broken.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# A word; a command between backticks counts as one, so that it can be copied.
_WORD = re.compile(r"(?:`[^`\n]*`|\S)+")
_GAP = "  "
_INDENT = 4


def folded(text: str, width: int | None, head: str = "", indent: int | None = None) -> list[str]:
    """`head` and the text in lines that break between words.

    Later lines begin with `indent` blanks; without it, they begin below the start of the text.
    """
    if width is None or len(head) + len(text) <= width:
        return [head + text]
    begin = " " * (len(head) if indent is None else indent)
    lines = [head]
    empty = True
    for word in _WORD.findall(text):
        if not empty and len(lines[-1]) + 1 + len(word) > width:
            lines.append(begin)
            empty = True
        lines[-1] += word if empty else f" {word}"
        empty = False
    return lines


def folded_command(command: str, width: int | None, head: str = "") -> list[str]:
    """`head` and a shell command in lines that a shell takes as one: each but the last ends with a backslash.

    It breaks only before options. A command that can't be broken there stays on one line.
    """
    if width is None or len(head) + len(command) <= width:
        return [head + command]
    begin = " " * (len(head) + 2)
    lines = [head]
    for number, part in enumerate(re.split(r" (?=--)", command)):
        if number == 0:
            lines[-1] += part
        elif len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(begin + part)
    # Otherwise, it would be broken inside quotes.
    joined = " ".join(line.removesuffix("\\") for line in lines).removeprefix(head)
    return lines if _words(joined) == _words(command) else [head + command]


def _words(command: str) -> list[str] | None:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that is open
        return None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, whether it is right-aligned, and which columns leave a narrow table first: those with the
    highest `leaves`; a column with 0 always stays."""

    title: str
    leaves: int = 0
    right: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[list[str]]:
    """The lines of the heading and of each row. Values of columns that do not fit the width are below the row, with
    their headings."""
    widths = [
        max(len(cell) for cell in (one.title, *column)) for one, *column in zip(columns, *rows, strict=True)
    ]
    kept = list(range(len(columns)))
    while width is not None and sum(widths[number] + len(_GAP) for number in kept) - len(_GAP) > width:
        first = max(kept, key=lambda number: columns[number].leaves)
        if not columns[first].leaves:
            break
        kept.remove(first)
    left = [number for number in range(len(columns)) if number not in kept]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cells[number].rjust(widths[number])
            if columns[number].right
            else cells[number].ljust(widths[number])
            for number in kept
        )
        return _GAP.join(parts).rstrip()

    lines = [[line([one.title for one in columns])]]
    for row in rows:
        below = [f"{columns[number].title} {row[number]}" for number in left]
        lines.append([line(row), *(_parts(below, width) if below else [])])
    return lines


def _parts(parts: Sequence[str], width: int | None) -> list[str]:
    """Parts with commas between, which break at these; a part that is longer than a line, between words."""
    begin = " " * _INDENT
    room = None if width is None else width - _INDENT
    whole = [part if room is None or len(part) >= room else part.replace(" ", "\0") for part in parts]
    return [line.replace("\0", " ") for line in folded(", ".join(whole), width, begin)]
