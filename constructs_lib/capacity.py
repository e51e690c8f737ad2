"""Where the pair's instances come from: On-Demand, Spot, a Capacity Block, a reservation; and their placement group.

A launch into a Capacity Block needs both the market type and the reservation as target, and no reservation preference
together with the target (EC2 user guide, capacity-blocks-launch).
"""

from cdktf import Precondition
from cdktf_cdktf_provider_aws.instance import (
    InstanceCapacityReservationSpecification,
    InstanceCapacityReservationSpecificationCapacityReservationTarget,
    InstanceInstanceMarketOptions,
)
from cdktf_cdktf_provider_aws.placement_group import PlacementGroup
from constructs import Construct

from constructs_lib.parameters import Parameter
from constructs_lib.terraform import NAME_STAYS, named, part_name, terraform_data, token
from nixl_efa.launch import Launch
from nixl_efa.reservation_source import ReservationSource
from nixl_efa.settings.values import RESERVATION_ID


def market_options(launch: Launch) -> InstanceInstanceMarketOptions | None:
    """The argument of `aws_instance`; None for On-Demand."""
    return InstanceInstanceMarketOptions(market_type=market(launch)) if market(launch) else None


def market(launch: Launch) -> str:
    """The market type as EC2 names it; empty for On-Demand."""
    return "" if launch.market == "on-demand" else launch.market


class Reservation(Construct):
    """One of the reservations that an environment's nodes are launched into.

    id is an id, a token for the id that Parameter Store holds when Terraform plans, or "". specification is the
    argument of `aws_instance`, None without a reservation. preconditions fail when the parameter has no reservation.
    """

    def __init__(self, scope: Construct, id: str, *, source: ReservationSource) -> None:
        super().__init__(scope, id)
        self.preconditions: list[Precondition] = []
        self.id: str = source.id
        if source.reads_id:
            parameter = Parameter(
                self,
                part_name("reservation", source.part),
                parameter=source.id_parameter,
                holds="a reservation's id",
                form=RESERVATION_ID,
                remedy=f"`nixl-efa capacity save ID --env {source.target}` writes it; or set "
                "capacity_reservation_id, or capacity_reservation_parameter to another one.",
            )
            self.preconditions = parameter.preconditions
            self.id = parameter.value

    @property
    def specification(self) -> InstanceCapacityReservationSpecification | None:
        if not self.id:
            return None
        return InstanceCapacityReservationSpecification(
            capacity_reservation_target=InstanceCapacityReservationSpecificationCapacityReservationTarget(
                capacity_reservation_id=self.id
            )
        )


class Placement(Construct):
    """group_name is a token, or None. A Capacity Block refuses a placement group (see Settings).

    launched_anew_by: address of the resource that changes when the group is added or removed, so that the nodes are
    launched again; none where the nodes are not all launched alike. It is needed because the provider plans no change
    for a node whose group is removed, and EC2 does not delete a group that has instances (InvalidPlacementGroup.InUse).
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        self.group_name: str | None = None
        self.launched_anew_by: list[str] = []
        if not launch.parts:
            group_of_all = {"group": launch.placement_group}
            self.launched_anew_by = [terraform_data(self, "placement", group_of_all)]
        if any(one.placement_group for one in launch.requests):
            group = PlacementGroup(
                self,
                "group",
                name=launch.name_of("pair"),
                strategy="cluster",
                lifecycle=NAME_STAYS,
            )
            named(group, "pair")
            self.group_name = token("aws_placement_group", "pair", "id")
