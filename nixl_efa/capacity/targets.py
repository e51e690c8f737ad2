"""The targets for which capacity is bought: an environment, or each of its reservations if it has several. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nixl_efa.capacity.environment import Holdings
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, Reservation
from nixl_efa.findings import Finding, failed, listed
from nixl_efa.launch import Launch
from nixl_efa.reservation_source import environment_of

# Both have a zone, a start and an end.
Span = Offering | Reservation


def targets(launch: Launch) -> dict[str, Launch]:
    """The launch into each reservation of an environment, by its name on the command line ("prod", "prod/2").

    This name is used in tags, locks and journals as the environment's name: each target has purchases of its own, and a
    current and a next block. Nodes that are launched into no reservation are not a target, unless all nodes are.
    """
    found: dict[str, Launch] = {}
    reserved = [one for one in launch.requests if one.reservation.is_named or one.market == "capacity-block"]
    for request in reserved or [one for one in launch.requests if one.reservation == launch.reservation]:
        name = request.reservation.target
        source = replace(request.reservation, environment=name, part="")
        unfilled = not request.nodes
        # Any node may be placed in an entry that is not filled yet.
        own = launch.nodes if unfilled else request.nodes
        nodes = (*(found[name].nodes if name in found else ()), *own)
        found[name] = replace(
            request, environment=name, reservation=source, nodes=nodes, whole=None, unfilled=unfilled
        )
    if len(found) > 1:
        for name, one in found.items():
            others = [other.reservation for at, other in found.items() if at != name]
            beside = tuple(each for of in others for each in (of.id_parameter, of.next_id_parameter))
            found[name] = replace(one, reservation=replace(one.reservation, beside=beside))
    return found


def targets_of_all(launches: Mapping[str, Launch]) -> dict[str, Launch]:
    """The targets of several environments."""
    return {name: one for launch in launches.values() for name, one in targets(launch).items()}


def zone_findings(held: Holdings, found: Span, just_bought: Iterable[tuple[str, Span]] = ()) -> list[Finding]:
    """What speaks against a reservation because of the environment's other reservations at the same time: EFA does not
    cross zones (EC2 user guide, efa-limits).

    just_bought: purchases that EC2 may not show yet, each with its target.
    """
    source = held.source
    name = environment_of(source.environment)
    every = [*((one.tags[ENVIRONMENT_TAG], one) for one in held.owned), *just_bought]
    beside = [one for owner, one in every if owner != source.environment and environment_of(owner) == name]
    there = sorted({one.zone for one in beside if _at_one_time(one, found)} - {found.zone})
    if not (source.beside and there):
        return []
    message = (
        f"It is in {found.zone}, and the other reservations of {name} are in {listed(there)}: EFA does not cross "
        "zones."
    )
    return [failed("zone", message, f"Choose one in {listed(there)}.")]


def _at_one_time(one: Span, other: Span) -> bool:
    """Whether both exist at some common time. A missing start or end means that there is no limit on that side."""
    return all(
        first.start is None or second.end is None or first.start < second.end
        for first, second in ((one, other), (other, one))
    )
