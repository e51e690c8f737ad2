"""What our systemd units on a node do, and what they say.

A node runs it with the standard library. Argument: a JSON document:
  units     name and url (that answers with 200 while it is well; empty: none) of each
  pattern   of the lines that are read of a log's beginning; lines: how many of its last ones are told
  metrics   pattern of the lines that are read of an engine's /metrics, at their beginning
  seconds   how long before these lines they are read a first time; 0: not at all
stdout is one JSON document:
  units     of each: state (systemd's ActiveState, "activating" while it waits for another unit; empty: no such unit),
            restarts (since somebody started it),
            invocation (systemd's id of this start), healthy, log (the lines that are read), end (its last lines),
            metrics (the lines that are read of an engine's), earlier (those that were read first), seconds (between)
  service, proven, at_boot, drained   the text of our files; empty where they are not there
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from itertools import islice
from typing import Any

ROOT = os.environ.get("NIXL_EFA_ROOT", "")
SHOWN = ("LoadState", "ActiveState", "NRestarts", "InvocationID", "Job")
# Of a log: how much of a line, how many lines, and among how many of its first they are looked for.
WIDTH, MOST, BEGINNING = 250, 40, 20_000
# A proxy of the environment is for the hub.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run(*command: str) -> str:
    """What a command prints; of one that can't be run nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
    except OSError:
        return ""


def get(url: str) -> str | None:
    """What answers there with 200; None when nothing does."""
    try:
        with _DIRECTLY.open(url, timeout=5) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except (OSError, ValueError):
        return None


def read(path: str) -> str:
    """A file's text; empty where it is not there."""
    try:
        with open(f"{ROOT}{path}", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def journal(invocation: str, *options: str) -> list[str]:
    """The command that prints what one start of a unit has said, what systemd says of it included."""
    return [
        "journalctl",
        "--no-pager",
        "--output=cat",
        *options,
        f"_SYSTEMD_INVOCATION_ID={invocation}",
        "+",
        f"INVOCATION_ID={invocation}",
    ]


def beginning(invocation: str, pattern: str) -> str:
    """The lines of a start that fit the pattern. NIXL says something of each transfer: all of it may be gigabytes."""
    found: list[str] = []
    with (
        suppress(OSError),
        subprocess.Popen(journal(invocation), stdout=subprocess.PIPE, text=True, errors="replace") as process,
    ):
        for line in islice(process.stdout or (), BEGINNING):
            if re.search(pattern, line) and len(found) < MOST:
                found.append(line.rstrip()[:WIDTH])
        process.kill()
    return "\n".join(found)


def metrics(url: str, pattern: str) -> tuple[str, float]:
    """The lines that are read of the metrics beside a URL of a unit's health, and when; empty where there are none."""
    text = get(f"{url.rpartition('/')[0]}/metrics") or ""
    return "\n".join(line for line in text.splitlines() if re.match(pattern, line)), time.monotonic()


def unit(name: str, url: str, pattern: str, lines: int) -> dict[str, Any]:
    """One unit, without its metrics."""
    told = run("systemctl", "show", name, f"--property={','.join(SHOWN)}")
    shown = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    invocation, state = shown.get("InvocationID", ""), shown.get("ActiveState", "")
    if state in ("inactive", "failed") and shown.get("Job"):
        state = "activating"
    end = run(*journal(invocation, f"--lines={lines}")).splitlines() if invocation else []
    return {
        "state": state if shown.get("LoadState") == "loaded" else "",
        "restarts": int(shown.get("NRestarts") or 0),
        "invocation": invocation,
        "healthy": get(url) is not None,
        "log": beginning(invocation, pattern) if invocation else "",
        "end": "\n".join(line[:WIDTH] for line in end),
    }


def main(given: dict[str, Any]) -> dict[str, Any]:
    """All units."""
    units, pattern, seconds = given["units"], given["metrics"], given["seconds"]
    first = [metrics(one["url"], pattern) if seconds else ("", 0.0) for one in units]
    time.sleep(seconds)
    found = []
    for one, (earlier, then) in zip(units, first, strict=True):
        text, now = metrics(one["url"], pattern)
        counted = {"metrics": text, "earlier": earlier, "seconds": now - then}
        found.append({**unit(one["name"], one["url"], given["pattern"], given["lines"]), **counted})
    return {
        "units": found,
        "service": read("/etc/nixl-efa/service.json"),
        "proven": read("/run/nixl-efa/proven.json"),
        "at_boot": read("/run/nixl-efa/engine.json"),
        "drained": read("/run/nixl-efa/drained.json"),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
