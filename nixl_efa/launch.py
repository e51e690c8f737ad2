"""The values that nodes are launched with: decided only here, from the settings and the type's facts. Pure.

The constructs render a Launch as Terraform JSON, the check's dry run renders the same one as RunInstances, and
`capacity.judge` holds a reservation against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from nixl_efa import instance_types, nixl_releases
from nixl_efa.efa_layout import Interface, efa_interface_count, layout
from nixl_efa.findings import counted, listed
from nixl_efa.image import image_choice, image_parameter
from nixl_efa.instance_types import InstanceType
from nixl_efa.nixl_backend import NixlBackend, common, nixl_backend
from nixl_efa.node_names import Node, node_of, nodes_of, place
from nixl_efa.refusals.model import Asked
from nixl_efa.reservation_source import ReservationSource, reservation_source
from nixl_efa.service.model import Service
from nixl_efa.settings import AssumeRole, Settings
from nixl_efa.settings.model import NAME_TAG, ROLE_TAG, STACK_TAG
from nixl_efa.settings.parts import CONSUMER, PRODUCER, Part

Market = Literal["on-demand", "spot", "capacity-block"]


@dataclass(frozen=True, slots=True)
class Volume:
    """The root volume: gp3, encrypted, deleted with its instance. Sizes in GiB, throughput in MiB/s.

    defaults: the members that no setting chooses ("gib", "iops", "throughput").
    kms_key_id: the ARN of the key; empty: the account's default for EBS.
    """

    gib: int
    iops: int = 3000
    throughput: int = 125
    defaults: tuple[str, ...] = ()
    kms_key_id: str = ""
    kind: str = "gp3"
    encrypted: bool = True
    delete_on_termination: bool = True


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """The instance metadata service: IMDSv2 only. A container on the node needs one more hop.

    No tags: the account's default may allow them, and EC2 then refuses tag keys with a space or a slash
    (EC2 user guide, work-with-tags-in-IMDS).
    """

    http_endpoint: str = "enabled"
    http_tokens: str = "required"
    http_put_response_hop_limit: int = 2
    instance_metadata_tags: str = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that the nodes of an environment are launched from.

    If the nodes are not all launched alike, `requests` has one Launch for each request to EC2, with only its nodes.
    Values that differ between them (the type and what follows from it, market, reservation, volume) are, in the Launch
    of the whole environment, those of the nodes that follow the environment's own settings.

    account_id:      the only account that it may happen in; empty: any. account_set_by: where that was given.
    prefix:          what the names in AWS begin with (see name_of).
    nodes:           producers first. type_facts: None for a type that the data doesn't know.
    interfaces:      of each node, the primary first (efa_layout.layout).
    market:          how EC2 is asked for the instances.
    placement_group: whether the stack makes a cluster placement group; `placement_choice` is the setting.
    image_id:        given by the settings; empty where the public parameter `image_parameter` names the image.
    image_choice:    what that image follows from: the parameter that the settings name, else what fits the type.
    tags:            of everything in the stack; a node's own come on top (tags_of).
    protect_nodes:   no plan of Terraform may destroy or replace a node.
    empty_scripts_bucket: the scripts bucket may be destroyed with what it holds.
    stack_identity:  the nodes' tag STACK_TAG, by which a node is known to belong to this very stack.
    nixl_version:    of the NIXL that a node installs; empty: none. nixl_pinned: no other that its libfabric loads.
    nixl_wheels:     folder or index that has NIXL's wheels; empty: what pip takes by itself.
    service_ports:   TCP ports of the nodes that the VPC may reach, or the blocks of service_cidrs instead.
    service:         whose engine each node starts when it boots; None: none.
    models_bucket:   where its model may be staged. min_hours: hours that a reservation must still last.
    must_be_active: the launch follows at once, so capacity that starts later can't be used.
    instance_profile: the user's own; empty: the stack makes one with a role, which `permissions_boundary` bounds.
    profile:         the AWS profile of all calls; empty: none is named. assume_role: the role of all calls but those to
                     look by hand; None: the credentials' own.
    role:            of a request: whose own table its nodes follow; empty for none (Settings.parts).
    unfilled: it is not yet known which of the nodes go into its reservation (nixl_efa.capacity.fill).
    parts:           the requests; empty where all nodes are launched alike. whole: of a request, what it is a part of.
    """

    environment: str
    stack_name: str
    prefix: str
    region: str
    account_id: str = ""
    account_set_by: str = ""
    nodes: tuple[Node, ...]
    instance_type: str
    type_facts: InstanceType | None
    interfaces: tuple[Interface, ...]
    market: Market
    reservation: ReservationSource
    placement_choice: Literal["auto", "on", "off"] = "auto"
    placement_group: bool = False
    image_id: str = ""
    image_parameter: str = ""
    image_choice: str = ""
    volume: Volume
    metadata: MetadataOptions = MetadataOptions()
    key_name: str = ""
    vpc_id: str = ""
    subnet_id: str = ""
    security_group_id: str = ""
    elastic_ip: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    protect_nodes: bool = False
    empty_scripts_bucket: bool = False
    stack_identity: str = ""
    nixl_version: str = ""
    nixl_pinned: bool = False
    nixl_wheels: str = ""
    service_ports: tuple[int, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    service: Service | None = None
    models_bucket: str = ""
    min_hours: float = 1.0
    must_be_active: bool = False
    instance_profile: str = ""
    permissions_boundary: str = ""
    profile: str = ""
    assume_role: AssumeRole | None = None
    role: str = ""
    unfilled: bool = False
    parts: tuple[Launch, ...] = ()
    whole: Launch | None = None

    @property
    def requests(self) -> tuple[Launch, ...]:
        """One Launch for each request to EC2: one instance type, market and reservation."""
        return tuple(replace(part, whole=self) for part in self.parts) or (self,)

    @property
    def beside(self) -> tuple[Launch, ...]:
        """All requests of the environment, including this one: they share quotas and network."""
        return (self.whole or self).requests

    @property
    def every_node(self) -> tuple[Node, ...]:
        """All nodes of the environment."""
        return (self.whole or self).nodes

    def of_machines(self, types: Mapping[str, str]) -> dict[str, Launch]:
        """A request for each of the nodes that run, by name: as the settings have it, for the machine's own type.

        types: by the node's name. A node that the settings leave out is as the whole.
        """
        by_name = {node.name: one for one in self.requests for node in one.nodes}
        parts = []
        for name, machine in types.items():
            consumer, number = place(name)
            facts = instance_types.find(machine)
            parts.append(
                replace(
                    by_name.get(name, self),
                    nodes=(node_of(self.prefix, CONSUMER if consumer else PRODUCER, number),),
                    instance_type=machine,
                    type_facts=facts,
                    interfaces=layout(facts),
                    parts=(),
                    whole=None,
                )
            )
        running = replace(self, nodes=tuple(one.nodes[0] for one in parts), parts=tuple(parts))
        return {one.nodes[0].name: one for one in running.requests}

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The types of all nodes of the environment, each once."""
        return tuple(dict.fromkeys(one.instance_type for one in self.beside))

    def is_of_another(self, tag_name: str) -> bool:
        """Whether it is the Name tag of a node of the environment that is not a part of this request."""
        return tag_name not in self.node_names and any(node.tag_name == tag_name for node in self.every_node)

    @property
    def called(self) -> str:
        """The name of the request's nodes in a message, if the environment has others: "producer, consumer"; else
        empty."""
        return listed((node.name for node in self.nodes), limit=3) if self.whole is not None else ""

    @property
    def count(self) -> int:
        """Instances that are launched."""
        return len(self.nodes)

    @property
    def count_in_reservation(self) -> int:
        """Instances of the environment that are launched into the same reservation; one, at least."""
        if self.unfilled:
            return 1
        return sum(one.count for one in self.beside if one.reservation == self.reservation)

    @property
    def node_names(self) -> tuple[str, ...]:
        """The Name tags of the nodes."""
        return tuple(node.tag_name for node in self.nodes)

    @property
    def efa_interfaces(self) -> int:
        """EFA interfaces of each node: the number of EFA devices that it will see."""
        return efa_interface_count(self.interfaces)

    @property
    def nixl(self) -> NixlBackend:
        """How NIXL goes from node to node, whatever their types."""
        return common(one.own_nixl for one in self.beside)

    @property
    def nixl_of_several_types(self) -> NixlBackend | None:
        """The same where the nodes are of several types; None where it follows from the one type."""
        return self.nixl if len({one.instance_type for one in self.beside}) > 1 else None

    @property
    def own_nixl(self) -> NixlBackend:
        """How NIXL would go between nodes of this type alone."""
        kind = self.type_facts.accelerator_kind if self.type_facts else "none"
        return nixl_backend(self.instance_type, kind, self.efa_interfaces)

    @property
    def asked(self) -> Asked:
        """The facts on which the advice for a refusal of this launch depends."""
        return Asked(
            reserved=self.reservation.is_named,
            spot=self.market == "spot",
            sold_as_block=self.type_facts is not None and self.type_facts.supports_capacity_block,
            reservation_id="" if self.parts else self.reservation.id,
        )

    def name_of(self, part: str) -> str:
        """The name in AWS of a part of the environment, such as "nixl-efa-prod-pair"."""
        return f"{self.prefix}-{part}"

    @property
    def access_name(self) -> str:
        """The name of the nodes' role and profile. IAM is the same in every region, so the region is part of it."""
        return self.name_of(self.region)[:64]

    @property
    def unique_names(self) -> dict[str, str]:
        """The names that must be unique in AWS (a security group's in its VPC), by the address in Terraform.

        A second stack with the same names fails at them. The name of the scripts bucket gets its end at its creation.
        """
        pair = self.name_of("pair")
        own_role = {
            "aws_iam_role.node": self.access_name,
            "aws_iam_instance_profile.node": self.access_name,
        }
        return {
            **({} if self.instance_profile else own_role),
            **({} if self.security_group_id else {"aws_security_group.pair": pair}),
            **({"aws_placement_group.pair": pair} if self.placement_group else {}),
            **{f"aws_launch_template.{node.name.replace('-', '_')}": node.tag_name for node in self.nodes},
        }

    def tags_of(self, node: Node) -> dict[str, str]:
        """The tags of a node and of what belongs to it: volume, interfaces, address."""
        return {
            **self.tags,
            NAME_TAG: node.tag_name,
            ROLE_TAG: node.role,
            STACK_TAG: self.stack_identity,
        }


def launch_of(
    settings: Settings, *, min_hours: float | None = None, must_be_active: bool = False, profile: str = ""
) -> Launch:
    """The launch that an environment's settings describe.

    min_hours, profile: instead of the settings; must_be_active: see Launch.
    """
    parts = settings.parts
    alone = len(parts) == 1
    launches = tuple(
        replace(
            _launch(settings.of(part), part),
            min_hours=float(settings.min_hours if min_hours is None else min_hours),
            must_be_active=must_be_active,
            profile=profile or settings.profile or "",
        )
        for part in parts
    )
    nodes = nodes_of(settings.name_prefix, settings.producers, settings.consumers)
    if alone:
        return replace(launches[0], nodes=nodes)
    # The request that follows the environment's own settings represents the whole environment.
    _, own = min(zip(parts, launches, strict=True), key=lambda one: (bool(one[0].role), one[0].entry))
    # The image is that of the settings outside of the tables: nodes that have it keep it, whatever tables come and go.
    outside = replace(parts[0], values={}, sources={})
    image = _launch(settings.of(outside), outside)
    of_image = {name: getattr(image, name) for name in ("image_id", "image_parameter", "image_choice")}
    return replace(own, nodes=nodes, role="", parts=launches, **of_image)


def _launch(settings: Settings, part: Part) -> Launch:
    """Of a part's own settings."""
    facts = instance_types.find(settings.instance_type)
    market: Market = (
        "capacity-block" if settings.use_capacity_block else "spot" if settings.spot else "on-demand"
    )
    return Launch(
        environment=settings.name,
        stack_name=settings.stack_name,
        prefix=settings.name_prefix,
        region=settings.region,
        account_id=settings.account_id or "",
        account_set_by=settings.source("account_id").label if settings.account_id else "",
        nodes=tuple(node_of(settings.name_prefix, role, number) for role, number in part.nodes),
        role=part.role,
        instance_type=settings.instance_type,
        type_facts=facts,
        interfaces=layout(facts),
        market=market,
        reservation=reservation_source(settings, part),
        placement_choice=settings.placement_group,
        placement_group=settings.wants_placement_group,
        image_id=settings.ami_id or "",
        image_parameter=settings.ami_parameter or image_parameter(facts),
        image_choice=settings.ami_parameter or image_choice(facts),
        volume=_volume(settings),
        key_name=settings.key_name or "",
        vpc_id=settings.vpc_id or "",
        subnet_id=settings.subnet_id or "",
        security_group_id=settings.security_group_id or "",
        elastic_ip=settings.elastic_ip,
        tags=settings.stack_tags,
        protect_nodes=settings.protect_nodes,
        empty_scripts_bucket=settings.empty_scripts_bucket,
        stack_identity=settings.stack_identity,
        nixl_version=settings.nixl_version if settings.install_nixl else "",
        nixl_pinned=settings.install_nixl and _is_pinned(settings),
        nixl_wheels=settings.nixl_wheels or "",
        service_ports=settings.service_ports,
        service_cidrs=settings.service_cidrs,
        models_bucket=settings.models_bucket or "",
        service=settings.service.asked if settings.service and settings.service.start_at_boot else None,
        instance_profile=settings.instance_profile or "",
        permissions_boundary=settings.permissions_boundary or "",
        assume_role=settings.assume_role,
    )


def _is_pinned(settings: Settings) -> bool:
    """Whether the user chose the version of NIXL; settings that a program creates have no source."""
    return not settings.is_default("nixl_version") or settings.nixl_version != nixl_releases.DEFAULT


def _volume(settings: Settings) -> Volume:
    chosen_by = {"gib": "volume_size", "iops": "volume_iops", "throughput": "volume_throughput"}
    return Volume(
        settings.volume_gib,
        settings.volume_iops,
        settings.volume_throughput,
        defaults=tuple(name for name, setting in chosen_by.items() if settings.is_default(setting)),
        kms_key_id=settings.kms_key_id or "",
    )


def summary(launch: Launch) -> str:
    """The environment in one line, or where its nodes are not all launched alike, in one for each request: stack, type,
    EFA interfaces and Gbps, NIXL's backend, volume, capacity."""
    if not launch.parts:
        return f"{launch.stack_name}: {_summary(launch)}"
    lines = (f"  {one.called}: {_summary(one)}" for one in launch.requests)
    return "\n".join((f"{launch.stack_name}:", *lines))


def _summary(launch: Launch) -> str:
    gbps = f", {launch.type_facts.network_gbps:g} Gbps" if launch.type_facts else ""
    interfaces = counted(launch.efa_interfaces, "EFA interface")
    return (
        f"{launch.count} x {launch.instance_type}, {interfaces}{gbps} a node, "
        f"NIXL with {launch.nixl}, {launch.volume.gib} GiB {launch.volume.kind}, {capacity_choice(launch)}"
    )


def capacity_choice(launch: Launch) -> str:
    """The capacity in which the pair is launched, as text."""
    market = {"capacity-block": "Capacity Block", "spot": "Spot", "on-demand": "On-Demand"}[launch.market]
    if launch.reservation.id:
        return f"{market} in {launch.reservation.id}"
    if launch.reservation.reads_id:
        return f"{market} in the reservation that {launch.reservation.id_parameter} names"
    return f"{market}, no reservation"
