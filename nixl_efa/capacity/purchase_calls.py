"""The requests that buy, what EC2's errors prove, and how a purchase is found afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Sleep, all_items, is_throttling
from nixl_efa.aws_errors import error_code, error_status
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.order import Entry, Order
from nixl_efa.capacity.reservation import (
    ENVIRONMENT_TAG,
    FEE_TAG,
    PURCHASE_TAG,
    ULTRA_SERVERS_TAG,
    Reservation,
    fee_tag,
    from_api,
    reservations_in,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PLATFORM = "Linux/UNIX"
# Errors after which no request was sent: no connection was made, or none was tried. They are compared by the name of
# their class, since botocore is not imported here. SSLError and a closed connection are not among them: they can also
# come after the request was sent. So can ProxyConnectionError: http.client closes a connection that breaks while the
# answer is read, and urllib3 then reports it as one that never reached the proxy.
_NEVER_SENT = frozenset(
    {
        "ParamValidationError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "SSOTokenLoadError",
        "LoginError",
        "ProfileNotFound",
        "NoRegionError",
        "InvalidRegionError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
    }
)
# Client errors that prove nothing about the effect: a proxy or another part on the way stopped waiting.
_GAVE_UP_CODES = frozenset({"RequestTimeout", "RequestTimeoutException", "408", "499"})
_GAVE_UP_STATUS = frozenset({408, 409, 425, 499})


def block_request(order: Order, tag: str) -> dict[str, Any]:
    """The whole request of PurchaseCapacityBlock. Afterwards, only the tags show which purchase a reservation is
    from."""
    tags = {
        "Name": f"nixl-efa-{order.environment}" if order.environment else "nixl-efa",
        PURCHASE_TAG: tag,
        FEE_TAG: fee_tag(order.offering.fee, order.offering.currency),
        **({ENVIRONMENT_TAG: order.environment} if order.environment else {}),
        **({ULTRA_SERVERS_TAG: order.offering.ultra_servers} if order.offering.ultra_servers else {}),
    }
    return {
        "CapacityBlockOfferingId": order.offering.id,
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
    return {
        "CapacityBlockExtensionOfferingId": order.offering.id,
        "CapacityReservationId": order.offering.extends,
    }


def dry_run(order: Order, buyer: Buyer) -> None:
    """Asks EC2 whether the purchase would be allowed, and tells the user if it is; raises EC2's refusal. Buys
    nothing."""
    ec2 = buyer.clients.ec2_once(order.offering.region)
    try:
        if order.is_extension:
            ec2.purchase_capacity_block_extension(**extension_request(order), DryRun=True)
        else:
            ec2.purchase_capacity_block(**block_request(order, "dry-run"), DryRun=True)
    except Exception as error:
        if error_code(error) != "DryRunOperation":
            raise
    buyer.talk.tell("EC2 would allow this purchase. Nothing was bought.")


def send(ec2: EC2Client, entry: Entry) -> tuple[str, ...]:
    """Sends the purchase once. Returns the ids of the reservations that the answer names, the largest first. `ec2` must
    not retry."""
    if entry.order.is_extension:
        extended: Mapping[str, Any] = ec2.purchase_capacity_block_extension(**extension_request(entry.order))
        named = [one.get("CapacityReservationId", "") for one in extended.get("CapacityBlockExtensions", ())]
        return tuple(dict.fromkeys(one for one in named if one))
    answer: Mapping[str, Any] = ec2.purchase_capacity_block(**block_request(entry.order, entry.tag))
    told = [answer.get("CapacityReservation") or {}, *answer.get("CapacityReservations", ())]
    region = entry.order.offering.region
    described = [from_api(one, region) for one in told if one.get("CapacityReservationId")]
    # Ids that are only in the answer's blocks count too: nothing that was bought may be left out.
    listed = [
        one for block in answer.get("CapacityBlocks", ()) for one in block.get("CapacityReservationIds", ())
    ]
    return tuple(dict.fromkeys([*largest_first(described), *listed]))


def largest_first(reservations: Iterable[Reservation]) -> tuple[str, ...]:
    """The ids of the reservations of one purchase. The nodes are launched into the first one: a launch names one
    reservation, which must have room for all nodes."""
    ordered = sorted(reservations, key=lambda one: (-one.size, one.id))
    return tuple(dict.fromkeys(one.id for one in ordered))


def certainly_not_bought(error: BaseException) -> bool:
    """Whether this error of the call proves that nothing was bought.

    A client error (HTTP 4xx) is EC2's refusal. Throttling is a refusal too, although EC2 sends RequestLimitExceeded
    with status 503 (EC2 API reference, errors-overview: the request was not processed). Every other server error, a
    timeout, a closed connection or an answer that can't be read proves nothing.
    """
    if any(kind.__name__ in _NEVER_SENT for kind in type(error).__mro__):
        return True
    if not isinstance(error, Exception) or not (code := error_code(error)):
        return False
    if is_throttling(error):
        return True
    status = error_status(error)
    return 400 <= status < 500 and status not in _GAVE_UP_STATUS and code not in _GAVE_UP_CODES


def find_purchase(ec2: EC2Client, entry: Entry, sleep: Sleep, *, partly: bool = False) -> tuple[str, ...]:
    """The ids of the reservations that this entry's call has bought or extended, the largest first; empty when none is
    visible.

    EC2 may show one reservation of an UltraServer before another. Without `partly`, the result is empty until all are
    visible.
    """
    if entry.order.is_extension:
        # An extension takes no tags. But the history of extensions names the offering that was bought, and an offering
        # of an extension is for one reservation only.
        block = entry.order.offering.extends
        bought = entry.order.offering.id in extensions_bought(ec2, block, sleep)
        return (block,) if bought else ()
    # DescribeCapacityReservations documents no filter for tags (EC2 API reference), so they are compared here.
    found = reservations_in(ec2, entry.order.offering.region, sleep)
    tagged = [one for one in found if one.tags.get(PURCHASE_TAG) == entry.tag]
    if not entry.order.offering.ultra_server:
        return largest_first(tagged)
    together = [one for one in found if any(one.is_bought_with(other) for other in tagged)]
    whole = sum(one.size for one in together) >= entry.order.offering.count
    return largest_first(together) if whole or partly else ()


def extensions_bought(ec2: EC2Client, block_id: str, sleep: Sleep) -> set[str]:
    """The ids of the offerings by which this block was extended, whoever bought them."""
    request = {"CapacityReservationIds": [block_id]}
    history = all_items(
        ec2.describe_capacity_block_extension_history, "CapacityBlockExtensions", sleep, request
    )
    return {one.get("CapacityBlockExtensionOfferingId", "") for one in history}
