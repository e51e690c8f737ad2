"""What the command line prints: data on stdout, talk on stderr, colours and progress only on a terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from nixl_efa import lines
from nixl_efa.cli.commands import shown, shown_values
from nixl_efa.failure import BadInput, Failure

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nixl_efa.lines import Column

__all__ = [
    "BadInput",
    "Failure",
    "ask",
    "both_times",
    "console",
    "data",
    "print_json",
    "print_rows",
    "print_table",
    "say",
    "short_times",
    "times_heading",
    "width_of",
]

# Wide enough that a table in a pipe or a file is never folded: it has no width there.
PIPE_WIDTH = 200
_TRAILING_SPACE = re.compile(r" +((?:\x1b\[0m)?)$")


def data(text: str) -> None:
    """A line of data, on stdout."""
    print(shown(text))


def say(message: str) -> None:
    """A message, on stderr; on a terminal it breaks between words."""
    width = width_of(sys.stderr)
    for line in shown(message).split("\n"):
        text = line.lstrip()
        lead = line[: len(line) - len(text)]
        print("\n".join(lines.folded(text, width, lead, len(lead) + 2)), file=sys.stderr)


def width_of(stream: TextIO) -> int | None:
    """The width of a terminal in characters; None where there is none, as in a pipe or a file."""
    return get_terminal_size().columns if stream.isatty() else None


def print_json(kind: str, body: Mapping[str, Any]) -> None:
    """One JSON document on stdout. `schema` names its form: nixl-efa/<kind>/1; members may be added to
    a form; removing one or changing its meaning raises the number."""
    document = {"schema": f"nixl-efa/{kind}/1", **body}
    print(json.dumps(shown_values(document), indent=2, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    return str(value)


def iso(moment: datetime) -> str:
    """A moment in UTC as programs read it: 2026-12-01T11:30:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def both_times(moment: datetime) -> str:
    """A moment in UTC with this machine's local time beside it, unless that is UTC as well."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    local = moment.astimezone()
    if local.utcoffset() != moment.astimezone(UTC).utcoffset():
        text += local.strftime(" (%a %H:%M %Z)")
    return text


def times_heading(title: str, now: datetime) -> str:
    """A column's heading for `short_times`: START UTC (CET)."""
    local = now.astimezone()
    same = local.utcoffset() == now.astimezone(UTC).utcoffset()
    return f"{title} UTC" if same else f"{title} UTC ({local:%Z})"


def short_times(moment: datetime) -> str:
    """A moment for a narrow column: month, day and time in UTC, the local time beside it unless that is UTC; +1 or
    -1 is the next or the previous day there: 12-01 23:30 (00:30+1)."""
    there, local = moment.astimezone(UTC), moment.astimezone()
    text = f"{there:%m-%d %H:%M}"
    if local.utcoffset() == there.utcoffset():
        return text
    days = (local.date() - there.date()).days
    return f"{text} ({local:%H:%M}{days:+d})" if days else f"{text} ({local:%H:%M})"


def console(stream: TextIO | None = None) -> Console:
    """A rich console on stdout (or the stream given), plain and unfolded off a terminal."""
    from rich.console import Console

    target = stream or sys.stdout
    width = width_of(target) or PIPE_WIDTH
    return Console(file=target, width=width, highlight=False, markup=False, emoji=False)


def print_table(table: Table) -> None:
    """A table of rich's on stdout, whose cells are folded on a terminal; no line ends with blanks."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        data(_TRAILING_SPACE.sub(r"\1", line))


def print_rows(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], dim: Sequence[bool] | None = None
) -> None:
    """A table on stdout in which no value is cut or folded; `dim`: the rows that matter less."""
    from rich.text import Text

    screen = console()
    heading, *shown_rows = lines.table(columns, rows, width_of(sys.stdout))
    screen.print(Text("\n".join(heading), style="bold"), soft_wrap=True)
    for row, less in zip(shown_rows, dim or [False] * len(rows), strict=True):
        screen.print(Text("\n".join(row), style="dim" if less else ""), soft_wrap=True)


def ask(question: str) -> str:
    """Asks on stderr and reads one line from stdin. Failure when stdin has ended: nobody agreed."""
    print(shown(question), end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not sys.stdin.isatty():
        # Nobody pressed Enter here, so the line is still open.
        print(file=sys.stderr)
    if not answer:
        raise Failure("no answer: stdin has ended, so nothing was done")
    return answer.strip()
