"""The results as a table of text. Pure."""

from nixl_efa.bench.results import Result
from nixl_efa.lines import Column
from nixl_efa.service.measured import Percentiles

# PROMPT and OUT in tokens. Times in milliseconds, each as p50/p95/p99; rates in Gbps and tokens per second.
COLUMNS = (
    Column("LAYER"),
    Column("PROMPT", right=True),
    Column("CONC", right=True),
    Column("OUT", leaves=6, right=True),
    Column("TTFT ms", right=True),
    Column("TPOT ms", leaves=1, right=True),
    Column("ITL ms", leaves=4, right=True),
    Column("tok/s", leaves=2, right=True),
    Column("KV ms", leaves=3, right=True),
    Column("KV Gbps", leaves=5, right=True),
)


def cells(found: Result) -> tuple[str, ...]:
    """A row, in the order of COLUMNS."""
    one = found.measured
    return (
        found.row.layer,
        str(found.row.prompt_tokens),
        str(found.row.concurrency),
        str(found.row.output_tokens),
        three(one.ttft_ms),
        three(one.tpot_ms),
        three(one.itl_ms),
        figure(one.tokens_per_s),
        three(one.kv_ms),
        three(one.kv_gbps),
    )


def three(found: Percentiles | None) -> str:
    """p50/p95/p99; "-" where there is none."""
    return "/".join(map(figure, (found.p50, found.p95, found.p99))) if found else "-"


def figure(value: float) -> str:
    """Three digits that count; whole numbers from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
