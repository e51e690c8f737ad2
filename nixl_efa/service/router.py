"""The router in front of a service, on the first consumer: its package, its command, its systemd unit. Pure."""

from __future__ import annotations

from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.service.engine import Engine
from nixl_efa.service.model import ROUTER_METRICS_PORT, ROUTER_PORT, Service
from nixl_efa.service.units import VENV, word
from nixl_efa.service.way import engine_url
from nixl_efa.settings.parts import CONSUMER, PRODUCER

ROUTER = "vllm-router"
ROUTER_VERSION = "0.1.17"
# A worker is excluded after so many failed health checks in a row, each with a timeout of so many seconds: a busy
# decode engine misses one (seen with the engine on CPUs). A check every second finds within that time a worker
# that is back.
FAILURES, LOOK_SECONDS, BETWEEN_SECONDS = 3, 5, 1
# The router ends when its workers are not healthy in this time after its start.
WORKERS_SECONDS = 24 * 3600


def packages(engine: Engine, service: Service, *, has_router: bool) -> tuple[str, ...]:
    """NAME==VERSION of what a node needs. has_router: the node is the first consumer."""
    router = (f"{ROUTER}=={ROUTER_VERSION}",) if has_router else ()
    return (f"{engine.PACKAGE}=={service.version}", *router)


def router_command(pair: PairOutputs) -> tuple[str, ...]:
    """The router's words. No circuit breaker: it would exclude a producer for one minute after its engine is back."""
    workers: list[str] = []
    for role, option in ((PRODUCER, "--prefill"), (CONSUMER, "--decode")):
        for node in pair.of_role(role):
            workers += [option, engine_url(node)]
    return (
        f"{VENV}/bin/{ROUTER}",
        "--vllm-pd-disaggregation",
        *workers,
        *("--host", "0.0.0.0"),  # the security group decides who can reach it
        *("--port", str(ROUTER_PORT)),
        *("--prometheus-host", "0.0.0.0", "--prometheus-port", str(ROUTER_METRICS_PORT)),
        *("--health-failure-threshold", str(FAILURES)),
        *("--health-success-threshold", "1"),
        *("--health-check-timeout-secs", str(LOOK_SECONDS)),
        *("--health-check-interval-secs", str(BETWEEN_SECONDS)),
        "--disable-circuit-breaker",
        *("--worker-startup-timeout-secs", str(WORKERS_SECONDS)),
        *("--worker-startup-check-interval", "1"),
    )


def router_unit(pair: PairOutputs) -> str:
    """The router's unit."""
    return f"""\
[Unit]
Description=vllm-router in front of {pair.environment} (nixl-efa serve)
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={" ".join(map(word, router_command(pair)))}
LimitNOFILE=1048576
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
"""
