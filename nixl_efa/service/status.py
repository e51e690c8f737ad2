"""What runs of a service, whether it is what was proven, what it does, and how long its nodes have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nixl_efa.findings import Finding, Level, counted, failed, listed, passed, skipped, warned
from nixl_efa.nodes import block
from nixl_efa.nodes.verify import PairReport
from nixl_efa.service import before, drain, proof
from nixl_efa.service.engine import Activity
from nixl_efa.service.model import PLANNED, ROUTER_METRICS_PORT, ROUTER_PORT, Service, service_of
from nixl_efa.service.on_nodes import OnNodes, Seen
from nixl_efa.service.run import Report
from nixl_efa.service.way import engine_url
from nixl_efa.times import moment

# Over how long tokens are counted.
ACTIVITY_SECONDS = 5.0
_TRANSFER = "KV transfer"


@dataclass
class Status(Report):
    """A service that is looked at. activity: of the engines that answer, by their nodes.

    metrics: the URL that Prometheus reads, of each of these engines by its node, and of the router by that word.
    held: the nodes' reservations.
    """

    activity: dict[str, Activity] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    held: tuple[block.Held, ...] = ()


def told_service(seen: Mapping[str, Seen]) -> Service | None:
    """The service in the nodes' files: that of the first node that has one."""
    return next(
        (found for one in seen.values() if one.service and (found := service_of(dict(one.service)))), None
    )


def status(nodes: OnNodes, by_aws: PairReport) -> Status:
    """What runs and what it does. by_aws: what AWS says about the nodes, with the time left in their reservations."""
    seen, problems = nodes.look(ACTIVITY_SECONDS)
    report = Status(nodes.pair.environment, told_service(seen), held=by_aws.held)
    report.add_all(problems)
    for node in nodes.pair.nodes:
        if (one := seen.get(node.name)) is None:
            continue
        now = nodes.engine.activity(one.engine.earlier, one.engine.metrics, one.engine.seconds)
        report.add(node.name, *_engine_findings(nodes, one, now))
        report.add(node.name, *_drain_findings(report.environment, node.name, one))
        if one.engine.is_up and one.engine.is_healthy:
            report.activity[node.name] = now
            report.metrics[node.name] = f"{engine_url(node)}/metrics"
    if report.service is None and any(one.engine.is_up for one in seen.values()):
        again = f"`nixl-efa serve start {report.environment} --model MODEL` starts it again."
        report.add("", warned("proof", "no node names its service: a start was interrupted.", again))
    kinds = {
        name: found.transfer
        for name, one in seen.items()
        if one.engine.is_up and one.service and (found := service_of(dict(one.service)))
    }
    if measured := [name for name, kind in kinds.items() if kind != PLANNED]:
        message = f"{listed(measured)} has the engine of a measurement, not the one for users."
        again = (
            "`nixl-efa bench` puts the service back at its end; if it was killed, start the service again."
        )
        report.add("", warned("service", message, again))
    router = seen.get(nodes.router_node.name)
    if router is not None and router.router is not None and report.service is not None:
        report.url = f"http://{nodes.router_node.private_ip}:{ROUTER_PORT}"
        report.name = nodes.engine.served_as(report.service)
        report.add("", *_proven(report.environment, report.service, router, seen))
        if router.router.is_up and router.router.is_healthy:
            report.metrics["router"] = f"http://{nodes.router_node.private_ip}:{ROUTER_METRICS_PORT}/metrics"
    # A transfer that has failed is counted as long as its engine runs, and the service goes on.
    doubts = [one for _, one in report.found if one.level is not Level.PASS and one.check != _TRANSFER]
    report.add("", *(one for one in by_aws.findings if one.check == block.CHECK))
    report.ready = bool(report.service) and not doubts and not report.is_stopped
    return report


def _drain_findings(environment: str, name: str, one: Seen) -> tuple[Finding, ...]:
    """A drain that runs, or that has ended the engine."""
    if (told := one.drained) is None:
        return ()
    since = moment(datetime.strptime(told["at"], "%Y%m%dT%H%M%S%z"))
    if one.drain.is_up:
        message = (
            f"since {since}: {told['why']}. Results and logs go to {told['saved']}/. "
            f"Its last log line: {one.drain.last_line}."
        )
        return (warned(drain.CHECK, message, f"`nixl-efa serve drain {environment}` waits for its end."),)
    if one.engine.is_up:
        return ()
    if "left" not in told:
        return (drain.not_ended(one.drain.last_line),)
    again = f"`nixl-efa serve start {environment} --model MODEL` starts a service again."
    return (skipped(drain.CHECK, f"drained at {since}: {told['why']}.", again), *drain.saved(name, told))


def _engine_findings(nodes: OnNodes, one: Seen, now: Activity) -> tuple[Finding, ...]:
    environment, unit = nodes.pair.environment, one.engine
    if not unit.is_up and one.drained is not None:
        return ()
    if not unit.is_up and one.at_boot.is_up:
        waits = f"`nixl-efa serve start {environment}` waits for it, and proves it."
        return (skipped("engine", f"the node is about to start it: {one.at_boot.last_line}.", waits),)
    if unit.is_ending:
        waits = f"`nixl-efa serve status {environment}` again tells when it has."
        return (skipped("engine", f"it was told to end, and is doing so: {unit.last_line}.", waits),)
    if not unit.state or unit.state == "inactive":
        why = f", since the node's boot has not started it: {one.boot_error}." if one.boot_error else "."
        again = f"`nixl-efa serve start {environment} --model MODEL` starts one."
        return (skipped("engine", f"no engine runs{why}", again),)
    if not unit.is_up:
        finding = proof.not_started(unit.end)
        return (failed("engine", finding.message, finding.remedy),)
    again = f", started again {unit.restarts} times by itself" if unit.restarts else ""
    if not unit.is_healthy:
        silent = f"it does not answer{again}: {unit.last_line}"
        return (failed("engine", silent, f"`nixl-efa serve logs {environment}`"),)
    findings = [passed("engine", f"{nodes.engine.WORDS} answers{again}")]
    transferred = nodes.engine.counted(unit.metrics).transferred
    rate = f" at {now.kv_gbps:.2f} Gbps on average" if now.kv_gbps else ""
    moved = f"{before.gib(now.kv_bytes or 0)} by NIXL{rate}, {transferred} prompt tokens by KV transfer"
    bad = [f"{counted(now.failed_transfers, 'transfer')} failed"] if now.failed_transfers else []
    if now.expired:
        bad.append(f"{counted(now.expired, 'KV cache')} expired before the consumer had read it")
    if bad:
        remedy = f"`nixl-efa serve logs {environment}` has the engine's words."
        findings.append(warned(_TRANSFER, f"{moved}, {', '.join(bad)}.", remedy))
    elif now.kv_bytes:
        none = ", none failed" if now.failed_transfers == 0 else ""
        findings.append(passed(_TRANSFER, f"{moved}{none}"))
    return tuple(findings)


def _proven(environment: str, service: Service, one: Seen, seen: Mapping[str, Seen]) -> tuple[Finding, ...]:
    """The router, and whether the engines that run are those of the proof."""
    unit = one.router
    restart = f"`{service.command(environment)}` proves it again; engines that run continue."
    if one.drain.is_up or (unit is not None and unit.is_ending):
        does = "its node drains" if one.drain.is_up else "it was told to end"
        told = f"{does}: it takes no new request, and answers those that it has."
        return (skipped("router", told, f"`nixl-efa serve status {environment}` again tells when it has."),)
    if unit is None or not unit.is_up:
        return (failed("router", "it does not run: nothing answers requests.", restart),)
    if not unit.is_healthy:
        lacks = f"it has no healthy worker of each role: {unit.last_line}"
        return (failed("router", lacks, f"`nixl-efa serve logs {environment}`"),)
    known: Mapping[str, Any] = (one.proven or {}).get("engines", {})
    others = [
        name for name, each in seen.items() if each.engine.is_up and known.get(name) != each.engine.invocation
    ]
    if others:
        message = f"{listed(others)} started again since the proof: what they do now is not proven."
        return (passed("router", "it answers"), warned("proof", message, restart))
    return (passed("router", "it answers"), passed("proof", f"of {(one.proven or {}).get('at', '')}"))
