"""EC2's limits for the network interfaces of an instance type: pure, from DescribeInstanceTypes' data.

Sources: EC2 user guide, "Elastic Fabric Adapter" (efa.html, efa-acc-inst-types) and "Elastic network interfaces"
(using-eni.html). AWS does not publish every message; where none was found, the text follows the guide.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from local_aws.ec2.api import refuse

EFA_TYPES = ("efa", "efa-only")
PRIMARY = (0, 0)

Spec = Mapping[str, Any]


def place_of(spec: Spec) -> tuple[int, int]:
    """Network card index and device index of an interface in a request."""
    return int(spec.get("NetworkCardIndex") or 0), int(spec.get("DeviceIndex") or 0)


def type_of(spec: Spec) -> str:
    """The interface's type; a request can leave it out for a plain interface."""
    return str(spec.get("InterfaceType") or "interface")


def check_interfaces(instance_type: Mapping[str, Any], specs: Sequence[Spec]) -> None:
    """Refuse interfaces that the instance type can't have, in the order in which EC2 checks them."""
    name = instance_type["InstanceType"]
    network = instance_type["NetworkInfo"]
    _check_places(specs)
    if len(specs) > network["MaximumNetworkInterfaces"]:
        raise refuse("AttachmentLimitExceeded", f"Interface count {len(specs)} exceeds the limit for {name}")
    cards = {card["NetworkCardIndex"]: card for card in network["NetworkCards"]}
    _check_cards(name, cards, specs)
    efa = [spec for spec in specs if type_of(spec) in EFA_TYPES]
    if efa and not network.get("EfaSupported"):
        raise refuse("UnsupportedOperation", f"EFA interfaces are not supported on {name}")
    _check_types(name, cards, specs)
    most = network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
    if len(efa) > most:
        raise refuse(
            "AttachmentLimitExceeded",
            f"EFA interface count {len(efa)} exceeds the limit of {most} for {name}",
            inferred="card-limits",
        )


def check_attachment(
    instance_type: Mapping[str, Any], instance: Any, interface: Any, device: int, card: int
) -> None:
    """Refuse what can't be attached after the launch: an EFA to a running instance, a place that is in use, an
    interface beyond a limit."""
    if interface.interface_type in EFA_TYPES and instance.state == "running":
        raise refuse(
            "IncorrectInstanceState",
            f"Elastic Fabric Adapter '{interface.id}' can't be attached to the running instance '{instance.id}'.",
            inferred="interface-of-an-instance",
        )
    if instance.state not in ("running", "stopped"):
        raise refuse(
            "IncorrectInstanceState",
            f"Instance '{instance.id}' is {instance.state}, not running or stopped.",
            inferred="interface-of-an-instance",
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
        instance_type,
        [{"NetworkCardIndex": at, "DeviceIndex": index, "InterfaceType": kind} for at, index, kind in places],
    )


def _check_places(specs: Sequence[Spec]) -> None:
    places = Counter(place_of(spec) for spec in specs)
    for (card, device), count in places.items():
        if count > 1:
            raise refuse(
                "InvalidParameterValue",
                f"Each network interface requires a unique device index: {device} on network card {card} "
                f"is given {count} times.",
                inferred="places-of-interfaces",
            )
    primary = [spec for spec in specs if place_of(spec) == PRIMARY]
    if not primary:
        raise refuse(
            "InvalidParameterValue",
            "When specifying network interfaces, you must include a device at index 0.",
            inferred="places-of-interfaces",
        )
    if type_of(primary[0]) == "efa-only":
        raise refuse(
            "InvalidParameterValue",
            "An EFA-only network interface can't be the primary network interface.",
            inferred="efa-only-refused",
        )
    if len(specs) > 1 and any(spec.get("AssociatePublicIpAddress") for spec in specs):
        raise refuse(
            "InvalidParameterCombination",
            "The associatePublicIPAddress parameter cannot be specified when launching with "
            "multiple network interfaces.",
        )
    for spec in specs:
        addressed = spec.get("PrivateIpAddress") or spec.get("PrivateIpAddresses")
        if type_of(spec) == "efa-only" and addressed:
            raise refuse(
                "InvalidParameterCombination",
                "An EFA-only network interface can't have an IP address.",
                inferred="efa-only-refused",
            )


def _check_cards(name: str, cards: Mapping[int, Spec], specs: Sequence[Spec]) -> None:
    counts = Counter(place_of(spec)[0] for spec in specs)
    for card, count in sorted(counts.items()):
        if card not in cards:
            raise refuse(
                "InvalidParameterValue",
                f"Network card index {card} is invalid for {name}: it has {len(cards)} network card(s), from 0 "
                f"to {len(cards) - 1}.",
                inferred="card-limits",
            )
        most = cards[card]["MaximumNetworkInterfaces"]
        if count > most:
            raise refuse(
                "AttachmentLimitExceeded",
                f"Interface count {count} exceeds the limit of {most} for network card {card} of {name}",
                inferred="card-limits",
            )
        device = max(place_of(spec)[1] for spec in specs if place_of(spec)[0] == card)
        if device >= most:
            raise refuse(
                "InvalidParameterValue",
                f"The specified number '{device}' for the device index exceeds the maximum number of network "
                f"interfaces supported by the network card at network card index {card}. The maximum devices for this "
                f"network card is {most}. Specify a number from 0 to {most - 1}, and try again.",
                inferred="device-index-too-high",
            )


def _check_types(name: str, cards: Mapping[int, Spec], specs: Sequence[Spec]) -> None:
    efa_cards: Counter[int] = Counter()
    for spec in specs:
        card = place_of(spec)[0]
        kind = type_of(spec)
        if kind not in cards[card].get("InterfaceTypes", ["interface"]):
            raise refuse(
                "InvalidParameterValue",
                f"Interface type '{kind}' is not supported on network card {card} of {name}.",
                inferred="card-limits",
            )
        efa_cards[card] += kind in EFA_TYPES
        if efa_cards[card] > 1:
            raise refuse(
                "AttachmentLimitExceeded",
                f"Only one Elastic Fabric Adapter can be attached to network card {card} of {name}.",
                inferred="card-limits",
            )
