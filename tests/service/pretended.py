"""Two nodes that only pretend: what Run Command's scripts would print, so that each step can go wrong on purpose."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nixl_efa.findings import Finding
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.nodes.verify import PairReport
from nixl_efa.service import run, vllm
from nixl_efa.service.drain import End
from nixl_efa.service.model import ENGINE_UNIT, ROUTER_UNIT, Service
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.status import Status
from nixl_efa.service.status import status as status_of
from tests.nodes.stand_in import FakeClock
from tests.records import answer
from tests.service.conftest import OVER_EFA, OVER_TCP

PAIR = PairOutputs(
    "trial",
    (
        Node("producer", "producer", "i-p", "10.0.0.11", ""),
        Node("consumer", "consumer", "i-c", "10.0.0.12", ""),
    ),
)
TWO_PRODUCERS = PairOutputs("trial", (*PAIR.nodes, Node("producer-2", "producer", "i-p2", "10.0.0.13", "")))
SERVICE = Service("vllm", "/models/x", "0.32.0", ("--max-model-len", "4096"))
LOG = "\n".join(answer("nixl/backend-starts-1.5-tcp"))
UCX_LOG = "\n".join(answer("vllm/engine-start-0.32-ucx"))
METRICS = answer("vllm/metrics-0.32-decode")
FACTS = "@@ begin nixl\nnixl 1.5.0 LIBFABRIC provider=tcp\n@@ end nixl 0\n"


@dataclass
class Pretended:
    """The pair. before: what happens before a step's answer, by the step and how often it was asked before.

    pair: they, or other nodes. ends: of their Capacity Blocks. answers: why a node may not ask EC2. drained: what a
    drain of a node tells.
    """

    pair: PairOutputs = PAIR
    units: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    proven: str = ""
    at_boot: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)
    drained: dict[str, dict[str, Any]] = field(default_factory=dict)
    told_at_drain: dict[str, dict[str, Any]] = field(default_factory=dict)
    boot_errors: dict[str, str] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)
    before: dict[tuple[str, int], Callable[[], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    prepared: dict[str, dict[str, Any]] = field(default_factory=dict)
    taken: dict[str, dict[str, str]] = field(default_factory=dict)
    # Of measurements: what was asked for, and changes of what is told, by how many were before.
    loads: list[dict[str, Any]] = field(default_factory=list)
    measured: dict[int, dict[str, Any]] = field(default_factory=dict)
    # In so many proofs other traffic is counted, too.
    disturbed: int = 0
    copies: list[dict[str, str]] = field(default_factory=list)
    # The model that is copied has a manifest.
    staged: bool = False
    told: list[str] = field(default_factory=list)
    # For which torch is built, and the section of the nodes' GPUs.
    cuda: str = ""
    gpus: str = ""
    _starts: int = 0

    def begin(self, node: str, unit: str, **changes: Any) -> None:
        """Starts a unit."""
        self._starts += 1
        self.units[node, unit] = {
            "state": "active",
            "restarts": 0,
            "invocation": f"{node}-{self._starts}",
            "healthy": True,
            "log": LOG if unit == ENGINE_UNIT else "",
            "end": "the last line",
            "metrics": "",
            "earlier": "",
            "seconds": 0.0,
            **changes,
        }

    def runs(self, node: str, unit: str) -> bool:
        """Whether a unit runs."""
        return self.units.get((node, unit), {}).get("state") == "active"

    def start(self, service: Service = SERVICE, **more: Any) -> run.Report:
        """`nixl-efa serve start`."""
        planned = {node.name: OVER_EFA for node in self.pair.nodes}
        return run.start(
            OnNodes(self.pair, self.ask, vllm, ends=self.ends),
            service,
            planned,
            OVER_TCP,
            clock=FakeClock(),
            say=self.told.append,
            **more,
        )

    def status(self, *capacity: Finding) -> Status:
        """`nixl-efa serve status`. capacity: what AWS says about the nodes' reservations."""
        return status_of(OnNodes(self.pair, self.ask, vllm), PairReport(self.pair, (), capacity))

    def ask(self, scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        """Run Command."""
        if event := self.before.pop((what, self.asked.count(what)), None):
            event()
        self.asked.append(what)
        steps: dict[str, Callable[[str, Script], str]] = {
            "node facts": lambda *_: FACTS + self.gpus,
            "packages and model": self._prepare,
            "start": self._start,
            "copy": self._copy,
            "stop": self._stop,
            "start at boot": self._set_at_boot,
            "look": self._look,
            "proof": self._prove,
            "measurement": self._measure,
            "end": lambda *_: "@@ begin ended\n\n@@ end ended 0\n",
            "drain": self._drain,
        }
        return {
            node.instance_id: Outcome("", f"{node.instance_id}: it is not registered.")
            if node.name in self.silent
            else Outcome(steps[what](node.name, scripts[node.instance_id]))
            for node in self.pair.nodes
            if node.instance_id in scripts
        }

    def _prepare(self, node: str, script: Script) -> str:
        self.prepared[node] = json.loads(script.arguments[1])
        [role] = [one.role for one in self.pair.nodes if one.name == node]
        backend = {"kv_role": f"kv_{role}", "kv_connector_extra_config": {"backends": ["LIBFABRIC"]}}
        model = {
            "path": "/models/x",
            "config": {"vocab_size": 2048},
            "sum": "ab" * 32,
            "weight_bytes": 1000,
            "to_copy": 0,
            "source": "s3://b/x" if self.copies else "",
            "is_whole": self.asked.count("copy") > 0,
            "content": "c1" if self.staged else "",
            "incomplete": "",
            "error": "",
        }
        return document(
            {
                "error": "",
                "source": "",
                "installed": {"vllm": "0.32.0", "nixl": "1.5.0"},
                "model": model,
                "hub": "/hub",
                "cuda": self.cuda,
                "kv_transfer_config": json.dumps(backend),
                "free_bytes": 1 << 40,
                "memory_bytes": 1 << 40,
                "gpu_bytes": [],
                "taken": self.taken.get(node, {}),
                "running": [unit for unit in self.prepared[node]["units"] if self.runs(node, unit)],
                "service": self.services.get(node, ""),
                "at_boot": self.at_boot.get(node, ""),
            }
        )

    def _copy(self, node: str, _: Script) -> str:
        """What each look at a copy sees: the last again and again. One that names a node is for that node only."""
        seen = self.copies[min(self.asked.count("copy"), len(self.copies)) - 1]
        if seen.get("node", node) != node:
            seen = self.copies[-1]
        status = json.dumps(seen) if seen["state"] else ""
        active = "active" if seen["state"] == "copying" else "inactive"
        return (
            f"@@ begin unit\n{active}\n@@ end unit 0\n@@ begin status\n{status}\n@@ end status 0\n"
            f"@@ begin end\nKilled\n@@ end end 0\n"
        )

    def _drain(self, node: str, script: Script) -> str:
        armed = f"@@ begin armed\n\n@@ end armed 0\n@@ begin ask\n{self.answers.get(node, '')}\n@@ end ask "
        if not script.arguments[-1]:
            self.told_at_drain.pop(node, None)
            return f"{armed}{int(node in self.answers)}\n"
        self.units.pop((node, ROUTER_UNIT), None)
        self.units.pop((node, ENGINE_UNIT), None)
        told = {
            "at": "20261201T100000Z",
            "why": "a test",
            "saved": f"s3://b/{node}",
            "left": "",
            "problems": [],
        }
        told |= self.drained.get(node, {})
        self.told_at_drain[node] = told
        return f"{armed}0\n@@ begin asked\n\n@@ end asked 0\n"

    def _start(self, node: str, script: Script) -> str:
        unit, text, service, *_ = script.arguments
        if service:
            self.services[node] = base64.b64decode(service).decode()
        command = base64.b64decode(text).decode()
        logs = {"--kv-transfer-config": LOG, r"\"backends\":[\"UCX\"]": UCX_LOG}
        log = [log for words, log in logs.items() if words in command]
        self.begin(node, unit, log="".join(log[-1:]))
        return "@@ begin started\n\n@@ end started 0\n"

    def _set_at_boot(self, node: str, script: Script) -> str:
        self.at_boot[node] = f"{script.arguments[0]}d"
        return "@@ begin set\n\n@@ end set 0\n"

    def _stop(self, node: str, script: Script) -> str:
        self.proven = "" if node == "consumer" else self.proven
        for unit in script.arguments:
            self.units.pop((node, unit), None)
        return "@@ begin stopped\n\n@@ end stopped 0\n"

    def _look(self, node: str, script: Script) -> str:
        gone = dict.fromkeys(("state", "invocation", "log", "end", "metrics"), "") | {
            "restarts": 0,
            "healthy": False,
            "earlier": "",
            "seconds": 0.0,
        }
        names = [one["name"] for one in json.loads(script.arguments[1])["units"]]
        drained = self.told_at_drain.get(node)
        return document(
            {
                "units": [self.units.get((node, name), gone) for name in names],
                "at_boot": json.dumps({"error": self.boot_errors.get(node, "")}),
                "drained": json.dumps(drained) if drained else "",
                "service": self.services.get(node, ""),
                "proven": self.proven if node == "consumer" else "",
            }
        )

    def _measure(self, _: str, script: Script) -> str:
        """What was recorded of 12 requests: through the router, or to an engine alone."""
        given = json.loads(script.arguments[1])
        self.loads.append(given)
        by_router = given["url"].startswith("http://127.0.0.1:")
        found = answer("vllm/bench-0.32-kv") if by_router else answer("vllm/bench-0.32-prefill")
        return document(
            {**found, "counters": "net/ens32 rx_bytes=26000000", **self.measured.get(len(self.loads) - 1, {})}
        )

    def _prove(self, _: str, script: Script) -> str:
        if len(script.arguments) == 1:
            self.proven = base64.b64decode(script.arguments[0]).decode()
            return "@@ begin proven\n@@ end proven 0\n"
        self.disturbed, other = max(0, self.disturbed - 1), (1 << 20) if self.disturbed else 0
        proof = {
            "name": "producer",
            "step": "",
            "error": "",
            "tokens": 1000,
            "alone": "a word",
            "answer": "a word",
            "seconds": 0.2,
            "counters_before": "net/ens32 rx_bytes=1000",
            "counters_after": f"net/ens32 rx_bytes={1000 + (4 << 20) + other}",
            **{f"metrics_{when}": "\n".join(METRICS[when]) for when in ("before", "after")},
        }
        return document({"proofs": [proof]})


def document(one: Mapping[str, Any]) -> str:
    """A program's document, in its section."""
    return f"@@ begin program\n{json.dumps(one)}\n@@ end program 0\n"
