"""Which environments use each reservation: by their settings, and by what was bought for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import all_items, ask_all
from nixl_efa.capacity import parameters
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Slot
from nixl_efa.capacity.judge import judge
from nixl_efa.capacity.parameters import Stored
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, Reservation
from nixl_efa.findings import Finding, failures
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Launch
from nixl_efa.reservation_source import ReservationSource, environment_of

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

SAME_PURCHASE = "same purchase"
NOT_SAVED = "not saved"


def node_names(launch: Launch, launches: Iterable[Launch]) -> tuple[str, ...]:
    """The values of the tags Name and Environment of the nodes that leave a reservation when this environment's
    reservation is replaced: its own nodes, and those of every environment that reads the same parameter. Pure.

    The tag Environment stays the same when project_prefix changes.
    """
    source = launch.reservation
    same = [
        one
        for one in launches
        if (one.reservation.region, one.reservation.id_parameter) == (source.region, source.id_parameter)
    ]
    every = (launch, *same)
    # If an environment has several reservations, any of its nodes may run in this one, whatever the settings say now.
    names = (name for one in every for name in (*one.node_names, environment_of(one.environment)))
    return tuple(dict.fromkeys(names))


def nodes_running(buyer: Buyer, reservation: Reservation | None, names: Sequence[str]) -> tuple[str, ...]:
    """The tag Name of each instance that runs in the reservation and whose tag Name or Environment is one of the
    names."""
    if reservation is None:
        return ()
    ec2 = buyer.clients.ec2(reservation.region)
    request = {
        "Filters": [
            {"Name": "capacity-reservation-id", "Values": [reservation.id]},
            {"Name": "instance-state-name", "Values": list(RUNNING)},
        ]
    }
    found = all_items(ec2.describe_instances, "Reservations", buyer.clock.sleep, request)
    tags = [
        {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
        for one in found
        for instance in one["Instances"]
    ]
    return tuple(
        each.get("Name", "")
        for each in tags
        if any(each.get(key) in names for key in ("Name", "Environment"))
    )


def users(
    found: Iterable[Reservation], sources: Iterable[ReservationSource], stored: Mapping[tuple[str, str], str]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """The environments that use each reservation, by its id, each with its use: "current"; "next"; "same purchase" for
    a reservation that was bought together with one of these; or "not saved" for any other that was bought for the
    environment. Pure.

    stored: the parameters' values by region and name.
    """
    named: dict[str, dict[str, str]] = {}
    for source in sources:
        current = source.id or stored.get((source.region, source.id_parameter), "")
        following = stored.get((source.region, source.next_id_parameter), "")
        named.setdefault(following, {})[source.environment] = Slot.NEXT.value
        named.setdefault(current, {})[source.environment] = Slot.CURRENT.value
    known = list(found)
    used = [one for one in known if one.id in named]
    for one in known:
        if (owner := one.tags.get(ENVIRONMENT_TAG, "")) and not one.is_dead:
            kept_for = {environment_of(each) for each in named.get(one.id, ())}
            if environment_of(owner) in kept_for:
                continue
            together = any(one.is_bought_with(other) and owner in named[other.id] for other in used)
            named.setdefault(one.id, {}).setdefault(owner, SAME_PURCHASE if together else NOT_SAVED)
    named.pop("", None)
    return {reservation_id: tuple(sorted(owners.items())) for reservation_id, owners in named.items()}


def misfits(
    found: Iterable[Reservation],
    using: Mapping[str, Sequence[tuple[str, str]]],
    launches: Mapping[str, Launch],
    now: datetime,
) -> list[tuple[str, Finding]]:
    """The judge's findings against living reservations for the environments that use them, each with the environment.
    Pure.

    using: the result of `users`.
    """
    return [
        (name, fault)
        for one in found
        for name, kept in using.get(one.id, ())
        if name in launches and kept in ("current", "next") and one.lives(now)
        for fault in failures(judge(one, launches[name], now))
    ]


def stored_values(
    ssm_of: Callable[[str], SSMClient], sources: Sequence[ReservationSource]
) -> tuple[dict[tuple[str, str], str], dict[str, Exception]]:
    """The values of the sources' parameters by region and name, and the regions that failed. The regions are asked in
    parallel."""
    names: dict[str, list[str]] = {}
    for source in sources:
        names.setdefault(source.region, []).extend([source.id_parameter, source.next_id_parameter])

    def ask(region: str) -> dict[str, Stored]:
        return parameters.read_many(ssm_of(region), names[region])

    answers, errors = ask_all(names, ask)
    return {
        (region, name): one.value for region, found in answers.items() for name, one in found.items()
    }, errors
