"""The pair's instances as EC2 shows them now, compared with the stack's outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from nixl_efa.capacity.reservation import Reservation
from nixl_efa.findings import Finding, aws_call, failed, passed
from nixl_efa.nodes.causes import GONE, UNKNOWN, Cause, cause
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.settings.model import STACK_PREFIX
from nixl_efa.times import utc

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

CHECK = "instance"
RUNNING = "running"
# StateTransitionReason of an instance that was ended or stopped through the API (EC2 user guide,
# troubleshooting-instances-stopping; its zone is GMT).
_USER_INITIATED = re.compile(r"^User initiated(?: shutdown)? \((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. A value that EC2 does not give is empty, or None.

    vpc_id, private_ip: empty after its termination; reservation_id: empty without one.
    market: InstanceLifecycle, "on-demand" without one.
    reason_code: StateReason's code: why it is in its state. ended: when a user stopped or terminated it.
    """

    id: str
    state: str
    instance_type: str = ""
    zone: str = ""
    vpc_id: str = ""
    private_ip: str = ""
    launched: datetime | None = None
    market: str = ""
    reservation_id: str = ""
    reason_code: str = ""
    ended: datetime | None = None


def read(ec2: EC2Client, pair: PairOutputs) -> Mapping[str, Instance]:
    """The instances with the ids or addresses in the outputs, by id: those that exist, and those that replaced them.

    The search includes the addresses, because a node's address stays when its instance is replaced.
    """
    ids = [node.instance_id for node in pair.nodes]
    addresses = [node.private_ip for node in pair.nodes]
    found: dict[str, Instance] = {}
    # A filter: with InstanceIds, one unknown id would make the whole call fail.
    for name, values in (("instance-id", ids), ("private-ip-address", addresses)):
        for page in ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": name, "Values": values}]
        ):
            for reservation in page["Reservations"]:
                found |= {one["InstanceId"]: _instance(one) for one in reservation["Instances"]}
    return found


def of(node: Node, instances: Mapping[str, Instance]) -> Instance:
    """A node's instance; one in the state UNKNOWN if EC2 shows no instance with its id."""
    return instances.get(node.instance_id) or Instance(id=node.instance_id, state=UNKNOWN)


def replacement(node: Node, pair: PairOutputs, instances: Mapping[str, Instance]) -> Instance | None:
    """The instance that replaced a terminated node: it has the node's address now, in the VPC of the other node
    (another VPC may use the same addresses)."""
    if of(node, instances).state not in GONE:
        return None
    others = [
        instances[one.instance_id] for one in pair.nodes if one != node and one.instance_id in instances
    ]
    vpcs = {one.vpc_id for one in others if one.vpc_id}
    return next(
        (
            one
            for one in instances.values()
            if one.private_ip == node.private_ip
            and one.id != node.instance_id
            and one.state not in GONE
            and (not vpcs or one.vpc_id in vpcs)
        ),
        None,
    )


def cause_of(
    node: Node,
    pair: PairOutputs,
    instances: Mapping[str, Instance],
    reservation: Reservation | None,
    region: str,
    now: datetime,
    target: str = "",
) -> Cause | None:
    """Why a node does not run, and what to do; None when it runs.

    reservation: the one that the node ran in; None without one, or if it could not be read.
    target: its name in the commands, if the environment has several; else empty.
    """
    instance, environment = of(node, instances), pair.environment
    if instance.state == RUNNING:
        return None
    if heir := replacement(node, pair, instances):
        return Cause(
            f"it was replaced by {heir.id} since",
            f"Run `terraform -chdir=cdktf.out/stacks/{STACK_PREFIX}{environment} apply -refresh-only`,"
            " or deploy again.",
        )
    return cause(
        environment=environment,
        state=instance.state,
        code=instance.reason_code,
        market=instance.market,
        reservation=reservation,
        now=now,
        target=target,
        ended=instance.ended,
        start_command=aws_call("ec2", "start-instances", "--instance-ids", instance.id, region=region),
    )


def state_finding(instance: Instance, why: Cause | None, region: str) -> Finding:
    """Whether the instance runs. why: the result of cause_of."""
    if why is None:
        return passed(CHECK, f"{instance.id} running")
    by_hand = aws_call("ec2", "describe-instances", "--instance-ids", instance.id, region=region)
    return failed(CHECK, f"{instance.id} is {instance.state}: {why.why}.", why.remedy, by_hand)


def _instance(one: InstanceTypeDef) -> Instance:
    reason = one.get("StateReason", {})
    ended = _USER_INITIATED.search(one.get("StateTransitionReason", ""))
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
        reason_code=reason.get("Code", ""),
        ended=utc(datetime.fromisoformat(ended[1])) if ended else None,
    )
