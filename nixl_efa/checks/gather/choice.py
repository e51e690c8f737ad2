"""Selects from the answers what belongs to this launch: its VPC, subnet and tenancy. Pure."""

from nixl_efa.checks.facts import Answer, NoAnswer, Subnet, Vpc
from nixl_efa.checks.gather import network
from nixl_efa.checks.gather.asking import known
from nixl_efa.launch import Launch


def vpc(launch: Launch, vpcs: Answer[tuple[Vpc, ...]]) -> Answer[Vpc | None]:
    """The VPC that the settings name, else the default one."""
    return vpcs if isinstance(vpcs, NoAnswer) else network.choose_vpc(vpcs, launch.vpc_id)


def own_vpc(vpcs: Answer[tuple[Vpc, ...]], subnet: Subnet | None) -> Vpc | None:
    """The chosen subnet's VPC."""
    if subnet is None or isinstance(vpcs, NoAnswer):
        return None
    return next((each for each in vpcs if each.id == subnet.vpc_id), None)


def tenancy(vpcs: Answer[tuple[Vpc, ...]], subnet: Subnet | None) -> Answer[str | None]:
    """The tenancy of instances in the chosen subnet's VPC."""
    if isinstance(vpcs, NoAnswer):
        return vpcs
    own = own_vpc(vpcs, subnet)
    return own.tenancy if own is not None else None


def subnet(
    launch: Launch,
    subnets: Answer[tuple[Subnet, ...]],
    zone: Answer[str | None],
    offered: Answer[tuple[str, ...]],
) -> Subnet | None:
    """The subnet that the stack's plan chooses; None when that could not be seen."""
    if isinstance(subnets, NoAnswer):
        return None
    return network.choose_subnet(
        launch, subnets, known(zone), None if isinstance(offered, NoAnswer) else offered
    )
