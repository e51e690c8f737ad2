"""Where the pair is put: a placement group, and whether it agrees with the type and the reservation."""

from __future__ import annotations

from datetime import datetime

from nixl_efa.checks.facts import Facts, Reservation, Unseen
from nixl_efa.checks.rules import instance_type, reservation
from nixl_efa.checks.rules.common import failed, listed, passed, unseen, warned
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch

_CHECK = "placement"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding on the placement group."""
    return [_placement(launch, facts)]


def _placement(launch: Launch, facts: Facts) -> Finding:
    by_hand = instance_type.command(launch)
    if launch.market == "capacity-block":
        return _in_block(launch)
    if isinstance(facts.type_seen, Unseen):
        return unseen(_CHECK, facts.type_seen, by_hand)
    strategies = facts.type_seen.placement_strategies if facts.type_seen is not None else ()
    if launch.placement_group and "cluster" not in strategies:
        return failed(
            _CHECK,
            f"{launch.instance_type} can't be put into a cluster placement group; EC2 offers "
            f"{listed(strategies)}.",
            'Set placement_group = "off".',
            by_hand,
        )
    found = reservation.of(facts)
    if found is not None:
        return _in_reservation(launch, found)
    if launch.placement_group:
        return passed(_CHECK, "The pair is launched in one cluster placement group.", by_hand)
    if launch.placement_choice == "off" and "cluster" in strategies:
        return warned(
            _CHECK,
            'placement_group is "off": the nodes may be far apart.',
            'Set placement_group = "auto" for the lowest latency.',
            by_hand,
        )
    return passed(_CHECK, "The pair is launched without a placement group.", by_hand)


def _in_reservation(launch: Launch, found: Reservation) -> Finding:
    by_hand = reservation.command(launch, found.id)
    if found.placement_group_arn:
        group = found.placement_group_arn.rsplit("/", 1)[-1]
        return failed(
            _CHECK,
            f"{found.id} belongs to the placement group {group}; only instances of that group get into "
            "it, and the "
            "stack launches none there.",
            "Name a reservation without a placement group.",
            by_hand,
        )
    if launch.placement_group:
        return warned(
            _CHECK,
            f"The stack's own placement group and {found.id} may not agree: EC2 can find no place for "
            "both nodes "
            "together although the reservation has room.",
            'Set placement_group = "auto"; it makes no group for a reservation.',
            by_hand,
        )
    return passed(
        _CHECK, f"The pair is launched where {found.id} has its capacity, without a group.", by_hand
    )


def _in_block(launch: Launch) -> Finding:
    # EC2 user guide, ec2-capacity-blocks: a placement group can't be given; AWS keeps a block together.
    if launch.placement_group:
        return failed(
            _CHECK,
            "A placement group can't be given for a Capacity Block.",
            'Set placement_group = "auto"; AWS keeps a block\'s instances together.',
        )
    return passed(_CHECK, "AWS keeps a Capacity Block's instances together; no placement group is given.")
