"""The stack's outputs: the nodes in Terraform's state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nixl_efa import state
from nixl_efa.failure import Failure
from nixl_efa.node_names import place
from nixl_efa.settings import Settings
from nixl_efa.settings.parts import CONSUMER, PRODUCER
from nixl_efa.terraform import Capture, capture


@dataclass(frozen=True, slots=True)
class Node:
    """One node by the outputs. name: unique in the environment ("consumer-2"); role: "producer" or "consumer".

    public_ip: empty without an Elastic IP. capacity_reservation_id: empty without one.
    """

    name: str
    role: str
    instance_id: str
    private_ip: str
    public_ip: str
    efa_interfaces: int = 0
    capacity_reservation_id: str = ""


@dataclass(frozen=True, slots=True)
class PairOutputs:
    """The nodes, the producers first, and what they share. scripts_bucket is empty if a deployment ended before it was
    created."""

    environment: str
    nodes: tuple[Node, ...]
    scripts_bucket: str = ""

    @property
    def every_node(self) -> str:
        """The nodes in words."""
        return "both nodes" if len(self.nodes) == 2 else f"all {len(self.nodes)} nodes"

    def of_role(self, role: str) -> tuple[Node, ...]:
        """The nodes of a role."""
        return tuple(node for node in self.nodes if node.role == role)

    def find(self, name: str) -> Node | None:
        """The node of that name; the first node of a role is also found by its number ("consumer-1")."""
        return next((node for node in self.nodes if name in (node.name, f"{node.name}-1")), None)


def read(
    settings: Settings, project: Path, environ: Mapping[str, str], run: Capture = capture
) -> PairOutputs:
    """The outputs of an environment's stack. Failure, in one line, if there are none or the pair is incomplete.

    Read from the state, through its backend: nothing needs to be synthesized or initialized here.
    project: the folder of cdktf.json, below which a local state lies. environ: Terraform's.
    """
    held = state.read(settings, project, environ, run)
    if not held.resources and not held.outputs:
        raise Failure(f"environment {settings.name!r} is not deployed: {_nothing(settings, project)}")
    return parse(settings.name, held.outputs)


def _nothing(settings: Settings, project: Path) -> str:
    """Where nothing was found, and what to do."""
    deploy = f"Run `nixl-efa deploy {settings.name}`"
    file = state.local_state(settings, project.resolve())
    if settings.backend.type != "local" or file.exists():
        return f"its state, {state.place(settings, project)}, is empty. {deploy}."
    return (
        f"there is no {file}. {deploy}; or, where it was deployed from another folder, name that one: "
        f"`nixl-efa --project DIR status {settings.name}`."
    )


def parse(environment: str, values: Mapping[str, Any]) -> PairOutputs:
    """The pair from the outputs' values by name. Failure when a part of it is missing."""
    nodes = _by_name(values)
    missing = [
        f"{one['name'].replace('-', '_')}_{what}"
        for one in nodes
        for what in ("instance_id", "private_ip")
        if not one.get(what)
    ]
    if missing:
        raise Failure(
            f"environment {environment!r} is incomplete: its stack has no {', no '.join(missing)}. "
            f"`nixl-efa mend {environment}` keeps what runs, `nixl-efa deploy {environment}` then builds the rest."
        )
    return PairOutputs(
        environment,
        tuple(
            Node(
                one["name"],
                one["role"],
                one["instance_id"],
                one["private_ip"],
                one.get("public_ip") or "",
                **_its_own(one["instance_id"], values),
            )
            for one in nodes
        ),
        values.get("scripts_bucket") or "",
    )


def _its_own(instance_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that can differ between nodes: from the list `nodes` if it contains the instance, else from the
    outputs of the whole stack. A stack of an earlier release has only these."""
    listed = [one for one in values.get("nodes") or () if one.get("instance_id") == instance_id]
    found = listed[0] if listed else values
    return {
        "efa_interfaces": int(found.get("efa_interfaces") or 0),
        "capacity_reservation_id": found.get("capacity_reservation_id") or "",
    }


def _by_name(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes, from the outputs of each single node: the producers first, each role by number.

    Not from the list `nodes`. A stack of an earlier release lacks it. It also depends on every node: if a deployment
    ends before one of them exists, Terraform keeps the previous list, with instances that no longer exist.
    """
    told = {
        name.removesuffix(suffix).replace("_", "-")
        for name in values
        for suffix in ("_instance_id", "_private_ip")
        if name.endswith(suffix)
    }
    return [
        {
            "name": name,
            "role": name.partition("-")[0],
            **{
                what: values.get(f"{name.replace('-', '_')}_{what}")
                for what in ("instance_id", "private_ip", "public_ip")
            },
        }
        for name in sorted({PRODUCER, CONSUMER, *told}, key=place)
    ]
