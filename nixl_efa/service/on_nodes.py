"""The actions on the nodes of a service: scripts by Run Command, and the results in their outputs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nixl_efa.findings import Finding, failed
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.parse import json_object
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.nodes.sections import MISSING, Section
from nixl_efa.nodes.verify import Ask, sections_of
from nixl_efa.service import router, staged
from nixl_efa.service.drain import End
from nixl_efa.service.engine import Engine
from nixl_efa.service.model import BOOT_UNIT, ENGINE_UNIT, ROUTER_PORT, ROUTER_UNIT, ROUTER_UNITS, Service
from nixl_efa.service.units import DRAIN_UNIT
from nixl_efa.service.way import engine_url
from nixl_efa.settings.parts import CONSUMER

Say = Callable[[str], None]
Sections = Mapping[str, Section]
# An installation of an engine, all else.
INSTALL_SECONDS, SECONDS = 3600, 300
# Scripts that only read, so that they may run a second time if their output was cut (run_command.run).
LOOKS = ("node facts", "look", "logs")
END_LINES = 20


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Unit:
    """One of our units on a node, as it is now. state: systemd's ActiveState, empty where there is no such unit.

    restarts: since somebody started it. invocation: systemd's id of this start. log: the lines that are read; end: the
    last ones. metrics: the lines that are read; earlier: those of so many seconds before, empty if not asked for.
    """

    state: str
    restarts: int
    invocation: str
    is_healthy: bool
    log: str
    end: str
    metrics: str
    earlier: str
    seconds: float

    @property
    def is_up(self) -> bool:
        """It runs, or will run soon."""
        return self.state in ("active", "activating", "reloading")

    @property
    def is_ending(self) -> bool:
        """Somebody has told it to end, and it has not yet."""
        return self.state == "deactivating"

    @property
    def last_line(self) -> str:
        """The end of its log."""
        return "".join(self.end.splitlines()[-1:])


@dataclass(frozen=True, slots=True)
class Copying:
    """A copy of a model on a node. state: of copy_model.py ("copying", "done", "failed"), empty if it printed nothing.

    line: how far it is, or why it failed. runs: its unit runs.
    """

    state: str
    line: str
    runs: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A node: its units, the service in its file, and the last proof (only on the first consumer).

    at_boot: what starts its engine at boot; boot_error: why it did not. drain: what drains it; drained: what that has
    told (drain_node.py).
    """

    engine: Unit
    at_boot: Unit
    drain: Unit
    router: Unit | None
    service: Mapping[str, Any] | None
    proven: Mapping[str, Any] | None
    boot_error: str
    drained: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class OnNodes:
    """The nodes of an environment, the means to run scripts on them, and the engine of their service.

    models_bucket: where models are staged; empty: in the scripts bucket. ends: of the Capacity Blocks, by
    the name of each node that runs in one, or may.
    """

    pair: PairOutputs
    ask: Ask
    engine: Engine
    models_bucket: str = ""
    ends: Mapping[str, End] = field(default_factory=dict)

    @property
    def router_node(self) -> Node:
        """Where the router is."""
        return self.pair.of_role(CONSUMER)[0]

    def run(
        self, scripts: Mapping[str, Script], seconds: int, what: str
    ) -> tuple[Mapping[str, Sections], Mapping[str, Finding]]:
        """Scripts by a node's name: the sections of those that answered, and the outcome of the others."""
        nodes = {node.name: node for node in self.pair.nodes if node.name in scripts}
        outcomes: Mapping[str, Outcome] = self.ask(
            {node.instance_id: scripts[name] for name, node in nodes.items()}, seconds, what
        )
        found: dict[str, Sections] = {}
        problems: dict[str, Finding] = {}
        for name, node in nodes.items():
            read, problem = sections_of(node, outcomes[node.instance_id])
            if problem:
                problems[name] = failed(
                    "Run Command", problem, "Try it again; `nixl-efa verify` looks at the node."
                )
            else:
                found[name] = read
        return found, problems

    def python(
        self, program: str, given: Mapping[str, Mapping[str, Any]], seconds: int, what: str
    ) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Finding]]:
        """A program of ours with a document for each node: the documents that they printed."""
        runner = _text("run-python.sh")
        scripts = {name: Script(runner, (program, json.dumps(one))) for name, one in given.items()}
        sections, problems = self.run(scripts, seconds, what)
        found: dict[str, Mapping[str, Any]] = {}
        wrong = dict(problems)
        for name, read in sections.items():
            printed = read.get("program", MISSING)
            document = json_object(printed.last_line) if printed.code == 0 else None
            if document is None:
                wrong[name] = failed(
                    what, f"{printed.last_line or 'it printed nothing'}.", "Look at the node."
                )
            else:
                found[name] = document
        return found, wrong

    def prepare(
        self, packages: Mapping[str, Sequence[str]], service: Service, ports: Mapping[str, Sequence[int]]
    ) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Finding]]:
        """Packages installed, and what prepare.py saw."""
        every = router.packages(self.engine, service, has_router=True)
        given = {
            name: {
                "packages": list(several),
                "installer": _text("install-engine.sh"),
                "wheels": self._in_bucket(staged.packages_folder(every)),
                "model": service.model,
                "folder": service.path(""),
                "staged": ""
                if service.model.startswith("/")
                else self._in_bucket(staged.folder(service.model)),
                "manifest": staged.MANIFEST,
                "ports": list(ports[name]),
                "units": [ENGINE_UNIT, *ROUTER_UNITS],
                "boot_unit": BOOT_UNIT,
            }
            for name, several in packages.items()
        }
        return self.python(_text("prepare.py"), given, INSTALL_SECONDS, "packages and model")

    def _in_bucket(self, folder: str) -> str:
        """Where `serve prepare` stages it; empty without a bucket."""
        bucket = self.models_bucket or self.pair.scripts_bucket
        return f"s3://{bucket}/{folder}" if bucket else ""

    def copies(
        self, sources: Mapping[str, tuple[str, str, bool]], *, begin: bool
    ) -> tuple[Mapping[str, Copying], Mapping[str, Finding]]:
        """How far the copies of models are, by a node's name; begin: where none runs, one is started.

        sources: from which folder in S3, to which of the node, and whether a manifest is there.
        """
        scripts = {}
        for name, (source, folder, has_manifest) in sources.items():
            mark = hashlib.sha256(folder.encode()).hexdigest()[:8]
            words = (source, folder, staged.MANIFEST if has_manifest else "") if begin else ()
            status = f"/run/nixl-efa/copy-{mark}.json"
            scripts[name] = Script(
                _text("start-copy.sh"), (_text("copy_model.py"), f"nixl-efa-copy-{mark}", status, *words)
            )
        found, problems = self.run(scripts, SECONDS, "copy")
        return {name: _copying(read) for name, read in found.items()}, problems

    def start(self, unit: str, texts: Mapping[str, str], service: Service | None) -> Mapping[str, Finding]:
        """Starts a unit again, by its text on each node; what could not be."""
        told = base64.b64encode(service.text.encode()).decode() if service else ""
        scripts = {
            name: Script(_text("start-unit.sh"), (unit, base64.b64encode(text.encode()).decode(), told))
            for name, text in texts.items()
        }
        found, problems = self.run(scripts, SECONDS, "start")
        wrong = dict(problems)
        for name, read in found.items():
            started = read.get("started", MISSING)
            if started.code:
                why = started.last_line or f"exit code {started.code}"
                wrong[name] = failed("start", f"{unit} can't be started: {why}.", f"systemctl status {unit}")
        return wrong

    def stop(self, units: Mapping[str, Sequence[str]]) -> Mapping[str, Finding]:
        """Ends units, by a node's name; what could not be ended."""
        text = _text("stop-units.sh")
        found, problems = self.run(
            {name: Script(text, several) for name, several in units.items()}, SECONDS, "stop"
        )
        wrong = dict(problems)
        for name, read in found.items():
            stopped = read.get("stopped", MISSING)
            if stopped.code:
                wrong[name] = failed(
                    "stop", f"{stopped.last_line}.", "Look at `systemctl status` on the node."
                )
        return wrong

    def set_at_boot(self, names: Iterable[str], *, at_boot: bool) -> Mapping[str, Finding]:
        """Lets these nodes start their engines at boot, or no longer; where that could not be set."""
        text = 'output=$(systemctl "$1" "$2" 2>&1)\nprintf \'@@ begin set\\n%s\\n@@ end set %s\\n\' "$output" $?\n'
        verb = "enable" if at_boot else "disable"
        found, problems = self.run(
            {name: Script(text, (verb, BOOT_UNIT)) for name in names}, SECONDS, "start at boot"
        )
        wrong = dict(problems)
        for name, read in found.items():
            done = read.get("set", MISSING)
            if done.code:
                message = f"{BOOT_UNIT} can't be {verb}d: {done.last_line}."
                wrong[name] = failed("start at boot", message, f"systemctl {verb} {BOOT_UNIT}")
        return wrong

    def look(
        self, seconds: float = 0, only: Iterable[str] | None = None
    ) -> tuple[Mapping[str, Seen], Mapping[str, Finding]]:
        """The units of every node, or of some. seconds: how long before their metrics these are read a first time; 0:
        not at all."""
        given: dict[str, Mapping[str, Any]] = {}
        names = {node.name for node in self.pair.nodes} if only is None else set(only)
        for node in (one for one in self.pair.nodes if one.name in names):
            units = [
                {"name": ENGINE_UNIT, "url": f"{engine_url(node)}{self.engine.HEALTH}"},
                *({"name": one, "url": ""} for one in (BOOT_UNIT, DRAIN_UNIT)),
            ]
            if node == self.router_node:
                units.append({"name": ROUTER_UNIT, "url": f"http://127.0.0.1:{ROUTER_PORT}{router.READY}"})
            given[node.name] = {
                "units": units,
                "pattern": self.engine.LOG_LINES,
                "metrics": self.engine.METRICS,
                "seconds": seconds,
                "lines": END_LINES,
            }
        found, problems = self.python(_text("look_at_units.py"), given, SECONDS, "look")
        return {name: _seen(document) for name, document in found.items()}, problems

    def prove(
        self, router: bool, vocabulary: int
    ) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Finding]]:
        """The documents of the engine's program: of each consumer with every producer, or of the router."""
        producers = [
            {"name": node.name, "url": engine_url(node), "address": node.private_ip}
            for node in self.pair.nodes
            if node.role != CONSUMER
        ]
        consumers = [self.router_node] if router else self.pair.of_role(CONSUMER)
        given = {
            node.name: {
                "own": engine_url(node),
                "producers": producers,
                "consumers": [{"url": engine_url(one)} for one in self.pair.of_role(CONSUMER)],
                "router": f"http://127.0.0.1:{ROUTER_PORT}" if router else "",
                "vocabulary": vocabulary,
            }
            for node in consumers
        }
        return self.python(self.engine.program(), given, 3600, "proof")

    def write_proof(self, proof: Mapping[str, Any]) -> Mapping[str, Finding]:
        """Writes what was proven, and for which starts of the engines, to the router's node; it is kept until the node
        stops."""
        text = base64.b64encode(json.dumps(proof).encode()).decode()
        write = (
            'root=${NIXL_EFA_ROOT:-}\nmkdir -p "$root/run/nixl-efa" && '
            'printf %s "$1" | base64 -d >"$root/run/nixl-efa/proven.json"\n'
            "printf '@@ begin proven\\n@@ end proven %s\\n' $?\n"
        )
        name = self.router_node.name
        found, problems = self.run({name: Script(write, (text,))}, SECONDS, "proof")
        if name in found and found[name].get("proven", MISSING).code:
            return {
                name: failed(
                    "proof", "/run/nixl-efa/proven.json can't be written.", "Is the disk full (`df -h`)?"
                )
            }
        return problems

    def logs(
        self, nodes: Iterable[Node], unit: str, lines: int
    ) -> tuple[Mapping[str, Sections], Mapping[str, Finding]]:
        """The end of a unit's journal on each node."""
        text = (
            'output=$(journalctl --no-pager --output=short-iso -u "$1" -n "$2" 2>&1)\n'
            "printf '@@ begin log\\n%s\\n@@ end log %s\\n' \"$output\" $?\n"
        )
        return self.run({node.name: Script(text, (unit, str(lines))) for node in nodes}, SECONDS, "logs")


def _copying(read: Sections) -> Copying:
    """The sections of start-copy.sh."""
    told = json_object(read.get("status", MISSING).text) or {}
    runs = read.get("unit", MISSING).last_line in ("active", "activating")
    end = read.get("end", MISSING).last_line
    return Copying(str(told.get("state", "")), str(told.get("line", "") or end), runs)


def _seen(document: Mapping[str, Any]) -> Seen:
    """What look_at_units.py reports about a node."""
    engine, at_boot, drain, *router = (
        Unit(
            state=one["state"],
            restarts=one["restarts"],
            invocation=one["invocation"],
            is_healthy=one["healthy"],
            log=one["log"],
            end=one["end"],
            metrics=one["metrics"],
            earlier=one["earlier"],
            seconds=one["seconds"],
        )
        for one in document["units"]
    )
    service, proven, told, drained = (
        json_object(document[one]) for one in ("service", "proven", "at_boot", "drained")
    )
    error = str((told or {}).get("error", ""))
    return Seen(engine, at_boot, drain, router[0] if router else None, service, proven, error, drained)
