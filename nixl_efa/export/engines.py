"""The configuration files of other products for an environment's nodes, from its launch and the facts from AWS. Pure.

Sources: AWS ParallelCluster user guide, cluster-configuration-file-v3 and launch-instances-capacity-blocks, and the
validators of aws-parallelcluster 3.16.1; dstack documentation, concepts/fleets, and the models of dstack 0.22.5.

What an engine's file can't hold is in comments at its head.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from nixl_efa.capacity.judge import stops_at
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks.facts import Subnet
from nixl_efa.launch import Launch
from nixl_efa.times import moment

# ParallelCluster's head node runs Slurm: any small type will do that has the nodes' architecture.
HEAD_NODES = {"x86_64": "m7i.large", "arm64": "m7g.large"}
OS = "ubuntu2404"


class Engine(StrEnum):
    """Whose files are written."""

    PCLUSTER = "pcluster"
    DSTACK = "dstack"


@dataclass(frozen=True, slots=True)
class Found:
    """One request of an environment's launch, the subnet of its nodes and its reservation, if it names one."""

    request: Launch
    subnet: Subnet
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file of an engine: a name that is its own within the environment, and its text."""

    name: str
    text: str


def documents(engine: Engine, found: Sequence[Found]) -> tuple[Document, ...]:
    """An engine's files for all requests of an environment. dstack reads one fleet from a file."""
    if engine is Engine.PCLUSTER:
        stack = found[0].request.stack_name
        return (Document(f"{stack}.pcluster.yaml", _cluster(stack, found)),)
    fleets = zip(_names(found), found, strict=True)
    return tuple(
        Document(f"{one.request.stack_name}-{name}.dstack.yml", _fleet(name, one)) for name, one in fleets
    )


def _names(found: Sequence[Found]) -> Iterator[str]:
    """What each request's nodes are called: "nodes", or by their role, with a number from the second one on."""
    times: Counter[str] = Counter()
    for one in found:
        roles = {node.role for node in one.request.nodes}
        name = f"{roles.pop()}s" if len(roles) == 1 else "nodes"
        times[name] += 1
        yield name if times[name] == 1 else f"{name}-{times[name]}"


def _cluster(stack: str, found: Sequence[Found]) -> str:
    """A cluster of ParallelCluster: a queue of static nodes for each request."""
    names = list(_names(found))
    first = found[0]
    told = [
        f"{stack} for AWS ParallelCluster, written by nixl-efa export. To make the cluster of it:",
        f"  pcluster create-cluster --cluster-name {stack} --cluster-configuration FILE",
        "",
        *_of_reservations(found),
        *(_private_subnet(name, one) for name, one in zip(names, found, strict=True) if _is_public(one)),
        *_of_volume_key(found),
        "Not in here: our image (ParallelCluster takes those that it builds, Image.CustomAmi), security group, Elastic",
        "IPs, what our nodes install at their first boot, and who is producer or consumer.",
    ]
    architecture = next(
        (one for facts in (first.request.type_facts,) if facts for one in facts.architectures), "x86_64"
    )
    head: dict[str, Any] = {
        "InstanceType": HEAD_NODES[architecture],
        "Networking": {"SubnetId": first.subnet.id},
    }
    if first.request.key_name:
        head["Ssh"] = {"KeyName": first.request.key_name}
    queues = [_queue(name, one) for name, one in zip(names, found, strict=True)]
    return "".join(
        (
            _comments(told),
            _yaml({"Region": first.request.region, "Image": {"Os": OS}}),
            _comments(
                ["A placeholder, since an environment has no such node: its type and subnet are your choice."]
            ),
            _yaml({"HeadNode": head}),
            _yaml({"Scheduling": {"Scheduler": "slurm", "SlurmQueues": queues}}),
        )
    )


def _queue(name: str, one: Found) -> dict[str, Any]:
    launch, volume = one.request, one.request.volume
    # Its validator wants as many at least as at most for a block; ours are never fewer either.
    nodes: dict[str, Any] = {
        "Name": launch.instance_type.replace(".", "-"),
        "InstanceType": launch.instance_type,
        "MinCount": launch.count,
        "MaxCount": launch.count,
        "Efa": {"Enabled": launch.efa_interfaces > 0},
    }
    if one.reservation is not None:
        nodes["CapacityReservationTarget"] = {"CapacityReservationId": one.reservation.id}
    network: dict[str, Any] = {
        "SubnetIds": [one.subnet.id],
        # EC2 takes no placement group with a block.
        "PlacementGroup": {"Enabled": launch.placement_group},
    }
    if launch.security_group_id:
        network["AdditionalSecurityGroups"] = [launch.security_group_id]
    root = {
        "Size": volume.gib,
        "VolumeType": volume.kind,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
        "Encrypted": volume.encrypted,
    }
    return {
        "Name": name,
        "CapacityType": {"capacity-block": "CAPACITY_BLOCK", "spot": "SPOT", "on-demand": "ONDEMAND"}[
            launch.market
        ],
        "Networking": network,
        "ComputeSettings": {"LocalStorage": {"RootVolume": root}},
        "ComputeResources": [nodes],
    }


def _is_public(one: Found) -> bool:
    """EC2 gives no public address to an instance of several interfaces. ParallelCluster gives a node with EFA a plain
    one, too, and refuses subnets that are set to give addresses (its MultiNetworkInterfacesInstancesValidator)."""
    return one.request.efa_interfaces > 0 and one.subnet.auto_public


def _private_subnet(name: str, one: Found) -> str:
    return (
        f"Queue {name}: ParallelCluster refuses {one.subnet.id} for nodes with EFA, since it gives public addresses."
        f"\nName a private subnet of {one.subnet.zone} with a NAT gateway in SubnetIds."
    )


def _fleet(name: str, one: Found) -> str:
    """A fleet of dstack, whose nodes are there until it is deleted."""
    launch = one.request
    told = [
        f"{launch.stack_name} for dstack, written by nixl-efa export. To make the fleet of it: dstack apply -f FILE",
        "",
        *_of_reservations([one]),
        *([_of_vpc(one.subnet)] if launch.vpc_id or launch.subnet_id else []),
        *_of_volume_key([one]),
        "Not in here: our subnet, image, key pair, security group, what our nodes install at their first boot, and who",
        "is producer or consumer. The root volume is gp2.",
    ]
    fleet: dict[str, Any] = {
        "type": "fleet",
        "name": f"{launch.environment}-{name}",
        "nodes": launch.count,
        "placement": "cluster",
        "backends": ["aws"],
        "regions": [launch.region],
        "availability_zones": [one.subnet.zone],
        "instance_types": [launch.instance_type],
        "spot_policy": "spot" if launch.market == "spot" else "on-demand",
        "resources": {"disk": f"{launch.volume.gib}GB"},
    }
    if one.reservation is not None:
        fleet["reservation"] = one.reservation.id
    return _comments(told) + _yaml(fleet)


def _of_vpc(subnet: Subnet) -> str:
    return (
        f"It launches in {subnet.vpc_id} where vpc_ids of the server's aws backend names it for the region."
    )


def _of_reservations(found: Iterable[Found]) -> Iterator[str]:
    """When each reservation can be used. No other product reads the parameter in which we keep the id of the next
    one."""
    for one in {each.reservation.id: each.reservation for each in found if each.reservation}.values():
        if one.start is not None and one.state != "active":
            yield f"{one.id} starts at {moment(one.start)}: nothing can be launched into it before."
        if (stop := stops_at(one)) is not None and one.is_block:
            yield f"{one.id}: EC2 terminates its nodes from {moment(stop)} on. Write the next block's id in here then."


def _of_volume_key(found: Iterable[Found]) -> Iterator[str]:
    for key in sorted({each.request.volume.kms_key_id for each in found} - {""}):
        yield f"Volumes are encrypted with the account's default key, not with {key}."


def _comments(lines: Iterable[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for told in lines for line in told.split("\n"))


def _yaml(document: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
