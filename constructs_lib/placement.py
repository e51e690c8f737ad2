"""The cluster placement group, where the pair has one."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.placement_group import PlacementGroup
from constructs import Construct

from constructs_lib.naming import named, token
from nixl_efa.launch import Launch


class Placement(Construct):
    """group_name is a token, or None. A Capacity Block refuses a placement group (see Settings)."""

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        self.group_name: str | None = None
        if launch.placement_group:
            group = PlacementGroup(self, "group", name=launch.name_of("pair"), strategy="cluster")
            named(group, "pair")
            self.group_name = token("aws_placement_group", "pair", "id")
