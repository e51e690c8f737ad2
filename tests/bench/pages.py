"""Results for tests of their page, made of what was recorded."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

from nixl_efa.bench import results
from nixl_efa.bench.page import page
from nixl_efa.bench.plan import TRANSFER, Row
from nixl_efa.bench.results import Result
from nixl_efa.service import vllm
from nixl_efa.service.measured import Percentiles
from nixl_efa.service.model import Service
from tests.records import answer

SERVICE = Service("vllm", "Qwen/Qwen3-32B", "0.32.0")
LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536, 130944)
AT = datetime(2026, 11, 27, tzinfo=UTC)


def made(row: Row) -> Result:
    """A result whose time to the first token is the prompt's length in tokens / 100."""
    name = "vllm/bench-0.32-kv" if row.layer in ("efa", "tcp") else "vllm/bench-0.32-prefill"
    found = results.result(row, AT, answer(name), vllm)
    assert found is not None
    ttft = Percentiles(*(row.prompt_tokens / 100 * part for part in (1.0, 1.5, 2.0)))
    return replace(found, measured=replace(found.measured, ttft_ms=ttft))


FULL = tuple(
    made(Row(layer, tokens, concurrency))
    for layer, tokens, concurrency in product(TRANSFER, LENGTHS, (1, 4, 16))
)
PAGES = {
    "full": page("prod", SERVICE, FULL, 96),
    "one": page("prod", SERVICE, FULL[:1], 96),
    "none": page("prod", SERVICE, (), 96),
    "hostile": page("<b>", replace(SERVICE, model="/models/<script>alert(1)</script>"), FULL[:1], 96),
}
