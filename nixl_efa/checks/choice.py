"""Which subnet the stack takes when the settings name none. Pure."""

from __future__ import annotations

from nixl_efa.checks.facts import Subnet
from nixl_efa.launch import Launch


def choose_subnet(
    launch: Launch, subnets: tuple[Subnet, ...], zone: str | None, offered: tuple[str, ...] | None
) -> Subnet | None:
    """The given subnet; else the first, by id, of those in the wanted zone; else of those in a zone that offers
    the type. This is what the stack's plan does on its first deployment.

    offered: None when it could not be looked at; any zone then does.
    """
    ordered = sorted(subnets, key=lambda subnet: subnet.id)
    if launch.subnet_id:
        return next((each for each in ordered if each.id == launch.subnet_id), None)
    if zone:
        return next((each for each in ordered if each.zone == zone), None)
    return next((each for each in ordered if offered is None or each.zone in offered), None)
