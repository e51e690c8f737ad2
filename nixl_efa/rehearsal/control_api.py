"""The control API of the local AWS: clock, faults, calls and knobs over HTTP, under /nixl-efa-api/."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from nixl_efa.rehearsal.world import CommandOutput, world

PREFIX = "/nixl-efa-api/"

Body = dict[str, Any]


def handle(method: str, path: str, body: bytes) -> tuple[int, str]:
    """Carry out one request: the HTTP status and a JSON document."""
    resource = _RESOURCES.get(path.strip("/"))
    if resource is None:
        return 404, json.dumps({"error": f"unknown: {path}; there are {', '.join(sorted(_RESOURCES))}"})
    read, write, clear = resource
    try:
        if method == "POST":
            write(json.loads(body or b"{}"))
        elif method == "DELETE":
            clear()
        elif method != "GET":
            return 405, json.dumps({"error": f"{method} is not one of GET, POST, DELETE"})
    except (ValueError, TypeError, KeyError) as error:
        return 400, json.dumps({"error": str(error)})
    return 200, json.dumps(read())


def _read_clock() -> Body:
    clock = world().clock
    return {"now": clock.now().isoformat(), "speed": clock.speed}


def _write_clock(body: Body) -> None:
    _known(body, {"now", "advance_seconds", "speed"})
    clock = world().clock
    if "now" in body:
        clock.set(datetime.fromisoformat(body["now"]))
    if "advance_seconds" in body:
        clock.advance(timedelta(seconds=float(body["advance_seconds"])))
    if "speed" in body:
        clock.run(float(body["speed"]))


def _read_faults() -> Body:
    return {"faults": [{**asdict(fault), "times": times} for fault, times in world().faults.pending()]}


def _write_faults(body: Body) -> None:
    world().faults.add(**body)


def _read_calls() -> Body:
    return {"calls": [asdict(call) for call in world().calls.all()]}


def _no_write(_body: Body) -> None:
    raise ValueError("the calls can be read and cleared, not written")


_MINUTES = {
    "payment_minutes": "payment",
    "slot_return_minutes": "slot_return",
    "offering_life_minutes": "offering_life",
}
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "payment_fails": bool,
    "price_factor": float,
    "visible_after": int,
    "image_generation": int,
}


def _read_settings() -> Body:
    state = world()
    minutes = {name: getattr(state, field).total_seconds() / 60 for name, field in _MINUTES.items()}
    plain = {name: getattr(state, name) for name in _PLAIN}
    return {**minutes, **plain, "quotas": dict(state.quotas)}


def _write_settings(body: Body) -> None:
    _known(body, {*_MINUTES, *_PLAIN, "quotas"})
    state = world()
    for name, value in body.items():
        if name in _MINUTES:
            setattr(state, _MINUTES[name], timedelta(minutes=float(value)))
        elif name in _PLAIN:
            setattr(state, name, _PLAIN[name](value))
        else:
            state.quotas.update({code: float(limit) for code, limit in value.items()})


def _read_commands() -> Body:
    return {instance: asdict(output) for instance, output in world().command_outputs.items()}


def _write_commands(body: Body) -> None:
    given = dict(body)
    instance = str(given.pop("instance_id", "*"))
    world().command_outputs[instance] = CommandOutput(**given)


def _known(body: Body, names: set[str]) -> None:
    unknown = set(body) - names
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")


def _nothing() -> None:
    raise ValueError("there is nothing to clear here")


_RESOURCES: dict[str, tuple[Callable[[], Body], Callable[[Body], None], Callable[[], None]]] = {
    "clock": (_read_clock, _write_clock, lambda: world().clock.reset()),
    "faults": (_read_faults, _write_faults, lambda: world().faults.clear()),
    "calls": (_read_calls, _no_write, lambda: world().calls.clear()),
    "settings": (_read_settings, _write_settings, _nothing),
    "commands": (_read_commands, _write_commands, lambda: world().command_outputs.clear()),
}
