"""The reservations that the nodes run in: their state, and for a Capacity Block the time left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import result
from nixl_efa.aws_errors import error_code, missing_permission
from nixl_efa.capacity import extension, parameters
from nixl_efa.capacity.environment import next_finding
from nixl_efa.capacity.judge import command, is_at_end, state_finding, stops_at
from nixl_efa.capacity.reservation import ON_DEMAND, Reservation, from_api, unknown
from nixl_efa.clock import Clock
from nixl_efa.findings import Finding, Level, failed, listed, passed, skipped, warned
from nixl_efa.launch import Launch
from nixl_efa.nodes.causes import is_interruptible
from nixl_efa.times import moment, span

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

CHECK = "capacity"
WARN_BELOW = timedelta(hours=2)
SPOT = "spot"


@dataclass(frozen=True, slots=True)
class Held:
    """The nodes of one reservation, or those without one.

    id, reservation: empty and None without one; a finding if there is no permission to read it.
    nodes:   the names of those that run in it, or were launched for it. markets: of those that run.
    request: what the settings launch them from; None if the settings contain none of them.
    """

    id: str
    reservation: Reservation | Finding | None
    nodes: tuple[str, ...]
    markets: frozenset[str]
    request: Launch | None

    @property
    def block(self) -> Reservation | None:
        """The Capacity Block; None if it is not one, or EC2 does not know it."""
        found = self.reservation
        return found if isinstance(found, Reservation) and found.is_block else None


@dataclass(frozen=True, slots=True)
class Beside:
    """What the findings of a reservation depend on if the environment has several.

    target: its name in the commands ("prod/2"). nodes: its own. others_run: whether nodes of other reservations run.
    named: the id that the settings now give for these nodes, directly or by a parameter; empty for none.
    """

    environment: str
    target: str
    nodes: tuple[str, ...]
    others_run: bool
    named: str = ""

    def built_anew(self, ended: str) -> str:
        """What to do if the block `ended` no longer accepts any of its nodes."""
        first = (
            f"`nixl-efa capacity search --env {self.target}` finds another block,"
            f" `nixl-efa capacity buy OFFERING --env {self.target}` buys it; then "
        )
        if self.named not in ("", ended):
            first = f"The settings name {self.named} for {self.target} already: "
        others = " The other nodes keep running." if self.others_run else ""
        return f"{first}`nixl-efa deploy {self.environment}` builds {listed(self.nodes, 16)} again.{others}"


def read(ec2: EC2Client, ids: Sequence[str], region: str) -> Mapping[str, Reservation | Finding]:
    """The reservations by id, in one call: marked as unknown if EC2 does not know them; findings if the call is
    denied."""
    if not ids:
        return {}
    try:
        answer = ec2.describe_capacity_reservations(CapacityReservationIds=list(ids))
    except Exception as error:
        if permission := missing_permission(error):
            message = f"no permission to look: {permission}."
            return {one: skipped(CHECK, message, command=command(one, region)) for one in ids}
        if not error_code(error).startswith("InvalidCapacityReservationId"):
            raise
        if len(ids) == 1:
            return {ids[0]: unknown(ids[0], region)}
        # One unknown id makes the call fail for all.
        return {one: found for each in ids for one, found in read(ec2, [each], region).items()}
    found = {
        one["CapacityReservationId"]: from_api(one, region) for one in result(answer, "CapacityReservations")
    }
    return {one: found.get(one) or unknown(one, region) for one in ids}


def read_more(
    ec2: EC2Client, ssm: SSMClient, every: Sequence[Held], clock: Clock
) -> Mapping[str, tuple[Finding, ...]]:
    """More about each Capacity Block, by its id: its extension, and the block that follows it. A missing permission is
    reported once."""
    blocks = {one.id: one for one in every if one.block is not None}
    more: dict[str, list[Finding]] = {one: [] for one in blocks}
    at = next(iter(blocks), "")
    try:
        history = extension.extensions_of(ec2, list(blocks), clock.sleep)
        for at, held in blocks.items():
            last = extension.finding(extension.newest(history, at))
            following = _next(ec2, ssm, held, clock)
            more[at] += [one for one in (last, following) if one is not None]
    except Exception as error:
        permission = missing_permission(error)
        if not permission:
            raise
        more[at].append(skipped(CHECK, f"no permission to look: {permission}."))
    return {one: tuple(found) for one, found in more.items()}


def _next(ec2: EC2Client, ssm: SSMClient, held: Held, clock: Clock) -> Finding | None:
    """The block that follows; None without one."""
    if held.request is None or held.block is None:
        return None
    source = held.request.reservation
    try:
        next_id = parameters.read(ssm, source.next_id_parameter).value
    except parameters.SecretParameter as error:
        return warned(CHECK, f"The next block is not known. {error.message}.", "")
    if not next_id or next_id == held.id:
        return None
    following = read(ec2, [next_id], source.region)[next_id]
    if isinstance(following, Finding):
        return None
    called = replace(held.request, environment=source.target)
    return next_finding(following, called, clock.now(), held.block)


def named_now(ssm: SSMClient, request: Launch) -> str:
    """The id that the settings give for a request, directly or by a parameter; empty if there is none, or no permission
    to read it."""
    source = request.reservation
    if source.id or not source.reads_id:
        return source.id
    try:
        return parameters.read(ssm, source.id_parameter).value
    except parameters.SecretParameter:
        return ""
    except Exception as error:
        if missing_permission(error):
            return ""
        raise


def findings(
    reservation: Reservation | Finding | None,
    now: datetime,
    more: tuple[Finding, ...] = (),
    markets: Collection[str] = (ON_DEMAND,),
    beside: Beside | None = None,
) -> tuple[Finding, ...]:
    """What ends the nodes of a reservation, and when, as one finding; then more findings about the block.

    markets: of the nodes that run (InstanceLifecycle); none when no node runs.
    beside: set if the environment has several reservations: the message then names the nodes.
    """
    if reservation is None and SPOT in markets:
        # EC2 user guide, spot-instance-termination-notices.
        found = passed(
            CHECK,
            "Spot Instances: EC2 can take them back at any time, with two minutes' notice"
            " (on the node: spot/instance-action of the instance metadata).",
        )
    elif reservation is None:
        found = passed(CHECK, "no reservation: the nodes have no end time.")
    elif isinstance(reservation, Finding):
        found = reservation
    else:
        by_hand = command(reservation.id, reservation.region)
        found = replace(_of_reservation(reservation, now, markets, beside), check=CHECK, command=by_hand)
    if beside is not None:
        found = replace(found, message=f"{listed(beside.nodes, 16)}: {found.message}")
    return (found, *more)


def _of_reservation(
    reservation: Reservation, now: datetime, markets: Collection[str], beside: Beside | None
) -> Finding:
    """What the reservation means for nodes that run in it. Its state must be active, as for an immediate launch. The
    end of an On-Demand reservation terminates nothing (EC2 user guide, capacity-reservations-using)."""
    if markets and any(is_interruptible(market, reservation) for market in markets):
        return warned(
            CHECK,
            f"{reservation.id} is interruptible: its owner can take the capacity back at any time, and EC2 then"
            " terminates the nodes, with two minutes' notice.",
            "Keep on the nodes only what may be lost.",
        )
    state = state_finding(reservation, now, must_be_active=True)
    if reservation.kind == ON_DEMAND and state.level is Level.FAIL:
        remedy = "A stopped node may not start again: create another reservation."
        who = "The pair keeps" if beside is None else "The nodes keep"
        return warned(CHECK, f"{state.message} {who} running without reserved capacity.", remedy)
    if beside is not None and reservation.is_block and (reservation.is_dead or is_at_end(reservation, now)):
        another = beside.built_anew(reservation.id)
    else:
        another = "`nixl-efa capacity search` finds another block."
    if state.level is Level.FAIL:
        return replace(state, remedy=another) if beside is not None and reservation.is_dead else state
    until = stops_at(reservation)
    if not reservation.is_block:
        ends = f"ends at {moment(until)}; its instances keep running after that" if until else "has no end"
        return passed(CHECK, f"On-Demand reservation {reservation.id} is active and {ends}.")
    name = f"Capacity Block {reservation.id}"
    if until is None or reservation.end is None:
        return skipped(CHECK, f"{name} is active, and EC2 names no end.")
    left = until - now
    if left <= timedelta(0):
        message = f"{name} is at its end: EC2 began to terminate at {moment(until)}, {span(-left)} ago."
        save = "Save what you need now. " if markets else ""
        return failed(CHECK, message, f"{save}{another}")
    message = (
        f"{name} is active; EC2 begins to terminate at {moment(until)}, in {span(left)}."
        f" The block ends at {moment(reservation.end)}."
    )
    if left < WARN_BELOW:
        extend = "`nixl-efa capacity extend`"
        if beside is not None:
            extend = f"`nixl-efa capacity extend {reservation.id} --hours N`"
        remedy = f"Save your work, or extend the block ({extend}) up to one hour before its end."
        return warned(CHECK, message, remedy)
    return passed(CHECK, message)
