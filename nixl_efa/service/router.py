"""The router in front of a service, on the first consumer: its package, its command, its systemd unit. Pure.

vllm-router pairs a producer with a consumer for each request. In this mode it tries no other producer when the one that
it chose fails: its retries and its circuit breaker have no effect there (0.1.17: measured with each policy). So with
several producers a second vllm-router, in its mode for engines that do all, receives the requests. It passes them
to the first one, and again if they fail.
"""

from __future__ import annotations

from collections.abc import Mapping

from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.service.engine import Engine
from nixl_efa.service.model import (
    OTHER_ROUTER_PORTS,
    PD_ROUTER_UNIT,
    ROUTER_METRICS_PORT,
    ROUTER_PORT,
    ROUTER_PORTS,
    ROUTER_UNIT,
    Service,
)
from nixl_efa.service.units import VENV, word
from nixl_efa.service.way import engine_url
from nixl_efa.settings.parts import CONSUMER, PRODUCER

ROUTER = "vllm-router"
ROUTER_VERSION = "0.1.17"
# Answers with 200 while there is a healthy engine of each role; /health does only while every engine is well.
READY = "/readiness"
# A worker is excluded after so many failed health checks in a row, each with a timeout of so many seconds: a busy
# decode engine misses one (seen with the engine on CPUs). A check every second finds within that time a worker
# that is back.
FAILURES, LOOK_SECONDS, BETWEEN_SECONDS = 3, 5, 1
# The router ends when its workers are not healthy in this time after its start.
WORKERS_SECONDS = 24 * 3600
# How often a request is sent at most, and how long it waits in between: 0.3, 0.6, 1.2 and 2.4 s, each by up to a tenth
# shorter or longer. Together that is longer than the failed checks of a producer that refuses connections, so the last
# attempt goes to another one, whichever the policy prefers.
ATTEMPTS, FIRST_MS, FACTOR, LONGEST_MS, JITTER = 5, 300, 2, 2400, 0.1


def packages(engine: Engine, service: Service, *, has_router: bool) -> tuple[str, ...]:
    """NAME==VERSION of what a node needs. has_router: the node is the first consumer."""
    router = (f"{ROUTER}=={ROUTER_VERSION}",) if has_router else ()
    return (f"{engine.PACKAGE}=={service.version}", *router)


def _has_retries(pair: PairOutputs) -> bool:
    """Whether a second router sends failed requests again: there is another producer to try."""
    return len(pair.of_role(PRODUCER)) > 1


def ports(pair: PairOutputs) -> tuple[int, ...]:
    """The ports of the first consumer that its routers have."""
    return (*ROUTER_PORTS, *(OTHER_ROUTER_PORTS if _has_retries(pair) else ()))


def pd_port(pair: PairOutputs) -> int:
    """The port of the router that knows the engines."""
    return OTHER_ROUTER_PORTS[0] if _has_retries(pair) else ROUTER_PORT


def pd_command(pair: PairOutputs) -> tuple[str, ...]:
    """The words of the router that pairs producers with consumers. Its metrics are those of the service."""
    workers: list[str] = []
    for role, option in ((PRODUCER, "--prefill"), (CONSUMER, "--decode")):
        for node in pair.of_role(role):
            workers += [option, engine_url(node)]
    mode = ("--vllm-pd-disaggregation", *workers)
    return _command(mode, pd_port(pair), "0.0.0.0", ROUTER_METRICS_PORT)


def retry_command(pair: PairOutputs) -> tuple[str, ...]:
    """The words of the router that sends failed requests to the other one again. Its default policy would send each
    prompt to /v1/completions/render or /tokenize first."""
    mode = (
        *("--worker-urls", f"http://127.0.0.1:{pd_port(pair)}"),
        *("--policy", "round_robin"),
        *("--health-check-endpoint", READY),
        *("--retry-max-retries", str(ATTEMPTS)),
        *("--retry-initial-backoff-ms", str(FIRST_MS)),
        *("--retry-backoff-multiplier", str(FACTOR)),
        *("--retry-max-backoff-ms", str(LONGEST_MS)),
        *("--retry-jitter-factor", str(JITTER)),
    )
    return _command(mode, ROUTER_PORT, "127.0.0.1", OTHER_ROUTER_PORTS[1])


def _command(mode: tuple[str, ...], port: int, metrics_host: str, metrics_port: int) -> tuple[str, ...]:
    """What both have. No circuit breaker: the only worker of the second would be excluded for a minute."""
    return (
        f"{VENV}/bin/{ROUTER}",
        *mode,
        *("--host", "0.0.0.0"),  # the security group decides who can reach it
        *("--port", str(port)),
        *("--prometheus-host", metrics_host, "--prometheus-port", str(metrics_port)),
        *("--health-failure-threshold", str(FAILURES)),
        *("--health-success-threshold", "1"),
        *("--health-check-timeout-secs", str(LOOK_SECONDS)),
        *("--health-check-interval-secs", str(BETWEEN_SECONDS)),
        "--disable-circuit-breaker",
        *("--worker-startup-timeout-secs", str(WORKERS_SECONDS)),
        *("--worker-startup-check-interval", "1"),
    )


def router_units(pair: PairOutputs) -> Mapping[str, str]:
    """The units by their names, in the order of their start. The one that receives the requests is ROUTER_UNIT; the
    other one starts and stops with it. It comes later: a start that is interrupted leaves none that nobody stops."""
    about = f"in front of {pair.environment} (nixl-efa serve)"
    if not _has_retries(pair):
        return {ROUTER_UNIT: _unit(f"vllm-router {about}", "", pd_command(pair))}
    with_it = f"After={PD_ROUTER_UNIT}\nWants={PD_ROUTER_UNIT}\n"
    return {
        ROUTER_UNIT: _unit(f"Retries by vllm-router {about}", with_it, retry_command(pair)),
        PD_ROUTER_UNIT: _unit(f"vllm-router {about}", f"PartOf={ROUTER_UNIT}\n", pd_command(pair)),
    }


def _unit(about: str, more: str, command: tuple[str, ...]) -> str:
    return f"""\
[Unit]
Description={about}
After=network-online.target
Wants=network-online.target
{more}
[Service]
ExecStart={" ".join(map(word, command))}
LimitNOFILE=1048576
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
"""
