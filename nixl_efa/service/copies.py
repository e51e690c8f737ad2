"""Copies of a model from S3 to the nodes' disks, on all nodes at the same time, before an engine starts: those that a
start begins, and those that nodes began at their boot."""

from __future__ import annotations

from collections.abc import Mapping

from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, failed, passed
from nixl_efa.service.before import Prepared
from nixl_efa.service.on_nodes import Copying, OnNodes, Say

LOOK_SECONDS, TELL_SECONDS = 5.0, 30.0
# How often in a row a node may not answer.
SILENT_LOOKS = 60


def wait_for_boot(nodes: OnNodes, clock: Clock, say: Say) -> None:
    """Waits while nodes start their engines at their boot, and says how far each is."""
    told = None
    while starting := {name: one.at_boot for name, one in nodes.look()[0].items() if one.at_boot.is_up}:
        if told is None or (clock.now() - told).total_seconds() >= TELL_SECONDS:
            told = clock.now()
            for name, one in starting.items():
                say(f"  {name} starts at boot: {one.last_line}")
        clock.sleep(LOOK_SECONDS)


def copy(nodes: OnNodes, found: Mapping[str, Prepared], clock: Clock, say: Say) -> Mapping[str, Finding]:
    """Copies the models that nodes lack; what came of it, by a node's name. A copy that runs already is waited for.

    KeyboardInterrupt leaves the copies running: the next start waits for them.
    """
    sources = {
        name: (one.source, one.path, bool(one.content))
        for name, one in found.items()
        if one.source and not one.is_whole
    }
    if not sources:
        return {}
    say(f"Copying the model to {', '.join(sources)} ...")
    ended: dict[str, Finding] = {}
    silent = dict.fromkeys(sources, 0)
    told = clock.now()
    begin = True
    while waiting := {name: one for name, one in sources.items() if name not in ended}:
        seen, problems = nodes.copies(waiting, begin=begin)
        begin = False
        for name, one in seen.items():
            silent[name] = 0
            if not one.runs:
                ended[name] = _end(nodes.pair.environment, one)
        for name, problem in problems.items():
            silent[name] += 1
            if silent[name] > SILENT_LOOKS:
                ended[name] = problem
        if (clock.now() - told).total_seconds() >= TELL_SECONDS:
            told = clock.now()
            for name, one in seen.items():
                if one.runs:
                    say(f"  {name}: {one.line}")
        if len(ended) < len(sources):
            clock.sleep(LOOK_SECONDS)
    return {name: ended[name] for name in sources}


def _end(environment: str, one: Copying) -> Finding:
    """What came of a copy that does not run any more."""
    if one.state == "done":
        return passed("copy", one.line)
    return failed(
        "copy",
        f"the model was not copied: {(one.line or 'the copy has ended without a message').rstrip('.')}.",
        f"`nixl-efa serve prepare {environment}` stages it whole; the same start continues with what is there.",
        "df -h",
    )
