"""Buying exactly once.

EC2's purchase calls take no client token, so a call that is repeated may buy twice, and a call whose answer is lost
may have bought. Hence the order of things here:

1. the order is in this machine's journal on disk, PREPARED, with a tag that no other order has;
2. it takes the next number of the environment's shared journal, which locks the environment;
3. the machine's journal says CALLING;
4. the call is sent once, without retries, and carries the tag;
5. both journals say what became of it.

Wherever this stops, the next command finds the entry: PREPARED is not bought, CALLING is looked for by its tag, BOUGHT
is told and saved. Until it is closed nothing is bought for the environment, by anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import NoResultError, Sleep, all_items, is_throttling
from nixl_efa.aws_errors import error_code, error_status, explain
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.journal import JournalFull
from nixl_efa.capacity.order import Entry, Order, State
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, FEE_TAG, PURCHASE_TAG, fee_tag, reservations_in
from nixl_efa.failure import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PLATFORM = "Linux/UNIX"
# Looks that must find nothing before a purchase counts as not made.
TRIES = 3
# A process that slept before the call (a closed laptop, a disk that hangs) must not wake up and buy: by then
# somebody may have decided that its purchase was never made. One that sleeps after this was looked at has signed its
# request, and AWS refuses a signature older than 5 minutes (IAM user guide, signing elements).
LONGEST_PREPARATION_SECONDS = 60.0

# No connection was made, or none was even tried, so the request never left. By the class's name: botocore is not
# imported here. An SSLError or a closed connection can also come after the request was sent, and so can a
# ProxyConnectionError: http.client closes a connection that breaks while the answer is read, and urllib3 then takes
# it for one that never reached the proxy.
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
# Client errors that say nothing about the effect: something on the way gave up waiting.
_GAVE_UP_CODES = frozenset({"RequestTimeout", "RequestTimeoutException", "408", "499"})
_GAVE_UP_STATUS = frozenset({408, 409, 425, 499})


class Unclear(Failure):
    """Nobody knows yet whether the entry's order was bought. Nothing else is bought until it is known."""

    def __init__(self, entry: Entry, settled_at: datetime, exit_code: int = 1) -> None:
        super().__init__(
            f"whether {entry.order.offering.id} was bought is not known yet (tag {entry.tag}). "
            f"Run the same command again, or `nixl-efa capacity recover{entry.order.env_option}`: both look for the purchase and never buy it twice. "  # noqa: E501
            f"If it can't be found until {settled_at:%Y-%m-%d %H:%M:%S} UTC, it was not made.",
            exit_code,
        )
        self.entry = entry


class Interrupted(Failure):
    """The command was stopped between a purchase and the end of its work."""

    def __init__(self, order: Order, ids: tuple[str, ...]) -> None:
        super().__init__(
            f"interrupted: {', '.join(ids)} was bought for {order.whom}. "
            f"Run `nixl-efa capacity recover{order.env_option}`: it saves it.",
            exit_code=130,
        )


def block_request(order: Order, tag: str) -> dict[str, Any]:
    """The whole request of PurchaseCapacityBlock. The tags are the only thing in it that tells two purchases apart
    afterwards."""
    tags = {
        "Name": f"nixl-efa-{order.environment}" if order.environment else "nixl-efa",
        PURCHASE_TAG: tag,
        FEE_TAG: fee_tag(order.offering.fee, order.offering.currency),
        **({ENVIRONMENT_TAG: order.environment} if order.environment else {}),
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
    """Asks EC2 whether the purchase would be allowed, and says so; raises its refusal. Buys nothing."""
    ec2 = buyer.clients.ec2_purchases(order.offering.region)
    try:
        if order.is_extension:
            ec2.purchase_capacity_block_extension(**extension_request(order), DryRun=True)
        else:
            ec2.purchase_capacity_block(**block_request(order, "dry-run"), DryRun=True)
    except Exception as error:
        if error_code(error) != "DryRunOperation":
            raise
    buyer.talk.tell("EC2 would allow this purchase. Nothing was bought.")


def buy_once(order: Order, buyer: Buyer, known: int, guard: Callable[[], None]) -> Entry:
    """Buys the order and returns its entry, which is BOUGHT: what is left is to tell and to save it.

    known: the highest number of the shared journal when the user was asked. guard: looks, under the lock, whether
    something else has changed since the user agreed; raises Failure. The caller holds this machine's lock of the
    environment and has settled its open entries. Raises Failure when nothing was bought, Unclear when that isn't known.
    """
    try:
        entry = buyer.journal.prepare(order)
    except JournalFull as full:
        raise Failure(f"nothing was bought: {full.message}") from full
    latest = entry.changed_at + timedelta(seconds=LONGEST_PREPARATION_SECONDS)
    try:
        entry = buyer.shared_journal_of(order).take(entry, known)
        guard()
        entry = buyer.journal.write(buyer.journal.moved(entry, State.CALLING))
        if buyer.clock.now() > latest:
            raise Failure("the preparation took too long: nothing was bought. Run the same command again.")
    except (Exception, KeyboardInterrupt) as error:
        close_unbought(buyer, entry, f"stopped before the call: {error}")
        if isinstance(error, KeyboardInterrupt) or (
            isinstance(error, Failure) and not isinstance(error, JournalFull | NoResultError)
        ):
            raise
        raise Failure(f"nothing was bought: {explain(error)}") from error
    ids: tuple[str, ...] = ()
    try:
        ids = _send(buyer, entry)
        return record_bought(buyer, entry, ids)
    except KeyboardInterrupt:
        if ids:
            raise Interrupted(entry.order, ids) from None
        raise Unclear(entry, buyer.rule.settled_at(entry), exit_code=130) from None


def settle_earlier(buyer: Buyer, lock_name: str) -> list[Entry]:
    """What this machine's open orders for an environment turn out to have bought: still to be finished."""
    settled = [settle(buyer, entry) for entry in buyer.journal.open_entries(lock_name)]
    return [entry for entry in settled if entry.state is State.BOUGHT]


def settle(buyer: Buyer, entry: Entry) -> Entry:
    """Finds out what became of an open entry: returns it BOUGHT (still to be told and saved), NOT_BOUGHT, or DONE when
    another machine has told and saved it.

    Looks as long as the waiting rule says. Interrupting it is safe: the entry stays as it is.
    """
    there = buyer.shared_journal_of(entry.order).find(entry.tag)
    if there is not None and there.reservation_ids:
        return buyer.journal.write(there)
    if entry.state is State.BOUGHT:
        return entry
    if entry.state is State.PREPARED:
        return close_unbought(buyer, entry, "stopped before the call")
    settled_at = buyer.rule.settled_at(entry)
    until = f", until {settled_at:%H:%M:%S} UTC" if settled_at > buyer.clock.now() else ""
    buyer.talk.tell(
        f"the outcome of an earlier purchase of {entry.order.offering.id} is not known: looking for its tag "
        f"{entry.tag}{until}. Ctrl-C is safe."
    )
    ids = _look_until(buyer, entry, settled_at)
    return record_bought(buyer, entry, ids) if ids else close_unbought(buyer, entry, "not found by its tag")


def find_purchase(ec2: EC2Client, entry: Entry, sleep: Sleep) -> tuple[str, ...]:
    """The ids of the reservations that this entry's call has bought or extended, empty when none is visible."""
    if entry.order.is_extension:
        # An extension takes no tags; its history names the offering that was bought, and an offering of an extension
        # is made for one reservation.
        block = entry.order.offering.extends
        bought = entry.order.offering.id in extensions_bought(ec2, block, sleep)
        return (block,) if bought else ()
    # DescribeCapacityReservations documents no filter for tags (EC2 API reference), so they are compared here.
    found = reservations_in(ec2, entry.order.offering.region, sleep)
    return tuple(one.id for one in found if one.tags.get(PURCHASE_TAG) == entry.tag)


def extensions_bought(ec2: EC2Client, block_id: str, sleep: Sleep) -> set[str]:
    """The offerings by which this block was extended, by anybody."""
    request = {"CapacityReservationIds": [block_id]}
    history = all_items(
        ec2.describe_capacity_block_extension_history, "CapacityBlockExtensions", sleep, request
    )
    return {one.get("CapacityBlockExtensionOfferingId", "") for one in history}


def find_until(buyer: Buyer, entry: Entry, until: datetime) -> tuple[str, ...]:
    """Looks again and again until the purchase is found, or `until` has passed and it was looked for TRIES times."""
    ec2 = buyer.clients.ec2(entry.order.offering.region)
    tries = 0
    while True:
        # Before the question: an answer that comes late tells of the time at which it was asked for.
        asked_at = buyer.clock.now()
        found = find_purchase(ec2, entry, buyer.clock.sleep)
        tries += 1
        if found or (tries >= TRIES and asked_at >= until):
            return found
        buyer.clock.sleep(buyer.rule.pause_seconds)


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


def record_bought(buyer: Buyer, entry: Entry, ids: tuple[str, ...]) -> Entry:
    """Writes into both journals that the order is bought. What can't be written is said: it is bought all the same,
    and the next command finds the purchase by its tag."""
    bought = buyer.journal.moved(entry, State.BOUGHT, reservation_ids=ids)
    buyer.record(bought, f"{', '.join(ids)} was bought, but ")
    return bought


def close_unbought(buyer: Buyer, entry: Entry, why: str) -> Entry:
    """Writes that nothing was bought. Where the disk does not take it, the environment stays locked."""
    closed = buyer.journal.moved(entry, State.NOT_BOUGHT, note=why)
    return closed if buyer.record(closed) else entry


def _send(buyer: Buyer, entry: Entry) -> tuple[str, ...]:
    """Sends the purchase and returns the ids of its reservations, looking for them where the answer names none."""
    try:
        ids = _call(buyer.clients.ec2_purchases(entry.order.offering.region), entry)
        if ids:
            return ids
        buyer.talk.tell("EC2's answer names no reservation: looking for the purchase by its tag.")
    except Exception as error:
        if certainly_not_bought(error):
            close_unbought(buyer, entry, explain(error))
            raise Failure(f"nothing was bought: {explain(error)}") from error
        cause = " ".join(str(error).split())
        buyer.talk.tell(f"no clear answer to the purchase ({cause}): looking for it by its tag.")
    until = entry.changed_at + timedelta(seconds=buyer.rule.look_seconds)
    ids = _look_until(buyer, entry, until)
    if not ids:
        raise Unclear(entry, buyer.rule.settled_at(entry))
    return ids


def _call(ec2: EC2Client, entry: Entry) -> tuple[str, ...]:
    bought: list[Mapping[str, Any]]
    if entry.order.is_extension:
        extended: Mapping[str, Any] = ec2.purchase_capacity_block_extension(**extension_request(entry.order))
        bought = list(extended.get("CapacityBlockExtensions", ()))
    else:
        answer: Mapping[str, Any] = ec2.purchase_capacity_block(**block_request(entry.order, entry.tag))
        bought = [answer.get("CapacityReservation", {}), *answer.get("CapacityReservations", ())]
    ids = [one["CapacityReservationId"] for one in bought if one.get("CapacityReservationId")]
    return tuple(dict.fromkeys(ids))


def _look_until(buyer: Buyer, entry: Entry, until: datetime) -> tuple[str, ...]:
    try:
        return find_until(buyer, entry, until)
    except Exception as error:
        buyer.talk.tell(f"could not look for it: {explain(error)}")
        raise Unclear(entry, buyer.rule.settled_at(entry)) from error
