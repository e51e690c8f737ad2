"""Where instances and reservations are in the network: DescribeInstanceTopology, DescribeCapacityReservationTopology.

Sources: EC2 user guide, ec2-instance-topology-prerequisites (regions, instance types and how many network nodes of
each, states) and how-ec2-instance-topology-works (from top to bottom; fewer of a reservation); botocore's model (what
is asked for with what). The distances here are invented: instances of a Capacity Block, or of a cluster placement
group, share all network nodes; the first and second block of a zone share the upper layers, and so do the third and
fourth; all instances of a zone share the top layer.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult

from local_aws.ec2 import reservations
from local_aws.ec2.api import Actions, refuse
from local_aws.ec2.reservation import Reservation
from local_aws.inferred import lean_on
from local_aws.world import world

_OF_THREE = re.compile(
    r"(g6e|g7e|hpc(6a|6id|7g|7a|8a)|p3dn|p4de?|p5e|p5en|p6e-gb200|trn1n?|trn2u)\.\w+|(p5|trn2)\.48xlarge"
)
_OF_FOUR = re.compile(r"p6-b[23]00\.48xlarge")
_REGIONS = frozenset(
    (
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-west-1", "ca-central-1", "sa-east-1"),
        *("af-south-1", "il-central-1", "me-central-1", "me-south-1"),
        *("ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2"),
        *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4"),
        *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3"),
    )
)
_NOT_OF_RESERVATIONS = frozenset(("il-central-1", "us-gov-west-1"))
_MOST_INSTANCES, _MOST_RESERVATIONS = 100, 10


class TopologyActions(Actions):
    """Mixed into the EC2 response class."""

    def describe_instance_topology(self) -> ActionResult:
        """The network nodes of instances by id, placement group or filter."""
        backend = self.ec2_backend
        wanted, groups = self._get_param("InstanceIds", []), self._get_param("GroupNames", [])
        self._check(backend.region_name in _REGIONS, "instance-ids", wanted, _MOST_INSTANCES)
        every = [backend.get_instance(name) for name in wanted] or backend.all_instances()
        chosen = [one for one in every if not groups or one.placement.group_name in groups]
        values: Mapping[str, Callable[[Any], str]] = {
            "availability-zone": lambda one: one.placement.zone,
            "instance-type": lambda one: one.instance_type,
            "zone-id": lambda one: _zone_id(backend, one.placement.zone),
        }
        found = self._matching(chosen, values)
        shown, token = self._page(found, len(wanted) or 20)
        return ActionResult({"Instances": [_instance(backend, one) for one in shown], "NextToken": token})

    def describe_capacity_reservation_topology(self) -> ActionResult:
        """The network nodes of reservations by id or filter, as far as they are known before a launch."""
        backend, now = self.ec2_backend, world().clock.now()
        wanted = self._get_param("CapacityReservationIds", [])
        has_it = backend.region_name in _REGIONS - _NOT_OF_RESERVATIONS
        self._check(has_it, "capacity-reservation-ids", wanted, _MOST_RESERVATIONS)
        every = reservations.visible(backend, wanted, now)
        values: Mapping[str, Callable[[Reservation], str]] = {
            "availability-zone": lambda one: one.zone,
            "instance-type": lambda one: one.instance_type,
        }
        found = self._matching(every, values)
        shown, token = self._page(found, 10)
        answer = [_reservation(backend, one) for one in shown]
        return ActionResult({"CapacityReservations": answer, "NextToken": token})

    def _check(self, is_there: bool, what: str, wanted: Sequence[str], most: int) -> None:
        """Refuse what the action does not take."""
        if not is_there:
            raise refuse(
                "UnsupportedOperation",
                "The functionality you requested is not available in this region.",
                inferred="topology-not-in-a-region",
            )
        if len(wanted) > most:
            raise refuse("InvalidParameterValue", f"{what} cannot contain over {most} values.")
        if wanted and self._get_param("MaxResults"):
            raise refuse(
                "InvalidParameterCombination",
                f"MaxResults can't be given with {what}.",
                inferred="topology-page-of-ids",
            )
        self.error_on_dryrun()


def _instance(backend: Any, instance: Any) -> dict[str, Any]:
    lean_on("who-is-near-to-whom")
    zone, group = instance.placement.zone, instance.placement.group_name
    answer: dict[str, Any] = {
        "InstanceId": instance.id,
        "InstanceType": instance.instance_type,
        "AvailabilityZone": zone,
        "ZoneId": _zone_id(backend, zone),
        **({"GroupName": group} if group else {}),
    }
    reservation = backend.seen_reservations().get(instance.capacity_reservation_id)
    if reservation is not None and reservation.ultra_server:
        answer["CapacityBlockId"] = reservation.block_id
    if instance.state == "running":
        place = zone, f"{zone} beside", group or instance.id
        if reservation is not None and reservation.is_block:
            place = _of_block(backend, reservation)
        answer |= _nodes(backend, instance.instance_type, place)
    return answer


def _reservation(backend: Any, reservation: Reservation) -> dict[str, Any]:
    lean_on("who-is-near-to-whom")
    state = reservation.state(world().clock.now())
    answer: dict[str, Any] = {
        "CapacityReservationId": reservation.id,
        "State": state,
        "InstanceType": reservation.instance_type,
        "AvailabilityZone": reservation.zone,
        "AvailabilityZoneId": reservation.zone_id,
    }
    if reservation.ultra_server:
        answer["CapacityBlockId"] = reservation.block_id
    if state in ("active", "pending"):
        # "Depending on the type of Capacity Reservation, you might see only 1, 2, or 3": which of them nobody says.
        place = _of_block(backend, reservation)[:2] if reservation.is_block else (reservation.zone,)
        answer |= _nodes(backend, reservation.instance_type, place)
    return answer


def _of_block(backend: Any, reservation: Reservation) -> tuple[str, str, str]:
    """A block's place: each layer's name, from top to bottom."""
    zone = reservation.zone
    blocks = dict.fromkeys(
        one.block_id for one in backend.seen_reservations().values() if one.is_block and one.zone == zone
    )
    return zone, f"{zone} {list(blocks).index(reservation.block_id) // 2}", reservation.block_id


def _nodes(backend: Any, instance_type: str, place: Sequence[str]) -> dict[str, list[str]]:
    """The ids of network nodes, which differ for each account; none for a type that EC2 tells nothing of."""
    if not (_OF_THREE.fullmatch(instance_type) or _OF_FOUR.fullmatch(instance_type)):
        return {}
    layers = list(place)
    if _OF_FOUR.fullmatch(instance_type):
        layers.insert(1, f"{place[0]} below")
    hashed = (hashlib.sha256(f"{backend.account_id} {one}".encode()).hexdigest() for one in layers)
    return {"NetworkNodes": [f"nn-{one[:17]}" for one in hashed]}


def _zone_id(backend: Any, zone: str) -> str:
    return str(backend.zone_named(zone).zone_id)
