"""Capacity Reservations: those of the launch's region, and the search for one in all other regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import Sleep, all_items, ask_all, result
from nixl_efa.aws_errors import error_code
from nixl_efa.capacity.reservation import Reservation, from_api
from nixl_efa.checks.facts import BlockHealth, Elsewhere
from nixl_efa.nodes.topology import NetworkNodes

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def reservations(ec2: EC2Client, region: str) -> tuple[Reservation, ...]:
    """Every reservation of a region that the account sees: its own, and those shared with it."""
    pages = ec2.get_paginator("describe_capacity_reservations").paginate(PaginationConfig={"PageSize": 1000})
    return tuple(
        from_api(payload, region) for page in pages for payload in result(page, "CapacityReservations")
    )


def used_by(ec2: EC2Client, reservation_id: str, sleep: Sleep) -> tuple[tuple[str, int], ...]:
    """The accounts that run instances in a reservation, and how many: these take up the room of a shared reservation
    (EC2 API, GetCapacityReservationUsage). Empty for a reservation that EC2 does not know."""
    from botocore.exceptions import ClientError

    try:
        found = list(
            all_items(
                ec2.get_capacity_reservation_usage,
                "InstanceUsages",
                sleep,
                {"CapacityReservationId": reservation_id},
            )
        )
    except ClientError as error:
        if error_code(error).startswith("InvalidCapacityReservationId"):
            return ()
        raise
    return tuple((each["AccountId"], each["UsedInstanceCount"]) for each in found)


def elsewhere(ec2_of: Callable[[str], EC2Client], regions: tuple[str, ...], reservation_id: str) -> Elsewhere:
    """The search for a reservation in these regions, in parallel."""

    def ask(region: str) -> Reservation | None:
        return _by_id(ec2_of(region), region, reservation_id)

    answers, errors = ask_all(regions, ask)
    found = tuple(answer for answer in answers.values() if answer is not None)
    return Elsewhere(found=found, asked=tuple(answers), not_asked=tuple(errors))


def other_regions(ec2: EC2Client, region: str) -> tuple[str, ...]:
    """The regions that the account has enabled, without `region`."""
    answer = ec2.describe_regions(AllRegions=False)
    names = sorted(each["RegionName"] for each in result(answer, "Regions"))
    return tuple(name for name in names if name != region)


def network_nodes(ec2: EC2Client, ids: Sequence[str], sleep: Sleep) -> Mapping[str, NetworkNodes]:
    """The network nodes of reservations, by id. Before a launch EC2 shows them only for active reservations, in most
    regions. Empty when one of the reservations does not exist, which another finding reports."""
    from botocore.exceptions import ClientError

    # A request may have at most 10 ids (botocore, DescribeCapacityReservationTopologyRequest).
    request = {"CapacityReservationIds": list(ids[:10])}
    try:
        found = list(
            all_items(ec2.describe_capacity_reservation_topology, "CapacityReservations", sleep, request)
        )
    except ClientError as error:
        if error_code(error).startswith(("UnsupportedOperation", "InvalidCapacityReservationId")):
            return {}
        raise
    return {one["CapacityReservationId"]: tuple(one.get("NetworkNodes") or ()) for one in found}


def block_health(ec2: EC2Client) -> tuple[BlockHealth, ...]:
    """The interconnect of each active UltraServer block."""
    pages = ec2.get_paginator("describe_capacity_block_status").paginate()
    return tuple(
        BlockHealth(
            reservation_ids=tuple(
                each.get("CapacityReservationId", "")
                for each in status.get("CapacityReservationStatuses", ())
            ),
            interconnect=status.get("InterconnectStatus", "unknown"),
        )
        for page in pages
        for status in page.get("CapacityBlockStatuses", ())
    )


def _by_id(ec2: EC2Client, region: str, reservation_id: str) -> Reservation | None:
    from botocore.exceptions import ClientError

    try:
        answer = ec2.describe_capacity_reservations(CapacityReservationIds=[reservation_id])
    except ClientError as error:
        if error_code(error).startswith("InvalidCapacityReservationId"):
            return None
        raise
    return next((from_api(each, region) for each in result(answer, "CapacityReservations")), None)
