"""What an answer leans on that AWS has not written down and nobody has recorded: names of rows in docs/facts.md.

The answer carries them in a header, and a rehearsal ends with the list of those that it leaned on.
"""

from __future__ import annotations

from local_aws.world import world

HEADER = "x-local-aws-inferred"

_under_way: set[str] = set()  # of the one call that is carried out at a time


def lean_on(fact: str) -> None:
    """Note that the answer under way rests on the inferred row `fact`."""
    _under_way.add(fact)


def take() -> list[str]:
    """The rows that were noted since the last call of this, in order; they are kept for the whole run, too."""
    taken = sorted(_under_way)
    _under_way.clear()
    world().inferred.update(taken)
    return taken
