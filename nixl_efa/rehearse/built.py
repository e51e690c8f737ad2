"""What a rehearsal built, as the EC2 API shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

Tell = Callable[[str], None]


def tell_instances(ec2: EC2Client, environment: str, tell: Tell) -> None:
    """A line for each node, and one for its interfaces: how many of which type, on which cards."""
    answer = ec2.describe_instances(
        Filters=[
            {"Name": "tag:Environment", "Values": [environment]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
    )
    instances = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
    for instance in sorted(instances, key=_role, reverse=True):
        tell(
            f"  {_role(instance)}: {instance['InstanceId']}, {instance['InstanceType']}, "
            f"{instance['Placement']['AvailabilityZone']}, {instance['PrivateIpAddress']}, "
            f"{instance.get('InstanceLifecycle', 'on-demand')}"
            + (f" in {instance['CapacityReservationId']}" if instance.get("CapacityReservationId") else "")
        )
        tell(f"    {_interfaces(instance['NetworkInterfaces'])}")


def _role(instance: Mapping[str, Any]) -> str:
    return next((str(tag["Value"]) for tag in instance["Tags"] if tag["Key"] == "Role"), "")


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
