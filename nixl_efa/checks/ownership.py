"""Which of the resources that were seen belong to this stack: those in its state, or with a tag only it uses. Pure.

The tag Name does not show this: two working copies, or two backends, can have the same names.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from nixl_efa.checks.facts import Address, Facts, NoAnswer, Running
from nixl_efa.launch import Launch
from nixl_efa.settings.model import names_a_state
from nixl_efa.state import State

Owned = TypeVar("Owned", Running, Address)


def owned(facts: Facts, launch: Launch) -> Facts:
    """The facts, with the stack's own resources marked."""
    state = None if isinstance(facts.state, NoAnswer) else facts.state
    if not isinstance(facts.running, NoAnswer):
        facts = replace(facts, running=own_instances(facts.running, launch, state))
    if not isinstance(facts.addresses, NoAnswer):
        known = _ids(state)
        marked = (_mark(one, one.allocation_id, launch, known) for one in facts.addresses)
        facts = replace(facts, addresses=tuple(marked))
    return facts


def own_instances(running: Iterable[Running], launch: Launch, state: State | None) -> tuple[Running, ...]:
    """The instances, with the stack's own marked. state: None when it was not read."""
    known = _ids(state)
    names = {one.id: name.replace("_", "-") for name, one in state.nodes.items()} if state is not None else {}
    marked = (_mark(one, one.id, launch, known) for one in running)
    return tuple(replace(one, node=names.get(one.id, "")) for one in marked)


def of_another(launch: Launch, own: Running) -> bool:
    """Whether an instance of the stack is a node of another request of the environment: by the state, else by its tag
    Name, which changes with project_prefix."""
    if own.node:
        names = {node.name for node in launch.every_node}
        return own.node in names - {node.name for node in launch.nodes}
    return launch.is_of_another(own.name)


def _ids(state: State | None) -> frozenset[str]:
    return frozenset(one.id for one in state.resources.values()) if state is not None else frozenset()


def _mark(one: Owned, its_id: str, launch: Launch, known: frozenset[str]) -> Owned:
    by_tag = names_a_state(launch.stack_identity) and one.stack == launch.stack_identity
    return replace(one, own=its_id in known or by_tag)
