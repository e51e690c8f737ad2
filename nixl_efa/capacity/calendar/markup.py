"""A page in one file, and pieces of it: a moment, code in a text, a table. Each escapes its input. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from html import escape

from nixl_efa import __version__
from nixl_efa.capacity.calendar.style import STYLE

# The page may load nothing, run no script and send no form.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
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


def document(
    title: str,
    heading: str,
    intro: str,
    skip: tuple[str, str],
    sections: Sequence[tuple[str, str, str]],
    foot: str,
    style: str = "",
) -> str:
    """The whole page. intro, foot: HTML. skip: the section that a keyboard reaches first, and the words of that link.
    sections: name, title, and content as HTML. style: what the page needs beside STYLE."""
    links = "".join(f'<li><a href="#{name}">{escape(text)}</a></li>\n' for name, text, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}" tabindex="-1">{escape(text)}</h2>\n{content}</section>\n'
        for name, text, content in sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="generator" content="nixl-efa {escape(__version__)}">
<title>{escape(title)}</title>
<style>
{STYLE}{style}</style>
</head>
<body>
<a class="skip" href="#{skip[0]}">{escape(skip[1])}</a>
<header>
<h1>{escape(heading)}</h1>
<p>{intro}</p>
<nav aria-label="On this page">
<ul>
{links}</ul>
</nav>
</header>
<main>
{body}</main>
<footer>
<p class="quiet">Written by nixl-efa {escape(__version__)}. {foot}</p>
</footer>
</body>
</html>
"""
