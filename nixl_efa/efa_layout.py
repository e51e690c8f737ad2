"""Which network interface goes on which network card and device index: pure, from the type's data alone.

The layout is the one that AWS recommends (EC2 user guide, efa-acc-inst-types): the primary interface is a
plain one (ENA), the only one with an IP address; every network card that can do EFA then gets one EFA
interface without an address ("efa-only"), up to the type's maximum. All of them must be given at launch: EFA
interfaces can't be attached to a running instance, nor detached.

No EC2 answer says which cards share one NIC or one GPU: EFA_CARDS says it for the types where they do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nixl_efa.instance_types.model import InstanceType, NetworkCard


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface of a launch; the fields are named as in EC2's launch template.

    interface_type: "interface" (ENA, has an address), "efa" (EFA and ENA, has an address) or "efa-only".
    """

    network_card_index: int
    device_index: int
    interface_type: str

    @property
    def is_efa(self) -> bool:
        """Whether this interface carries EFA traffic."""
        return self.interface_type != "interface"

    @property
    def has_address(self) -> bool:
        """Whether this interface has an IP address."""
        return self.interface_type != "efa-only"


# The cards of a family that get an EFA interface, if not every card that can have one gets it. p6e-gb200: cards 1
# and 2 are one NIC, 3 and 4 the next, and so on; 1 and 3 are one GPU's, 5 and 7, 9 and 11, 13 and 15 the others'. One
# EFA interface for each GPU has all of its 400 Gbps (EC2 user guide, efa-acc-inst-types, "EFA configuration for a
# P6e-GB200 instances": its example; also 4 EFA devices a node in the EKS user guide, ml-eks-nvidia-ultraserver).
EFA_CARDS = {"p6e-gb200": (1, 5, 9, 13)}

PRIMARY = Interface(network_card_index=0, device_index=0, interface_type="interface")
"""The primary interface of every type that can have a plain one, and the only one of a type without EFA."""

_PRIMARY_WITH_EFA = Interface(network_card_index=0, device_index=0, interface_type="efa")


def layout(instance_type: InstanceType | None) -> tuple[Interface, ...]:
    """The interfaces of one instance, the primary first, then the EFA interfaces in the order of their cards.

    An unknown type (None) gets only the primary interface. A card has at most one EFA interface; if the family has an
    entry in EFA_CARDS, only these cards have one.
    """
    if instance_type is None or not instance_type.supports_efa:
        return (PRIMARY,)
    cards = sorted(instance_type.network_cards, key=lambda card: card.index)
    chosen = EFA_CARDS.get(instance_type.family)
    efa_cards = [
        card
        for card in cards
        if card.supports_efa and card.max_interfaces > 0 and (chosen is None or card.index in chosen)
    ]
    beside = _efa(efa_cards, instance_type.efa_interfaces, instance_type.max_interfaces - 1)
    # The primary can carry EFA itself, but then EFA and all IP traffic share one interface. So it does this only if
    # there are then more EFA interfaces: if card 0 has room for a single interface (hpc6id.32xlarge).
    if any(card.index == 0 and "efa" in card.interface_types for card in efa_cards):
        others = [card for card in efa_cards if card.index != 0]
        merged = _efa(others, instance_type.efa_interfaces - 1, instance_type.max_interfaces - 1)
        if len(merged) + 1 > len(beside):
            return (_PRIMARY_WITH_EFA, *merged)
    return (PRIMARY, *beside)


def efa_interface_count(interfaces: Sequence[Interface]) -> int:
    """How many of the interfaces carry EFA: the number of EFA devices that the node will see."""
    return sum(interface.is_efa for interface in interfaces)


def _efa(cards: Sequence[NetworkCard], efa_maximum: int, interface_maximum: int) -> tuple[Interface, ...]:
    """One EFA interface on each card that has room for it in addition to the primary, which is on card 0."""
    interfaces = []
    for card in cards:
        device = 1 if card.index == 0 else 0
        if device < card.max_interfaces:
            kind = "efa-only" if "efa-only" in card.interface_types else "efa"
            interfaces.append(Interface(card.index, device, kind))
    return tuple(interfaces[: max(0, min(efa_maximum, interface_maximum))])
