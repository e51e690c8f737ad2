"""Nodes that run for an environment that the project does not have (any more), by their tag."""

from collections.abc import Collection

from nixl_efa.cdk import program
from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.rules.common import aws
from nixl_efa.findings import Finding, listed, warned
from nixl_efa.launch import Launch
from nixl_efa.settings.model import STACK_PREFIX, STACK_TAG


def without_a_file(launch: Launch, facts: Facts, names: Collection[str]) -> list[Finding]:
    """A WARN for each environment without a file whose nodes run in the launch's region.

    Only if its state is in the same bucket or organization as this environment's: others belong to other projects.
    Local states are found elsewhere (old_states.abandoned). names: the environments that have a file.
    """
    if isinstance(facts.running, NoAnswer):
        return []
    _, _, own_place = launch.stack_identity.partition(" ")
    stacks: dict[str, list[str]] = {}
    for one in facts.running:
        stack, _, place = one.stack.partition(" ")
        name = stack.removeprefix(STACK_PREFIX)
        if stack != name and name not in names and _holder(place) and _holder(place) == _holder(own_place):
            stacks.setdefault(one.stack, []).append(one.id)
    return [_finding(launch, identity, ids) for identity, ids in sorted(stacks.items())]


def _holder(place: str) -> str:
    """The bucket ("s3://bucket") or the organization ("host/organization") of a state's place; empty for others."""
    parts = place.split("/")
    if place.startswith("s3://"):
        return "/".join(parts[:3])
    return "/".join(parts[:2]) if len(parts) > 2 else ""


def _finding(launch: Launch, identity: str, ids: list[str]) -> Finding:
    stack, _, place = identity.partition(" ")
    name = stack.removeprefix(STACK_PREFIX)
    return warned(
        "environments",
        f"{listed(ids)} run for {name}, whose state is in {place}, but environments/{name}.toml is not here.",
        f"If it was renamed or removed: put it back, with its backend, and run `{program()} destroy {stack}`. Nothing"
        " is wrong if somebody else has it.",
        aws(launch, "ec2", "describe-instances", "--filters", f"Name=tag:{STACK_TAG},Values={identity}"),
    )
