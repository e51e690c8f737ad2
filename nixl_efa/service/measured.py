"""What one run of an engine's load tool has measured, and percentiles from a histogram's buckets. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

PERCENTS = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The 50th, 95th and 99th of one quantity."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. Times are in milliseconds.

    answered, failed: requests. all_prompt_tokens, all_output_tokens: of the answered ones together.
    ttft: to the first token. tpot: an output token after the first, averaged over a request; None if there is only one.
    itl: between two tokens. e2el: to the last token.
    transferred, computed, cached: prompt tokens by where their KV cache came from, as the engines count them.
    transfers, nixl_bytes: of KV caches, by NIXL; kv_ms: how long a transfer took, and its mean; None without any.
    failed_transfers: of KV caches.
    """

    seconds: float
    answered: int
    failed: int
    all_prompt_tokens: int
    all_output_tokens: int
    requests_per_s: float
    output_tokens_per_s: float
    tokens_per_s: float
    ttft_ms: Percentiles
    tpot_ms: Percentiles | None
    itl_ms: Percentiles | None
    e2el_ms: Percentiles
    transferred: int
    computed: int
    cached: int
    transfers: int
    nixl_bytes: int
    kv_ms: Percentiles | None
    kv_mean_ms: float | None
    failed_transfers: int

    @property
    def kv_gbps(self) -> Percentiles | None:
        """The rate of the transfers that took kv_ms: all requests have prompts of the same length, so all transfers
        have the same size. p99 is the slowest of them."""
        if self.kv_ms is None:
            return None
        bits = 8 * self.nixl_bytes / self.transfers
        return Percentiles(
            *(bits / (one * 1e6) if one else 0.0 for one in (self.kv_ms.p50, self.kv_ms.p95, self.kv_ms.p99))
        )


def percentiles(buckets: Mapping[float, float]) -> Percentiles | None:
    """Percentiles of a histogram. buckets: how many values are at most this large, by the bucket's bound; the last
    bound is infinite. None if it is empty.

    Within a bucket, values are taken as evenly distributed, and the first bucket begins at 0. Beyond the last finite
    bound there is only that bound. (Prometheus, histogram_quantile.)
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    return Percentiles(*(_percentile(buckets, bounds, one / 100) for one in PERCENTS))


def _percentile(buckets: Mapping[float, float], bounds: list[float], share: float) -> float:
    wanted = share * buckets[bounds[-1]]
    at = next(at for at, bound in enumerate(bounds) if buckets[bound] >= wanted)
    if math.isinf(bounds[at]):
        return bounds[at - 1] if at else 0.0
    below, count_below = (bounds[at - 1], buckets[bounds[at - 1]]) if at else (0.0, 0.0)
    inside = buckets[bounds[at]] - count_below
    return below + (bounds[at] - below) * (wanted - count_below) / inside
