"""Reading all pages of an answer of EC2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from nixl_efa.capacity.patience import patiently


def all_items(
    call: Callable[..., Mapping[str, Any]],
    key: str,
    sleep: Callable[[float], None],
    request: Mapping[str, Any] | None = None,
) -> Iterator[Mapping[str, Any]]:
    """What stands under `key` in every page of the call's answer. Throttling is waited out for the page that
    it hit; pages that came are not asked for again."""
    body = dict(request or {})
    while True:
        answer = patiently(partial(call, **body), sleep)
        yield from answer.get(key) or ()
        token = answer.get("NextToken") or ""
        if not token or token == body.get("NextToken"):
            return
        body["NextToken"] = token
