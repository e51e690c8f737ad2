"""What one environment's pair is made of: decided here, from the settings and the instance type's facts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nixl_efa import instance_types
from nixl_efa.efa_layout import Interface, efa_interface_count, layout
from nixl_efa.instance_types import InstanceType
from nixl_efa.settings import Settings

CAPACITY_BLOCK = "capacity-block"
SPOT = "spot"
PRODUCER = "producer"
CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node. `name` is unique within the environment and part of resource names; `role` is what it does."""

    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan:
    """All that is decided before any resource is described.

    nodes:           producers first.
    interfaces:      of each node, the primary first (efa_layout.layout).
    instance_type:   the facts; None for a type that the data doesn't know.
    architecture:    "x86_64" or "arm64".
    market:          "capacity-block", "spot" or None for On-Demand: instance_market_options' market_type.
    placement_group: whether the stack makes a cluster placement group.
    volume_gib:      root volume in GiB.
    """

    nodes: tuple[NodePlan, ...]
    interfaces: tuple[Interface, ...]
    instance_type: InstanceType | None
    architecture: str
    market: str | None
    placement_group: bool
    volume_gib: int

    @property
    def efa_interfaces(self) -> int:
        """EFA interfaces of each node: the number of EFA devices that it will see."""
        return efa_interface_count(self.interfaces)


def plan_pair(settings: Settings, producers: int = 1, consumers: int = 1) -> PairPlan:
    """The plan of one environment."""
    facts = instance_types.find(settings.instance_type)
    return PairPlan(
        nodes=plan_nodes(producers, consumers),
        interfaces=layout(facts),
        instance_type=facts,
        architecture=facts.architectures[0] if facts else "x86_64",
        market=CAPACITY_BLOCK if settings.use_capacity_block else SPOT if settings.spot else None,
        placement_group=settings.wants_placement_group,
        volume_gib=settings.volume_gib,
    )


def plan_nodes(producers: int, consumers: int) -> tuple[NodePlan, ...]:
    """The nodes by name. The first of a role keeps the bare name, so that adding others renames none."""
    counts = {PRODUCER: producers, CONSUMER: consumers}
    return tuple(
        NodePlan(name=role if number == 1 else f"{role}-{number}", role=role)
        for role, count in counts.items()
        for number in range(1, count + 1)
    )


def summary(settings: Settings, plan: PairPlan) -> str:
    """The environment in one line: stack, type, EFA interfaces and Gbps, volume, capacity."""
    gbps = f", {plan.instance_type.network_gbps:g} Gbps" if plan.instance_type else ""
    interfaces = f"{plan.efa_interfaces} EFA interface{'' if plan.efa_interfaces == 1 else 's'}"
    return (
        f"{settings.stack_name}: {len(plan.nodes)} x {settings.instance_type}, {interfaces}{gbps} a node, "
        f"{plan.volume_gib} GiB gp3, {capacity_choice(settings, plan)}"
    )


def capacity_choice(settings: Settings, plan: PairPlan) -> str:
    """In which capacity the pair is launched, in words."""
    market = {CAPACITY_BLOCK: "Capacity Block", SPOT: "Spot", None: "On-Demand"}[plan.market]
    if settings.capacity_reservation_id:
        return f"{market} in {settings.capacity_reservation_id}"
    if settings.capacity_reservation_parameter:
        return f"{market} in the reservation that {settings.capacity_reservation_parameter} names"
    return f"{market}, no reservation"
