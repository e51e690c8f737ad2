"""The launch that an environment's stack makes, from its settings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nixl_efa.checks.facts import Market
from nixl_efa.efa_layout import Interface
from nixl_efa.image import image_parameter
from nixl_efa.instance_types import InstanceType
from nixl_efa.plan import plan_pair
from nixl_efa.settings import Settings

_MARKETS: dict[str | None, Market] = {None: "on-demand", "spot": "spot", "capacity-block": "capacity-block"}


@dataclass(frozen=True, slots=True)
class Launch:
    """The launch that an environment's settings describe: what everything seen is held against.

    market:     how EC2 is asked for the instances.
    interfaces: of one node, the primary first.
    node_names: the Name tag of each instance, by which this stack's own ones are known: they free their
                place before their successors take it.
    placement_group: whether the stack makes a cluster placement group; `placement_choice` is the setting.
    at_once:    the launch follows this look, so capacity that starts later is no use.
    profile:    the AWS profile that was chosen for the look, which the commands to look by hand name, too.
    """

    environment: str
    stack_name: str
    region: str
    instance_type: str
    type_facts: InstanceType | None
    interfaces: tuple[Interface, ...]
    market: Market
    volume_gib: int
    node_names: tuple[str, ...] = ("nixl-efa-producer", "nixl-efa-consumer")
    zone: str | None = None
    zone_parameter: str | None = None
    reservation_id: str | None = None
    reservation_parameter: str | None = None
    placement_choice: Literal["auto", "on", "off"] = "auto"
    placement_group: bool = False
    image_id: str | None = None
    image_parameter: str = ""
    volume_iops: int = 3000
    volume_throughput: int = 125
    tags: tuple[tuple[str, str], ...] = ()
    vpc_id: str | None = None
    subnet_id: str | None = None
    security_group_id: str | None = None
    key_name: str | None = None
    elastic_ip: bool = True
    min_hours: float = 1.0
    at_once: bool = False
    profile: str | None = None

    @property
    def nodes(self) -> int:
        """Instances that are launched."""
        return len(self.node_names)

    @property
    def has_reservation(self) -> bool:
        """Whether the settings name a reservation, by its id or by the parameter that holds it."""
        return bool(self.reservation_id or self.reservation_parameter)


def launch_of(
    settings: Settings, *, min_hours: float | None = None, at_once: bool = False, profile: str | None = None
) -> Launch:
    """The launch that the settings describe.

    min_hours: hours that a reservation must still last, in place of the setting.
    at_once:   the launch follows the check, so that a reservation that starts later is a fault.
    profile:   the AWS profile that the clients were made for.
    """
    plan = plan_pair(settings)
    named = tuple(f"{settings.project_prefix}-{settings.name}-{node.name}" for node in plan.nodes)
    return Launch(
        environment=settings.name,
        stack_name=settings.stack_name,
        region=settings.region,
        instance_type=settings.instance_type,
        type_facts=plan.instance_type,
        interfaces=plan.interfaces,
        market=_MARKETS[plan.market],
        volume_gib=plan.volume_gib,
        volume_iops=settings.volume_iops,
        volume_throughput=settings.volume_throughput,
        node_names=named,
        zone=settings.availability_zone,
        zone_parameter=settings.availability_zone_parameter,
        reservation_id=settings.capacity_reservation_id,
        reservation_parameter=settings.capacity_reservation_parameter,
        placement_choice=settings.placement_group,
        placement_group=plan.placement_group,
        image_id=settings.ami_id,
        image_parameter=settings.ami_parameter or image_parameter(plan.instance_type),
        vpc_id=settings.vpc_id,
        subnet_id=settings.subnet_id,
        security_group_id=settings.security_group_id,
        key_name=settings.key_name,
        elastic_ip=settings.elastic_ip,
        min_hours=float(settings.min_hours if min_hours is None else min_hours),
        at_once=at_once,
        profile=profile,
        tags=tuple(settings.tags.items()),
    )
