"""Reading the types from EC2 again: `nixl-efa instance-types refresh`. The clients are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Sleep, all_items, ask_all
from nixl_efa.instance_types.data import Catalogue, DataSource
from nixl_efa.instance_types.describe import from_pages

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# EC2 answers for the region's types alone, unless it is asked for the others, too (botocore 1.44.5, ec2,
# DescribeInstanceTypesRequest). Some types are in one or two regions of the world.
_EVERY_TYPE = {"IncludeUnsupportedInRegion": True}


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What was read, on top of what was known.

    named:    the types that a region named.
    refused:  by region, why it could not be asked.
    """

    catalogue: Catalogue
    named: frozenset[str]
    refused: Mapping[str, Exception]


def refresh(
    clients: Mapping[str, EC2Client], known: Catalogue, source: DataSource, sleep: Sleep
) -> Refreshed:
    """The types that the regions of these clients name, and of `known` those that none of them does.

    A region that refuses keeps no other from being asked. A type's usage classes are those that any region, now or
    before, was seen to sell it in: an answer speaks of its own region. Needs ec2:DescribeInstanceTypes.
    """

    def read(region: str) -> Mapping[str, Any]:
        return {
            "InstanceTypes": list(
                all_items(clients[region].describe_instance_types, "InstanceTypes", sleep, _EVERY_TYPE)
            )
        }

    answers, refused = ask_all(clients, read)
    named = {one.name: one for one in from_pages(answers.values())}
    for name, one in named.items():
        if name in known.types:
            before = known.types[name].usage_classes
            named[name] = replace(one, usage_classes=tuple(sorted({*before, *one.usage_classes})))
    kept = {name: known.source_of(name) for name in known.types if name not in named}
    return Refreshed(Catalogue({**known.types, **named}, source, kept), frozenset(named), refused)
