"""What the command line prints: data on stdout, talk on stderr, colours and progress only on a terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

from nixl_efa.cli.commands import shown, shown_values
from nixl_efa.failure import BadInput, Failure

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "BadInput",
    "Failure",
    "ask",
    "both_times",
    "console",
    "data",
    "length",
    "print_json",
    "print_table",
    "say",
    "short_times",
    "times_heading",
]

# Wide enough that a table in a pipe or a file is never folded: who reads it there has no width.
PIPE_WIDTH = 200
_TRAILING_SPACE = re.compile(r" +((?:\x1b\[0m)?)$")


def data(text: str) -> None:
    """A line of data, on stdout."""
    print(shown(text))


def say(message: str) -> None:
    """A line of talk, on stderr."""
    print(shown(message), file=sys.stderr)


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


def length(span: timedelta) -> str:
    """A length of time for a table, in its two largest units: 2d 4h, 5h 30m, 12m."""
    minutes = int(span.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h {rest}m" if rest else f"{hours}h"
    return f"{rest}m"


def console(stream: TextIO | None = None, *, fold: bool = True) -> Console:
    """A rich console for tables on stdout (or the stream given), plain and unfolded off a terminal.

    fold False leaves it to a narrow terminal to break the lines, so that no value is cut."""
    from rich.console import Console

    target = stream or sys.stdout
    width = None if fold and target.isatty() else PIPE_WIDTH
    return Console(file=target, width=width, highlight=False, markup=False, emoji=False)


def print_table(table: Table) -> None:
    """A table on stdout, a line for each row however narrow the terminal is: no value is cut or folded."""
    screen = console(fold=False)
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        # rich fills up the last column, which would spill empty lines into a narrow terminal.
        data(_TRAILING_SPACE.sub(r"\1", line))


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
