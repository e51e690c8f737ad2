"""The actions for Capacity Blocks: offerings, purchase, describe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_id

from local_aws.ec2 import offerings as catalogue
from local_aws.ec2.api import dry_run, matching, missing, only_tags_for, page, refuse, tag_list
from local_aws.ec2.offerings import Offering, money
from local_aws.ec2.reservation import BLOCK, Reservation, most_at_once
from local_aws.ec2.reservations import describe, known_type, tags_of, utc
from local_aws.inferred import lean_on
from local_aws.world import world

_PAGE = 4  # pages smaller than all there is, so that a client without paging misses offerings
_OFFERING_ID = re.compile(r"cb-[0-9a-f]{17}")


@dataclass(slots=True)
class Shown:
    """An offering that was shown, and when: it can be bought for a while."""

    offering: Offering
    moment: datetime


class BlockActions:
    """Mixed into the EC2 response class; `ec2_backend`, `region` and `_get_param` are moto's."""

    ec2_backend: Any
    region: str
    _get_param: Callable[..., Any]

    def describe_capacity_block_offerings(self) -> ActionResult:
        """What can be bought. A region that sells no blocks of the type refuses."""
        preferred = self._get_param("InstanceTypePreferences", [])
        instance_type = self._get_param("InstanceType") or (
            preferred[0]["InstanceType"] if preferred else None
        )
        if not instance_type:
            raise missing("InstanceType")
        count = int(self._get_param("InstanceCount", 1))
        hours = int(self._get_param("CapacityDurationHours"))
        self._check_wish(instance_type, count, hours)
        earliest, latest = self._get_param("StartDateRange"), self._get_param("EndDateRange")
        if earliest and latest and utc(latest) <= utc(earliest):
            raise refuse(
                "InvalidParameterValue",
                "The end of the date range must be later than its start.",
                inferred="block-question-refused",
            )
        if self._get_param("DryRun", False):
            raise dry_run()
        now = world().clock.now()
        found = catalogue.offerings(
            self.region,
            self.ec2_backend.zones_of(instance_type),
            instance_type,
            count,
            hours,
            now,
            utc(earliest) if earliest else None,
            utc(latest) if latest else None,
        )
        given = self._get_param("NextToken")
        shown, token = page(found, given, self._get_param("MaxResults"), _PAGE)
        asked = self.ec2_backend.offerings_asked
        asked[instance_type, count, hours] += not given
        shown = [catalogue.shown_again(one, hours, asked[instance_type, count, hours]) for one in shown]
        self.ec2_backend.shown_offerings.update({offering.id: Shown(offering, now) for offering in shown})
        answer = [describe_offering(self.ec2_backend, offering) for offering in shown]
        lean_on("offers-made-up")
        return ActionResult({"CapacityBlockOfferings": answer, "NextToken": token})

    def purchase_capacity_block(self) -> ActionResult:
        """Buy. There is no client token: the same call again buys again, as on AWS."""
        backend = self.ec2_backend
        offering = _find_offering(backend, self._get_param("CapacityBlockOfferingId"))
        tags = only_tags_for("capacity-reservation", self._get_param("TagSpecifications", []))
        self._check_instances(offering)
        if self._get_param("DryRun", False):
            raise dry_run()
        state = world()
        now = state.clock.now()
        block_id = random_id("cb")
        bought = []
        for part in offering.parts or (offering,):
            reservation = Reservation(
                id=random_id("cr"),
                kind=BLOCK,
                instance_type=offering.instance_type,
                platform=self._get_param("InstancePlatform"),
                zone=part.zone,
                zone_id=backend.get_zone_by_name(part.zone).zone_id,
                count=part.count,
                created=now,
                start=part.start,
                purchased_end=part.end,
                paid=now + state.payment,
                fails=state.payment_fails,
                match="targeted",
                fee=money(part.fee * state.price_factor),
                block_id=block_id,
                hidden_reads=state.visible_after,
                hidden_until=now + state.visible_delay,
            )
            backend.add_reservation(reservation, tags)
            bought.append(reservation)
        return ActionResult(
            {
                "CapacityReservation": describe(backend, bought[0]),
                "CapacityReservations": [describe(backend, reservation) for reservation in bought],
                "CapacityBlocks": [describe_block(backend, bought)],
            }
        )

    def _check_wish(self, instance_type: str, count: int, hours: int) -> None:
        known_type(instance_type)
        if not catalogue.sells(self.region, instance_type):
            raise refuse(
                "InvalidParameterValue",
                f"The instance type '{instance_type}' is not supported for Capacity Blocks in '{self.region}'. "
                "Specify a compatible instance type and try again.",
            )
        if not 1 <= count <= catalogue.MOST_INSTANCES:
            raise refuse(
                "InvalidParameterValue",
                f"InstanceCount {count} is not from 1 to {catalogue.MOST_INSTANCES}.",
                inferred="block-question-refused",
            )
        if not catalogue.duration_is_sold(hours):
            raise refuse(
                "InvalidParameterValue",
                f"CapacityDurationHours {hours} is not a multiple of 24 up to 336 or of 168 up to 4368.",
                inferred="block-question-refused",
            )

    def _check_instances(self, offering: Offering) -> None:
        """Refuse what goes beyond the instances that an account may have in blocks at one time, in all regions."""
        backends = ec2_backends[self.ec2_backend.account_id].values()
        blocks = [block for backend in backends for block in backend.capacity_reservations.values()]
        there = most_at_once(blocks, offering.start, offering.end, world().clock.now())
        if there + offering.count > catalogue.MOST_INSTANCES_IN_BLOCKS:
            # EC2 user guide, capacity-blocks-purchase. (The code is not published.)
            raise refuse(
                "InstanceLimitExceeded",
                f"You can have up to {catalogue.MOST_INSTANCES_IN_BLOCKS} instances across Capacity Blocks. "
                f"At that time you have {there} and requested {offering.count} more.",
                inferred="too-many-in-blocks",
            )

    def describe_capacity_blocks(self) -> ActionResult:
        """The blocks that were bought; one block has a reservation for each of its segments."""
        backend = self.ec2_backend
        blocks: dict[str, list[Reservation]] = {}
        now = world().clock.now()
        for reservation in backend.capacity_reservations.values():
            if reservation.is_block and not (reservation.hidden_until and now < reservation.hidden_until):
                blocks.setdefault(reservation.block_id, []).append(reservation)
        wanted = self._get_param("CapacityBlockIds", [])
        for name in wanted:
            if name not in blocks:
                raise refuse(
                    "InvalidCapacityBlockId.NotFound",
                    f"The Capacity Block '{name}' does not exist.",
                    inferred="block-unknown",
                )
        if self._get_param("DryRun", False):
            raise dry_run()
        chosen = [blocks[name] for name in wanted] or list(blocks.values())
        values: Mapping[str, Callable[[list[Reservation]], str]] = {
            "capacity-block-id": lambda block: block[0].block_id,
            "availability-zone": lambda block: block[0].zone,
            "state": lambda block: block[0].state(now),
        }
        found = matching(
            chosen, self._get_param("Filters", []), values, lambda block: tags_of(backend, block[0])
        )
        shown, token = page(found, self._get_param("NextToken"), self._get_param("MaxResults"), 100)
        return ActionResult(
            {"CapacityBlocks": [describe_block(backend, block) for block in shown], "NextToken": token}
        )


def describe_offering(backend: Any, offering: Offering) -> dict[str, Any]:
    """An offering as DescribeCapacityBlockOfferings shows it, at today's price."""
    answer = {
        "CapacityBlockOfferingId": offering.id,
        "Tenancy": "default",
        **_span(backend, offering, offering.instance_type),
    }
    del answer["AvailabilityZoneId"]  # only a segment has it
    if offering.parts:
        answer["CapacityBlockOfferingSegments"] = [
            _span(backend, part, offering.instance_type) for part in offering.parts
        ]
    return answer


def describe_block(backend: Any, block: list[Reservation]) -> dict[str, Any]:
    """A block as DescribeCapacityBlocks shows it."""
    now = world().clock.now()
    first = block[0]
    return {
        "CapacityBlockId": first.block_id,
        "AvailabilityZone": first.zone,
        "AvailabilityZoneId": first.zone_id,
        "CapacityReservationIds": [reservation.id for reservation in block],
        "StartDate": min(reservation.start for reservation in block),
        "EndDate": max(end for end in (reservation.end(now) for reservation in block) if end),
        "CreateDate": first.created,
        "State": first.state(now),
        "Tags": tag_list(backend.tags.get(first.id, {})),
    }


def _span(backend: Any, part: Any, instance_type: str) -> dict[str, Any]:
    minutes = int((part.end - part.start).total_seconds()) // 60
    return {
        "InstanceType": instance_type,
        "AvailabilityZone": part.zone,
        "AvailabilityZoneId": backend.get_zone_by_name(part.zone).zone_id,
        "InstanceCount": part.count,
        "StartDate": part.start,
        "EndDate": part.end,
        "CapacityBlockDurationHours": minutes // 60,
        "CapacityBlockDurationMinutes": minutes % 60,
        "UpfrontFee": money(part.fee * world().price_factor),
        "CurrencyCode": "USD",
        "ZoneType": "availability-zone",
    }


def _find_offering(backend: Any, identifier: str) -> Offering:
    # The codes: EC2 API reference, errors-overview.
    if not _OFFERING_ID.fullmatch(identifier):
        raise refuse(
            "InvalidCapacityBlockOfferingIdMalformed",
            f"The Capacity Block offering ID '{identifier}' is malformed.",
            inferred="offering-refused",
        )
    shown = backend.shown_offerings.get(identifier)
    if shown is None:
        raise refuse(
            "InvalidCapacityBlockOfferingIdNotFound",
            f"The Capacity Block offering ID '{identifier}' does not exist.",
            inferred="offering-refused",
        )
    now = world().clock.now()
    if now >= shown.offering.start or now - shown.moment > world().offering_life:
        raise refuse(
            "InvalidCapacityBlockOfferingIdExpired",
            f"The Capacity Block offering ID '{identifier}' has expired.",
            inferred="offering-refused",
        )
    offering: Offering = shown.offering
    return offering
