"""How close the nodes are to each other in AWS's network, according to EC2: the call, and the meaning of its answer.

An instance is below one network node of each layer, listed from the top to the bottom: three or four, depending on the
type. Instances that share more of them are closer (EC2 user guide, how-ec2-instance-topology-works). For some types,
EC2 gives no network nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import all_items
from nixl_efa.aws_errors import error_code, explain, missing_permission
from nixl_efa.findings import Finding, aws_call, passed, skipped

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

CHECK = "network nodes"
# The ids of one instance's network nodes, from the top layer to the bottom; empty if EC2 gives none.
NetworkNodes = tuple[str, ...]


def read(
    ec2: EC2Client, ids: Sequence[str], region: str, sleep: Callable[[float], None]
) -> Mapping[str, NetworkNodes] | Finding:
    """The network nodes of running instances, by id, at most 100 of them; a finding that says why EC2 gave none.

    The nodes can be checked without this answer, so no error is raised.
    """
    try:
        found = list(
            all_items(ec2.describe_instance_topology, "Instances", sleep, {"InstanceIds": list(ids)})
        )
    except Exception as error:
        if permission := missing_permission(error):
            why = f"no permission to look: {permission}."
        elif error_code(error) == "UnsupportedOperation":
            why = f"EC2 gives no topology in {region}."
        else:
            why = f"EC2 gives no topology: {explain(error)}"
        return skipped(CHECK, why, command=_command(ids, region))
    return {one["InstanceId"]: tuple(one.get("NetworkNodes") or ()) for one in found}


def finding(told: Mapping[str, NetworkNodes], types: Iterable[str]) -> Finding:
    """Which nodes share a network node. told: the network nodes by the node's name; types: of these nodes."""
    near = {name: found for name, found in told.items() if found}
    if not near:
        return skipped(CHECK, f"EC2 gives no topology of {', '.join(dict.fromkeys(types))}.")
    untold = [name for name in told if name not in near]
    more = f" EC2 gives none of {', '.join(untold)}." if untold else ""
    every = f"{len(near)} nodes" if untold else "both nodes" if len(near) == 2 else f"all {len(near)} nodes"
    if len(near) == 1:
        return passed(CHECK, f"known only for {next(iter(near))}.{more}")
    shared = how_near(near.values())
    groups: dict[str, list[str]] = {}
    for name, found in near.items():
        groups.setdefault(found[-1], []).append(name)
    together = [", ".join(group) for group in groups.values() if len(group) > 1]
    alone = [group[0] for group in groups.values() if len(group) == 1]
    if len(groups) == 1 or not together:
        return passed(CHECK, f"{every} {shared}.{more}")
    message = f"the lowest is shared by {'; by '.join(together)}."
    message += f" Alone at their lowest one: {', '.join(alone)}." if alone else ""
    return passed(CHECK, f"{message} Together they {shared}.{more}")


def how_near(several: Iterable[NetworkNodes]) -> str:
    """What instances share, as a phrase after "they"; empty if EC2 gives nothing for one of them."""
    every = list(several)
    if not all(every):
        return ""
    layers = max(map(len, every))
    shared = 0
    while shared < min(map(len, every)) and len({one[shared] for one in every}) == 1:
        shared += 1
    if shared == layers:
        return "share the lowest network node"
    if shared == 0:
        return "share no network node"
    return f"share {'only the top one' if shared == 1 else f'the upper {shared}'} of {layers} network nodes"


def _command(ids: Sequence[str], region: str) -> str:
    return aws_call("ec2", "describe-instance-topology", "--instance-ids", *ids, region=region)
