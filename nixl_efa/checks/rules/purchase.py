"""What was bought for the environment beside the reservation that it uses: open purchases, an extension, the next
block."""

from dataclasses import replace
from datetime import datetime

from nixl_efa.capacity import extension
from nixl_efa.capacity.environment import next_finding
from nixl_efa.capacity.reservation import unknown
from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import no_answer, parameter_call
from nixl_efa.findings import Finding, passed, warned
from nixl_efa.launch import Launch

_CHECK = "purchase"


def check(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """Findings for an environment in a Capacity Block; others have none."""
    if launch.market != "capacity-block":
        return []
    return [*_purchases(launch, facts), *_extension(facts), *_next(launch, facts, now)]


def _purchases(launch: Launch, facts: Facts) -> list[Finding]:
    if isinstance(facts.purchases, NoAnswer):
        return [no_answer(_CHECK, facts.purchases)]
    if not facts.purchases:
        return [passed(_CHECK, f"No purchase for {launch.reservation.target} is open.")]
    return [warned(_CHECK, entry.state_text(), entry.recover_text()) for entry in facts.purchases]


def _extension(facts: Facts) -> list[Finding]:
    if isinstance(facts.extension, NoAnswer):
        return [no_answer(extension.CHECK, facts.extension)]
    found = extension.finding(facts.extension)
    return [found] if found is not None else []


def _next(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    name = launch.reservation.next_id_parameter
    if isinstance(facts.next_id, NoAnswer):
        return [no_answer("next block", facts.next_id, parameter_call(launch, name))]
    if not facts.next_id or facts.next_id == facts.reservation_id or isinstance(facts.reservations, NoAnswer):
        return []
    found = next((each for each in facts.reservations if each.id == facts.next_id), None)
    following = found or unknown(facts.next_id, launch.region)
    called = replace(launch, environment=launch.reservation.target)
    return [next_finding(following, called, now, reservation.of(facts))]
