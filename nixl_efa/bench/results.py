"""The results of rows: whether one counts, and the folder in which each has a file. Pure but for that folder."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nixl_efa.bench.plan import NO_KV_TRANSFER, Row
from nixl_efa.failure import Failure
from nixl_efa.files import put
from nixl_efa.nodes.counters import IP as IP_COUNTER
from nixl_efa.nodes.counters import counters, moved
from nixl_efa.nodes.facts import Planned
from nixl_efa.service.engine import Engine
from nixl_efa.service.measured import Measured
from nixl_efa.service.model import Service
from nixl_efa.service.proof import TOLERANCE
from nixl_efa.service.way import EFA

SCHEMA = "nixl-efa/bench-row/1"
# Of a project, with a folder for each environment.
FOLDER = "measurements"
# Prompts are random, so an engine that knows more than this share of their tokens already was asked before.
_CACHED_SHARE = 0.01
_NOT_A_RESULT = (OSError, KeyError, ValueError, TypeError, ZeroDivisionError)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a result depends on beside its row: the service, and the instance type of each node, by the node's name."""

    service: Service
    types: Mapping[str, str]

    def key(self, row: Row) -> dict[str, Any]:
        """What tells one measurement from another, as plain values."""
        return {
            "row": asdict(row),
            "service": json.loads(self.service.text),
            "types": dict(sorted(self.types.items())),
        }

    def path(self, folder: Path, row: Row) -> Path:
        """The file of a row. Another service, or other machines, have other files."""
        text = json.dumps(self.key(row), sort_keys=True)
        return folder / f"{row.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


def setup(service: Service, planned: Mapping[str, Planned]) -> Setup:
    """planned: by node."""
    return Setup(service, {name: one.instance_type for name, one in planned.items()})


@dataclass(frozen=True, slots=True)
class Result:
    """A row that was measured. at: when it ended. document: as the engine's program has printed it."""

    row: Row
    at: datetime
    document: Mapping[str, Any]
    measured: Measured

    @property
    def received(self) -> tuple[int, int]:
        """Bytes that the router's node received over EFA, and over IP, during the run."""
        told = counters(self.document["counters"])
        by_ip = sum(one.get("rx_bytes", 0) for name, one in told.items() if name.startswith(IP_COUNTER))
        return moved({name: {} for name in told}, told).received_bytes, by_ip

    @property
    def received_gbps(self) -> tuple[float, float]:
        """The same as an average over the run, in Gbps."""
        by_efa, by_ip = (8 * one / self.measured.seconds / 1e9 for one in self.received)
        return by_efa, by_ip

    def figures(self) -> dict[str, Any]:
        """All figures as plain values."""
        rates = self.measured.kv_gbps
        by_efa, by_ip = self.received_gbps
        return {
            **asdict(self.row),
            "at": self.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **asdict(self.measured),
            "kv_gbps": asdict(rates) if rates else None,
            "efa_gbps": by_efa,
            "ip_gbps": by_ip,
        }


def result(row: Row, at: datetime, document: Mapping[str, Any], engine: Engine) -> Result | None:
    """The result in what the engine's program has printed; None if it is of another form."""
    try:
        found = Result(row, at, document, engine.measured(document))
        found.figures()
    except _NOT_A_RESULT:
        return None
    return found


def fault(found: Result, wire: str, consumers: int) -> str:
    """Why a result does not count, in one sentence; empty if it does.

    wire: over what KV caches should go (way.py). Device counters are those of one consumer.
    """
    one, row = found.measured, found.row
    if one.failed or one.answered < row.requests:
        return f"{row.requests - one.answered} of {row.requests} requests failed."
    if row.layer in NO_KV_TRANSFER:
        return f"{one.transfers} KV caches were transferred, where none should be." if one.transfers else ""
    if one.failed_transfers:
        return f"{one.failed_transfers} transfers of KV caches failed."
    if one.computed or not one.transferred:
        told = f"{one.transferred} prompt tokens came by KV transfer"
        return f"{told}, and {one.computed} were computed on the consumers."
    if consumers > 1:
        return ""
    by_efa, by_ip = found.received
    seen, where = (by_efa, "EFA's counters") if wire == EFA else (by_ip, "the IP interface's counters")
    if seen < (1 - TOLERANCE) * one.nixl_bytes:
        return f"{where} saw {seen} bytes arrive, of {one.nixl_bytes} that NIXL moved."
    return ""


def doubt(found: Result) -> str:
    """What makes a result that counts less sure; empty for nothing."""
    one = found.measured
    every = one.transferred + one.computed + one.cached
    if one.cached > _CACHED_SHARE * every:
        return f"{one.cached} of {every} prompt tokens were in a cache of the engine."
    return ""


def write(folder: Path, made: Setup, found: Result) -> None:
    """Writes a row's file, whole. Failure if it can't be written."""
    body = {
        "schema": SCHEMA,
        **made.key(found.row),
        "figures": found.figures(),
        "document": found.document,
    }
    path = made.path(folder, found.row)
    try:
        put(path, json.dumps(body, indent=1) + "\n")
    except OSError as error:
        raise Failure(f"{path} can't be written: {error.strerror}.") from error


def read(folder: Path, made: Setup, rows: Iterable[Row], engine: Engine) -> dict[Row, Result]:
    """The results that the folder has of these rows. A file that can't be read as one is none."""
    found: dict[Row, Result] = {}
    for row in rows:
        try:
            body = json.loads(made.path(folder, row).read_text(encoding="utf-8"))
            same = {name: body[name] for name in made.key(row)} == made.key(row)
            at = datetime.fromisoformat(body["figures"]["at"])
            one = result(row, at, body["document"], engine) if same else None
        except _NOT_A_RESULT:
            continue
        if one is not None:
            found[row] = one
    return found
