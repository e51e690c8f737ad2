"""What `buy` and `extend` are about: the offering as a search showed it, and as AWS offers it now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa.capacity.extension import extension_offerings
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.order import Kind, Order
from nixl_efa.capacity.request import Request, checked
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.search import offerings_in
from nixl_efa.capacity.seen import Wanted, recall
from nixl_efa.cli.capacity.tools import Tools
from nixl_efa.cli.capacity.words import money
from nixl_efa.cli.output import BadInput, Failure, say

if TYPE_CHECKING:
    from nixl_efa.settings import Settings


def look_up(
    searches: Path,
    offering_id: str,
    instance_type: str | None,
    count: int | None,
    hours: int | None,
    region: str | None,
) -> Wanted:
    """What to ask AWS for to see this offering again: from a search on this machine, or from the options.

    AWS can't be asked for an offering by its id. BadInput when neither says what to ask for.
    """
    seen = recall(searches, offering_id)
    if seen is not None:
        if region not in (None, seen.region):
            raise BadInput(f"--region {region}: {offering_id} is an offering of {seen.region}")
        return Wanted(seen.region, seen.instance_type, seen.count, seen.hours, seen)
    if instance_type is None or count is None or hours is None or region is None:
        raise BadInput(
            f"OFFERING {offering_id!r} was shown by no search on this machine in the last days: search "
            f"again, or "
            f"give --type, --count, --hours and --region"
        )
    return Wanted(region, instance_type, count, hours)


def find_again(kit: Tools, offering_id: str, wanted: Wanted) -> Offering:
    """The offering as AWS offers it now. Failure when it is gone, has become dearer, or is no use for a
    pair."""
    request = Request(wanted.instance_type, wanted.count, (wanted.hours,), kit.clock.now())
    checked(request)
    seen = wanted.seen
    if seen is not None:
        # The same window as the search's: AWS answers with a few offerings, and which depends on the window.
        start = max(request.earliest_start, seen.earliest_start)
        request = replace(request, earliest_start=start, latest_end=seen.latest_end)
    ec2 = kit.clients.ec2(wanted.region)
    offered = offerings_in(ec2, wanted.region, request, wanted.hours, kit.clock.sleep)
    found = next((offering for offering in offered if offering.id == offering_id), None)
    if found is None:
        found = _same_block(offering_id, wanted, offered)
    if found.unusable:
        raise Failure(f"{offering_id} is of no use for a pair ({found.unusable}): nothing was bought")
    if seen is not None and found.fee > seen.fee:
        raise Failure(
            f"the fee of {offering_id} has risen from {money(seen.fee)} to {money(found.fee)} "
            f"{found.currency} since "
            f"the search: nothing was bought. Search again to buy at the new fee."
        )
    if seen is not None and found.fee < seen.fee:
        say(
            f"the fee has fallen from {money(seen.fee)} to {money(found.fee)} {found.currency} since the "
            f"search"
        )
    return found


def _same_block(offering_id: str, wanted: Wanted, offered: list[Offering]) -> Offering:
    """The block that was seen, offered under another id. It is still bought under the id that was named: if
    that one is no longer valid, EC2 refuses it."""
    for offering in offered:
        if wanted.seen is not None and wanted.seen.same_block(offering) and not offering.segments:
            return replace(offering, id=offering_id)
    raise Failure(f"{offering_id} is gone: AWS does not offer it any more. Nothing was bought; search again.")


def order_of(offering: Offering, by: str, environment: str, settings: Settings | None) -> Order:
    """The order for an offering."""
    return Order(
        kind=Kind.BLOCK,
        environment=environment,
        region=offering.region,
        offering_id=offering.id,
        instance_type=offering.instance_type,
        count=offering.count,
        zone=offering.zone,
        start=offering.start,
        end=offering.end,
        fee=offering.fee,
        currency=offering.currency,
        by=by,
        lock_region=settings.region if settings else offering.region,
    )


def extension_order(
    kit: Tools, block: Reservation, hours: int, by: str, environment: str, settings: Settings | None
) -> Order:
    """The order for the cheapest extension of the block by so many hours. Failure when AWS offers none."""
    offered = extension_offerings(kit.clients.ec2(block.region), block, hours, kit.clock.sleep)
    if not offered:
        raise Failure(f"AWS offers no extension of {block.id} by {hours} hours: try other --hours")
    best = offered[0]
    return Order(
        kind=Kind.EXTENSION,
        environment=environment,
        region=block.region,
        offering_id=best.id,
        instance_type=best.instance_type,
        count=best.count,
        zone=best.zone,
        start=best.start,
        end=best.end,
        fee=best.fee,
        currency=best.currency,
        by=by,
        lock_region=settings.region if settings else block.region,
        target=block.id,
    )
