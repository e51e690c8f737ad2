"""From the sections that a node prints to the findings."""

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes import rules
from nixl_efa.nodes.facts import Planned, node_facts
from nixl_efa.nodes.sections import Section


def looked_at(plan: Planned, printed: dict[str, str | tuple[str, int]]) -> dict[str, Finding]:
    """The findings on a node whose commands printed this (and ended so); it has no other command."""
    read = {
        name: Section(*one) if isinstance(one, tuple) else Section(one, 0) for name, one in printed.items()
    }
    return {finding.check: finding for finding in rules.node_findings(node_facts(read), plan)}


def assert_told(found: Finding, level: Level, words: str) -> None:
    assert (found.level, words in found.message) == (level, True), found
    assert found.remedy or level is Level.PASS
