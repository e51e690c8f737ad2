"""Where the pair is put: in a placement group or not, and whether the type allows it."""

from datetime import datetime
from itertools import combinations

from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.rules import instance_type
from nixl_efa.checks.rules.common import aws, launched, no_answer
from nixl_efa.findings import Finding, failed, listed, passed, skipped, warned
from nixl_efa.launch import Launch

_CHECK = "placement"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding on the placement group, and one on how near several reservations are, as far as EC2 shows it."""
    return [_placement(launch, facts), *_reservations(launch, facts)]


def _reservations(launch: Launch, facts: Facts) -> list[Finding]:
    """Whether the reservations share more than the top network node."""
    told = facts.network_nodes
    if isinstance(told, NoAnswer):
        if told.denied:
            return [no_answer(_CHECK, told)]
        return [skipped(_CHECK, f"How close the reservations are is not known: {told.reason}.")]
    # For some reservations EC2 shows only the top network node: that says nothing about the nodes below it.
    known = sorted(name for name, found in told.items() if len(found) > 1)
    far = [pair for pair in combinations(known, 2) if len({told[name][:2] for name in pair}) > 1]
    words = ("--capacity-reservation-ids", *known)
    by_hand = aws(launch, "ec2", "describe-capacity-reservation-topology", *words)
    if far:
        return [
            warned(
                _CHECK,
                f"{', '.join(' and '.join(pair) for pair in far)} share no network node below the top one: their nodes "
                "are far apart.",
                "Put the nodes that exchange most data into one of them (`capacity`); `nixl-efa verify` "
                "measures the links.",
                by_hand,
            )
        ]
    if len(known) > 1:
        return [passed(_CHECK, f"{', '.join(known)} share network nodes below the top one.", by_hand)]
    return []


def _placement(launch: Launch, facts: Facts) -> Finding:
    by_hand = instance_type.command(launch)
    if launch.market == "capacity-block":
        return _in_block(launch)
    if isinstance(facts.type_in_ec2, NoAnswer):
        return no_answer(_CHECK, facts.type_in_ec2, by_hand)
    strategies = facts.type_in_ec2.placement_strategies if facts.type_in_ec2 is not None else ()
    if launch.placement_group and "cluster" not in strategies:
        return failed(
            _CHECK,
            f"{launch.instance_type} can't be put into a cluster placement group; EC2 offers "
            f"{listed(strategies)}.",
            'Set placement_group = "off".',
            by_hand,
        )
    if launch.placement_group:
        return passed(_CHECK, f"{launched(launch)} in one cluster placement group.", by_hand)
    if launch.reservation.is_named:
        return passed(
            _CHECK, f"{launched(launch)} where the reservation has its capacity, without a group.", by_hand
        )
    if launch.placement_choice == "off" and "cluster" in strategies:
        return warned(
            _CHECK,
            'placement_group is "off": the nodes may be far apart.',
            'Set placement_group = "auto" for the lowest latency.',
            by_hand,
        )
    return passed(_CHECK, f"{launched(launch)} without a placement group.", by_hand)


def _in_block(launch: Launch) -> Finding:
    # EC2 user guide, ec2-capacity-blocks: a placement group can't be given; AWS keeps a block together.
    if launch.placement_group:
        return failed(
            _CHECK,
            "A placement group can't be given for a Capacity Block.",
            'Set placement_group = "auto"; AWS keeps a block\'s instances together.',
        )
    return passed(_CHECK, "AWS keeps a Capacity Block's instances together; no placement group is given.")
