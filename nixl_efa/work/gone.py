"""Nodes from which no answer comes any more: Run Command leaves a command InProgress when its node ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import all_items
from nixl_efa.clock import Clock
from nixl_efa.instance_states import ENDED, STOPPED
from nixl_efa.nodes.causes import UNKNOWN
from nixl_efa.nodes.outputs import Node

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def gone(ec2: EC2Client, environment: str, nodes: Sequence[Node], clock: Clock) -> dict[Node, str]:
    """Of the nodes, those whose instance is stopped, ended or not there, and a sentence that says so.

    Empty where EC2 does not answer, or not to this caller: a look that fails ends no command.
    """
    # A filter, where InstanceIds would fail for all when one is unknown.
    asked = {"Filters": [{"Name": "instance-id", "Values": [node.instance_id for node in nodes]}]}
    with suppress(Exception):
        states = {
            one["InstanceId"]: one["State"]["Name"]
            for reservation in all_items(ec2.describe_instances, "Reservations", clock.sleep, asked)
            for one in reservation["Instances"]
        }
        return {
            node: f"{node.name} {node.instance_id} is {state}: `nixl-efa status {environment}` says why and what to do."
            for node in nodes
            if (state := states.get(node.instance_id, UNKNOWN)) in (*STOPPED, *ENDED, UNKNOWN)
        }
    return {}
