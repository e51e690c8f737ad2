"""Storing a reservation for an environment (`capacity save`), showing what is stored (`capacity load`), and making its
next block the current one (`capacity switch`).

`names` are the tags of the nodes that are lost when a living reservation is replaced (users.node_names).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixl_efa.aws_errors import explain
from nixl_efa.capacity import environment
from nixl_efa.capacity.agreement import ask_for_nodes
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Holdings, Slot
from nixl_efa.capacity.judge import id_finding, judge
from nixl_efa.capacity.order import UNBOUND, Entry, State
from nixl_efa.capacity.purchase import slot_of_bought
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, Reservation
from nixl_efa.capacity.targets import zone_findings
from nixl_efa.capacity.users import nodes_running
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, failures, warnings, worst_first
from nixl_efa.launch import Launch
from nixl_efa.times import moment

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef


@dataclass(frozen=True, slots=True)
class Saved:
    """The slot in which the reservation is kept, and the parameters that hold it."""

    slot: Slot
    parameters: tuple[str, ...]


def save(
    reservation: Reservation, launch: Launch, names: Sequence[str], buyer: Buyer, *, replace: bool
) -> Saved:
    """Writes the reservation's id and zone to the parameters that the environment's stack reads. A block that starts
    later than the living current one becomes the next one.

    Asks before a living reservation is replaced, and never overwrites what somebody else wrote in between. Failure for
    a reservation that the environment can't use, and when the user does not agree. Entries of its purchase that were
    open only because it was not saved are closed.
    """
    now, name = buyer.clock.now(), launch.environment
    held = environment.holdings(buyer, launch.reservation, regions=[launch.region])
    found = judge(reservation, launch, now, account=buyer.account.id)
    found += zone_findings(held, reservation)
    for finding in warnings(found):
        buyer.talk.tell(f"{finding.level.value}: {finding.check}: {finding.line()}")
    if faults := failures(found):
        reasons = " ".join(fault.line() for fault in faults)
        raise Failure(f"{reservation.id} does not fit {name}, so it was not saved. {reasons}")
    source = launch.reservation
    if not source.is_named:
        buyer.talk.tell(
            f"WARN: {name} reads no reservation, so a saved reservation is not used. "
            f"Set capacity_reservation_parameter = {source.id_parameter!r} and availability_zone_parameter = {source.zone_parameter!r}."  # noqa: E501
        )
    slot = _agreed_slot(reservation, held, names, buyer, replace=replace)
    owner = reservation.tags.get(ENVIRONMENT_TAG, name)
    if owner != name:
        buyer.talk.tell(
            f"WARN: {reservation.id} was {owner}'s until now. If {owner} still reads it, both launch into it."
        )
    _tag(reservation, name, buyer)
    written = environment.save(buyer, held, slot, reservation.id, reservation.zone)
    _close_entries(reservation.id, name, buyer)
    return Saved(slot, tuple(written))


def switch(launch: Launch, names: Sequence[str], buyer: Buyer) -> Holdings:
    """Makes the environment's next block its current one; returns what the environment has then. Failure when there is
    no next block, when it can't be used yet, and when the user does not agree to lose running nodes."""
    name, now = launch.environment, buyer.clock.now()
    held = environment.holdings(buyer, launch.reservation, regions=[launch.region])
    following = held.next
    if following is None:
        raise Failure(f"{name} has no next block: there is nothing to switch to")
    if faults := failures(judge(following, launch, now, account=buyer.account.id)):
        raise Failure(f"{following.id} does not fit {name}: {' '.join(fault.line() for fault in faults)}")
    if following.state != "active":
        starts = f" It starts at {moment(following.start)}." if following.start else ""
        raise Failure(
            f"{following.id} is {following.state}, so {name} stays in its current block.{starts} "
            f"`nixl-efa capacity wait {following.id}` waits until it is active."
        )
    if held.source.id:
        raise Failure(
            f"{name} is set to {held.source.id} ({held.source.set_by}), which commands do not change. "
            f"Set it to {following.id}."
        )
    ask_for_nodes(len(nodes_running(buyer, held.current, names)), held.current, buyer.talk)
    environment.save(buyer, held, Slot.CURRENT, following.id, following.zone)
    return environment.holdings(buyer, launch.reservation, regions=[launch.region])


def load(launch: Launch, buyer: Buyer) -> tuple[Holdings, list[Finding]]:
    """What is stored for the environment, and the findings about its current reservation, the worst first."""
    source = launch.reservation
    held = environment.holdings(buyer, source, regions=[launch.region])
    named = id_finding(launch, held.current.id if held.current else "")
    findings = [named] if named is not None else []
    if held.current is not None and (named is None or not source.is_named):
        stored_zone = held.stored[source.zone_parameter].value
        findings += judge(held.current, launch, buyer.clock.now(), zone=stored_zone, account=buyer.account.id)
    return held, worst_first(findings)


def switch_when_free(launch: Launch, names: Sequence[str], buyer: Buyer) -> str:
    """Makes the environment's next block its current one if that needs no question to the user: it is active and fits,
    and no node runs in a current block that lives. Returns its id; empty when nothing was switched."""
    if launch.market != "capacity-block" or launch.reservation.id:
        return ""
    now = buyer.clock.now()
    held = environment.holdings(buyer, launch.reservation, regions=[launch.region])
    current, following = held.current, held.next
    if following is None or following.state != "active":
        return ""
    if failures(judge(following, launch, now, account=buyer.account.id)):
        return ""
    if current is not None and current.lives(now) and nodes_running(buyer, current, names):
        return ""
    environment.save(buyer, held, Slot.CURRENT, following.id, following.zone)
    return following.id


def _tag(reservation: Reservation, name: str, buyer: Buyer) -> None:
    """Tags the reservation with the environment's name, by which it is found in every region."""
    if reservation.tags.get(ENVIRONMENT_TAG) == name:
        return
    tags: list[TagTypeDef] = [{"Key": ENVIRONMENT_TAG, "Value": name}]
    try:
        buyer.clients.ec2(reservation.region).create_tags(Resources=[reservation.id], Tags=tags)
    except Exception as error:
        buyer.talk.tell(
            f"WARN: {reservation.id} could not be tagged as {name}'s ({explain(error)}). "
            f"A purchase for {name} in another region will not see it."
        )


def _agreed_slot(
    reservation: Reservation, held: Holdings, names: Sequence[str], buyer: Buyer, *, replace: bool
) -> Slot:
    try:
        slot = slot_of_bought(reservation, held, buyer.clock.now(), replace=replace)
    except Failure as refused:
        if buyer.talk.ask(f"{refused.message}. Replace? [y/N]").lower() not in ("y", "yes"):
            raise Failure(f"nothing was written: {refused.message}") from refused
        slot = Slot.CURRENT
    current = held.current
    if slot is Slot.NEXT and current is not None:
        buyer.talk.tell(
            f"{held.source.environment} uses {current.id}, which has not ended: {reservation.id} is kept as "
            "its next one."
        )
    elif current is not None and current.id != reservation.id:
        ask_for_nodes(len(nodes_running(buyer, current, names)), current, buyer.talk)
    return slot


def _close_entries(reservation_id: str, name: str, buyer: Buyer) -> None:
    """Closes the open entries of this reservation's purchase: nothing is left to do for them."""
    shared = [one for lock in (name, UNBOUND) for one in buyer.shared_journal(lock).entries()]
    everything: dict[str, Entry] = {one.tag: one for one in (*shared, *buyer.journal.entries())}
    for entry in everything.values():
        is_purchase = reservation_id in entry.reservation_ids and not entry.order.is_extension
        if entry.state is State.BOUGHT and is_purchase:
            buyer.record(buyer.journal.moved(entry, State.DONE), f"{reservation_id} is saved, but ")
