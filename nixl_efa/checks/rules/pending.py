"""Nodes that run and are not as the settings say: the next deployment replaces them, destroyed first.

This compares the user's choices with what EC2 shows of the running nodes, without a Terraform plan. Things that only
Terraform's state knows, such as which parameter named the image, are seen only by `nixl-efa deploy`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer, Running
from nixl_efa.checks.ownership import of_another
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, Level, counted, failed, listed, passed
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Launch
from nixl_efa.mend.compare import terraform_name
from nixl_efa.settings.parts import CONSUMER, PRODUCER
from nixl_efa.state import State

_CHECK = "running nodes"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding: the nodes that run are as the settings say, or not."""
    by_hand = aws(
        launch,
        "ec2",
        "describe-instances",
        "--filters",
        f"Name=tag:Name,Values={','.join(node.tag_name for node in launch.every_node)}",
    )
    if isinstance(facts.running, NoAnswer):
        return [no_answer(_CHECK, facts.running, by_hand)]
    nodes = [
        each for each in facts.running if each.own and each.state in RUNNING and not of_another(launch, each)
    ]
    if not nodes:
        return [passed(_CHECK, f"No node of {launch.environment} runs.", by_hand)]
    left_out = _left_out(launch, facts)
    if leaving := [f"{each.name} {each.id}" for each in nodes if each.id in left_out]:
        roles = [node.role for node in launch.every_node]
        asked = " and ".join(f"{role}s = {roles.count(role)}" for role in (PRODUCER, CONSUMER))
        message = f"destroys running nodes ({listed(leaving, 16)}): the settings ask for {asked}."
        return [failed(_CHECK, f"The next deployment {message}", _put_back(launch), by_hand)]
    found = {each.name: [*differences(launch, facts, each)] for each in nodes}
    if not any(found.values()):
        return [passed(_CHECK, f"{counted(len(nodes), 'node')} run as the settings say.", by_hand)]
    # Usually both differ in the same way.
    each_once = dict.fromkeys(words for differing in found.values() for words in differing)
    names = listed(name for name, differing in found.items() if differing)
    return [
        failed(
            _CHECK,
            f"The next deployment replaces running nodes ({names}): {'; '.join(each_once)}.",
            _put_back(launch),
            by_hand,
        )
    ]


def _put_back(launch: Launch) -> str:
    return (
        "Set that back: a variable that another shell has may be missing here. If you mean it, save what is on the "
        f"nodes and run `nixl-efa deploy {launch.environment} --replace-nodes`."
    )


def _left_out(launch: Launch, facts: Facts) -> frozenset[str]:
    """The ids of nodes that are in the state and no longer in the settings. They are compared by their names in
    Terraform, since tags change with project_prefix. Empty when the state was not read."""
    if not isinstance(facts.state, State):
        return frozenset()
    wanted = {terraform_name(node) for node in launch.every_node}
    return frozenset(one.id for name, one in facts.state.nodes.items() if name not in wanted)


def agreed(findings: Iterable[Finding]) -> list[Finding]:
    """The findings when the user has agreed to the replacement, or is asked about it elsewhere."""
    return [
        replace(each, level=Level.PASS, remedy="")
        if each.check == _CHECK and each.level is Level.FAIL
        else each
        for each in findings
    ]


def differences(launch: Launch, facts: Facts, node: Running) -> Iterator[str]:
    """The differences, in words, between a running node and what would be launched; a setting that is not set fits
    every value."""
    if node.instance_type != launch.instance_type:
        yield f"instance_type is {launch.instance_type}, and {node.instance_type} runs"
    if node.market != launch.market:
        yield f"the settings ask for {launch.market}, and {node.market} runs"
    # Compares the launch's target, as Terraform does: EC2 puts an instance without a target into an open reservation.
    reservation = None if isinstance(facts.reservation_id, NoAnswer) else facts.reservation_id
    if reservation != (node.reservation_target or None) and (reservation or not launch.reservation.is_named):
        yield f"the reservation is {reservation or 'none'}, and they are in {node.reservation_target or 'none'}"
    chosen = (
        ("key_name", launch.key_name, (node.key_name,)),
        ("ami_id", launch.image_id, (node.image_id,)),
        ("subnet_id", launch.subnet_id, (node.subnet_id,)),
        ("availability_zone", _zone(launch, facts), (node.zone,)),
        ("vpc_id", launch.vpc_id, (node.vpc_id,)),
        ("security_group_id", launch.security_group_id, node.group_ids),
    )
    for setting, wanted, has in chosen:
        if wanted and wanted not in has:
            yield f"{setting} is {wanted}, and they have {listed(one for one in has if one)}"
    if launch.placement_group != bool(node.placement_group):
        group = node.placement_group or "no placement group"
        yield f"the settings ask for {'a' if launch.placement_group else 'no'} placement group, and they run in {group}"


def _zone(launch: Launch, facts: Facts) -> str:
    if isinstance(facts.zone, NoAnswer):
        return ""
    return launch.reservation.zone or facts.zone or ""
