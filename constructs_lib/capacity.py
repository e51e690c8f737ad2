"""Where the pair's instances come from: On-Demand, Spot, a Capacity Block, a reservation; and their placement group.

A launch into a Capacity Block needs both halves, the market type and the reservation as target, and no preference
beside the target (EC2 user guide, capacity-blocks-launch).
"""

from __future__ import annotations

from cdktf import Precondition
from cdktf_cdktf_provider_aws.instance import (
    InstanceCapacityReservationSpecification,
    InstanceCapacityReservationSpecificationCapacityReservationTarget,
    InstanceInstanceMarketOptions,
)
from cdktf_cdktf_provider_aws.placement_group import PlacementGroup
from constructs import Construct

from constructs_lib.parameters import Parameter
from constructs_lib.terraform import NAME_STAYS, named, terraform_data, token
from nixl_efa.launch import Launch, ReservationSource
from nixl_efa.settings.values import RESERVATION_ID


class Capacity(Construct):
    """market_options and reservation_specification are arguments of `aws_instance`, each None when not wanted.

    reservation_id is an id, a token for the one that Parameter Store holds at plan time, or "". preconditions hold
    when it is there.
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        self.market: str = "" if launch.market == "on-demand" else launch.market
        self.preconditions: list[Precondition] = []
        self.reservation_id: str = self._reservation_id(launch.reservation)

    def _reservation_id(self, source: ReservationSource) -> str:
        if not source.reads_id:
            return source.id
        parameter = Parameter(
            self,
            "reservation",
            parameter=source.id_parameter,
            holds="a reservation's id",
            form=RESERVATION_ID,
            remedy=f"`nixl-efa capacity save ID --env {source.environment}` writes it; or set "
            "capacity_reservation_id, or capacity_reservation_parameter to another one.",
        )
        self.preconditions += parameter.preconditions
        return parameter.value

    @property
    def market_options(self) -> InstanceInstanceMarketOptions | None:
        return InstanceInstanceMarketOptions(market_type=self.market) if self.market else None

    @property
    def reservation_specification(self) -> InstanceCapacityReservationSpecification | None:
        if not self.reservation_id:
            return None
        return InstanceCapacityReservationSpecification(
            capacity_reservation_target=InstanceCapacityReservationSpecificationCapacityReservationTarget(
                capacity_reservation_id=self.reservation_id
            )
        )


class Placement(Construct):
    """group_name is a token, or None. A Capacity Block refuses a placement group (see Settings).

    launched_anew_by: address of the resource that changes when the group comes or goes. The provider plans nothing
    for a node whose group goes, and EC2 keeps a group that has instances (InvalidPlacementGroup.InUse).
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        self.group_name: str | None = None
        self.launched_anew_by: str = terraform_data(self, "placement", {"group": launch.placement_group})
        if launch.placement_group:
            group = PlacementGroup(
                self,
                "group",
                name=launch.name_of("pair"),
                strategy="cluster",
                lifecycle=NAME_STAYS,
            )
            named(group, "pair")
            self.group_name = token("aws_placement_group", "pair", "id")
