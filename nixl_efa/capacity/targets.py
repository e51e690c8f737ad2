"""For what capacity is bought and kept: an environment, or each of its reservations where it has several. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nixl_efa.capacity.environment import Holdings
from nixl_efa.findings import Finding, failed
from nixl_efa.launch import Launch


def targets(launch: Launch) -> dict[str, Launch]:
    """The launch into each reservation of an environment by what the command line calls it ("prod", "prod/2").

    The name stands in the place of the environment's, in tags, locks and journals too: each is bought for, and has a
    current and a next block, by itself. Nodes that are launched into none are no target, unless all are.
    """
    found: dict[str, Launch] = {}
    reserved = [one for one in launch.requests if one.reservation.is_named or one.market == "capacity-block"]
    for request in reserved or [one for one in launch.requests if one.reservation == launch.reservation]:
        name = request.reservation.target
        source = replace(request.reservation, environment=name, part="")
        unfilled = not request.nodes
        # Any node may come into an entry that is still to be filled.
        own = launch.nodes if unfilled else request.nodes
        nodes = (*(found[name].nodes if name in found else ()), *own)
        found[name] = replace(
            request, environment=name, reservation=source, nodes=nodes, whole=None, unfilled=unfilled
        )
    if len(found) > 1:
        for name, one in found.items():
            found[name] = replace(one, reservation=replace(one.reservation, one_of_several=True))
    return found


def targets_of_all(launches: Mapping[str, Launch]) -> dict[str, Launch]:
    """The same of several environments."""
    return {name: one for launch in launches.values() for name, one in targets(launch).items()}


def zone_findings(held: Holdings, zone: str) -> list[Finding]:
    """What speaks against a reservation in `zone` beside the environment's others that live: EFA does not cross zones
    (EC2 user guide, efa-limits)."""
    source = held.source
    name, there = environment_of(source.environment), held.stored[source.zone_parameter].value
    beside = [
        one for one in held.owners.values() if one != source.environment and environment_of(one) == name
    ]
    if not (source.one_of_several and beside) or there in ("", zone):
        return []
    message = (
        f"It is in {zone}, and the other reservations of {name} are in {there}: EFA does not cross zones."
    )
    return [failed("zone", message, f"Choose one in {there}.")]


def environment_of(target: str) -> str:
    """The environment of a target."""
    return target.partition("/")[0]
