"""A measurement on the nodes: engines for each layer, row after row, and the service of before at the end."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from nixl_efa.bench import results
from nixl_efa.bench.plan import BASELINE, LONGEST_ROW, TRANSFER, UNIFIED, Row
from nixl_efa.bench.results import Result, Setup
from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, Level, failed, warned
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.run_command import Script
from nixl_efa.service import run as service_run
from nixl_efa.service.model import ENGINE_UNIT, PLANNED, ROUTER_UNITS, Service, service_of
from nixl_efa.service.on_nodes import OnNodes, Say
from nixl_efa.service.router import pd_port
from nixl_efa.service.way import Way, engine_url, way_by
from nixl_efa.settings.parts import CONSUMER, PRODUCER

# The unit in which the load tool runs, so that it can be ended.
UNIT = "nixl-efa-bench.service"
# The load tool is ended so long before Run Command gives it up, so that it is told.
_SPARE_SECONDS = 120
_END = (
    f"output=$(systemctl stop {UNIT} 2>&1)\n"
    "printf '@@ begin ended\\n%s\\n@@ end ended %s\\n' \"$output\" $?\n"
)


@dataclass
class Outcome:
    """found: of rows, or of the start of a layer, by what each is about. results: by row, earlier ones included."""

    results: dict[Row, Result] = field(default_factory=dict)
    found: list[tuple[str, Finding]] = field(default_factory=list)

    @property
    def is_stopped(self) -> bool:
        """Whether something FAILs."""
        return any(one.level is Level.FAIL for _, one in self.found)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured, where, and where the results go. planned: by node; way: how KV caches go for users.

    runs: whether the service answers users now, so that it has to answer them at the end.
    done: is called with each result when its file is written.
    """

    nodes: OnNodes
    service: Service
    planned: Mapping[str, Planned]
    way: Way
    folder: Path
    runs: bool
    clock: Clock
    say: Say
    done: Callable[[Result], None]

    @property
    def setup(self) -> Setup:
        """What the results depend on."""
        return results.setup(self.service, self.planned)


def measure(one: Measurement, rows: Sequence[Row], outcome: Outcome) -> None:
    """Measures the rows that have no result yet, into `outcome`. KeyboardInterrupt and errors come through when the row
    that was under way is ended on the node, and the service is as it was.

    A row that fails, or a layer that does not start, leaves the others to be measured.
    """
    earlier = results.read(one.folder, one.setup, rows, one.nodes.engine)
    outcome.results.update(earlier)
    left = [row for row in rows if row not in earlier]
    if not left:
        return
    running, stays = "", False
    try:
        for transfer, group in groupby(left, lambda row: TRANSFER[row.layer]):
            running = ""
            chosen = list(group)
            report = service_run.start(
                one.nodes,
                replace(one.service, transfer=transfer),
                one.planned,
                one.way,
                clock=one.clock,
                say=one.say,
                anew=True,
            )
            if not report.ready:
                layers = ", ".join(dict.fromkeys(row.layer for row in chosen))
                outcome.found += [
                    (f"{layers}, {where}".removesuffix(", "), each)
                    for where, each in report.found
                    if each.level is not Level.PASS
                ]
                continue
            running, begun = transfer, _engines(one)
            for row in chosen:
                one.say(f"Measuring {row.name}, {len(outcome.results) + 1} of {len(rows)} ...")
                if not _row(one, row, begun, outcome, warm_up=row is chosen[0]):
                    running = ""
                    return
    except KeyboardInterrupt:
        one.say("Ending the row that is under way. A second Ctrl-C leaves the service as it is then.")
        try:
            one.nodes.run({one.nodes.router_node.name: Script(_END)}, 300, "end")
        except KeyboardInterrupt:
            stays = True
            raise
        raise
    finally:
        outcome.found += [] if stays else _put_back(one, running)


def _engines(one: Measurement) -> dict[str, tuple[str, str]]:
    """Of each node that answers: systemd's id of its engine's start, and how KV caches go there."""
    seen, _ = one.nodes.look()
    return {
        name: (each.engine.invocation, told.transfer)
        for name, each in seen.items()
        if each.service and (told := service_of(dict(each.service)))
    }


def _row(
    one: Measurement,
    row: Row,
    begun: Mapping[str, tuple[str, str]],
    outcome: Outcome,
    *,
    warm_up: bool,
) -> bool:
    """Measures a row; False if nothing more can be measured: the node does not answer, or the engines are others.

    begun: the engines that were started for the row's layer. warm_up: an engine's first request takes longer.
    """
    node, engine = one.nodes.router_node, one.nodes.engine
    given = {
        "own": engine_url(node),
        "url": _asked(one, row),
        "engines": _counted(one, row),
        "address": one.nodes.pair.of_role(PRODUCER)[0].private_ip,
        "unit": UNIT,
        "seconds": int(LONGEST_ROW.total_seconds()) - _SPARE_SECONDS,
        "warm_up": warm_up,
        "load": engine.load(
            prompt_tokens=row.prompt_tokens,
            output_tokens=row.output_tokens,
            concurrency=row.concurrency,
            requests=row.requests,
            # Two rows with the same prompts would find them in the engines' caches.
            seed=zlib.crc32(row.name.encode()),
        ),
    }
    documents, problems = one.nodes.python(
        engine.program(), {node.name: given}, int(LONGEST_ROW.total_seconds()), "measurement"
    )
    outcome.found += [(row.name, problem) for problem in problems.values()]
    # Somebody else's start, or an engine that has ended and was started again, would count as this layer.
    if documents and _engines(one) != begun:
        environment = one.nodes.pair.environment
        message = "an engine was started again while the row was measured, by itself or by somebody else."
        remedy = f"`nixl-efa serve logs {environment}` shows why; the next run measures the row again."
        outcome.found.append((row.name, failed("engines", message, remedy)))
        return False
    for document in documents.values():
        found, finding = _judged(one, row, document)
        if finding is not None:
            outcome.found.append((row.name, finding))
        if found is not None:
            results.write(one.folder, one.setup, found)
            outcome.results[row] = found
            one.done(found)
    return not problems


def _judged(one: Measurement, row: Row, document: Mapping[str, Any]) -> tuple[Result | None, Finding | None]:
    """The result, None if it does not count; and why, or what makes it doubtful."""
    environment = one.nodes.pair.environment
    remedy = f"`nixl-efa serve logs {environment}` shows what the engines say; the next run measures the row again."
    if error := document["error"]:
        if "already" in error:
            node = one.nodes.router_node.name
            remedy = (
                "A measurement still runs there: wait for it, or "
                f"`nixl-efa run {environment} {node} -- systemctl stop {UNIT}` ends it."
            )
        return None, failed("load", f"{error.rstrip('.')}.", remedy)
    found = results.result(row, one.clock.now(), document, one.nodes.engine)
    if found is None:
        tried = f"Take version {one.nodes.engine.VERSION} of the engine, which was tried."
        return None, failed("load", "the load tool's result has another form.", tried)
    wire = way_by(replace(one.service, transfer=TRANSFER[row.layer]), one.way).wire
    if why := results.fault(found, wire, len(one.nodes.pair.of_role(CONSUMER))):
        return None, failed("result", why, remedy)
    if why := results.doubt(found):
        return found, warned(
            "result", why, "Does somebody else send requests? Measure while nobody else does."
        )
    return found, None


def _asked(one: Measurement, row: Row) -> str:
    """Whom the load tool asks. Not the router that sends failed requests again: a row with one would count."""
    if row.layer == UNIFIED:
        return engine_url(one.nodes.router_node)
    if row.layer == BASELINE:
        return engine_url(one.nodes.pair.of_role(PRODUCER)[0])
    return f"http://127.0.0.1:{pd_port(one.nodes.pair)}"


def _counted(one: Measurement, row: Row) -> list[str]:
    """The engines whose counters tell what became of the prompts: those that decode; for the baseline, the one that is
    asked."""
    if row.layer in (UNIFIED, BASELINE):
        return [_asked(one, row)]
    return [engine_url(node) for node in one.nodes.pair.of_role(CONSUMER)]


def _put_back(one: Measurement, running: str) -> list[tuple[str, Finding]]:
    """The service as it was before: started and proven, or stopped. running: how KV caches go in the engines that run
    and are proven; empty for none."""
    if not one.runs:
        one.say("Stopping the engines: no service ran before ...")
        router = one.nodes.stop({one.nodes.router_node.name: ROUTER_UNITS})
        engines = one.nodes.stop({node.name: (ENGINE_UNIT,) for node in one.nodes.pair.nodes})
        return [*router.items(), *engines.items()]
    if running == PLANNED:
        return []
    one.say("Putting the service back ...")
    report = service_run.start(one.nodes, one.service, one.planned, one.way, clock=one.clock, say=one.say)
    return [
        (f"the service, {where}".removesuffix(", "), each)
        for where, each in report.found
        if each.level is not Level.PASS
    ]
