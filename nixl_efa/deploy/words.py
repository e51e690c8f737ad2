"""A plan in words: what happens to each node and why, in which capacity it runs, and what happens to the rest. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from nixl_efa.capacity.judge import stops_at
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.deploy.plan import Action, NodeChange, Plan
from nixl_efa.findings import listed
from nixl_efa.refusals import Asked, advice_for, said
from nixl_efa.refusals.terraform import refusals_in
from nixl_efa.times import moment, span

_HAPPENS = {
    Action.BUILD: "is built",
    Action.CHANGE: "is changed in place",
    Action.REPLACE: "is REPLACED: destroyed, then built again",
    Action.DESTROY: "is DESTROYED",
    Action.KEEP: "stays as it is",
}

# Values of the launch that AWS's provider would change on an existing instance.
_LAUNCHED_FROM = ("instance_type", "capacity_reservation_specification")


def lines(plan: Plan, reservations: Mapping[str, Reservation], now: datetime) -> list[str]:
    """The plan, a line for each node and each cause.

    reservations: those that the nodes run in or are launched into, by id.
    """
    if plan.is_empty:
        return ["There is nothing to do: the pair is as the settings say."]
    return [*(line for node in plan.nodes for line in _node(node, reservations, now)), *_rest(plan)]


def not_anew(plan: Plan, environment: str) -> str:
    """Why a plan is refused that gives running nodes another type or reservation without launching them again; empty
    for other plans.

    The resource whose change replaces a node (terraform_data.launch_NODE) may not exist yet: a deployment by an older
    version did not create it, and Terraform replaces nothing when it is only added.
    """
    nodes = [
        f"{node.name} {node.instance_id}"
        for node in plan.nodes
        if node.action is Action.CHANGE and any(cause.what in _LAUNCHED_FROM for cause in node.causes)
    ]
    if not nodes:
        return ""
    return (
        f"{listed(nodes)} would get another instance type or reservation without being launched again, since "
        f"{environment} was last deployed by an earlier version. Deploy it once without that change, then with it"
    )


def refused(text: str, asked: Asked) -> list[str]:
    """The refusals of AWS in Terraform's output, and what to do: one or more sentences for each refusal."""
    found = []
    for one in refusals_in(text):
        advice = advice_for(one, asked)
        meant = f", since {advice.meaning}" if advice else ""
        remedy = advice.remedy if advice else "Read AWS's words."
        found.append(
            f"AWS refused {one.operation or 'the launch'}{meant} ({said(one).rstrip('.')}). {remedy}".rstrip(
                "."
            )
        )
    return found


def _node(node: NodeChange, reservations: Mapping[str, Reservation], now: datetime) -> Iterator[str]:
    name = " ".join(word for word in (node.name, node.instance_id) if word)
    happens, where = _HAPPENS[node.action], _where(node, reservations, now)
    if node.action is Action.BUILD and node.instance_id:
        yield f"{node.name} is built again{where}: {node.instance_id} is gone."
    else:
        yield f"{name} {happens}{where}."
    reason = "in place" if node.action is Action.CHANGE else "because"
    for cause in node.causes:
        yield f"    {reason}: {cause}"


def _where(node: NodeChange, reservations: Mapping[str, Reservation], now: datetime) -> str:
    if node.action in (Action.CHANGE, Action.KEEP):
        return ""
    runs = _in(node.reservation_id, reservations, now)
    target = _in(node.target_id, reservations, now) if node.target_id != node.reservation_id else ""
    if runs and target:
        return f"; it runs in {runs}, its successor in {target}"
    return f", in {runs or target}" if runs or target else ""


def _in(reservation_id: str, reservations: Mapping[str, Reservation], now: datetime) -> str:
    found = reservations.get(reservation_id)
    if found is None:
        return reservation_id
    stop = stops_at(found)
    if not found.is_block or stop is None:
        return f"the reservation {found.id}"
    if stop <= now:
        return f"Capacity Block {found.id}, whose instances EC2 has been terminating since {moment(stop)}"
    return f"Capacity Block {found.id} with {span(stop - now)} left (EC2 terminates from {moment(stop)})"


def _rest(plan: Plan) -> Iterator[str]:
    nodes = plan.nodes
    added = plan.added - sum(node.begins for node in nodes)
    changed = plan.changed - sum(node.action is Action.CHANGE for node in nodes)
    destroyed = plan.destroyed - sum(node.ends for node in nodes)
    yield f"Beside the nodes: {added} added, {changed} changed, {destroyed} destroyed."
    for name in plan.missed:
        yield f"    gone: the {name}"
