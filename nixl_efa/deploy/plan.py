"""What a plan of Terraform does to the nodes, and which settings are the cause. Pure.

The plan is Terraform's JSON (its documentation, JSON output format, plan representation). It reads, for each of
`resource_changes`, the `change` (actions, before, after, after_unknown, replace_paths) and the `action_reason`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nixl_efa.deploy.causes import Cause, Resources, in_place, of_replacement
from nixl_efa.instance_states import ENDED, STOPPED
from nixl_efa.node_names import place
from nixl_efa.settings import Settings

NODE = "aws_instance"
# Resources other than nodes whose loss a user must know of: by type, its name in words and the attribute that names it.
_MISSED = {
    "aws_s3_bucket": ("scripts bucket", "bucket"),
    "aws_eip": ("public address", "public_ip"),
    "aws_network_interface": ("private address", "private_ip"),
}


class Action(StrEnum):
    """What happens to a node."""

    BUILD = "build"
    CHANGE = "change"
    REPLACE = "replace"
    DESTROY = "destroy"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class NodeChange:
    """One node of a plan.

    name:           the node's name ("consumer-2").
    instance_id:    its present instance; for a node to be built, the earlier instance; empty when there was none.
    reservation_id: the one in which that instance runs. target_id: the one into which the new instance is launched.
                    Empty for none.
    alive:          that instance is not being terminated.
    stopped:        that instance is stopped, or is being stopped.
    causes:         for an action that destroys: why; for a change in place: what is changed.
    launch:         the values that the new instance is launched with, as far as the plan knows them.
    """

    name: str
    action: Action
    instance_id: str = ""
    reservation_id: str = ""
    target_id: str = ""
    alive: bool = False
    stopped: bool = False
    causes: tuple[Cause, ...] = ()
    launch: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Its address in Terraform."""
        return f"{NODE}.{self.name.replace('-', '_')}"

    @property
    def ends(self) -> bool:
        """Whether its instance is destroyed."""
        return self.action in (Action.REPLACE, Action.DESTROY)

    @property
    def begins(self) -> bool:
        """Whether an instance is launched for it."""
        return self.action in (Action.REPLACE, Action.BUILD)


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan. added, changed and destroyed count all resources, including nodes; a replaced resource counts as added
    and as destroyed.

    nodes:  the producers first.
    missed: resources that are destroyed or replaced and that a user must know of (_MISSED), by kind and name.
    ended:  the address of every resource that is destroyed or replaced.
    is_empty: nothing is to be done, and no output changes.
    """

    nodes: tuple[NodeChange, ...]
    added: int
    changed: int
    destroyed: int
    missed: tuple[str, ...]
    ended: frozenset[str]
    is_empty: bool

    def left_stopped(self) -> tuple[NodeChange, ...]:
        """The nodes that are stopped and stay stopped, since Terraform starts no instance."""
        return tuple(node for node in self.nodes if node.stopped and not node.ends)

    def ending(self) -> tuple[NodeChange, ...]:
        """The nodes whose instances are destroyed."""
        return tuple(node for node in self.nodes if node.ends)

    def beginning(self) -> tuple[NodeChange, ...]:
        """The nodes for which an instance is launched."""
        return tuple(node for node in self.nodes if node.begins)


def read(document: Mapping[str, Any], settings: Settings) -> Plan:
    """A Plan from Terraform's JSON."""
    managed = [one for one in document.get("resource_changes", ()) if one["mode"] == "managed"]
    by_address = {one["address"]: one for one in managed}
    gone = {
        one["address"]: (one["change"].get("before") or {}).get("id", "")
        for one in document.get("resource_drift", ())
        if one["change"]["actions"] == ["delete"]
    }
    nodes = [
        _node(one, by_address, gone.get(one["address"], ""), settings)
        for one in managed
        if one["type"] == NODE
    ]
    actions = [set(one["change"]["actions"]) for one in managed]
    outputs = document.get("output_changes", {}).values()
    ended = [one for one in managed if "delete" in one["change"]["actions"]]
    return Plan(
        nodes=tuple(sorted(nodes, key=lambda node: place(node.name))),
        added=sum("create" in one for one in actions),
        changed=sum("update" in one for one in actions),
        destroyed=sum("delete" in one for one in actions),
        missed=tuple(_missed(ended)),
        ended=frozenset(one["address"] for one in ended),
        is_empty=all(one <= {"no-op", "read"} for one in actions)
        and all(one["actions"] == ["no-op"] for one in outputs),
    )


def beyond(agreed: Plan, second: Plan) -> tuple[str, ...]:
    """What the second plan, made after the nodes were destroyed, does beyond the agreed plan, in words.

    It may build the agreed nodes with the agreed values, and destroy nothing else.
    """
    found = []
    by_name = {node.name: node for node in agreed.nodes}
    for node in second.nodes:
        before = by_name.get(node.name)
        if node.ends:
            found.append(f"it destroys {node.name} {node.instance_id}")
        elif node.begins and (before is None or not before.begins):
            found.append(f"it builds {node.name}")
        elif node.begins and before is not None:
            was = dict(before.launch)
            found += [
                f"{name} of {node.name} is {value} and was {was[name]}"
                for name, value in node.launch
                if name in was and was[name] != value
            ]
    others = {address for address in second.ended - agreed.ended if not address.startswith(f"{NODE}.")}
    return (*found, *(f"it destroys {address}" for address in sorted(others)))


def _node(change: Mapping[str, Any], resources: Resources, gone: str, settings: Settings) -> NodeChange:
    action = _action(change["change"]["actions"])
    before, after = change["change"].get("before") or {}, change["change"].get("after") or {}
    causes: Iterable[Cause] = ()
    if action is Action.CHANGE:
        causes = in_place(change, settings)
    elif action in (Action.REPLACE, Action.DESTROY):
        causes = of_replacement(change, resources, settings)
    begins = action in (Action.REPLACE, Action.BUILD)
    return NodeChange(
        name=change["name"].replace("_", "-"),
        action=action,
        instance_id=before.get("id") or gone,
        reservation_id=_reservation(before),
        target_id=_reservation(after) if begins else "",
        alive=before.get("instance_state", ENDED[0]) not in ENDED,
        stopped=before.get("instance_state") in STOPPED,
        causes=tuple(causes),
        launch=tuple(_launched_from(after)) if begins else (),
    )


def _action(actions: list[str]) -> Action:
    done = set(actions)
    if {"create", "delete"} <= done:
        return Action.REPLACE
    words = {"create": Action.BUILD, "delete": Action.DESTROY, "update": Action.CHANGE}
    return next((action for word, action in words.items() if word in done), Action.KEEP)


def _reservation(values: Mapping[str, Any]) -> str:
    for specification in values.get("capacity_reservation_specification") or ():
        for target in specification.get("capacity_reservation_target") or ():
            return target.get("capacity_reservation_id") or ""
    return ""


def _launched_from(after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("instance_type", "ami", "key_name", "placement_group"):
        if after.get(name):
            yield name, after[name]
    if target := _reservation(after):
        yield "reservation", target


def _missed(ended: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for one in ended:
        if one["type"] in _MISSED:
            kind, attribute = _MISSED[one["type"]]
            name = (one["change"].get("before") or {}).get(attribute) or one["address"]
            node = one["name"].replace("_", "-")
            yield f"{kind} {name} of the {node}" if kind.endswith("address") else f"{kind} {name}"
