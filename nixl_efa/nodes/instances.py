"""The pair's instances as EC2 sees them now, against what the stack's outputs say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from nixl_efa.block_end import lead
from nixl_efa.capacity.reservation import CAPACITY_BLOCK
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.times import span

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

_GONE = ("shutting-down", "terminated")


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance.

    vpc_id, private_ip: empty when it is gone; reservation_id: empty without one.
    market: "on-demand", "spot" or "capacity-block".
    """

    id: str
    state: str
    instance_type: str
    zone: str
    vpc_id: str
    private_ip: str
    launched: datetime
    market: str
    reservation_id: str


def read(ec2: EC2Client, pair: PairOutputs) -> Mapping[str, Instance]:
    """The instances with the outputs' ids or addresses, by id: those that exist, and those in their place.

    The addresses are asked for too, since a node's address stays when its instance is replaced.
    """
    ids = [node.instance_id for node in pair.nodes]
    addresses = [node.private_ip for node in pair.nodes]
    found: dict[str, Instance] = {}
    # A filter, where InstanceIds would fail for both when one is unknown.
    for name, values in (("instance-id", ids), ("private-ip-address", addresses)):
        for page in ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": name, "Values": values}]
        ):
            for reservation in page["Reservations"]:
                found |= {one["InstanceId"]: _instance(one) for one in reservation["Instances"]}
    return found


def require_both(pair: PairOutputs, instances: Mapping[str, Instance]) -> None:
    """Failure, in one line, when a node of the outputs is gone: terminated, unknown, or replaced since."""
    faults = [fault for node in pair.nodes if (fault := _fault(node, pair, instances))]
    if faults:
        raise Failure(" ".join(faults))


def state_finding(instance: Instance, region: str) -> Finding:
    """Whether the instance runs."""
    chosen = f"--region {region} --instance-ids {instance.id}"
    if instance.state == "running":
        return Finding(Level.PASS, "instance", f"{instance.id} running")
    return Finding(
        Level.FAIL,
        "instance",
        f"{instance.id} is {instance.state}.",
        f"Run `aws ec2 start-instances {chosen}`." if instance.state == "stopped" else "Wait until it runs.",
        f"aws ec2 describe-instances {chosen}",
    )


def _fault(node: Node, pair: PairOutputs, instances: Mapping[str, Instance]) -> str:
    instance = instances.get(node.instance_id)
    if instance and instance.state not in _GONE:
        return ""
    state = instance.state if instance else "unknown to EC2"
    heirs = _in_place_of(node, pair, instances)
    if heirs:
        return (
            f"{node.name} {node.instance_id} of the outputs is {state}: it was replaced by {heirs[0].id} since. "
            f"Run `terraform apply -refresh-only` in cdktf.out/stacks/nixl-efa-{pair.environment}, or deploy again."
        )
    if instance and instance.market == CAPACITY_BLOCK:
        return (
            f"{node.name} {node.instance_id} is {state}, as EC2 makes a Capacity Block's instances from "
            f"{span(lead(instance.instance_type))} before its end (`nixl-efa capacity search` finds another block)."
        )
    deploy = f"`cdktf deploy nixl-efa-{pair.environment}`"
    return f"{node.name} {node.instance_id} is {state}: run {deploy} to build it anew."


def _in_place_of(node: Node, pair: PairOutputs, instances: Mapping[str, Instance]) -> list[Instance]:
    """Who has the node's address now, in the VPC of the other node: another VPC may use the same addresses."""
    others = [
        instances[one.instance_id] for one in pair.nodes if one != node and one.instance_id in instances
    ]
    vpcs = {one.vpc_id for one in others if one.vpc_id}
    return [
        one
        for one in instances.values()
        if one.private_ip == node.private_ip
        and one.id != node.instance_id
        and one.state not in _GONE
        and (not vpcs or one.vpc_id in vpcs)
    ]


def _instance(one: InstanceTypeDef) -> Instance:
    return Instance(
        id=one["InstanceId"],
        state=one["State"]["Name"],
        instance_type=one["InstanceType"],
        zone=one.get("Placement", {}).get("AvailabilityZone", ""),
        vpc_id=one.get("VpcId", ""),
        private_ip=one.get("PrivateIpAddress", ""),
        launched=one["LaunchTime"],
        market=one.get("InstanceLifecycle", "on-demand"),
        reservation_id=one.get("CapacityReservationId", ""),
    )
