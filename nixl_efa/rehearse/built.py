"""What a rehearsal built, as the EC2 API shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa.node_names import place
from nixl_efa.settings.model import NAME_TAG, ROLE_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

Tell = Callable[[str], None]


def tell_instances(ec2: EC2Client, environment: str, tell: Tell) -> None:
    """A line for each node, and one for its interfaces: how many of which type, on which cards."""
    for name, instance in _running(ec2, environment).items():
        tell(
            f"  {name}: {instance['InstanceId']}, {instance['InstanceType']}, "
            f"{instance['Placement']['AvailabilityZone']}, {instance['PrivateIpAddress']}, "
            f"{instance.get('InstanceLifecycle', 'on-demand')}"
            + (f" in {instance['CapacityReservationId']}" if instance.get("CapacityReservationId") else "")
        )
        tell(f"    {_interfaces(instance['NetworkInterfaces'])}")


def running_nodes(ec2: EC2Client, environment: str) -> dict[str, str]:
    """The instance ids of the nodes that run, by the nodes' names."""
    return {name: instance["InstanceId"] for name, instance in _running(ec2, environment).items()}


def _running(ec2: EC2Client, environment: str) -> dict[str, Any]:
    """By the nodes' names, the producers first."""
    answer = ec2.describe_instances(
        Filters=[
            {"Name": "tag:Environment", "Values": [environment]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
    )
    instances = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
    named = {_name(instance): instance for instance in instances}
    return dict(sorted(named.items(), key=lambda one: place(one[0])))


def _name(instance: Mapping[str, Any]) -> str:
    """The node's name, which is what follows on the environment's in the tag Name: from its role on."""
    tags = {tag["Key"]: str(tag["Value"]) for tag in instance["Tags"]}
    name, role = tags.get(NAME_TAG, ""), tags.get(ROLE_TAG, "")
    return name[name.rindex(role) :] if role and role in name else name


def _interfaces(interfaces: list[Any]) -> str:
    kinds: dict[str, list[int]] = {}
    for interface in interfaces:
        card = interface["Attachment"].get("NetworkCardIndex", 0)
        kinds.setdefault(interface.get("InterfaceType", "interface"), []).append(card)
    parts = []
    for kind in sorted(kinds, reverse=True):
        cards = sorted(kinds[kind])
        where = f"card {cards[0]}" if len(cards) == 1 else f"cards {cards[0]} to {cards[-1]}"
        parts.append(f"{len(cards)} x {kind} on {where}")
    return ", ".join(parts)
