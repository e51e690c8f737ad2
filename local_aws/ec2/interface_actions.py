"""The actions for network interfaces that moto carries out without type and card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from local_aws.ec2.errors import dry_run, refuse
from local_aws.ec2.listing import page, tags_for


class InterfaceActions:
    """Mixed into the EC2 response class; `ec2_backend` and `_get_param` are moto's."""

    ec2_backend: Any
    _get_param: Callable[..., Any]
    _filters_from_querystring: Callable[[], dict[str, list[str]]]

    def create_network_interface(self) -> ActionResult:
        """An interface, an EFA or an EFA-only interface in a subnet."""
        kind = self._get_param("InterfaceType") or "interface"
        if kind == "efa-only" and (
            self._get_param("PrivateIpAddress") or self._get_param("PrivateIpAddresses")
        ):
            raise refuse(
                "InvalidParameterCombination", "An EFA-only network interface can't have an IP address."
            )
        subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
        self.ec2_backend.check_groups(self._get_param("Groups", []))
        if self._get_param("DryRun", False):
            raise dry_run()
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
        if self._get_param("DryRun", False):
            raise dry_run()
        shown, token = page(found, self._get_param("NextToken"), self._get_param("MaxResults"), 1000)
        return ActionResult({"NetworkInterfaces": shown, "NextToken": token})

    def attach_network_interface(self) -> ActionResult:
        """Attach to an instance at a network card and device index."""
        card = int(self._get_param("NetworkCardIndex", 0))
        if self._get_param("DryRun", False):
            raise dry_run()
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
        self.ec2_backend.check_groups(self._get_param("Groups", []))
        if self._get_param("DryRun", False):
            raise dry_run()
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
