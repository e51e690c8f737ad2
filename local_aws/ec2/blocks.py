"""The actions for Capacity Blocks: offerings, purchase, describe."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_id

from local_aws.ec2 import offerings as catalogue
from local_aws.ec2.api import Actions, missing, only_tags_for, page, refuse, tag_list
from local_aws.ec2.offerings import Offering, money
from local_aws.ec2.reservation import BLOCK, Reservation, most_at_once
from local_aws.ec2.reservations import describe, known_type, tags_of, utc
from local_aws.ec2.ultra_servers import PARTS, ULTRA_SERVERS, UltraServer
from local_aws.inferred import lean_on
from local_aws.world import world

_PAGE = 4  # a page holds less than everything, so that a client that does not read all pages misses offerings
_OFFERING_ID = re.compile(r"cb-[0-9a-f]{17}")


@dataclass(slots=True)
class Shown:
    """An offering that was shown, and when: it can be bought for a while."""

    offering: Offering
    moment: datetime


class BlockActions(Actions):
    """Mixed into the EC2 response class."""

    def describe_capacity_block_offerings(self) -> ActionResult:
        """What can be bought. A region that sells no blocks of the type refuses the call."""
        preferred = self._get_param("InstanceTypePreferences", [])
        instance_type = self._get_param("InstanceType") or (preferred[0]["InstanceType"] if preferred else "")
        name, number = self._get_param("UltraserverType"), int(self._get_param("UltraserverCount") or 1)
        if not instance_type and not name:
            raise missing("InstanceType")
        count = int(self._get_param("InstanceCount", 1))
        hours = int(self._get_param("CapacityDurationHours"))
        most = catalogue.MOST_INSTANCES
        if name:
            ultra_server = _ultra_server(name, instance_type)
            instance_type, count = ultra_server.instance_type, ultra_server.instances * number
            most = catalogue.MOST_INSTANCES_IN_BLOCKS
        else:
            self._check_sold(instance_type)
        _check_wish(count, hours, most)
        earliest, latest = self._get_param("StartDateRange"), self._get_param("EndDateRange")
        if earliest and latest and utc(latest) <= utc(earliest):
            raise refuse(
                "InvalidParameterValue",
                "The end of the date range must be later than its start.",
                inferred="block-question-refused",
            )
        self.error_on_dryrun()
        now = world().clock.now()
        found = catalogue.offerings(
            self.region,
            self.ec2_backend.zones_of(instance_type, every=self._get_param("AllAvailabilityZones", False)),
            instance_type,
            count,
            hours,
            now,
            utc(earliest) if earliest else None,
            utc(latest) if latest else None,
        )
        if name:
            found = catalogue.of_ultra_servers(found, name, number)
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
        self._check_opted_in(offering)
        self.error_on_dryrun()
        state = world()
        now = state.clock.now()
        blocks: dict[str, list[Reservation]] = {}
        for block_id, part in _reserved(offering):
            reservation = Reservation(
                id=random_id("cr"),
                kind=BLOCK,
                instance_type=offering.instance_type,
                platform=self._get_param("InstancePlatform"),
                zone=part.zone,
                zone_id=backend.zone_named(part.zone).zone_id,
                count=part.count,
                created=now,
                start=part.start,
                purchased_end=part.end,
                paid=now + state.payment,
                fails=state.payment_fails,
                match="targeted",
                fee=money(part.fee * state.price_factor),
                block_id=block_id,
                ultra_server=offering.ultra_server,
                hidden_reads=state.visible_after,
                hidden_until=now + state.visible_delay,
            )
            backend.add_reservation(reservation, tags)
            blocks.setdefault(block_id, []).append(reservation)
        described = [describe(backend, one) for block in blocks.values() for one in block]
        return ActionResult(
            {
                "CapacityReservation": described[0],
                "CapacityReservations": described,
                "CapacityBlocks": [describe_block(backend, block) for block in blocks.values()],
            }
        )

    def _check_sold(self, instance_type: str) -> None:
        """Refuse a type of which the region sells no blocks, and a type that is sold only as part of UltraServers."""
        known_type(instance_type)
        if instance_type in PARTS or not catalogue.sells(self.region, instance_type):
            raise refuse(
                "InvalidParameterValue",
                f"The instance type '{instance_type}' is not supported for Capacity Blocks in '{self.region}'. "
                "Specify a compatible instance type and try again.",
            )

    def _check_opted_in(self, offering: Offering) -> None:
        if self.ec2_backend.get_zone_by_name(offering.zone) is None:
            # EC2 user guide, capacity-blocks-purchase: only an account that has opted in may buy in a Local Zone.
            raise refuse(
                "OptInRequired",
                f"You are not opted in to the Local Zone {offering.zone}.",
                inferred="block-in-a-zone-not-opted-in",
            )

    def _check_instances(self, offering: Offering) -> None:
        """Refuse more instances than an account may have in blocks at one time, in all regions together."""
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
        """The blocks that were bought. One has a reservation for each of its segments; an UltraServer's has several."""
        backend, now = self.ec2_backend, world().clock.now()
        chosen = self._blocks(now)
        self.error_on_dryrun()
        values: Mapping[str, Callable[[list[Reservation]], str]] = {
            "capacity-block-id": lambda block: block[0].block_id,
            "availability-zone": lambda block: block[0].zone,
            "state": lambda block: block[0].state(now),
            "ultraserver-type": lambda block: "ultraservers" if block[0].ultra_server else "instances",
        }
        found = self._matching(chosen, values, lambda block: tags_of(backend, block[0]))
        shown, token = self._page(found, 100)
        return ActionResult(
            {"CapacityBlocks": [describe_block(backend, block) for block in shown], "NextToken": token}
        )

    def describe_capacity_block_status(self) -> ActionResult:
        """The capacity and the interconnect of UltraServers' blocks that are active."""
        backend, now = self.ec2_backend, world().clock.now()
        chosen = self._blocks(now)
        if self._get_param("CapacityBlockIds", []) and any(
            block[0].state(now) != "active" for block in chosen
        ):
            # Seen with a block that had not started (ParallelCluster, pull request 6928). (Its code and message were
            # not seen.)
            raise refuse(
                "IncorrectState",
                f"The Capacity Block '{chosen[0][0].block_id}' is not active.",
                inferred="status-of-a-scheduled-block",
            )
        self.error_on_dryrun()
        active = [block for block in chosen if block[0].ultra_server and block[0].state(now) == "active"]
        values = {"interconnect-status": lambda _block: world().interconnect}
        found = self._matching(active, values)
        shown, token = self._page(found, 100)
        answer = [_status(backend, block, now) for block in shown]
        return ActionResult({"CapacityBlockStatuses": answer, "NextToken": token})

    def _blocks(self, now: datetime) -> list[list[Reservation]]:
        """The reservations of each block that is asked for; without ids, of every block."""
        blocks: dict[str, list[Reservation]] = {}
        for reservation in self.ec2_backend.capacity_reservations.values():
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
        return [blocks[name] for name in wanted] or list(blocks.values())


def _status(backend: Any, block: list[Reservation], now: datetime) -> dict[str, Any]:
    """A block as DescribeCapacityBlockStatus shows it."""
    members = ("TotalCapacity", "TotalAvailableCapacity", "TotalUnavailableCapacity")
    counts = [(one.total(now), one.free(now, backend.instances_in(one.id)), 0) for one in block]
    return {
        "CapacityBlockId": block[0].block_id,
        "InterconnectStatus": world().interconnect,
        **dict(zip(members, map(sum, zip(*counts, strict=True)), strict=True)),
        "CapacityReservationStatuses": [
            {"CapacityReservationId": one.id, **dict(zip(members, each, strict=True))}
            for one, each in zip(block, counts, strict=True)
        ],
    }


def describe_offering(backend: Any, offering: Offering) -> dict[str, Any]:
    """An offering as DescribeCapacityBlockOfferings shows it, at today's price."""
    answer = {
        "CapacityBlockOfferingId": offering.id,
        "Tenancy": "default",
        **_span(backend, offering, offering.instance_type),
    }
    del answer["AvailabilityZoneId"]  # only a segment has it
    if offering.ultra_server:
        answer.update(UltraserverType=offering.ultra_server, UltraserverCount=offering.ultra_server_count)
    if offering.parts:
        answer["CapacityBlockOfferingSegments"] = [
            _span(backend, part, offering.instance_type) for part in offering.parts
        ]
    return answer


def describe_block(backend: Any, block: list[Reservation]) -> dict[str, Any]:
    """A block as DescribeCapacityBlocks shows it."""
    now = world().clock.now()
    first = block[0]
    kind = {"UltraserverType": first.ultra_server} if first.ultra_server else {}
    return {
        **kind,
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
    zone = backend.zone_named(part.zone)
    return {
        "InstanceType": instance_type,
        "AvailabilityZone": part.zone,
        "AvailabilityZoneId": zone.zone_id,
        "InstanceCount": part.count,
        "StartDate": part.start,
        "EndDate": part.end,
        "CapacityBlockDurationHours": minutes // 60,
        "CapacityBlockDurationMinutes": minutes % 60,
        "UpfrontFee": money(part.fee * world().price_factor),
        "CurrencyCode": "USD",
        "ZoneType": zone.zone_type,
    }


def _reserved(offering: Offering) -> Iterator[tuple[str, Any]]:
    """The parts of an offering that become reservations, each with the id of its block: one block for each
    UltraServer, else one for all."""
    known = ULTRA_SERVERS.get(offering.ultra_server)
    if known is None:
        block_id = random_id("cb")
        yield from ((block_id, part) for part in offering.parts or (offering,))
        return
    lean_on("reservations-of-an-ultra-server")
    for _ in range(offering.ultra_server_count):
        block_id = random_id("cb")
        for size in known.sizes:
            yield block_id, replace(offering, count=size, fee=offering.fee * size / offering.count)


def _ultra_server(name: str, instance_type: str) -> UltraServer:
    if instance_type:
        raise refuse(
            "InvalidParameterCombination",
            "InstanceType and UltraserverType can't both be specified.",
            inferred="type-and-ultra-server",
        )
    if name not in ULTRA_SERVERS:
        raise refuse(
            "InvalidParameterValue",
            f"Invalid value '{name}' for UltraserverType.",
            inferred="type-and-ultra-server",
        )
    return ULTRA_SERVERS[name]


def _check_wish(count: int, hours: int, most: int) -> None:
    if not 1 <= count <= most:
        raise refuse(
            "InvalidParameterValue",
            f"InstanceCount {count} is not from 1 to {most}.",
            inferred="block-question-refused",
        )
    if not catalogue.duration_is_sold(hours):
        raise refuse(
            "InvalidParameterValue",
            f"CapacityDurationHours {hours} is not a multiple of 24 up to 336 or of 168 up to 4368.",
            inferred="block-question-refused",
        )


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
