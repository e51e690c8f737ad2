"""What is served: a model, its engine and their flags. Pure; the settings and the launch read it, too."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from typing import Any

# Of an engine by its node's role, and of the router: those that the setting `service_ports` opens when it is not set.
ENGINE_PORTS = {"producer": 8100, "consumer": 8200}
ROUTER_PORT = 8000
# Of the router's own metrics, by its default; service_ports opens it when it is named there.
ROUTER_METRICS_PORT = 29000
ROUTER_PORTS = (ROUTER_PORT, ROUTER_METRICS_PORT)
# With several producers two routers run, and the other one has these ports (router.py).
OTHER_ROUTER_PORTS = (8001, 29001)
# How long requests may still run when a service is drained.
DRAIN_SECONDS = 300
ENGINE_UNIT, ROUTER_UNIT = "nixl-efa-engine.service", "nixl-efa-router.service"
# The other router's, and both by a pattern of journalctl.
PD_ROUTER_UNIT, ROUTER_LOGS = "nixl-efa-pd-router.service", "nixl-efa-*router*"
# Both are named to be stopped: systemctl waits for the end of what it is told to stop, not of what stops with it.
ROUTER_UNITS = (ROUTER_UNIT, PD_ROUTER_UNIT)
# Installs and starts a node's engine when the node boots (the setting `service`, start_at_boot).
BOOT_UNIT = "nixl-efa-service.service"
# How KV caches go: as planned for the nodes; by UCX over TCP on purpose; not at all, in one engine that does all.
PLANNED, BY_TCP, NO_TRANSFER = "planned", "tcp", "none"
# The members of a service that hold flags of the engine: those of all nodes, and those of one role's.
FLAGS = ("flags", "producer_flags", "consumer_flags")


@dataclass(frozen=True, slots=True)
class Service:
    """A model as the user asked for it; nodes keep it in /etc/nixl-efa/service.json.

    model:   a hub's name, a folder of the nodes ("/models/x") or an S3 folder ("s3://bucket/x").
    version: of the engine's package. flags: the engine's own, on all nodes; producer_flags, consumer_flags: further
             ones on the nodes of one role.
    transfer: PLANNED; the others are for measurements (`nixl-efa bench`).
    """

    engine: str
    model: str
    version: str
    flags: tuple[str, ...] = ()
    producer_flags: tuple[str, ...] = ()
    consumer_flags: tuple[str, ...] = ()
    transfer: str = PLANNED

    def path(self, place: str) -> str:
        """Where a node has the model, as its engine is told it. place: the folder below which a node keeps models."""
        in_s3 = self.model.startswith("s3://")
        return f"{place}/models/{self.model.removeprefix('s3://')}" if in_s3 else self.model

    def flags_of(self, role: str) -> tuple[str, ...]:
        """The flags on the nodes of a role: its own come last, and so have precedence."""
        own: tuple[str, ...] = getattr(self, f"{role}_flags")
        return (*self.flags, *own)

    @property
    def text(self) -> str:
        """The file's content. What is as usual is left out: an earlier release wrote the same, and what runs by it is
        only proven."""
        usual = {"producer_flags": (), "consumer_flags": (), "transfer": PLANNED}
        told = {name: value for name, value in asdict(self).items() if value != usual.get(name)}
        return json.dumps(told, indent=1) + "\n"

    def command(self, environment: str) -> str:
        """The command that asks for it."""
        words = ["--model", self.model, "--engine-version", self.version]
        # One word with "=": the value begins with a dash.
        words += [
            f"--{name.replace('_', '-')}={shlex.join(given)}"
            for name in FLAGS[1:]
            if (given := getattr(self, name))
        ]
        flags = ("--", *self.flags) if self.flags else ()
        return shlex.join(["nixl-efa", "serve", "start", environment, *words, *flags])


def service_of(document: dict[str, Any]) -> Service | None:
    """The service of a node's file; None where it is not of this form."""
    try:
        return Service(
            engine=str(document["engine"]),
            model=str(document["model"]),
            version=str(document["version"]),
            flags=tuple(map(str, document["flags"])),
            producer_flags=tuple(map(str, document.get("producer_flags", ()))),
            consumer_flags=tuple(map(str, document.get("consumer_flags", ()))),
            transfer=str(document.get("transfer", PLANNED)),
        )
    except (AttributeError, KeyError, TypeError):
        return None
