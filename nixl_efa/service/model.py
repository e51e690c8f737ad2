"""What is served: a model, its engine and their flags. Pure; the settings and the launch read it, too."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nixl_efa.failure import BadInput

# Of an engine by its node's role, and of the router: those that the setting `service_ports` opens when it is not set.
ENGINE_PORTS = {"producer": 8100, "consumer": 8200}
ROUTER_PORT = 8000
# Of the router's own metrics, by its default; service_ports opens it when it is named there.
ROUTER_METRICS_PORT = 29000
ROUTER_PORTS = (ROUTER_PORT, ROUTER_METRICS_PORT)
ENGINE_UNIT, ROUTER_UNIT = "nixl-efa-engine.service", "nixl-efa-router.service"
# How KV caches go: as planned for the nodes; by UCX over TCP on purpose; not at all, in one engine that does all.
PLANNED, BY_TCP, NO_TRANSFER = "planned", "tcp", "none"


@dataclass(frozen=True, slots=True)
class Service:
    """A model as the user asked for it; nodes keep it in /etc/nixl-efa/service.json.

    model:   a hub's name, a folder of the nodes ("/models/x") or an S3 folder ("s3://bucket/x").
    version: of the engine's package. flags: the engine's own.
    transfer: PLANNED; the others are for measurements (`nixl-efa bench`).
    """

    engine: str
    model: str
    version: str
    flags: tuple[str, ...] = ()
    transfer: str = PLANNED

    @property
    def text(self) -> str:
        """The file's content."""
        told = asdict(self)
        if self.transfer == PLANNED:
            del told["transfer"]
        return json.dumps(told, indent=1) + "\n"

    def command(self, environment: str) -> str:
        """The command that asks for it."""
        flags = ("--", *self.flags) if self.flags else ()
        words = ("--model", self.model, "--engine-version", self.version, *flags)
        return shlex.join(["nixl-efa", "serve", "start", environment, *words])


def service_of(document: dict[str, Any]) -> Service | None:
    """The service of a node's file; None where it is not of this form."""
    try:
        return Service(
            str(document["engine"]),
            str(document["model"]),
            str(document["version"]),
            tuple(map(str, document["flags"])),
            str(document.get("transfer", PLANNED)),
        )
    except (KeyError, TypeError):
        return None


def asked(engine: str, model: str, version: str, flags: Sequence[str], refused: Mapping[str, str]) -> Service:
    """The service that a command line describes. BadInput for values that can't be right.

    refused: the engine's flags that the user may not set, and why.
    """
    name = model.rstrip("/")
    part = r"[a-zA-Z0-9_][\w.-]*"
    if not re.fullmatch(rf"s3://[^/\s]+/\S+|/\S+|{part}(/{part})?", name) or ".." in name.split("/"):
        raise BadInput(
            f"--model {model!r} is neither a hub's name (Qwen/Qwen3-32B), nor a folder of the nodes (/models/x), nor "
            "one in S3 (s3://bucket/x)."
        )
    if not re.fullmatch(r"[0-9][\w.+!-]*", version):
        raise BadInput(f"--engine-version {version!r} is no version of {engine}: give one such as 0.32.0.")
    if flags and not flags[0].startswith("-"):
        raise BadInput(f"{flags[0]!r} is no flag of {engine}: they begin with a dash, after `--`.")
    for flag in flags:
        # "--flag.key VALUE" is a part of a flag's JSON; an engine takes "--fla" for "--flag". Values are not shown.
        given = flag.partition("=")[0].partition(".")[0]
        if len(given) > 2 and given.startswith("--"):
            whole = given.replace("_", "-")
            if why := next((why for one, why in refused.items() if one.startswith(whole)), ""):
                raise BadInput(f"{given} can't be given to {engine} here: {why}")
    return Service(engine, name, version, tuple(flags))
