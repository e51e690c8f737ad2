"""The two calls that spend money, and their rehearsal with EC2's DryRun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_errors import error_code
from nixl_efa.capacity.journal import Entry
from nixl_efa.capacity.order import Kind, Order
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, FEE_TAG, PURCHASE_TAG, fee_tag

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PLATFORM = "Linux/UNIX"


def block_request(order: Order, tag: str) -> dict[str, Any]:
    """The whole request of PurchaseCapacityBlock. The tags are the only thing in it that tells two purchases
    apart afterwards."""
    tags = {
        "Name": f"nixl-efa-{order.environment}",
        PURCHASE_TAG: tag,
        ENVIRONMENT_TAG: order.environment,
        FEE_TAG: fee_tag(order.fee, order.currency),
    }
    return {
        "CapacityBlockOfferingId": order.offering_id,
        "InstancePlatform": PLATFORM,
        "TagSpecifications": [
            {
                "ResourceType": "capacity-reservation",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    }


def extension_request(order: Order) -> dict[str, Any]:
    """The whole request of PurchaseCapacityBlockExtension, which takes no tags."""
    return {"CapacityBlockExtensionOfferingId": order.offering_id, "CapacityReservationId": order.target}


def send(ec2: EC2Client, entry: Entry) -> tuple[str, ...]:
    """Buys the entry's order and returns the ids of its reservations. `ec2` must not retry."""
    bought: list[Mapping[str, Any]]
    if entry.order.kind is Kind.EXTENSION:
        extended: Mapping[str, Any] = ec2.purchase_capacity_block_extension(**extension_request(entry.order))
        bought = list(extended.get("CapacityBlockExtensions", ()))
    else:
        answer: Mapping[str, Any] = ec2.purchase_capacity_block(**block_request(entry.order, entry.tag))
        bought = list(answer.get("CapacityReservations", ()))
        bought.insert(0, answer.get("CapacityReservation", {}))
    ids = [one["CapacityReservationId"] for one in bought if one.get("CapacityReservationId")]
    return tuple(dict.fromkeys(ids))


def dry_run(ec2: EC2Client, order: Order) -> None:
    """Asks EC2 whether the purchase would be allowed; raises its refusal. Buys nothing."""
    try:
        if order.kind is Kind.EXTENSION:
            ec2.purchase_capacity_block_extension(**extension_request(order), DryRun=True)
        else:
            ec2.purchase_capacity_block(**block_request(order, "dry-run"), DryRun=True)
    except Exception as error:
        if error_code(error) != "DryRunOperation":
            raise
