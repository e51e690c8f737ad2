"""The life of a service: the checks before, the start, the proof, the stop.

The service is not ready before the last step. The router, which receives the requests, starts after the engines are
proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, Level, failed, listed, passed, warned
from nixl_efa.nodes.facts import Planned, node_facts
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import script
from nixl_efa.nodes.verify import FACTS_TIMEOUT_SECONDS
from nixl_efa.service import before, copies, drain, proof
from nixl_efa.service.before import Prepared
from nixl_efa.service.engine import unit_of
from nixl_efa.service.model import (
    BOOT_UNIT,
    ENGINE_PORTS,
    ENGINE_UNIT,
    NO_TRANSFER,
    ROUTER_PORT,
    ROUTER_UNITS,
    Service,
    service_of,
)
from nixl_efa.service.on_nodes import OnNodes, Say, Seen
from nixl_efa.service.router import packages, ports, router_units
from nixl_efa.service.staged import MANIFEST
from nixl_efa.service.way import Way, way_by
from nixl_efa.settings.parts import ROLES

# How long an engine may load a model, how often it is looked at, how often that is told.
START_SECONDS, LOOK_SECONDS, TELL_SECONDS = 7200.0, 5.0, 30.0
# How long a node may be silent meanwhile: one that was stopped does not come back.
SILENT_SECONDS = 600.0
ROUTER_START_SECONDS = 60.0


@dataclass
class Report:
    """What was found, in its order, each with the node that it is about (empty: all).

    url: of the router; name: by which requests ask for the model. ready: every step is proven.
    """

    environment: str
    service: Service | None
    url: str = ""
    name: str = ""
    ready: bool = False
    found: list[tuple[str, Finding]] = field(default_factory=list)

    def add(self, where: str, *findings: Finding) -> None:
        """Findings of a node, or of all."""
        self.found += [(where, one) for one in findings]

    def add_all(self, findings: Mapping[str, Finding]) -> None:
        """A finding of each node."""
        self.found += findings.items()

    @property
    def is_stopped(self) -> bool:
        """Whether something FAILs."""
        return any(one.level is Level.FAIL for _, one in self.found)


def start(
    nodes: OnNodes,
    service: Service,
    planned: Mapping[str, Planned],
    way: Way,
    *,
    clock: Clock,
    say: Say,
    anew: bool = False,
    at_boot: bool | None = None,
) -> Report:
    """Starts the service and proves it. planned: by node. anew: engines that run are started again. at_boot: whether
    nodes start their engines when they boot; None: as they are told already.

    A service without KV transfer is one engine on the router's node, without a router; the other engines end.
    Engines that run for the same service are only proven. A step that fails is the last one. KeyboardInterrupt leaves
    the engines as they are, and no router that is not proven.
    """
    url = f"http://{nodes.router_node.private_ip}:{ROUTER_PORT}"
    report = Report(nodes.pair.environment, service, url, nodes.engine.served_as(service))
    if missing := [role for role in ROLES if not nodes.pair.of_role(role)]:
        report.add("", failed("nodes", f"there is no {missing[0]}.", "A service needs one of each role."))
        return report
    report.add_all(drain.too_late(nodes.ends, clock.now()))
    if report.is_stopped:
        return report
    unified = service.transfer == NO_TRANSFER
    if unified:
        others = [node.name for node in nodes.pair.nodes if node != nodes.router_node]
        report.add_all(nodes.stop(dict.fromkeys(others, (ENGINE_UNIT,))))
        nodes = replace(nodes, pair=replace(nodes.pair, nodes=(nodes.router_node,)))
    if at_boot:
        copies.wait_for_boot(nodes, clock, say)
    ready = _before(nodes, service, planned, way, report, say)
    if report.is_stopped:
        return report
    started = _engines(nodes, service, ready, report, clock, say, anew=anew)
    if not report.is_stopped and at_boot is not None:
        _at_boot(nodes, ready, report, at_boot=at_boot)
    if report.is_stopped:
        return report
    seen = _wait(nodes, started, report, clock, say)
    way = way_by(service, way)
    for name, one in seen.items():
        if not unified:
            report.add(name, *proof.log_findings(report.environment, one.engine.log, way, nodes.engine))
    if report.is_stopped:
        return report
    if unified:
        report.ready = True
        return report
    _prove(nodes, service, way, max(one.vocabulary for one in ready.values()), seen, report, clock, say)
    return report


def _before(
    nodes: OnNodes, service: Service, planned: Mapping[str, Planned], way: Way, report: Report, say: Say
) -> Mapping[str, Prepared]:
    """Checks what the nodes have, and installs what they need."""
    for name, wanted in planned.items():
        if unfit := before.type_finding(wanted, nodes.engine):
            report.add(name, unfit)
    if report.is_stopped:
        return {}
    say(f"Asking {nodes.pair.every_node} through Run Command ...")
    facts, problems = nodes.run(
        {node.name: Script(script("node-facts.sh")) for node in nodes.pair.nodes},
        FACTS_TIMEOUT_SECONDS,
        "node facts",
    )
    report.add_all(problems)
    seen = {name: node_facts(read) for name, read in facts.items()}
    report.add_all({name: before.nixl_finding(one, planned[name], way) for name, one in seen.items()})
    if report.is_stopped:
        return {}
    router = nodes.router_node.name
    engine = f"{nodes.engine.PACKAGE}=={service.version}"
    say(f"Installing {engine} where it is missing, and looking at {service.model} ...")
    wanted_on = {
        node.name: packages(nodes.engine, service, has_router=node.name == router)
        for node in nodes.pair.nodes
    }
    # 5600 is the port at which NIXL's connector gives its metadata away.
    needed = {
        node.name: [ENGINE_PORTS[node.role], 5600, *(ports(nodes.pair) if node.name == router else ())]
        for node in nodes.pair.nodes
    }
    documents, problems = nodes.prepare(wanted_on, service, needed)
    report.add_all(problems)
    found = {name: before.prepared(one) for name, one in documents.items()}
    for node in nodes.pair.nodes:
        if node.name in found:
            one = found[node.name]
            told = before.node_findings(report.environment, node, one, service, way, nodes.engine)
            driver = seen[node.name].accelerator_driver
            report.add(node.name, *told, *before.driver_findings(driver, one.cuda))
    if len(found) == len(nodes.pair.nodes) and not report.is_stopped:
        report.add("", *before.agreement(found, nodes.engine))
    return found


def _engines(
    nodes: OnNodes,
    service: Service,
    found: Mapping[str, Prepared],
    report: Report,
    clock: Clock,
    say: Say,
    *,
    anew: bool,
) -> frozenset[str]:
    """Engines that already run for this service stay, unless `anew`; others are started, also those of nodes that have
    another content of the model than the one that is staged. Returns the names of their nodes."""
    running = {
        name: ENGINE_UNIT in one.running
        and one.service == service.text
        and not anew
        and (one.is_whole or not one.content)
        for name, one in found.items()
    }
    # No request may be answered by a service that is not proven. This also removes the last proof.
    report.add_all(nodes.stop({nodes.router_node.name: ROUTER_UNITS}))
    report.found += drain.arm(nodes)
    # A drain that has just been ended may have told its engine to end.
    now = nodes.look()[0] if any(running.values()) else {}
    ended = {name for name, one in now.items() if not one.engine.is_up}
    chosen = [node for node in nodes.pair.nodes if not running[node.name] or node.name in ended]
    if report.is_stopped or not chosen:
        return frozenset()
    copied = copies.copy(nodes, {node.name: found[node.name] for node in chosen}, clock, say)
    report.add_all(copied)
    if report.is_stopped:
        return frozenset()
    say(f"Starting {nodes.engine.WORDS} on {listed(node.name for node in chosen)} ...")
    texts = {
        node.name: unit_of(
            nodes.engine,
            service,
            report.environment,
            node.role,
            path=found[node.name].path,
            hub=found[node.name].hub,
            planned=found[node.name].kv_transfer_config,
            source=found[node.name].source,
            manifest=MANIFEST if found[node.name].content else "",
        )
        for node in chosen
    }
    report.add_all(nodes.start(ENGINE_UNIT, texts, service))
    return frozenset(texts)


def _at_boot(nodes: OnNodes, found: Mapping[str, Prepared], report: Report, *, at_boot: bool) -> None:
    """Lets nodes start their engines when they boot, or no longer."""
    if at_boot:
        lacking = [name for name, one in found.items() if not one.at_boot]
        for name in lacking:
            remedy = f"`nixl-efa nodes sync {report.environment}` writes it; then start the service again."
            report.add(name, warned("start at boot", f"the node has no {BOOT_UNIT}.", remedy))
    # Also nodes that did when they were looked at: a drain that was ended since may have told them not to.
    told = [name for name, one in found.items() if one.at_boot and (at_boot or one.at_boot != "disabled")]
    report.add_all(nodes.set_at_boot(told, at_boot=at_boot) if told else {})


def _wait(
    nodes: OnNodes, started: frozenset[str], report: Report, clock: Clock, say: Say
) -> Mapping[str, Seen]:
    """The nodes, as soon as every engine answers; none if an engine has ended. started: those that were started now."""
    begun = told = clock.now()
    restarts = dict.fromkeys(started, 0)
    silent: dict[str, datetime] = {}
    while True:
        seen, problems = nodes.look()
        ended = {
            name: one
            for name, one in seen.items()
            if not one.engine.is_up or one.engine.restarts > restarts.setdefault(name, one.engine.restarts)
        }
        if ended:
            for name, one in ended.items():
                report.add(name, proof.not_started(one.engine.end))
            # systemd would start it again and again.
            nodes.stop(dict.fromkeys(ended, (ENGINE_UNIT,)))
            return {}
        waiting = [name for name, one in seen.items() if not one.engine.is_healthy] + list(problems)
        if not waiting:
            for name in seen:
                report.add(name, passed("start", f"{nodes.engine.WORDS} answers"))
            return seen
        now = clock.now()
        silent = {name: silent.get(name, now) for name in problems}
        if lost := [name for name in silent if (now - silent[name]).total_seconds() > SILENT_SECONDS]:
            report.add_all({name: problems[name] for name in lost})
            return {}
        if (now - begun).total_seconds() > START_SECONDS:
            for name in waiting:
                last = seen[name].engine.end.splitlines()[-1:] if name in seen else [problems[name].message]
                why = f"the engine does not answer after {START_SECONDS / 3600:.0f} h; last log line: {''.join(last)}"
                report.add(name, failed("start", why, f"`nixl-efa serve logs {report.environment}`"))
            return {}
        if (now - told).total_seconds() >= TELL_SECONDS:
            told = now
            for name in waiting:
                last = seen[name].engine.end.splitlines()[-1:] if name in seen else [problems[name].message]
                say(f"  {name}: {''.join(last)[:160]}")
        clock.sleep(LOOK_SECONDS)


def _prove(
    nodes: OnNodes,
    service: Service,
    way: Way,
    vocabulary: int,
    seen: Mapping[str, Seen],
    report: Report,
    clock: Clock,
    say: Say,
) -> None:
    """Every pair, then the router."""
    say("Warming up and proving each producer with each consumer ...")
    for last in (False, False, True):
        found = _pairs(nodes, way, vocabulary)
        # Other traffic of that moment, such as a repeated packet, is counted too. KV caches that go another way fail
        # each time.
        if last or {one.check for _, one in found if one.level is Level.FAIL} != {"wire"}:
            break
    report.found += found
    if report.is_stopped:
        return
    try:
        say(f"Starting the router on {nodes.router_node.name} ...")
        _prove_router(nodes, vocabulary, report, clock)
        if not report.is_stopped:
            now, problems = nodes.look()
            report.add_all(problems)
            for name, one in now.items():
                report.add(name, *_changed(nodes, service, way, seen[name], one))
        if not report.is_stopped:
            engines = {name: one.engine.invocation for name, one in seen.items()}
            report.add_all(
                nodes.write_proof({"engines": engines, "at": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")})
            )
        report.ready = not report.is_stopped
    finally:
        # No request may be answered by a service that is not proven: also not after Ctrl-C, or an error of AWS.
        if not report.ready:
            report.add_all(nodes.stop({nodes.router_node.name: ROUTER_UNITS}))


def _pairs(nodes: OnNodes, way: Way, vocabulary: int) -> list[tuple[str, Finding]]:
    """What one proof of every pair has found."""
    environment = nodes.pair.environment
    documents, problems = nodes.prove(router=False, vocabulary=vocabulary)
    found = list(problems.items())
    every = [one for document in documents.values() for one in document["proofs"]]
    # The reason for a missing answer is in the log of the engine that gave none.
    now = nodes.look()[0] if any(one["error"] for one in every) else {}
    for name, document in documents.items():
        for one in document["proofs"]:
            engine = one["name"] if one["step"] in proof.OF_PRODUCER else name
            end = now[engine].engine.end if engine in now else ""
            findings = proof.pair_findings(environment, name, one, way, nodes.engine, end)
            found += [(name, each) for each in findings]
    return found


def _prove_router(nodes: OnNodes, vocabulary: int, report: Report, clock: Clock) -> None:
    """Starts the router, and asks it."""
    router = nodes.router_node.name
    for unit_name, text in router_units(nodes.pair).items():
        report.add_all(nodes.start(unit_name, {router: text}, None))
    if report.is_stopped or not _router_is_up(nodes, report, clock):
        return
    documents, problems = nodes.prove(router=True, vocabulary=vocabulary)
    report.add_all(problems)
    for document in documents.values():
        for one in document["proofs"]:
            now = nodes.look()[0] if one["error"] else {}
            unit = now[router].router if router in now else None
            report.add(
                "", *proof.router_findings(report.environment, one, nodes.engine, unit.end if unit else "")
            )


def _changed(nodes: OnNodes, service: Service, way: Way, before: Seen, now: Seen) -> tuple[Finding, ...]:
    """What has happened on a node during the proof, so that it proves nothing: another start, or somebody else's."""
    environment = nodes.pair.environment
    again = (
        f"Is somebody else working on {environment}? Then run this again: `{service.command(environment)}`."
    )
    if service_of(dict(now.service or {})) != service:
        return (failed("proof", "somebody has started another service meanwhile.", again),)
    if now.engine.invocation != before.engine.invocation or not now.engine.is_healthy:
        return (failed("proof", "the engine has ended or was started again during the proof.", again),)
    if now.router is not None and not now.router.is_healthy:
        return (failed("proof", "the router does not answer any more.", again),)
    found = proof.log_findings(environment, now.engine.log, way, nodes.engine)
    return tuple(one for one in found if one.level is Level.FAIL)


def _router_is_up(nodes: OnNodes, report: Report, clock: Clock) -> bool:
    """Whether the router finds a healthy worker of each role in time."""
    name = nodes.router_node.name
    begun = clock.now()
    unit = None
    while (clock.now() - begun).total_seconds() < ROUTER_START_SECONDS:
        seen, _ = nodes.look()
        unit = seen[name].router if name in seen else None
        if unit is not None and unit.is_healthy:
            return True
        if unit is not None and (not unit.is_up or unit.restarts):
            break
        clock.sleep(1.0)
    last = (unit.end.splitlines() if unit else [])[-1:]
    why = f"the router does not answer on port {ROUTER_PORT}: {''.join(last) or 'it says nothing'}"
    report.add(
        name, failed("router", why, f"`nixl-efa serve logs {report.environment} --router` shows its log.")
    )
    return False


def stop(nodes: OnNodes) -> Report:
    """Stops the router, then the engines: requests in progress are lost."""
    report = Report(nodes.pair.environment, None)
    report.add_all(nodes.stop({nodes.router_node.name: ROUTER_UNITS}))
    # What installs and starts an engine at boot is ended before the engine, and starts none until the next start.
    report.add_all(nodes.stop({node.name: (BOOT_UNIT, ENGINE_UNIT) for node in nodes.pair.nodes}))
    return report
