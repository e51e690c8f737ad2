"""The rules: pure functions from what was seen to findings, a module for each subject."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
    price,
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

# In the order in which they are shown: credentials, programs, capacity, network, and EC2's answer.
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
    price.check,
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


def judge(requests: Sequence[tuple[Launch, Facts]], now: datetime) -> list[Finding]:
    """What the facts mean for the launch: at least one finding of each subject, in SUBJECTS' order.

    requests: those of the launch (Launch.requests), each with its facts. A finding that is the same for all requests is
    shown once; otherwise its message names the nodes.
    """
    found = [finding for subject in SUBJECTS for finding in _of_subject(subject, requests, now)]
    found += reservation.stored_twice(requests)
    apart = reservation.in_several_zones(requests)
    if apart is None:
        return found
    # Each request's own remedy about its zone would move the other requests out of theirs.
    at = next((place for place, one in enumerate(found) if one.check == reservation.ZONE), 0)
    return [
        *found[:at],
        apart,
        *(one for one in found[at:] if one.check != reservation.ZONE),
    ]


def _of_subject(
    subject: SubjectRule, requests: Sequence[tuple[Launch, Facts]], now: datetime
) -> Iterator[Finding]:
    found = [(launch, subject(launch, facts, now)) for launch, facts in requests]
    for position, (launch, findings) in enumerate(found):
        for one in findings:
            if not all(one in others for _, others in found):
                yield replace(one, message=f"{launch.called}: {one.message}")
            elif position == 0:
                yield one
