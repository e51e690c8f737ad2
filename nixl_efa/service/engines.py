"""The engines that can be served."""

from __future__ import annotations

from collections.abc import Mapping

from nixl_efa.failure import BadInput
from nixl_efa.findings import listed
from nixl_efa.service import vllm
from nixl_efa.service.engine import Engine

ENGINES: Mapping[str, Engine] = {vllm.NAME: vllm}
DEFAULT = vllm.NAME


def engine_of(name: str, origin: str) -> Engine:
    """The engine of this name; BadInput, which names where it was set, if there is none."""
    if name not in ENGINES:
        raise BadInput(f"{origin} {name!r} can't be served: give {listed(sorted(ENGINES))}.")
    return ENGINES[name]
