"""What runs of a service, and whether it is what was proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nixl_efa.findings import Finding, Level, failed, listed, passed, skipped, warned
from nixl_efa.service import before, proof
from nixl_efa.service.model import ROUTER_PORT, Service, service_of
from nixl_efa.service.on_nodes import OnNodes, Seen
from nixl_efa.service.run import Report


def told_service(seen: Mapping[str, Seen]) -> Service | None:
    """The service in the nodes' files: that of the first node that has one."""
    return next(
        (found for one in seen.values() if one.service and (found := service_of(dict(one.service)))), None
    )


def status(nodes: OnNodes) -> Report:
    """What runs, whether it is what was proven, and its counters until now."""
    seen, problems = nodes.look()
    report = Report(nodes.pair.environment, told_service(seen))
    report.add_all(problems)
    for name, one in seen.items():
        report.add(name, *_engine_findings(nodes, one))
    if report.service is None and any(one.engine.is_up for one in seen.values()):
        again = f"`nixl-efa serve start {report.environment} --model MODEL` starts it again."
        report.add("", warned("proof", "no node names its service: a start has ended half-way.", again))
    router = seen.get(nodes.router_node.name)
    if router is not None and router.router is not None and report.service is not None:
        report.url = f"http://{nodes.router_node.private_ip}:{ROUTER_PORT}"
        report.name = nodes.engine.served_as(report.service)
        report.add("", *_proven(report.environment, report.service, router, seen))
    report.ready = bool(report.service) and not any(one.level is not Level.PASS for _, one in report.found)
    return report


def _engine_findings(nodes: OnNodes, one: Seen) -> tuple[Finding, ...]:
    environment, unit = nodes.pair.environment, one.engine
    if not unit.state or unit.state == "inactive":
        return (
            skipped(
                "engine", "no engine runs.", f"`nixl-efa serve start {environment} --model MODEL` starts one."
            ),
        )
    if not unit.is_up:
        finding = proof.not_started(unit.end)
        return (failed("engine", finding.message, finding.remedy),)
    again = f", started again {unit.restarts} times by itself" if unit.restarts else ""
    if not unit.is_healthy:
        last = "".join(unit.end.splitlines()[-1:])
        return (
            failed("engine", f"it does not answer{again}: {last}", f"`nixl-efa serve logs {environment}`"),
        )
    counted = nodes.engine.counted(unit.metrics)
    findings = [passed("engine", f"{nodes.engine.WORDS} answers{again}")]
    moved = f"{before.gib(counted.nixl_bytes)} by NIXL, {counted.transferred} prompt tokens by KV transfer"
    if counted.failed:
        remedy = f"`nixl-efa serve logs {environment}` on the consumer has NIXL's words."
        findings.append(warned("KV transfer", f"{moved}, {counted.failed} transfers failed.", remedy))
    elif counted.nixl_bytes:
        findings.append(passed("KV transfer", f"{moved}, none failed"))
    return tuple(findings)


def _proven(environment: str, service: Service, one: Seen, seen: Mapping[str, Seen]) -> tuple[Finding, ...]:
    """The router, and whether the engines that run are those of the proof."""
    unit = one.router
    restart = f"`{service.command(environment)}` proves it again; engines that run continue."
    if unit is None or not unit.is_up:
        return (failed("router", "it does not run: nothing answers requests.", restart),)
    if not unit.is_healthy:
        last = "".join(unit.end.splitlines()[-1:])
        return (
            failed(
                "router",
                f"it has no healthy worker of each role: {last}",
                f"`nixl-efa serve logs {environment}`",
            ),
        )
    known: Mapping[str, Any] = (one.proven or {}).get("engines", {})
    others = [name for name, each in seen.items() if known.get(name) != each.engine.invocation]
    if others:
        message = f"{listed(others)} started again since the proof: what they do now is not proven."
        return (passed("router", "it answers"), warned("proof", message, restart))
    return (passed("router", "it answers"), passed("proof", f"of {(one.proven or {}).get('at', '')}"))
