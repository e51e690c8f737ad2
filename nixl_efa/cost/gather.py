"""Asks AWS for an environment's blocks, for what runs, and for prices. In parallel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Pool, all_items, result
from nixl_efa.capacity.extension import Extension, extensions_of
from nixl_efa.capacity.judge import is_well_formed
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.reservation import Reservation, find_reservation
from nixl_efa.capacity.search import ALLOWED_HOURS, ORDERS, Request, checked, search
from nixl_efa.capacity.watch import fitting
from nixl_efa.checks.gather import launch as named
from nixl_efa.checks.gather import usage
from nixl_efa.clock import Clock
from nixl_efa.cost import blocks, spot
from nixl_efa.cost.blocks import Block
from nixl_efa.cost.compare import Rates
from nixl_efa.cost.money import Unknown
from nixl_efa.cost.prices import THREADS, History, Prices, ask
from nixl_efa.cost.running import Disk, Node
from nixl_efa.instance_states import RUNNING, STOPPED
from nixl_efa.launch import Launch, Volume
from nixl_efa.settings.model import NAME_TAG, STACK_TAG
from nixl_efa.times import utc
from nixl_efa.ultra_servers import is_ultra_server, made_of

if TYPE_CHECKING:
    from nixl_efa.aws import Clients

_STATES = [*RUNNING, *STOPPED, "shutting-down"]


@dataclass(frozen=True, slots=True)
class Found:
    """What AWS told of an environment.

    rates:   by instance type. blocks: of each request, in order: bought, or the cheapest on offer.
    next_blocks: of each request, the one that follows the bought one; None without.
    nodes, disks: what runs. running_blocks: those that they run in, by id. history: Spot's, by instance type.
    left_addresses: public addresses of the stack that no instance has.
    """

    rates: Mapping[str, Rates]
    blocks: tuple[Block | Unknown, ...]
    next_blocks: tuple[Block | Unknown | None, ...]
    nodes: tuple[Node, ...] | Unknown
    disks: tuple[Disk, ...] | Unknown
    running_blocks: Mapping[str, Block | Unknown]
    history: Mapping[str, History]
    left_addresses: int | Unknown


def find(launch: Launch, clients: Clients, clock: Clock, account: str, hours: int | None) -> Found:
    """Everything about an environment that the permissions allow to read. account: the caller's. hours: the length of a
    block to search for."""
    with Pool(THREADS, thread_name_prefix="cost") as pool:
        prices = Prices(launch, clients, clock, pool)
        asked = _Asking(launch, clients, clock, account)
        following = [pool.submit(asked.next_of, one) for one in launch.requests]
        chosen = [pool.submit(asked.block_of, one, hours) for one in launch.requests]
        running = asked.nodes()
        nodes = () if isinstance(running, Unknown) else running
        disks = pool.submit(asked.disks, nodes)
        left = pool.submit(asked.left_addresses)
        ids = sorted({one.reservation_id for one in nodes if one.market == "capacity-block"})
        in_use = pool.submit(asked.blocks_of, ids)
        types = list(dict.fromkeys([*launch.instance_types, *(one.instance_type for one in nodes)]))
        lately = clock.now() - spot.LOOKED_BACK
        since = min([lately, *(one.launched for one in nodes if one.market == "spot")])
        histories = {name: pool.submit(prices.history, name, since) for name in types}
        history = {name: future.result() for name, future in histories.items()}
        return Found(
            rates={name: prices.rates(name, history[name]) for name in types},
            blocks=tuple(one.result() for one in chosen),
            next_blocks=tuple(one.result() for one in following),
            nodes=running,
            disks=disks.result(),
            running_blocks=in_use.result(),
            history=history,
            left_addresses=left.result(),
        )


class _Asking:
    """Questions about one environment. Each method gives its answer, or Unknown."""

    def __init__(self, launch: Launch, clients: Clients, clock: Clock, account: str) -> None:
        self._launch, self._clients, self._clock, self._account = launch, clients, clock, account
        self._region = launch.region

    def block_of(self, request: Launch, hours: int | None) -> Block | Unknown:
        """The block that a request is launched into; where none is named, the cheapest on offer."""
        source = request.reservation
        if request.market == "capacity-block" and source.is_named:
            name = source.id or self._stored(source.id_parameter)
            if isinstance(name, Unknown):
                return name
            if is_well_formed(name):
                found = self._block(name)
                return found or Unknown(f"{name} is an On-Demand reservation, no Capacity Block")
        return self._offered(request, hours)

    def next_of(self, request: Launch) -> Block | Unknown | None:
        """The block that is kept as the next one; None without."""
        if request.market != "capacity-block":
            return None
        name = self._stored(request.reservation.next_id_parameter)
        if isinstance(name, Unknown):
            return name
        return self._block(name) if is_well_formed(name) else None

    def _stored(self, parameter: str) -> str | Unknown:
        """What a parameter holds; empty without one."""
        ssm = self._clients.ssm(self._region)
        return ask("ssm:GetParameter", lambda: named.parameter(ssm, parameter) or "")

    def blocks_of(self, ids: Sequence[str]) -> dict[str, Block | Unknown]:
        """The blocks among these reservations, by id."""
        found = {name: self._block(name) for name in ids}
        return {name: one for name, one in found.items() if one is not None}

    def _block(self, name: str) -> Block | Unknown | None:
        """A reservation as a block; None for one that is On-Demand."""
        ec2, sleep = self._clients.ec2(self._region), self._clock.sleep

        def look() -> Reservation | None:
            return find_reservation(ec2, self._region, name, sleep)

        def extended() -> list[Extension]:
            return extensions_of(ec2, [name], sleep)

        seen = ask("ec2:DescribeCapacityReservations", look)
        if isinstance(seen, Unknown):
            return seen
        if seen is None:
            return Unknown(f"EC2 knows no reservation {name} in {self._region}")
        if not seen.is_block:
            return None
        extensions = ask("ec2:DescribeCapacityBlockExtensionHistory", extended)
        if not isinstance(extensions, Unknown):
            return blocks.of_reservation(seen, extensions, self._account)
        found = blocks.of_reservation(seen, (), self._account)
        # Its end can be an extension's, whose fee would be missing.
        missing = Unknown(f"its extensions are not known ({extensions.reason})")
        return found if isinstance(found, Unknown) else replace(found, fee=missing)

    def nodes(self) -> tuple[Node, ...] | Unknown:
        """The environment's instances: by the tag of its stack, and those of its names that have no such tag."""
        ec2, identity = self._clients.ec2(self._region), self._launch.stack_identity
        names = {node.tag_name: node.name for node in self._launch.every_node}

        def look() -> tuple[Node, ...]:
            found: dict[str, Mapping[str, Any]] = {}
            for tag, values in ((STACK_TAG, [identity]), (NAME_TAG, sorted(names))):
                filters = [
                    {"Name": f"tag:{tag}", "Values": values},
                    {"Name": "instance-state-name", "Values": _STATES},
                ]
                answer = all_items(
                    ec2.describe_instances, "Reservations", self._clock.sleep, {"Filters": filters}
                )
                found |= {each["InstanceId"]: each for one in answer for each in one["Instances"]}
            own = (one for one in found.values() if _tags(one).get(STACK_TAG, identity) == identity)
            nodes = (_node(one, names.get(_name(one), _name(one))) for one in own)
            return tuple(sorted(nodes, key=lambda one: (one.name, one.id)))

        return ask("ec2:DescribeInstances", look)

    def disks(self, nodes: Sequence[Node]) -> tuple[Disk, ...] | Unknown:
        """The volumes of the nodes."""
        if not nodes:
            return ()
        ec2 = self._clients.ec2(self._region)
        filters = [{"Name": "attachment.instance-id", "Values": [one.id for one in nodes]}]

        def look() -> tuple[Disk, ...]:
            answer = all_items(ec2.describe_volumes, "Volumes", self._clock.sleep, {"Filters": filters})
            return tuple(_disk(one) for one in answer)

        return ask("ec2:DescribeVolumes", look)

    def left_addresses(self) -> int | Unknown:
        """How many public addresses of the stack belong to no instance: they stay after their nodes, and still cost
        money."""
        ec2 = self._clients.ec2(self._region)
        filters: Any = [{"Name": f"tag:{STACK_TAG}", "Values": [self._launch.stack_identity]}]

        def look() -> int:
            found = result(ec2.describe_addresses(Filters=filters), "Addresses")
            return sum(not one.get("AssociationId") for one in found)

        return ask("ec2:DescribeAddresses", look)

    def _offered(self, request: Launch, hours: int | None) -> Block | Unknown:
        """The cheapest block on offer that lasts as long, in the environment's region."""
        facts = request.type_facts
        if facts is None or not facts.supports_capacity_block:
            return Unknown(f"AWS sells no Capacity Blocks of {request.instance_type}", "none")
        length = next((one for one in ALLOWED_HOURS if one >= (hours or 0)), None)
        if length is None:
            return Unknown(f"AWS sells no block of {hours} hours, but {ALLOWED_HOURS[-1]} at most", "none")
        kind, count, source = request.instance_type, request.count, request.reservation
        if is_ultra_server(kind):
            smallest = made_of(kind)[0]
            kind, count = smallest.name, -(-request.count // smallest.instances)

        def look() -> list[Offering]:
            wanted = checked(Request(kind, count, (length,), self._clock.now()))
            found = search(self._clients.ec2, [self._region], wanted, self._clock.sleep)
            for error in found.failed.values():
                raise error
            return fitting(found.offerings, None, source.zone)

        offers = ask("ec2:DescribeCapacityBlockOfferings", look)
        if isinstance(offers, Unknown):
            return offers
        if not offers:
            where = source.zone or self._region
            return Unknown(f"no block of {length} hours is on offer in {where}", "none")
        return blocks.of_offering(min(offers, key=ORDERS["fee"]))


def _tags(payload: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in payload.get("Tags", ())}


def _name(payload: Mapping[str, Any]) -> str:
    return _tags(payload).get(NAME_TAG, "")


def _node(payload: Mapping[str, Any], name: str) -> Node:
    interfaces: Iterable[Mapping[str, Any]] = payload.get("NetworkInterfaces", ())
    return Node(
        id=payload["InstanceId"],
        name=name,
        state=payload["State"]["Name"],
        instance_type=payload["InstanceType"],
        market=usage.market_of(payload),
        zone=payload.get("Placement", {}).get("AvailabilityZone", ""),
        launched=utc(payload["LaunchTime"]),
        addresses=sum("Association" in each for each in interfaces),
        reservation_id=payload.get("CapacityReservationId", ""),
    )


def _disk(payload: Mapping[str, Any]) -> Disk:
    return Disk(
        payload["Attachments"][0]["InstanceId"],
        utc(payload["CreateTime"]),
        Volume(
            payload["Size"],
            payload.get("Iops", 0),
            payload.get("Throughput", 0),
            kind=payload.get("VolumeType", ""),
        ),
    )
