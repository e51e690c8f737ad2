"""What an interface can be attached to after the launch."""

from __future__ import annotations

from typing import Any

from local_aws.ec2.cards import EFA_TYPES, check_interfaces
from local_aws.ec2.errors import refuse
from local_aws.ec2.reservations import known_type


def check_attachment(instance: Any, interface: Any, device: int, card: int) -> None:
    """Refuse what EC2 does: an EFA at a running instance (EC2 user guide, efa.html), places taken, limits."""
    if interface.interface_type in EFA_TYPES and instance.state == "running":
        raise refuse(
            "IncorrectInstanceState",
            f"Elastic Fabric Adapter '{interface.id}' can't be attached to the running instance '{instance.id}'.",
        )
    if instance.state not in ("running", "stopped"):
        raise refuse(
            "IncorrectInstanceState", f"Instance '{instance.id}' is {instance.state}, not running or stopped."
        )
    if interface.instance is not None:
        raise refuse("InvalidNetworkInterface.InUse", f"Interface: [{interface.id}] in use.")
    if interface.availability_zone != instance.placement.zone:
        raise refuse(
            "InvalidParameterCombination",
            "You may not attach a network interface to an instance if they are not in the same availability zone",
        )
    there = list(instance.nics.values())
    if any((other.network_card_index, other.device_index) == (card, device) for other in there):
        raise refuse(
            "InvalidParameterValue",
            f"Instance '{instance.id}' already has an interface attached at device index '{device}'.",
        )
    places = [
        *((other.network_card_index, other.device_index, other.interface_type) for other in there),
        (card, device, interface.interface_type),
    ]
    check_interfaces(
        known_type(instance.instance_type),
        [{"NetworkCardIndex": at, "DeviceIndex": index, "InterfaceType": kind} for at, index, kind in places],
    )
