"""Pieces of the calendar's page: a moment, code in a text, a table. Each escapes its input. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from html import escape

When = Callable[[datetime], str]


def time_of(at: datetime, when: When) -> str:
    """A moment as an HTML `time` element, which programs can read too."""
    return f'<time datetime="{at:%Y-%m-%dT%H:%MZ}">{escape(when(at))}</time>'


def with_code(text: str) -> str:
    """The text as HTML; what is between backticks becomes code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def table(
    name: str, caption: str, heads: Sequence[tuple[str, str]], rows: Iterable[tuple[str, Sequence[str]]]
) -> str:
    """A table that can be scrolled sideways, by keyboard too. heads: each title with its class. rows: a class, and the
    cells as HTML, the first of which heads the row."""
    titles = "".join(f'<th scope="col"{class_of(kind)}>{escape(title)}</th>' for title, kind in heads)
    body = "".join(
        f"<tr{class_of(dim)}>"
        + "".join(
            f'<th scope="row"{class_of(kind)}>{cell}</th>' if at == 0 else f"<td{class_of(kind)}>{cell}</td>"
            for at, (cell, (_, kind)) in enumerate(zip(cells, heads, strict=True))
        )
        + "</tr>\n"
        for dim, cells in rows
    )
    return (
        f'<div class="scroll" role="region" aria-labelledby="{name}-caption" tabindex="0">\n<table>\n'
        f'<caption id="{name}-caption"><span>{escape(caption)}</span></caption>\n'
        f"<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )


def class_of(kind: str) -> str:
    """The class attribute; empty text without a class."""
    return f' class="{kind}"' if kind else ""


def folded(title: str, content: str) -> str:
    """A part that is closed until the reader opens it; it is not printed on paper."""
    return f"<details>\n<summary>{escape(title)}</summary>\n{content}</details>\n"
