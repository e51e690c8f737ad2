"""Network interfaces that keep their type, card and address, and the actions for them.

The names of the models are moto's: its serializer reads them.
"""

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.elastic_network_interfaces import NetworkInterface as MotoNetworkInterface

from local_aws.ec2.api import Actions, idempotent, refuse, tags_for

_NO_ADDRESS = "0.0.0.0"


class NetworkInterface(MotoNetworkInterface):  # type: ignore[misc]
    """An interface with InterfaceType and network card. Its address comes from its subnet; an efa-only interface has
    none."""

    def __init__(
        self,
        ec2_backend: Any,
        subnet: Any,
        private_ip_address: Any = None,
        private_ip_addresses: list[dict[str, Any]] | None = None,
        interface_type: str = "interface",
        **kwargs: Any,
    ) -> None:
        self.network_card_index = 0
        subnet = ec2_backend.get_subnet(subnet) if isinstance(subnet, str) else subnet
        efa_only = interface_type == "efa-only"
        address = (
            _NO_ADDRESS if efa_only else _address(self, subnet, private_ip_address, private_ip_addresses)
        )
        others = [given for given in private_ip_addresses or [] if given.get("PrivateIpAddress") != address]
        addresses = [{"Primary": True, "PrivateIpAddress": address}, *others] if others else None
        super().__init__(ec2_backend, subnet, address, addresses, **kwargs)
        self.interface_type = interface_type
        if efa_only:
            self.private_ip_address = None
            self.private_ip_addresses: list[dict[str, Any]] = []
            self.private_dns_name = None

    @property
    def group_set(self) -> list[Any]:
        """Only its own groups: moto adds those of the instance, which only the primary interface has."""
        return list(self._group_set)

    @property
    def attachment(self) -> dict[str, Any] | None:
        """Where it is attached, with its network card; moto always says 0."""
        if not self.attachment_id or self.instance is None:
            return None
        return {
            "AttachTime": self.attach_time,
            "AttachmentId": self.attachment_id,
            "DeleteOnTermination": self.delete_on_termination,
            "DeviceIndex": self.device_index,
            "NetworkCardIndex": self.network_card_index,
            "InstanceId": self.instance.id,
            "InstanceOwnerId": self.instance.owner_id,
            "Status": "attached",
        }

    @property
    def availability_zone_id(self) -> str:
        """The zone's id, which is the same for every account."""
        return str(self.ec2_backend.get_zone_by_name(self.subnet.availability_zone).zone_id)

    @property
    def association(self) -> dict[str, Any] | None:
        """The public address, if any: clients take an empty element for an existing public address."""
        return super().association or None

    @property
    def connection_tracking_configuration(self) -> None:
        """Not set: otherwise the provider would read back a value that nobody wrote."""
        return None

    def stop(self) -> None:
        """Its instance stops: it loses an automatic public address, and keeps an Elastic IP, which moto takes."""
        if not self._has_elastic_ip:
            super().stop()

    def start(self) -> None:
        """Its instance starts: it gets a new automatic public address."""
        if not self._has_elastic_ip:
            super().start()

    @property
    def _has_elastic_ip(self) -> bool:
        return any(one.eni is self for one in self.ec2_backend.addresses)

    def release_addresses(self) -> None:
        """Give its addresses back to the subnet."""
        for given in self.private_ip_addresses:
            self.subnet.del_subnet_ip(given["PrivateIpAddress"])

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """moto's filters, and those by type, state and attachment that the provider uses."""
        extra = {
            "interface-type": self.interface_type,
            "status": self.status,
            "attachment.device-index": str(self.device_index),
            "attachment.delete-on-termination": str(bool(self.delete_on_termination)).lower(),
            "association.public-ip": self.public_ip,
            "attachment.status": "attached" if self.attachment_id else "detached",
            "attachment.network-card-index": str(self.network_card_index),
            "mac-address": self.mac_address,
            "owner-id": self.owner_id,
        }
        if filter_name in extra:
            return extra[filter_name]
        return super().get_filter_value(filter_name, method_name)


class InterfaceActions(Actions):
    """Mixed into the EC2 response class."""

    @idempotent
    def create_network_interface(self) -> ActionResult:
        """An interface, an EFA or an EFA-only interface in a subnet."""
        kind = self._get_param("InterfaceType") or "interface"
        if kind == "efa-only" and (
            self._get_param("PrivateIpAddress") or self._get_param("PrivateIpAddresses")
        ):
            raise refuse(
                "InvalidParameterCombination",
                "An EFA-only network interface can't have an IP address.",
                inferred="efa-only-refused",
            )
        subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
        self.ec2_backend.check_groups(self._get_param("Groups", []), subnet)
        self.error_on_dryrun()
        interface = self.ec2_backend.create_network_interface(
            subnet,
            self._get_param("PrivateIpAddress"),
            self._get_param("PrivateIpAddresses", []),
            group_ids=self._get_param("Groups", []),
            description=self._get_param("Description"),
            tags=tags_for("network-interface", self._get_param("TagSpecifications", [])),
            secondary_ips_count=self._get_param("SecondaryPrivateIpAddressCount"),
            ipv6_addresses=[given["Ipv6Address"] for given in self._get_param("Ipv6Addresses", [])],
            ipv6_address_count=int(self._get_param("Ipv6AddressCount", 0)),
            interface_type=kind,
        )
        return ActionResult({"NetworkInterface": interface})

    def describe_network_interfaces(self) -> ActionResult:
        """Interfaces by id or filter, in pages."""
        wanted = self._get_param("NetworkInterfaceIds", [])
        found = self.ec2_backend.get_all_network_interfaces(wanted, self._filters_from_querystring())
        self.error_on_dryrun()
        shown, token = self._page(found, 1000)
        return ActionResult({"NetworkInterfaces": shown, "NextToken": token})

    def attach_network_interface(self) -> ActionResult:
        """Attach to an instance at a network card and device index."""
        card = int(self._get_param("NetworkCardIndex", 0))
        self.error_on_dryrun()
        interface = self.ec2_backend.attach_network_interface(
            self._get_param("NetworkInterfaceId"),
            self._get_param("InstanceId"),
            int(self._get_param("DeviceIndex")),
            card,
        )
        return ActionResult({"AttachmentId": interface.attachment_id, "NetworkCardIndex": card})

    def modify_network_interface_attribute(self) -> ActionResult:
        """moto's, and the attachment's DeleteOnTermination."""
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        self.ec2_backend.check_groups(self._get_param("Groups", []), interface.subnet)
        self.error_on_dryrun()
        attachment = self._get_param("Attachment", {})
        if "DeleteOnTermination" in attachment:
            interface.delete_on_termination = attachment["DeleteOnTermination"]
        self.ec2_backend.modify_network_interface_attribute(
            interface.id,
            self._get_param("Groups", []),
            self._get_param("SourceDestCheck.Value"),
            self._get_param("Description.Value"),
        )
        return EmptyResult()


def _address(interface: Any, subnet: Any, wanted: Any, wanted_list: list[dict[str, Any]] | None) -> str:
    """The primary address: the requested one if it is free, else the next of the subnet."""
    first = wanted[0] if isinstance(wanted, list) and wanted else wanted
    listed = [given["PrivateIpAddress"] for given in wanted_list or [] if given.get("Primary")]
    address = first or (listed[0] if listed else None)
    if not address:
        return str(subnet.get_available_subnet_ip(instance=interface))
    try:
        subnet.request_ip(address, instance=interface)
    except Exception as error:  # moto raises a bare Exception for both
        if "already in use" in str(error):
            raise refuse("InvalidIPAddress.InUse", f"Address {address} is in use.") from error
        raise refuse(
            "InvalidParameterValue", f"Address {address} does not fall within the subnet's address range"
        ) from error
    return str(address)
