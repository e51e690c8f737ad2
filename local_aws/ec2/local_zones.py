"""Local Zones: zones of a region in other places. An account can use them only after it opts in.

Sources: EC2 user guide, using-regions-availability-zones (opt-in; no default subnet) and elastic-ip-addresses (network
border groups); botocore, DescribeAvailabilityZones; EC2 user guide, ec2-capacity-blocks (the zones that sell blocks).
"""

from collections.abc import Callable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.availability_zones_and_regions import Zone as MotoZone
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.ec2.utils import add_tag_specification

from local_aws.ec2.api import Actions, refuse
from local_aws.ec2.ultra_servers import MORE_OFFERED, MORE_TYPES, InstanceType

LOCAL = "local-zone"


class Zone(MotoZone):  # type: ignore[misc]
    """A Local Zone; moto's name, which its serializer reads."""

    def __init__(self, region: str, name: str, zone_id: str, city: str) -> None:
        super().__init__(name, region, zone_id, LOCAL)
        self.city = city


# By region. Each is a group of its own, whose name is the zone's without its letter.
LOCAL_ZONES = {
    "us-east-1": (
        Zone("us-east-1", "us-east-1-atl-2a", "use1-atl2-az1", "US East (Atlanta)"),
        Zone("us-east-1", "us-east-1-dfw-2a", "use1-dfw2-az1", "US East (Dallas)"),
    )
}


def group_of(zone: Any) -> str:
    """The zone's group, and its network border group: a Local Zone's own, or the region."""
    return str(zone.name[:-1]) if zone.zone_type == LOCAL else str(zone.region_name)


class Zones(EC2Backend):  # type: ignore[misc]
    """moto's backend with Local Zones. opted_in: the groups of those that the account has opted in to."""

    opted_in: set[str]

    @property
    def instance_types(self) -> list[Any]:
        """moto's types, and the types that moto lacks if a zone of the account offers them."""
        more = [InstanceType(described) for name, described in MORE_TYPES.items() if self.zones_of(name)]
        return [*EC2Backend.instance_types, *more]

    def describe_instance_type_offerings(
        self, location_type: str | None = None, filters: dict[str, Any] | None = None
    ) -> list[Any]:
        """moto's offerings, and those that moto lacks."""
        offered: list[Any] = super().describe_instance_type_offerings(location_type, filters)
        return offered + [
            one
            for one in self._more_offered(location_type or "region")
            if self.matches_filters(one, filters or {}, location_type)
        ]

    def _more_offered(self, location_type: str) -> list[dict[str, str]]:
        """The offerings that moto does not know, in the form of DescribeInstanceTypeOfferings."""
        zones = {zone.name: zone for zone in self.describe_availability_zones()}
        place = {"availability-zone": "name", "availability-zone-id": "zone_id"}.get(
            location_type, "region_name"
        )
        known = {each["InstanceType"] for each in INSTANCE_TYPE_OFFERINGS["region"].get(self.region_name, [])}
        more = {
            (name, getattr(zones[zone], place))
            for name, offering in MORE_OFFERED.items()
            for zone in offering
            if zone in zones and not (location_type == "region" and name in known)
        }
        return [
            {"InstanceType": name, "LocationType": location_type, "Location": location}
            for name, location in sorted(more)
        ]

    def zones_of(self, instance_type: str, *, every: bool = False) -> list[str]:
        """The zones that offer a type, in order; `every`: also Local Zones that the account has not opted in to."""
        known = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(self.region_name, [])
        offering = {offer["Location"] for offer in known if offer["InstanceType"] == instance_type}
        there = {zone.name for zone in self.describe_availability_zones(every=every)}
        return sorted(offering | there.intersection(MORE_OFFERED.get(instance_type, ())))

    def describe_availability_zones(self, *args: Any, every: bool = False, **kwargs: Any) -> list[Any]:
        """moto's, with the Local Zones that the account has opted in to, or with every one of the region."""
        local = [
            zone for zone in LOCAL_ZONES.get(self.region_name, ()) if every or group_of(zone) in self.opted_in
        ]
        return [*super().describe_availability_zones(*args, **kwargs), *local]

    def create_subnet(
        self,
        vpc_id: str,
        cidr_block: str,
        ipv6_cidr_block: str | None = None,
        availability_zone: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """moto's, which knows no Local Zones: a subnet for such a zone is created in another zone and then moved. It is
        no default subnet."""
        there = {zone.name: zone for zone in self.describe_availability_zones() if zone.zone_type == LOCAL}
        local = there.get(availability_zone or "")
        at = f"{self.region_name}a" if local else availability_zone
        subnet = super().create_subnet(vpc_id, cidr_block, ipv6_cidr_block, at, *args, **kwargs)
        if local:
            self.subnets[local.name][subnet.id] = self.subnets[at].pop(subnet.id)
            subnet._availability_zone = local
        return subnet

    def zone_named(self, name: str) -> Any:
        """A zone by its name, also one that the account has not opted in to."""
        return next(zone for zone in self.describe_availability_zones(every=True) if zone.name == name)

    def associate_address(
        self, instance: Any = None, eni: Any = None, address: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """moto's, only for an address that can be advertised where the interface is."""
        allocation_id = kwargs.get("allocation_id")
        found = (
            self.address_by_allocation([allocation_id]) if allocation_id else self.address_by_ip([address])
        )
        self._check_border_group(found[0], (eni or instance.nics[0]).subnet)
        return super().associate_address(instance, eni, address, *args, **kwargs)

    def _check_border_group(self, address: Any, subnet: Any) -> None:
        """Refuse an Elastic IP at an interface of another network border group, from which it can't be advertised."""
        there = group_of(self.zone_named(subnet.availability_zone))
        its = getattr(address, "network_border_group", self.region_name)
        if there != its:
            raise refuse(
                "InvalidParameterCombination",
                f"The address with allocation id '{address.allocation_id}' is of the network border group '{its}', the "
                f"network interface of '{there}'.",
                inferred="address-of-a-border-group",
            )


class ZoneActions(Actions):
    """Mixed into the EC2 response class."""

    def describe_availability_zones(self) -> ActionResult:
        """The zones of the region; Local Zones when the account has opted in, or all are asked for."""
        backend = self.ec2_backend
        every = backend.describe_availability_zones(every=True)
        names, ids = self._get_param("ZoneNames", []), self._get_param("ZoneIds", [])
        known = {zone.name for zone in every} | {zone.zone_id for zone in every}
        if unknown := [name for name in (*names, *ids) if name not in known]:
            raise refuse("InvalidParameterValue", f"Invalid availability zone: [{unknown[0]}]")
        self.error_on_dryrun()
        shown = (
            every if self._get_param("AllAvailabilityZones", False) else backend.describe_availability_zones()
        )
        shown = [
            zone for zone in shown if (not names or zone.name in names) and (not ids or zone.zone_id in ids)
        ]
        described = [_described(backend, zone) for zone in shown]
        values: Mapping[str, Callable[[dict[str, Any]], str]] = {
            "group-name": lambda zone: zone["GroupName"],
            "opt-in-status": lambda zone: zone["OptInStatus"],
            "region-name": lambda zone: zone["RegionName"],
            "state": lambda zone: zone["State"],
            "zone-id": lambda zone: zone["ZoneId"],
            "zone-name": lambda zone: zone["ZoneName"],
            "zone-type": lambda zone: zone["ZoneType"],
        }
        found = self._matching(described, values)
        return ActionResult({"AvailabilityZones": found})

    def modify_availability_zone_group(self) -> ActionResult:
        """Opt in to a Local Zone. Only AWS Support can opt out (EC2 API, ModifyAvailabilityZoneGroup)."""
        name, status = self._get_param("GroupName"), self._get_param("OptInStatus")
        if name not in map(group_of, LOCAL_ZONES.get(self.region, ())):
            raise refuse(
                "InvalidParameterValue",
                f"Value ({name}) for parameter GroupName is invalid.",
                inferred="opt-in-refused",
            )
        if status != "opted-in":
            raise refuse(
                "InvalidParameterValue",
                "Contact AWS Support to opt out of a Local Zone.",
                inferred="opt-in-refused",
            )
        self.error_on_dryrun()
        self.ec2_backend.opted_in.add(name)
        return ActionResult({"Return": True})

    def allocate_address(self) -> ActionResult:
        """An Elastic IP of a network border group: the region's, where none is named."""
        group = self._get_param("NetworkBorderGroup") or self.region
        if group not in map(group_of, self.ec2_backend.describe_availability_zones()):
            raise refuse(
                "InvalidParameterValue",
                f"Value ({group}) for parameter networkBorderGroup is invalid.",
                inferred="address-of-a-border-group",
            )
        self.error_on_dryrun()
        tags = add_tag_specification(self._get_param("TagSpecifications", []))
        given = self._get_param("Address")
        address = self.ec2_backend.allocate_address(self._get_param("Domain"), address=given, tags=tags)
        address.network_border_group = group
        return ActionResult(
            {
                "PublicIp": address.public_ip,
                "Domain": address.domain,
                "AllocationId": address.allocation_id,
                "PublicIpv4Pool": "amazon",
                "NetworkBorderGroup": group,
            }
        )


def _described(backend: Any, zone: Any) -> dict[str, Any]:
    answer = {
        "State": zone.state,
        "OptInStatus": "opt-in-not-required",
        "Messages": [],
        "RegionName": zone.region_name,
        "ZoneName": zone.name,
        "ZoneId": zone.zone_id,
        "GroupName": f"{zone.region_name}-zg-1",
        "NetworkBorderGroup": group_of(zone),
        "ZoneType": zone.zone_type,
    }
    if zone.zone_type == LOCAL:
        opted = group_of(zone) in backend.opted_in
        answer.update(
            OptInStatus="opted-in" if opted else "not-opted-in",
            GroupName=group_of(zone),
            GroupLongName=zone.city,
            ParentZoneName=f"{zone.region_name}a",
        )
    return answer
