"""Assumptions behind an answer that AWS has not documented and nobody has recorded: names of rows in docs/facts.md.

The answer carries them in a header, and a rehearsal ends with the list of those that it depended on.
"""

from local_aws.world import world

HEADER = "x-local-aws-inferred"

_under_way: set[str] = set()  # for the call in progress; only one runs at a time


def lean_on(fact: str) -> None:
    """Record that the current answer depends on the inferred row `fact`."""
    _under_way.add(fact)


def take() -> list[str]:
    """The rows that were recorded since the last call of this function, in order; they are also kept for the whole
    run."""
    taken = sorted(_under_way)
    _under_way.clear()
    world().inferred.update(taken)
    return taken
