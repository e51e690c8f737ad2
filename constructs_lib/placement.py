"""The cluster placement group, where the pair has one."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.placement_group import PlacementGroup
from constructs import Construct

from constructs_lib.naming import named, resource_name, token
from nixl_efa.plan import PairPlan
from nixl_efa.settings import Settings


class Placement(Construct):
    """group_name is a token, or None. A Capacity Block refuses a placement group (see PairPlan)."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, plan: PairPlan) -> None:
        super().__init__(scope, id)
        self.group_name: str | None = None
        if plan.placement_group:
            group = PlacementGroup(self, "group", name=resource_name(settings, "pair"), strategy="cluster")
            named(group, "pair")
            self.group_name = token("aws_placement_group", "pair", "id")
