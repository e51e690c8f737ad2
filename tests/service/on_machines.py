"""What tests of a service do on machines that have booted: start it, ask it, end an engine meanwhile."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes.outputs import Node
from nixl_efa.service import run
from nixl_efa.service.model import ENGINE_UNIT, PLANNED, Service
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.way import Way, engine_url
from tests.real_nodes.conftest import UNDER_WAY, Account, wait_until
from tests.service.conftest import MODEL, OVER_EFA, OVER_TCP

ENV = "/etc/nixl-efa/env"
LOAD = (Path(__file__).parent / "load.py").read_text(encoding="utf-8")
THREADS = 4


def started(
    nodes: OnNodes,
    *flags: str,
    told: list[str] | None = None,
    way: Way = OVER_TCP,
    model: str = MODEL,
    transfer: str = PLANNED,
) -> run.Report:
    """`nixl-efa serve start`."""
    service = Service("vllm", model, "0.32.0", flags, transfer=transfer)
    planned = {node.name: OVER_EFA for node in nodes.pair.nodes}
    say = (told if told is not None else []).append
    return run.start(nodes, service, planned, way, clock=SystemClock(), say=say)


def failed(report: run.Report) -> list[tuple[str, str]]:
    return [(where, one.check) for where, one in report.found if one.level is Level.FAIL]


def engines(account: Account, nodes: OnNodes) -> dict[str, str]:
    """The process of each engine."""
    show = "systemctl show --property=MainPID --value nixl-efa-engine"
    return {node.name: account.out(node.instance_id, show).strip() for node in nodes.pair.nodes}


def loaded(
    account: Account,
    nodes: OnNodes,
    seconds: int,
    after: int,
    first: Node,
    other: Node,
    script: str,
    model: str = MODEL,
) -> dict[str, Any]:
    """What load.py says of requests, while the engine of the first producer ends by a script two seconds later.

    seconds: the load's at most; after: so many after the engine is back. If after is 0, the engine does not come back,
    and `seconds` are those after its end: a busy node may be late with either.
    """
    at = nodes.router_node.instance_id
    producers = f"{engine_url(first)},{engine_url(other)}"
    ends = (seconds, after) if after else (150, -seconds)
    words = (ends[0], 0, THREADS, "http://127.0.0.1:8000", producers, model, 2048, 200, ends[1])
    command = account.send(at, f"python3 -c {shlex.quote(LOAD)} {shlex.join(map(str, words))}")
    account.out(first.instance_id, "sleep 2; " + script.format(ENGINE_UNIT))
    wait_until(lambda: account.invocation(command, at)["Status"] not in UNDER_WAY, "the load's end", 300)
    found: dict[str, Any] = json.loads(account.invocation(command, at)["StandardOutputContent"])
    return found


def provider(account: Account, nodes: OnNodes, value: str) -> None:
    """What the nodes' environment says of libfabric's provider; empty: nothing."""
    line = f"FI_PROVIDER={value}" if value else ""
    for node in nodes.pair.nodes:
        account.out(
            node.instance_id,
            f"sed -i 's/^FI_PROVIDER=.*/{line}/' {ENV}; grep -q FI_ {ENV} || echo {line} >>{ENV}",
        )
