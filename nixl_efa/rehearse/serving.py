"""A service on the nodes of a rehearsal: a real engine, in its build for CPUs, and a tiny model of random weights.

Both are in a folder that lies over the root of the machines (scripts/fetch-serve). NIXL goes over TCP, since the
machines have no EFA.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa.clock import SystemClock
from nixl_efa.failure import Failure
from nixl_efa.nodes import run_command
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.service.model import ENGINE_UNIT, ROUTER_PORT
from nixl_efa.service.way import PROVIDER_VARIABLE
from nixl_efa.settings.parts import CONSUMER

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

Tell = Callable[[str], None]
PROVIDER = "tcp"
VARIABLES = {PROVIDER_VARIABLE: PROVIDER}
# As the folder has it, and what the engine on CPUs wants: no compilation, and no more requests than one core can do.
MODEL, FLAGS = "/models/tiny", ("--enforce-eager", "--max-num-seqs", "8")
REQUESTS, SECONDS = 20, 300
# A measurement of a few requests, for `nixl-efa bench`: without EFA these are the layers that every type has.
TABLE_FILE = "bench.toml"
TABLE = """\
[[rows]]
layer = ["unified", "tcp"]
prompt_tokens = 512
concurrency = 4
output_tokens = 24
requests = 20
"""

# Each engine gets a core of its own: two that share all cores stall each other, and transfers time out. The engine gets
# 1 GiB for its KV cache, and no threads beside the core's (vLLM, installation on CPUs).
_PREPARE = f"""\
set -e
sed -i 's/^FI_PROVIDER=.*/FI_PROVIDER={PROVIDER}/; s/^UCX_TLS=.*/UCX_TLS={PROVIDER},self,sm/' /etc/nixl-efa/env
cat >/etc/nixl-efa/service.env <<'END'
VLLM_CPU_KVCACHE_SPACE=1
VLLM_CPU_OMP_THREADS_BIND=nobind
OMP_NUM_THREADS=1
HF_HUB_OFFLINE=1
DO_NOT_TRACK=1
END
mkdir -p /etc/systemd/system/{ENGINE_UNIT}.d
printf '[Service]\\nCPUAffinity=%s\\n' "$1" >/etc/systemd/system/{ENGINE_UNIT}.d/core.conf
"""
# Prints {"answered": N, "failed": N, "seconds": [of each answer, sorted], "text": the last answer's}.
_ASK = """\
python3 -c '
import json, sys, time, urllib.request
url, model, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
found = {"answered": 0, "failed": 0, "seconds": [], "text": ""}
for number in range(count):
    body = {"model": model, "prompt": f"Request {number}: " + "to be or not to be, " * 20, "max_tokens": 24}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found["text"] = json.load(answer)["choices"][0]["text"]
    except OSError as error:
        found["failed"] += 1
        found["text"] = str(error)
        continue
    found["answered"] += 1
    found["seconds"].append(time.monotonic() - begun)
found["seconds"].sort()
print(json.dumps(found))
' "$@"
"""


def require(folder: Path) -> Path:
    """The folder, with its whole path. Failure if it has no engine."""
    if not (folder / "opt/nixl-efa/venv/bin/vllm").exists() or not (folder / MODEL.lstrip("/")).is_dir():
        raise Failure(
            f"--serve {folder}: it has no engine and no model; scripts/fetch-serve makes such a folder."
        )
    return folder.absolute()


def looks(environment: str, folder: Path) -> list[str]:
    """Commands that a user types at a service that runs, for the shell of a kept rehearsal, in this order. Writes into
    `folder`, where that shell is, the table that one of them reads."""
    (folder / TABLE_FILE).write_text(TABLE, encoding="utf-8")
    asked = json.dumps({"model": MODEL, "prompt": "to be or not to be", "max_tokens": 24})
    url = f"http://127.0.0.1:{ROUTER_PORT}/v1/completions"
    return [
        f"nixl-efa serve status {environment}",
        f"nixl-efa serve logs {environment}",
        f"nixl-efa forward {environment} consumer {ROUTER_PORT} --local-port {ROUTER_PORT} &",
        # The port is open a second later.
        f"curl --retry 9 --retry-connrefused {url} --header 'Content-Type: application/json' --data '{asked}'",
        "kill $!",
        f"nixl-efa bench {environment} {TABLE_FILE} --yes",
        f"nixl-efa serve drain {environment}",
    ]


@dataclass(frozen=True, slots=True)
class Serving:
    """The nodes of a rehearsal, and a client of Run Command."""

    pair: PairOutputs
    ssm: SSMClient

    def prepare(self) -> None:
        """What the engines need here and not on AWS: tcp, and a core each. Failure if a node can't have it."""
        cores = os.cpu_count() or 1
        self._run(
            {
                node.instance_id: Script(_PREPARE, (str(number % cores),))
                for number, node in enumerate(self.pair.nodes)
            }
        )

    def ask(self, tell: Tell) -> None:
        """Some requests through the router. Failure if one has no answer."""
        at = self.pair.of_role(CONSUMER)[0].instance_id
        words = (f"http://127.0.0.1:{ROUTER_PORT}/v1/completions", MODEL, str(REQUESTS))
        found = json.loads(self._run({at: Script(_ASK, words)})[at].stdout)
        if found["failed"]:
            raise Failure(f"{found['failed']} of {REQUESTS} requests have no answer: {found['text']}")
        seconds = found["seconds"]
        tell(
            f"  {found['answered']} requests through the router, one after the other: each answered, p50 "
            f"{seconds[len(seconds) // 2]:.2f} s, the slowest {seconds[-1]:.2f} s; the last: {found['text'][:40]!r}"
        )

    def _run(self, scripts: Mapping[str, Script]) -> Mapping[str, Outcome]:
        outcomes = run_command.run(self.ssm, scripts, SystemClock(), SECONDS, "rehearsal: a service")
        if problems := [one.problem for one in outcomes.values() if one.problem]:
            raise Failure(problems[0])
        return outcomes
