"""Differences between Terraform's state and what runs, as an interrupted deployment can leave them."""

from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.rules.common import no_answer
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch
from nixl_efa.mend.compare import CHECK, findings, not_compared


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding for each difference; none when the state was not read, or nothing was deployed."""
    found = facts.differences
    if found is None:
        return []
    if isinstance(found, NoAnswer):
        if found.told_elsewhere:
            return [no_answer(CHECK, found)]
        return [not_compared(found.permission if found.denied else "", found.reason)]
    return findings(found, launch)
