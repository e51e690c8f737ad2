"""The results as an HTML page in one file, with plots that compare the layers. Pure.

The plots are pictures; the table below them says the same in text, for screen readers too.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nixl_efa.bench.plan import TRANSFER, Row
from nixl_efa.bench.results import Result
from nixl_efa.bench.text import COLUMNS, cells
from nixl_efa.capacity.calendar.markup import document, table
from nixl_efa.service.measured import Percentiles
from nixl_efa.service.model import Service
from nixl_efa.times import moment

# A drawing's own units; the margins are for the names of the axes.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 320, 200, 46, 30, 10, 12
_STYLE = """\
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
.plots figure { margin: 0; flex: 1 1 17rem; max-width: 26rem; }
.plots figcaption { font-size: .875rem; font-weight: 600; }
svg.plot { width: 100%; height: auto; border: 1px solid var(--rule); border-radius: 6px; background: var(--field); }
svg.plot text { font: 11px system-ui, sans-serif; fill: var(--text); }
svg.plot .axis { stroke: var(--rule); stroke-width: 1; }
svg.plot .end { text-anchor: end; }
svg.plot .middle { text-anchor: middle; }
svg.plot polyline, svg.key polyline { fill: none; stroke-width: 2; vector-effect: none; }
svg.plot circle, svg.key circle { stroke: none; }
svg.key { display: inline-block; width: 2rem; height: .8rem; vertical-align: middle; margin-right: .4rem; }
.unified { --line: var(--text); --dash: none; } .tcp { --line: var(--gap); --dash: 6 3; }
.baseline { --line: var(--extension); --dash: 2 3; } .efa { --line: var(--coming); --dash: none; }
svg g polyline { stroke: var(--line); stroke-dasharray: var(--dash); }
svg g circle { fill: var(--line); }
"""


@dataclass(frozen=True, slots=True)
class Plot:
    """One quantity over the length of the prompt. value: None where a row has none."""

    title: str
    unit: str
    value: Callable[[Result], float | None]


def _p50(found: Percentiles | None) -> float | None:
    return found.p50 if found else None


PLOTS = (
    Plot("Time to the first token, p50", "ms", lambda one: one.measured.ttft_ms.p50),
    Plot("Time to the first token, p99", "ms", lambda one: one.measured.ttft_ms.p99),
    Plot("Time per output token, p50", "ms", lambda one: _p50(one.measured.tpot_ms)),
    Plot("Throughput", "tokens/s", lambda one: one.measured.tokens_per_s),
    Plot("Transfer of a KV cache, p50", "ms", lambda one: _p50(one.measured.kv_ms)),
    Plot("Rate of such a transfer, p50", "Gbps", lambda one: _p50(one.measured.kv_gbps)),
)


def page(environment: str, service: Service, results: Sequence[Result], rows: int) -> str:
    """The page. results: in the order of the table; rows: how many it has."""
    sections = [
        (f"plots-{number}", title, _plots(group)) for number, (title, group) in enumerate(_groups(results))
    ]
    sections.append(("rows", "All rows", _rows(results)))
    last = max((one.at for one in results), default=None)
    measured = f"{len(results)} of {rows} rows are measured" + (
        f", the last at {moment(last)}" if last else ""
    )
    intro = (
        f"{escape(service.model)} with {escape(service.engine)} {escape(service.version)} on {escape(environment)}: "
        f"{measured}. Each plot is over the tokens of a prompt."
    )
    return document(
        f"Measurement of {service.model} on {environment}",
        "Measurement of a service",
        intro,
        ("rows", "To the table"),
        sections,
        "A percentile of a KV cache's time is estimated within the buckets of a histogram.",
        _STYLE,
    )


def _kind(row: Row) -> tuple[int, int, int, int]:
    return row.concurrency, row.output_tokens, row.requests, row.seed


def _groups(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """Results that can be on one line: they differ in their layer and in the length of the prompt alone."""
    kinds = sorted({_kind(one.row) for one in results})
    words = ("{} at a time", "answers of {} tokens", "{} requests", "seed {}")
    # What is the same in all is not named.
    named = [place for place in range(len(words)) if not place or len({kind[place] for kind in kinds}) > 1]
    return [
        (
            ", ".join(words[place].format(kind[place]) for place in named),
            [one for one in results if _kind(one.row) == kind],
        )
        for kind in kinds
    ]


def _plots(results: Sequence[Result]) -> str:
    layers = [layer for layer in TRANSFER if any(one.row.layer == layer for one in results)]
    legend = "".join(f"<li>{_key(layer)}{escape(layer)}</li>\n" for layer in layers)
    figures = "".join(
        f"<figure>\n<figcaption>{escape(plot.title)} ({plot.unit})</figcaption>\n"
        f"{_svg(plot, results, layers)}</figure>\n"
        for plot in PLOTS
        if any(plot.value(one) is not None for one in results)
    )
    return f'<ul class="legend">\n{legend}</ul>\n<div class="plots">\n{figures}</div>\n'


def _key(layer: str) -> str:
    return (
        f'<svg class="key" viewBox="0 0 32 12" aria-hidden="true"><g class="{layer}">'
        '<polyline points="0,6 32,6"/><circle cx="16" cy="6" r="3"/></g></svg>'
    )


def _svg(plot: Plot, results: Sequence[Result], layers: Iterable[str]) -> str:
    """Both axes, and a line for each layer. Lengths of prompts are on a logarithmic scale."""
    tokens = sorted({one.row.prompt_tokens for one in results})
    top = _round_up(max(value for one in results if (value := plot.value(one)) is not None))
    low, high = math.log2(tokens[0]), math.log2(tokens[-1])

    def x(count: int) -> float:
        part = (math.log2(count) - low) / (high - low) if high > low else 0.5
        return round(LEFT + 8 + part * (WIDTH - LEFT - RIGHT - 16), 1)

    def y(value: float) -> float:
        return round(TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM), 1)

    marks = "".join(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}"/>'
        f'<text class="end" x="{LEFT - 4}" y="{y(value) + 4}">{value:g}</text>\n'
        for value in (0, top / 2, top)
    )
    # A phone's screen has room for some names only.
    named = tokens if len(tokens) <= 5 else tokens[:: -(-len(tokens) // 5)]
    marks += "".join(
        f'<text class="middle" x="{x(one)}" y="{HEIGHT - 12}">{_short(one)}</text>\n' for one in named
    )
    lines = "".join(
        _line(plot, [one for one in results if one.row.layer == layer], layer, x, y) for layer in layers
    )
    told = f"{plot.title} in {plot.unit} over the tokens of a prompt, a line for each layer. The table says the same."
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}">\n'
        f"{marks}{lines}</svg>\n"
    )


def _line(
    plot: Plot, results: Iterable[Result], layer: str, x: Callable[[int], float], y: Callable[[float], float]
) -> str:
    points = sorted(
        (one.row.prompt_tokens, value) for one in results if (value := plot.value(one)) is not None
    )
    places = [(x(tokens), y(value)) for tokens, value in points]
    joined = " ".join(f"{left},{top}" for left, top in places)
    dots = "".join(f'<circle cx="{left}" cy="{top}" r="3"/>' for left, top in places)
    return f'<g class="{layer}"><polyline points="{joined}"/>{dots}</g>\n' if places else ""


def _round_up(value: float) -> float:
    """The next number of 1, 2 or 5 with zeros."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _short(tokens: int) -> str:
    """A number of tokens in few characters: "512", "4K", "127.9K"."""
    return f"{tokens / 1024:.4g}K" if tokens >= 1024 else str(tokens)


def _rows(results: Sequence[Result]) -> str:
    heads = [(f"{one.title}", "number" if one.right else "") for one in COLUMNS]
    rows = [("", [escape(cell) for cell in cells(one)]) for one in results]
    return table("all", "Times in milliseconds: p50 / p95 / p99.", heads, rows)
