"""What an engine of a service is for the product. Pure.

A further engine is one module with the members of Engine (vllm.py is the first), and a line in ENGINES of engines.py.
What prepares, starts, proves and shows a service knows no engine by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nixl_efa.service.measured import Measured
from nixl_efa.service.model import Service
from nixl_efa.service.units import Variable, engine_unit


@dataclass(frozen=True, slots=True)
class Log:
    """What an engine's log says of NIXL. backends: as often as they are named.

    providers: of libfabric, each with the last line that names it (each worker has its own). fallback: the line that
    reports a fallback to TCP. Each line is unchanged.
    """

    backends: tuple[str, ...]
    backend_line: str
    providers: Mapping[str, str]
    fallback: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The counters of an engine since its start: prompt tokens by their source, and what NIXL moved."""

    transferred: int
    computed: int
    cached: int
    nixl_bytes: int
    failed: int

    def since(self, before: Counted) -> Counted:
        """The difference."""
        return Counted(*(getattr(self, one) - getattr(before, one) for one in self.__slots__))


@dataclass(frozen=True, slots=True)
class Activity:
    """What an engine does. None: it does not tell it.

    prompt_tokens, generated_tokens: a second, over a short interval. running, waiting: requests, now. Since its start:
    kv_bytes that it got by NIXL; kv_gbps: those by the time of all transfers, one after the other; failed_transfers;
    expired: KV caches that nobody fetched in time.
    """

    prompt_tokens: float | None
    generated_tokens: float | None
    running: int | None
    waiting: int | None
    kv_bytes: int | None
    kv_gbps: float | None
    failed_transfers: int | None
    expired: int | None


class Engine(Protocol):
    """The members of an engine's module."""

    # By which users ask for it, and its name in messages.
    NAME: str
    WORDS: str
    # The Python package that is installed on the nodes, and its version that was tried, which is the default.
    PACKAGE: str
    VERSION: str
    # The kinds of accelerators for which the package has a build (InstanceType.accelerator_kind).
    ACCELERATORS: tuple[str, ...]
    # The path that answers with 200 while it can take requests. Its metrics, in Prometheus's form, are at /metrics.
    HEALTH: str
    # Flags that users may not set, and why.
    REFUSED: Mapping[str, str]
    # Flags that users may not set on the nodes of one role alone, and why.
    ALIKE: Mapping[str, str]
    # NAME=VALUE of its unit.
    VARIABLES: tuple[str, ...]
    # Patterns: of the lines of its log that read_log reads; of the beginnings of the lines of /metrics that are read.
    LOG_LINES: str
    METRICS: str
    # Pattern of the beginnings of lines of /metrics whose sum is 0 when it has no request and keeps no KV cache for
    # another engine.
    BUSY: str

    def command(self, service: Service, path: str, role: str, planned: str) -> tuple[str | Variable, ...]:
        """The words that start it on a node of this role. path: where the model is. planned: the engine's settings of
        its KV transfer on that node (PAIR_KV_TRANSFER_CONFIG)."""

    def served_as(self, service: Service) -> str:
        """The name by which requests ask for the model."""

    def accelerators(self, flags: tuple[str, ...]) -> int:
        """On how many accelerators of a node the weights are divided."""

    def context(self, flags: tuple[str, ...]) -> int:
        """The most tokens of a prompt and its answer that the flags allow; 0 if they do not say."""

    def dtype(self, flags: tuple[str, ...], config: Mapping[str, object]) -> str:
        """What the weights are computed in. config: the model's config.json."""

    def read_log(self, text: str) -> Log:
        """The log of one start."""

    def lacking(self, text: str) -> tuple[str, ...]:
        """Counters of the proof that the text of /metrics does not have."""

    def counted(self, text: str) -> Counted:
        """The counters in the text of /metrics."""

    def activity(self, before: str, text: str, seconds: float) -> Activity:
        """What it does, by the text of /metrics and by that of so many seconds before."""

    def program(self) -> str:
        """The text of the Python program that sends the requests of the proof, or of a measurement, on a consumer's
        node."""

    def load(
        self, *, prompt_tokens: int, output_tokens: int, concurrency: int, requests: int, seed: int
    ) -> tuple[str, ...]:
        """The flags of its load tool: so many requests with so many tokens each, `concurrency` at a time."""

    def measured(self, document: Mapping[str, Any]) -> Measured:
        """What that program has measured. KeyError, ValueError or TypeError if its document has another form."""


def unit_of(
    engine: Engine,
    service: Service,
    environment: str,
    role: str,
    *,
    path: str,
    hub: str,
    planned: str,
    source: str = "",
    manifest: str = "",
) -> str:
    """The unit of an engine on a node of this role. path: where the model is; hub: where models of the hub are kept.
    planned: see Engine.command. source: the folder in S3 from which the model comes, if it is not the service's;
    manifest: the manifest's name there, empty: none."""
    return engine_unit(
        engine.WORDS,
        environment,
        role,
        engine.command(service, path, role, planned),
        (*engine.VARIABLES, f"HF_HOME={hub}"),
        (source or service.model, path, manifest) if path != service.model else ("", "", ""),
    )


def unfit(engine: Engine, instance_type: str, accelerator_kind: str) -> str:
    """Why an instance type can't run the engine, in a sentence; empty if it can."""
    if accelerator_kind in engine.ACCELERATORS:
        return ""
    return f"the package {engine.PACKAGE} has no build for the {accelerator_kind} accelerators of {instance_type}."


def hub(place: str) -> str:
    """Where models of the hub are kept. place: the folder below which a node keeps models."""
    return f"{place}/huggingface"
