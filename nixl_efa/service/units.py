"""The systemd units of a service: an engine on each node, the router on the first consumer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.service.model import ROUTER_PORT, engine_url
from nixl_efa.settings.parts import CONSUMER, PRODUCER

VENV = "/opt/nixl-efa/venv"
ROUTER = "vllm-router"
ROUTER_VERSION = "0.1.17"
# A worker is excluded after so many failed health checks in a row, each with a timeout of so many seconds: a busy
# decode engine misses one (seen with the engine on CPUs). A check every two seconds finds within that time a worker
# that is back.
FAILURES, LOOK_SECONDS, BETWEEN_SECONDS = 3, 5, 2
# The router ends when its workers are not healthy in this time after its start.
WORKERS_SECONDS = 24 * 3600
# The default of systemd, and CUDA's compiler, which an engine may need.
_PATH = "/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Variable:
    """A word of a command that comes from the unit's environment: always one word, also with spaces in it."""

    name: str


def word(one: str | Variable) -> str:
    """A word as ExecStart= takes it (systemd.service, "Command lines"; systemd.unit, "Specifiers")."""
    if isinstance(one, Variable):
        return f"${{{one.name}}}"
    escaped = one.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    # A line's end would end the setting.
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def engine_unit(
    what: str, environment: str, role: str, command: Sequence[str | Variable], variables: Sequence[str]
) -> str:
    """An engine's unit. what: the engine in words. variables: NAME=VALUE.

    The user's own variables are in /etc/nixl-efa/service.env, which has precedence.
    """
    given = "".join(f"Environment={word(one)}\n" for one in variables)
    return f"""\
[Unit]
Description={what}, {role} of {environment} (nixl-efa serve)
After=network-online.target nvidia-persistenced.service nvidia-fabricmanager.service
Wants=network-online.target

[Service]
Environment="HOME=/root" "PATH={VENV}/bin:{_PATH}"
{given}EnvironmentFile=/etc/nixl-efa/env
EnvironmentFile=-/etc/nixl-efa/service.env
ExecStart={" ".join(map(word, command))}
LimitMEMLOCK=infinity
LimitNOFILE=1048576
Restart=on-failure
RestartSec=2
TimeoutStopSec=60
"""


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
