"""Placement groups: create, describe, delete. moto has none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.utils import random_id

from local_aws.ec2.api import Actions, missing, only_tags_for, refuse, tag_list


@dataclass(frozen=True, slots=True)
class PlacementGroup:
    """A group of instances that are placed together (cluster) or apart (spread, partition)."""

    id: str
    name: str
    strategy: str
    partitions: int | None
    spread_level: str | None


class PlacementGroupActions(Actions):
    """Mixed into the EC2 response class."""

    def create_placement_group(self) -> ActionResult:
        """Create one; its name is unique in the region."""
        backend = self.ec2_backend
        name = self._get_param("GroupName")
        strategy = self._get_param("Strategy", "cluster")
        tags = only_tags_for("placement-group", self._get_param("TagSpecifications", []))
        if not name:
            raise missing("groupName")
        if name in backend.placement_groups:
            raise refuse(
                "InvalidPlacementGroup.Duplicate",
                f"The Placement Group '{name}' already exists.",
                inferred="group-can-not-be-made",
            )
        if self._get_param("PartitionCount") and strategy != "partition":
            raise refuse(
                "InvalidParameterCombination",
                "PartitionCount goes with the strategy partition alone.",
                inferred="group-can-not-be-made",
            )
        self.error_on_dryrun()
        level = self._get_param("SpreadLevel") or ("rack" if strategy == "spread" else None)
        partitions = self._get_param("PartitionCount") or (2 if strategy == "partition" else None)
        group = PlacementGroup(random_id("pg"), name, strategy, partitions, level)
        backend.placement_groups[name] = group
        backend.create_tags([group.id], tags)
        return ActionResult({"PlacementGroup": _describe(backend, group)})

    def describe_placement_groups(self) -> ActionResult:
        """Groups by name, id or filter."""
        backend = self.ec2_backend
        groups = list(backend.placement_groups.values())
        names, ids = self._get_param("GroupNames", []), self._get_param("GroupIds", [])
        chosen = [find(backend, name=name) for name in names] + [
            find(backend, group_id=given) for given in ids
        ]
        self.error_on_dryrun()
        values: Mapping[str, Callable[[PlacementGroup], str]] = {
            "group-name": lambda group: group.name,
            "group-id": lambda group: group.id,
            "group-arn": lambda group: _arn(backend, group),
            "strategy": lambda group: group.strategy,
            "state": lambda _group: "available",
            "spread-level": lambda group: group.spread_level or "",
        }
        found = self._matching(chosen or groups, values, lambda group: backend.tags.get(group.id, {}))
        return ActionResult({"PlacementGroups": [_describe(backend, group) for group in found]})

    def delete_placement_group(self) -> ActionResult:
        """Delete one that no instance is in."""
        group = find(self.ec2_backend, name=self._get_param("GroupName"))
        if self.ec2_backend.instances_of_group(group.name):
            raise refuse(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{group.name}' is in use and may not be deleted.",
            )
        self.error_on_dryrun()
        del self.ec2_backend.placement_groups[group.name]
        self.ec2_backend.tags.pop(group.id, None)
        return EmptyResult()


def find(backend: Any, name: str | None = None, group_id: str | None = None) -> PlacementGroup:
    """A group by its name or id, or EC2's refusal."""
    group: PlacementGroup
    for group in backend.placement_groups.values():
        if group.name == name or group.id == group_id:
            return group
    raise refuse("InvalidPlacementGroup.Unknown", f"The Placement Group '{name or group_id}' is unknown.")


def _describe(backend: Any, group: PlacementGroup) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "GroupName": group.name,
        "State": "available",
        "Strategy": group.strategy,
        "GroupId": group.id,
        "GroupArn": _arn(backend, group),
        "Tags": tag_list(backend.tags.get(group.id, {})),
    }
    if group.partitions:
        answer["PartitionCount"] = group.partitions
    if group.spread_level:
        answer["SpreadLevel"] = group.spread_level
    return answer


def _arn(backend: Any, group: PlacementGroup) -> str:
    where = f"{backend.region_name}:{backend.account_id}"
    return f"arn:{backend.partition}:ec2:{where}:placement-group/{group.name}"
