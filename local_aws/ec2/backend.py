"""moto's EC2 backend, extended with what it lacks. One for each region."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from moto.ec2 import urls
from moto.ec2.models import EC2Backend
from moto.ec2.models.security_groups import SecurityGroupRule as MotoRule
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix, random_spot_request_id
from moto.utilities.utils import get_partition

from local_aws import images
from local_aws.ec2 import sharing
from local_aws.ec2.account_settings import AccountSettings, marked
from local_aws.ec2.api import refuse
from local_aws.ec2.blocks import Shown
from local_aws.ec2.cards import EFA_TYPES, check_attachment
from local_aws.ec2.endings import BLOCK_ENDS, TAKEN_BACK
from local_aws.ec2.interfaces import NetworkInterface
from local_aws.ec2.launch_capacity import take_up_again
from local_aws.ec2.local_zones import Zones
from local_aws.ec2.placement_groups import PlacementGroup
from local_aws.ec2.reservation import Reservation
from local_aws.ec2.reservations import known_type
from local_aws.world import world

_MODIFICATIONS_A_DAY = 4
_RUNNING = ("pending", "running")


class Backend(Zones, EC2Backend):  # type: ignore[misc]
    """State of one region. moto's reset runs `__init__` again."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.capacity_reservations: dict[str, Reservation] = {}
        self._assigned: dict[str, dict[str, Any]] = {}
        self.shown_offerings: dict[str, Shown] = {}
        self.offerings_asked: Counter[tuple[str, int, int]] = Counter()  # by type, count and hours
        self.shown_extensions: dict[str, Any] = {}
        self.placement_groups: dict[str, PlacementGroup] = {}
        self.done: dict[tuple[str, str], tuple[Any, Any]] = {}  # by action and ClientToken
        self._modified: dict[str, list[datetime]] = {}
        self.spot_launches: dict[str, Any] = {}
        self.opted_in: set[str] = set()
        self.settings = AccountSettings()
        super().__init__(region_name, account_id)
        self._give_default_vpc_a_way_out()

    def _give_default_vpc_a_way_out(self) -> None:
        """An internet gateway and a route to it, as AWS's default VPCs have (VPC user guide, default-vpc)."""
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, self.default_vpc.id)
        [table] = self.describe_route_tables(filters={"vpc-id": [self.default_vpc.id]})
        self.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)

    @property
    def _url_module(self) -> Any:
        return urls  # moto derives it from the class's module, which is not moto's here

    def describe_instance_type_offerings(
        self, location_type: str | None = None, filters: dict[str, Any] | None = None
    ) -> list[Any]:
        """moto's, without the zones that are closed at the moment."""
        offered: list[Any] = super().describe_instance_type_offerings(location_type, filters)
        return [one for one in offered if one["Location"] not in world().closed_zones]

    # interfaces

    def associate_address(self, instance: Any = None, eni: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Allowed only if the VPC has an internet gateway (hashicorp/terraform-provider-aws, pull request 2181)."""
        interface = eni or (instance.nics[0] if instance else None)
        if interface is not None:
            vpc = interface.subnet.vpc_id
            if not any(one.vpc is not None and one.vpc.id == vpc for one in self.internet_gateways.values()):
                raise refuse("Gateway.NotAttached", f"Network {vpc} is not attached to any internet gateway")
        return super().associate_address(instance, eni, *args, **kwargs)

    def create_network_interface(self, *args: Any, **kwargs: Any) -> NetworkInterface:
        """An interface of ours instead of moto's."""
        interface = NetworkInterface(self, *args, **kwargs)
        self.enis[interface.id] = interface
        return interface

    def delete_network_interface(self, eni_id: str) -> None:
        """Delete one that is not attached."""
        interface = self.get_network_interface(eni_id)
        if interface.instance is not None:
            raise refuse("InvalidParameterValue", f"Network interface '{eni_id}' is currently in use.")
        self.drop_network_interface(interface)

    def drop_network_interface(self, interface: NetworkInterface) -> None:
        """Remove an interface, its addresses and its tie to an Elastic IP."""
        for address in list(self.addresses):
            if address.eni is interface and address.association_id:
                self.disassociate_address(association_id=address.association_id)
        self.enis.pop(interface.id, None)
        self.tags.pop(interface.id, None)
        interface.release_addresses()

    def attach_network_interface(
        self, eni_id: str, instance_id: str, device_index: int, card: int = 0
    ) -> Any:
        """Attach after the launch; the interface then stays when its instance is terminated, unless that is changed."""
        interface = self.get_network_interface(eni_id)
        instance = self.get_instance(instance_id)
        check_attachment(known_type(instance.instance_type), instance, interface, device_index, card)
        interface.delete_on_termination = False
        instance.attach_eni(interface, device_index, card)
        return interface

    def detach_network_interface(self, attachment_id: str) -> None:
        """Detach; an EFA only from a stopped instance, the primary never."""
        for interface in self.enis.values():
            if interface.attachment_id == attachment_id and interface.instance is not None:
                if interface is interface.instance.nics.get(0):
                    raise refuse(
                        "OperationNotPermitted",
                        "The network interface at device index 0 and networkCard index 0 cannot be detached.",
                    )
                if interface.interface_type in EFA_TYPES and interface.instance.state == "running":
                    raise refuse(
                        "IncorrectInstanceState",
                        f"Elastic Fabric Adapter '{interface.id}' can't be detached from a running instance.",
                        inferred="interface-of-an-instance",
                    )
                break
        super().detach_network_interface(attachment_id)

    def modify_security_group_rules(self, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
        """Only TCP and UDP have ports (EC2 API, SecurityGroupRuleRequest); moto requires them for all protocols."""
        for rule in rules.values():
            if rule.get("IpProtocol") == "-1":
                rule.update(FromPort=-1, ToPort=-1)
        super().modify_security_group_rules(group_id, rules)

    def revoke_security_group_ingress(self, **given: Any) -> None:
        """A rule that is gone is told by its id; moto tells it as one that is described. A client that asks again after
        a lost answer takes the first for success."""
        self._check_rules(given, "ingress_rules")
        super().revoke_security_group_ingress(**given)

    def revoke_security_group_egress(self, **given: Any) -> None:
        """As for ingress."""
        self._check_rules(given, "egress_rules")
        super().revoke_security_group_egress(**given)

    def _check_rules(self, given: dict[str, Any], kind: str) -> None:
        group = self.get_security_group_by_name_or_id(given["group_name_or_id"])
        known = {rule.id for rule in getattr(group, kind, ())}
        for one in given.get("security_rule_ids") or ():
            if group is not None and one not in known:
                raise refuse(
                    "InvalidSecurityGroupRuleId.NotFound",
                    f"The security group rule ID '{one}' does not exist",
                )

    def check_groups(self, groups: Iterable[str], subnet: Any) -> None:
        """Refuse a security group that does not exist (moto would invent one) or that is in another VPC than the subnet
        (EC2 API reference, errors-overview, InvalidParameter)."""
        for group in groups:
            found = self.get_security_group_from_id(group)
            if found is None:
                raise refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
            if found.vpc_id != subnet.vpc_id:
                raise refuse(
                    "InvalidParameter",
                    f"Security group {group} and subnet {subnet.id} belong to different networks.",
                )

    # instances and templates

    def start_instances(self, instance_ids: list[str]) -> Any:
        """Start instances, if the reservation of a stopped instance still has room for it."""
        instances = self.get_multi_instances_by_id(instance_ids)
        _refuse_ended(instances, "started")
        take_up_again(self, [instance for instance in instances if instance.state == "stopped"])
        return super().start_instances(instance_ids)

    def stop_instances(self, instance_ids: list[str]) -> Any:
        """Stop instances; a terminated instance stays terminated."""
        _refuse_ended(self.get_multi_instances_by_id(instance_ids), "stopped")
        return super().stop_instances(instance_ids)

    def terminate_instances(self, instance_ids: list[str]) -> list[Any]:
        """Terminate instances, except in a zone in which one of the named instances is protected.

        EC2 API reference, TerminateInstances: the call fails, but the instances in other zones are terminated.
        """
        instances = self.get_multi_instances_by_id(instance_ids)
        held = {one.placement.zone: one for one in instances if one.is_protected}
        ended = [(one, one.terminate()) for one in instances if one.placement.zone not in held]
        for instance in held.values():
            raise refuse(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                "attribute and try again.",
            )
        return ended

    def modify_instance_attribute(self, instance_id: str, key: str, value: Any) -> Any:
        """moto's, which also needs a boolean converted from its text. A Spot Instance's protection can't be
        modified."""
        if key == "disable_api_termination":
            if self.get_instance(instance_id).lifecycle == "spot":
                raise refuse(
                    "UnsupportedOperation",
                    "Modifying 'disableApiTermination' is not supported for spot instances.",
                    inferred="no-protection-on-spot",
                )
            value = str(value).lower() == "true"
        return super().modify_instance_attribute(instance_id, key, value)

    def describe_launch_templates(
        self, template_names: Any = None, template_ids: Any = None, filters: Any = None
    ) -> list[Any]:
        """As moto, but an unknown id is an error; moto ignores it."""
        for identifier in template_ids or []:
            if identifier not in self.launch_templates:
                raise refuse(
                    "InvalidLaunchTemplateId.NotFound",
                    f"The specified launch template, with template ID {identifier}, does not exist.",
                )
        found: list[Any] = super().describe_launch_templates(template_names, template_ids, filters)
        return found

    # images and volumes

    def describe_images(self, *args: Any, **kwargs: Any) -> list[Any]:
        """moto's images, with AWS's own images from the start, filtered by Allowed AMIs."""
        images.register_listed(self)
        return marked(super().describe_images(*args, **kwargs), self.settings, self.account_id)

    def modify_volume(self, volume_id: str, target_size: int | None = None, *others: Any) -> Any:
        """Modify a volume; EC2 keeps only the most recent modification (EC2 API, DescribeVolumesModifications).

        Four within 24 hours: EC2 API, ModifyVolume. (The code: errors-overview; its words were not seen.)
        """
        volume = self.get_volume(volume_id)
        if target_size and target_size < volume.size:
            raise refuse("InvalidParameterValue", "New size cannot be smaller than existing size")
        now = world().clock.now()
        recent = [moment for moment in self._modified.get(volume_id, []) if moment > now - timedelta(days=1)]
        if len(recent) == _MODIFICATIONS_A_DAY:
            raise refuse(
                "VolumeModificationRateExceeded",
                f"You've reached the maximum modification rate of volume {volume_id}: "
                f"{_MODIFICATIONS_A_DAY} modifications within 24 hours.",
                inferred="volume-modification-refused",
            )
        self._modified[volume_id] = [*recent, now]
        volume.modifications = []
        return super().modify_volume(volume_id, target_size, *others)

    # reservations

    def replace_iam_instance_profile_association(self, *args: Any, **kwargs: Any) -> Any:
        """moto's; the instance shows the new profile, for which Terraform's provider waits."""
        association = super().replace_iam_instance_profile_association(*args, **kwargs)
        shown = {"Arn": association.iam_instance_profile.arn, "Id": association.association_id}
        self.modify_instance_attribute(association.instance.id, "iam_instance_profile", shown)
        return association

    def add_reservation(self, reservation: Reservation, tags: dict[str, str]) -> None:
        """Keep a new reservation with its tags."""
        reservation.owner = self.account_id
        self.capacity_reservations[reservation.id] = reservation
        self.create_tags([reservation.id], tags)

    def assign(self, instance: Any, reservation: Reservation) -> None:
        """Give an instance a slot of a reservation."""
        instance.capacity_reservation_id = reservation.id
        self._assigned.setdefault(reservation.id, {})[instance.id] = instance

    def seen_reservations(self) -> dict[str, Reservation]:
        """The account's reservations, and those that others share with it, by id."""
        return {**self.capacity_reservations, **{each.id: each for each in sharing.shared_with(self)}}

    def instances_of(self, reservation_id: str) -> int:
        """How many of the account's instances run in a reservation."""
        return sum(instance.state in _RUNNING for instance in self._of(reservation_id))

    def instances_in(self, reservation_id: str) -> int:
        """How many instances run in a reservation, in any account."""
        return sum(each.instances_of(reservation_id) for each in sharing.accounts(self.region_name))

    def free_in(self, reservation: Reservation) -> int:
        """How many instances can be launched into a reservation."""
        return reservation.free(world().clock.now(), self.instances_in(reservation.id))

    def _of(self, reservation_id: str) -> list[Any]:
        assigned = self._assigned.get(reservation_id, {}).values()
        return [instance for instance in assigned if instance.capacity_reservation_id == reservation_id]

    def settle(self) -> None:
        """Apply what is due by the clock or was requested by tests: instances start, end with their block or on
        request, and disappear."""
        now = world().clock.now()
        for instance in self.all_instances():
            instance.come_up()
            if instance.id in world().endings:
                instance.end_as_asked(world().endings.pop(instance.id))
        for reservation in self.seen_reservations().values():
            moment = reservation.terminates_at(now)
            if moment is None or now < moment:
                continue
            ending = TAKEN_BACK if reservation.is_interruptible else BLOCK_ENDS
            for instance in self._of(reservation.id)[
                reservation.count if reservation.is_interruptible else 0 :
            ]:
                instance.end(ending, moment)
        self._forget(now)

    def _forget(self, now: datetime) -> None:
        for launch in list(self.reservations.values()):
            for instance in [one for one in launch.instances if one.is_forgotten(now)]:
                launch.instances.remove(instance)
                self.tags.pop(instance.id, None)
            if not launch.instances:
                del self.reservations[launch.id]

    # regions, types, zones, groups

    def describe_regions(self, *args: Any, **kwargs: Any) -> list[Any]:
        """The regions of this partition: an account of the standard one sees neither China nor GovCloud."""
        found = super().describe_regions(*args, **kwargs)
        return [region for region in found if get_partition(region.name) == self.partition]

    def instances_of_group(self, name: str) -> list[Any]:
        """The instances of a placement group that are not terminated."""
        return [
            instance
            for instance in self.all_instances()
            if instance.placement.group_name == name and instance.state != "terminated"
        ]

    # tags

    def describe_tags(self, filters: Any = None) -> list[dict[str, str]]:
        """A faster search: moto scans every tag of the region for each resource that it shows, but most calls ask for
        one id."""
        wanted = (filters or {}).get("resource-id", [])
        if (
            not filters
            or set(filters) != {"resource-id"}
            or any("*" in name or "?" in name for name in wanted)
        ):
            found: list[dict[str, str]] = super().describe_tags(filters)
            return found
        return [
            {
                "resource_id": name,
                "key": key,
                "value": value,
                "resource_type": EC2_PREFIX_TO_RESOURCE.get(get_prefix(name), ""),
            }
            for name in wanted
            for key, value in self.tags.get(name, {}).items()
        ]

    # spot

    def note_spot_request(self, instance: Any) -> str:
        """The id under which a spot instance is asked for again."""
        identifier: str = random_spot_request_id()
        self.spot_launches[identifier] = instance
        return identifier


def _refuse_ended(instances: Iterable[Any], what: str) -> None:
    for instance in instances:
        if instance.state == "terminated":
            raise refuse(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be {what}.",
            )


class SecurityGroupRule(MotoRule):  # type: ignore[misc]
    """moto returns the description of a rule for addresses only; this class also returns it for a rule that names
    another group."""

    @property
    def description(self) -> str | None:
        """The description that was given with the peer, for any kind of peer."""
        found: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return found
