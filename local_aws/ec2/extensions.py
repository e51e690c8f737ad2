"""The actions for extending a Capacity Block. Source: EC2 user guide, capacity-blocks-extend."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult

from local_aws.ec2 import offerings as catalogue
from local_aws.ec2.api import Actions, refuse
from local_aws.ec2.reservation import LONGEST_BLOCK, Extension, Reservation
from local_aws.ec2.reservations import find, not_in_state
from local_aws.inferred import lean_on
from local_aws.world import world

_EARLIEST = timedelta(days=56)
_LATEST = timedelta(hours=1)
_OFFERING_ID = re.compile(r"cbe-[0-9a-f]{17}")


class ExtensionActions(Actions):
    """Mixed into the EC2 response class."""

    def describe_capacity_block_extension_offerings(self) -> ActionResult:
        """The one offering that makes a block longer by the hours asked for."""
        hours = int(self._get_param("CapacityBlockExtensionDurationHours"))
        if not catalogue.duration_is_sold(hours):
            raise refuse(
                "InvalidParameterValue",
                f"CapacityBlockExtensionDurationHours {hours} is not sold.",
                inferred="extension-refused",
            )
        reservation = find(self.ec2_backend, self._get_param("CapacityReservationId"))
        end = _extendable(reservation, hours)
        self.error_on_dryrun()
        identifier = catalogue.extension_id(reservation.id, end, hours)
        self.ec2_backend.shown_extensions[identifier] = (reservation.id, end, hours, world().clock.now())
        offering = {
            "CapacityBlockExtensionOfferingId": identifier,
            "InstanceType": reservation.instance_type,
            "InstanceCount": _instances(self.ec2_backend, reservation),
            "AvailabilityZone": reservation.zone,
            "AvailabilityZoneId": reservation.zone_id,
            "StartDate": reservation.start,
            "CapacityBlockExtensionStartDate": end,
            "CapacityBlockExtensionEndDate": end + timedelta(hours=hours),
            "CapacityBlockExtensionDurationHours": hours,
            "UpfrontFee": _fee(self.ec2_backend, reservation, hours),
            "CurrencyCode": "USD",
            "Tenancy": "default",
            "ZoneType": self.ec2_backend.zone_named(reservation.zone).zone_type,
        }
        lean_on("extension-fee-made-up")
        return ActionResult({"CapacityBlockExtensionOfferings": [offering]})

    def purchase_capacity_block_extension(self) -> ActionResult:
        """Buy an extension; the block ends later as soon as the payment has succeeded. The reservation id stays."""
        identifier = self._get_param("CapacityBlockExtensionOfferingId")
        reservation = find(self.ec2_backend, self._get_param("CapacityReservationId"))
        hours = _find(self.ec2_backend, identifier, reservation)
        end = _extendable(reservation, hours)
        self.error_on_dryrun()
        state = world()
        now = state.clock.now()
        extension = Extension(
            offering_id=identifier,
            hours=hours,
            purchased=now,
            start=end,
            end=end + timedelta(hours=hours),
            fee=_fee(self.ec2_backend, reservation, hours),
            paid=now + state.payment,
            fails=state.payment_fails,
        )
        extended = _extended_with(self.ec2_backend, reservation)
        for one in extended:
            one.extensions.append(extension)
        described = [_describe(self.ec2_backend, one, extension) for one in extended]
        return ActionResult({"CapacityBlockExtensions": described})

    def describe_capacity_block_extension_history(self) -> ActionResult:
        """Every extension that was bought, paid or not."""
        backend = self.ec2_backend
        wanted = self._get_param("CapacityReservationIds", [])
        chosen = [find(backend, name) for name in wanted] or list(backend.capacity_reservations.values())
        self.error_on_dryrun()
        pairs = [(reservation, extension) for reservation in chosen for extension in reservation.extensions]
        now = world().clock.now()
        values: Mapping[str, Callable[[tuple[Reservation, Extension]], str]] = {
            "availability-zone": lambda pair: pair[0].zone,
            "availability-zone-id": lambda pair: pair[0].zone_id,
            "capacity-block-extension-offering-id": lambda pair: pair[1].offering_id,
            "capacity-block-extension-status": lambda pair: pair[1].status(now),
            "capacity-reservation-id": lambda pair: pair[0].id,
            "instance-type": lambda pair: pair[0].instance_type,
        }
        found = self._matching(pairs, values)
        shown, token = self._page(found, 100)
        return ActionResult(
            {"CapacityBlockExtensions": [_describe(backend, *pair) for pair in shown], "NextToken": token}
        )


def _extendable(reservation: Reservation, hours: int) -> datetime:
    """The end of the block, to which `hours` are added, or the refusal. (AWS does not publish these codes.)"""
    now = world().clock.now()
    end = reservation.end(now)
    if not reservation.is_block or end is None:
        raise refuse(
            "InvalidParameterValue",
            f"The Capacity Reservation '{reservation.id}' is not a Capacity Block.",
            inferred="extension-refused",
        )
    if reservation.state(now) not in ("active", "scheduled"):
        raise not_in_state(reservation, now)
    if any(extension.status(now) == "payment-pending" for extension in reservation.extensions):
        raise refuse(
            "IncorrectState",
            f"The payment of an extension of the Capacity Block '{reservation.id}' is pending.",
            inferred="extension-refused",
        )
    if not now + _LATEST <= end <= now + _EARLIEST:
        raise refuse(
            "IncorrectState",
            f"The Capacity Block '{reservation.id}' can be extended from 56 days to 1 hour before its end.",
            inferred="extension-refused",
        )
    if end + timedelta(hours=hours) - reservation.start > LONGEST_BLOCK:
        raise refuse(
            "InvalidParameterValue",
            f"The Capacity Block '{reservation.id}' can't last more than {LONGEST_BLOCK.days} days with extensions.",
            inferred="extension-refused",
        )
    return end


def _find(backend: Any, identifier: str, reservation: Reservation) -> int:
    if not _OFFERING_ID.fullmatch(identifier):
        raise refuse(
            "InvalidCapacityBlockExtensionOfferingIdMalformed",
            f"The offering ID '{identifier}' is malformed.",
            inferred="extension-offering-refused",
        )
    known = backend.shown_extensions.get(identifier)
    if known is None or known[0] != reservation.id:
        raise refuse(
            "InvalidCapacityBlockExtensionOfferingIdNotFound",
            f"The offering ID '{identifier}' does not exist.",
            inferred="extension-offering-refused",
        )
    now = world().clock.now()
    _, end, hours, moment = known
    if end != reservation.end(now) or now - moment > world().offering_life:
        raise refuse(
            "InvalidCapacityBlockExtensionOfferingIdExpired",
            f"The offering ID '{identifier}' has expired.",
            inferred="extension-offering-refused",
        )
    return int(hours)


def _extended_with(backend: Any, reservation: Reservation) -> list[Reservation]:
    """The reservations that an extension makes longer, this one first; for UltraServers, all reservations of the
    block."""
    if not reservation.ultra_server:
        return [reservation]
    lean_on("extension-of-an-ultra-server")
    block = [one for one in backend.capacity_reservations.values() if one.block_id == reservation.block_id]
    return sorted(block, key=lambda one: one is not reservation)


def _instances(backend: Any, reservation: Reservation) -> int:
    return sum(one.count for one in _extended_with(backend, reservation))


def _fee(backend: Any, reservation: Reservation, hours: int) -> str:
    count = _instances(backend, reservation)
    fee = catalogue.extension_fee(reservation.instance_type, count, hours)
    return catalogue.money(fee * world().price_factor)


def _describe(backend: Any, reservation: Reservation, extension: Extension) -> dict[str, Any]:
    return {
        "CapacityReservationId": reservation.id,
        "InstanceType": reservation.instance_type,
        "InstanceCount": reservation.count,
        "AvailabilityZone": reservation.zone,
        "AvailabilityZoneId": reservation.zone_id,
        "CapacityBlockExtensionOfferingId": extension.offering_id,
        "CapacityBlockExtensionDurationHours": extension.hours,
        "CapacityBlockExtensionStatus": extension.status(world().clock.now()),
        "CapacityBlockExtensionPurchaseDate": extension.purchased,
        "CapacityBlockExtensionStartDate": extension.start,
        "CapacityBlockExtensionEndDate": extension.end,
        "UpfrontFee": extension.fee,
        "CurrencyCode": "USD",
        "ZoneType": backend.zone_named(reservation.zone).zone_type,
    }
