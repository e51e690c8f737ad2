"""What the nodes of an environment are called, by role and number. Pure.

The first of a role keeps the bare name, so that adding others renames none: producer, consumer, consumer-2 ...
"""

from dataclasses import dataclass

from nixl_efa.settings.parts import CONSUMER, PRODUCER


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `name` is unique within the environment and part of resource names; `role` is what it does;
    `tag_name` is its tag Name."""

    name: str
    role: str
    tag_name: str


def nodes_of(prefix: str, producers: int, consumers: int) -> tuple[Node, ...]:
    """The nodes by name, the producers first, each role by number."""
    counts = {PRODUCER: producers, CONSUMER: consumers}
    return tuple(
        node_of(prefix, role, number) for role, count in counts.items() for number in range(1, count + 1)
    )


def node_of(prefix: str, role: str, number: int) -> Node:
    """A node. The first of a role keeps the bare name, so that adding others renames none."""
    name = role if number == 1 else f"{role}-{number}"
    return Node(name, role, f"{prefix}-{name}")


def place(name: str) -> tuple[bool, int]:
    """Where a node stands among the others by its name, in Terraform's form too ("consumer_2"): the producers first,
    each role by number."""
    role, _, number = name.replace("_", "-").partition("-")
    return role != PRODUCER, int(number) if number.isdigit() else 1
