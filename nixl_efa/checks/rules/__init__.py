"""The rules: pure functions from what was seen to findings, a module for each subject."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nixl_efa.checks.facts import Facts
from nixl_efa.checks.rules import (
    access,
    endpoints,
    image,
    instance_type,
    machine,
    names,
    network,
    pending,
    permissions,
    placement,
    provider,
    purchase,
    quota,
    reservation,
    security_group,
    state,
    traffic,
    volumes,
    way_out,
)
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch

SubjectRule = Callable[[Launch, Facts, datetime], list[Finding]]

# In the order in which they are shown: who asks, with what, for which capacity, where, and whether EC2
# agrees.
SUBJECTS: tuple[SubjectRule, ...] = (
    machine.check,
    provider.check,
    pending.check,
    state.check,
    names.check,
    reservation.check,
    purchase.check,
    instance_type.check,
    quota.check,
    placement.check,
    network.check,
    way_out.check,
    traffic.check,
    endpoints.check,
    quota.check_addresses,
    security_group.check,
    image.check,
    volumes.check,
    permissions.check,
    access.check,
)


def judge(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """What the facts mean for the launch: at least one finding of each subject, in SUBJECTS' order."""
    return [finding for subject in SUBJECTS for finding in subject(launch, facts, now)]
