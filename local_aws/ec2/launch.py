"""RunInstances: the whole request is resolved and checked here, then moto makes the instances."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.utils import filter_iam_instance_profiles, parse_user_data
from moto.iam.exceptions import NotFoundException

from local_aws.ec2 import volumes
from local_aws.ec2.api import Actions, idempotent, missing, refuse, tags_for
from local_aws.ec2.cards import PRIMARY, check_interfaces, place_of
from local_aws.ec2.launch_capacity import check_placement, market_of, places_for, tenancy_of
from local_aws.ec2.launch_quota import check_quota
from local_aws.ec2.launch_request import check_combinations, merged
from local_aws.ec2.reservations import check_offered, known_type
from local_aws.iam import make_spot_role
from local_aws.inferred import lean_on
from local_aws.world import AskedLaunch, world

_SPOT_PRICE = "1.000000"  # USD per hour, an invented value
_GP3 = {"VolumeType": "gp3", "Iops": 3000, "Throughput": 125}


class LaunchActions(Actions):
    """Mixed into the EC2 response class."""

    @idempotent
    def run_instances(self) -> ActionResult:
        """Launch as EC2 would: template and request merged, every part checked, all or nothing."""
        backend = self.ec2_backend
        template = self._get_param("LaunchTemplate")
        version = backend._get_template_from_args(template) if template else None
        request = merged(version.data if version else {}, self.params)
        count = _count(int(self._get_param("MinCount", 1)), int(self._get_param("MaxCount", 1)))
        self._note(request, count)
        check_combinations(request)
        image = _image(backend, request)
        _check_key_pair(backend, request.get("KeyName"))
        instance_type = known_type(request.get("InstanceType") or "m1.small")
        _check_architecture(instance_type, image)
        interfaces = _interfaces(backend, request, instance_type["InstanceType"])
        subnet = backend.get_subnet(interfaces[0]["SubnetId"])
        zone = subnet.availability_zone
        check_offered(backend, instance_type["InstanceType"], zone)
        check_interfaces(instance_type, interfaces)
        _check_existing(backend, interfaces, zone, count)
        _check_protection(request)
        _check_tag_keys(request)
        devices = _devices(request, image)
        places = places_for(backend, request, instance_type, subnet, count)
        group = check_placement(backend, request, instance_type, places[0] if places else None, zone)
        check_quota(backend, instance_type["InstanceType"], market_of(request), count - len(places))
        profile = _profile(request.get("IamInstanceProfile"), self.current_account, self.partition)
        self.error_on_dryrun()

        if market_of(request) == "spot":
            make_spot_role(self.current_account, self.partition, self.access_key)
        cause = volumes.why_they_fail(backend, devices, count)
        specifications = request.get("TagSpecifications", [])
        launch = backend.run_instances(
            image.id,
            count,
            _user_data(request),
            [],
            instance_type=instance_type["InstanceType"],
            is_instance_type_default=False,
            region_name=self.region,
            subnet_id=interfaces[0]["SubnetId"],
            key_name=request.get("KeyName"),
            nics=[{**spec, "Tags": tags_for("network-interface", specifications)} for spec in interfaces],
            block_devices=devices,
            tags={kind: tags_for(kind, specifications) for kind in ("instance", "volume")},
            ebs_optimized=bool(request.get("EbsOptimized")),
            disable_api_stop=bool(request.get("DisableApiStop")),
            disable_api_termination=bool(request.get("DisableApiTermination")),
            instance_initiated_shutdown_behavior=request.get("InstanceInitiatedShutdownBehavior"),
            monitoring_state="enabled" if request.get("Monitoring", {}).get("Enabled") else "disabled",
            metadata_options=request.get("MetadataOptions", {}),
            hibernation_options=request.get("HibernationOptions", {}),
            client_token=self._get_param("ClientToken"),
        )
        for number, instance in enumerate(launch.instances):
            reservation = places[number] if number < len(places) else None
            _mark(instance, request, reservation, group, tenancy_of(backend, request, subnet))
            if cause:
                world().endings[instance.id] = cause
            if version:
                names = {"id": version.template.id, "version": str(version.number)}
                instance.add_tags({f"aws:ec2launchtemplate:{name}": value for name, value in names.items()})
            if profile:
                backend.associate_iam_instance_profile(instance.id, iam_instance_profile_arn=profile.arn)
        return ActionResult(launch)

    def _note(self, request: Mapping[str, Any], count: int) -> None:
        """Keep the request, so that the control API can show it."""
        asked = copy.deepcopy(dict(request))
        if user_data := _user_data(request):
            asked["UserData"] = str(user_data)
        world().launches.append(AskedLaunch(self.region, self._get_param("DryRun", False), count, asked))


def _count(least: int, most: int) -> int:
    """How many to launch: here always all or none, since half of a pair is useless."""
    if least < 1:
        raise refuse(
            "InvalidParameterValue",
            f"Value ({least}) for parameter minCount is invalid.",
            inferred="launch-counts",
        )
    if most < least:
        raise refuse(
            "InvalidParameterValue",
            f"Value ({most}) for parameter maxCount is invalid: it is below minCount.",
            inferred="launch-counts",
        )
    return most


def _check_key_pair(backend: Any, name: str | None) -> None:
    if name and name not in (pair.key_name for pair in backend.key_pairs.values()):
        raise refuse("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")


def _check_protection(request: Mapping[str, Any]) -> None:
    # EC2 user guide, Using_ChangingDisableAPITermination: not for Spot Instances.
    if request.get("DisableApiTermination") and market_of(request) == "spot":
        raise refuse(
            "UnsupportedOperation",
            "Termination protection can't be enabled for Spot Instances.",
            inferred="no-protection-on-spot",
        )


# EC2 user guide, work-with-tags-in-IMDS.
_TAG_IN_METADATA = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")
_RESERVED_TAGS = (".", "..", "_index")


def _check_tag_keys(request: Mapping[str, Any]) -> None:
    if request.get("MetadataOptions", {}).get("InstanceMetadataTags") != "enabled":
        return
    for key in tags_for("instance", request.get("TagSpecifications", [])):
        if not _TAG_IN_METADATA.fullmatch(key) or key in _RESERVED_TAGS:
            raise refuse(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\\\-_+=,.@:]{{1,255}}), and "
                "must not be a reserved name ('.', '..', '_index')",
            )


def _mark(instance: Any, request: Mapping[str, Any], reservation: Any, group: Any, tenancy: str) -> None:
    """Show what moto drops: market, reservation, placement group."""
    market = market_of(request)
    instance.lifecycle = market or None
    if market == "spot":
        options = request["InstanceMarketOptions"].get("SpotOptions", {})
        instance.spot_price = options.get("MaxPrice") or _SPOT_PRICE
        lean_on("spot-price-made-up")
        instance.spot_instance_request_id = instance.ec2_backend.note_spot_request(instance)
    if reservation is not None:
        instance.ec2_backend.assign(instance, reservation)
    wish = request.get("CapacityReservationSpecification")
    if wish:
        instance.capacity_reservation_specification = dict(wish)
    instance.placement.tenancy = tenancy
    if group is not None:
        instance.placement.group_name, instance.placement.group_id = group.name, group.id


def _image(backend: Any, request: Mapping[str, Any]) -> Any:
    identifier = request.get("ImageId")
    if not identifier:
        raise missing("ImageId")
    images = backend.describe_images(ami_ids=[identifier])
    if not images and backend.settings.images == "enabled":
        raise refuse(
            "InvalidAMIID.NotFound",
            f"The image id '[{identifier}]' does not exist",
            inferred="launch-of-an-image-that-is-not-allowed",
        )
    if not images:
        raise refuse("InvalidAMIID.Unavailable", f"The image ID: '{identifier}' is no longer available")
    return images[0]


def _check_architecture(instance_type: Mapping[str, Any], image: Any) -> None:
    supported = instance_type["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in supported:
        raise refuse(
            "InvalidParameterValue",
            f"The architecture '{','.join(supported)}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the "
            "architecture of the instance type or AMI.",
        )


def _interfaces(backend: Any, request: Mapping[str, Any], instance_type: str) -> list[dict[str, Any]]:
    """The interfaces of the launch with everything filled in, the primary first."""
    given = [dict(spec) for spec in request.get("NetworkInterfaces", [])]
    if not given:
        given = [
            {
                "DeviceIndex": 0,
                "SubnetId": request.get("SubnetId") or _default_subnet(backend, request, instance_type),
                "Groups": request.get("SecurityGroupIds") or _groups_by_name(backend, request),
                "PrivateIpAddress": request.get("PrivateIpAddress"),
                "DeleteOnTermination": True,
            }
        ]
    for spec in given:
        identifier = spec.get("NetworkInterfaceId")
        if identifier:
            interface = backend.get_network_interface(identifier)
            spec.update(SubnetId=interface.subnet.id, InterfaceType=interface.interface_type)
        elif not spec.get("SubnetId"):
            spec["SubnetId"] = _default_subnet(backend, request, instance_type)
        backend.check_groups(spec.get("Groups") or [], backend.get_subnet(spec["SubnetId"]))
    given.sort(key=lambda spec: place_of(spec) != PRIMARY)
    subnet = backend.get_subnet(given[0]["SubnetId"])
    if (
        len(given) == 1
        and "AssociatePublicIpAddress" not in given[0]
        and not given[0].get("NetworkInterfaceId")
    ):
        given[0]["AssociatePublicIpAddress"] = subnet.map_public_ip_on_launch is True
    return given


def _default_subnet(backend: Any, request: Mapping[str, Any], instance_type: str) -> str:
    wanted = request.get("Placement", {}).get("AvailabilityZone")
    subnets = backend.get_default_subnets()
    for zone in [wanted] if wanted else backend.zones_of(instance_type):
        if zone in subnets:
            return str(subnets[zone].id)
    if wanted:
        raise refuse("InvalidInput", f"No default subnet for availability zone: '{wanted}'.")
    raise refuse(
        "MissingInput",
        f"No subnets found for the default VPC '{backend.default_vpc.id}'. Please specify a subnet.",
    )


def _groups_by_name(backend: Any, request: Mapping[str, Any]) -> list[str]:
    found = []
    for name in request.get("SecurityGroups") or []:
        group = backend.get_security_group_by_name_or_id(name)
        if group is None:
            raise refuse("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
        found.append(group.id)
    return found


def _check_existing(backend: Any, interfaces: list[dict[str, Any]], zone: str, count: int) -> None:
    for spec in interfaces:
        if backend.get_subnet(spec["SubnetId"]).availability_zone != zone:
            raise refuse(
                "InvalidParameterCombination",
                "All network interfaces must be in the same Availability Zone.",
                inferred="existing-interfaces",
            )
        identifier = spec.get("NetworkInterfaceId")
        if not identifier:
            continue
        if count > 1:
            raise refuse(
                "InvalidParameterCombination",
                "A network interface may not specify both an ID and an instance count.",
                inferred="existing-interfaces",
            )
        if backend.get_network_interface(identifier).instance is not None:
            raise refuse("InvalidNetworkInterface.InUse", f"Interface: [{identifier}] in use.")


def _devices(request: Mapping[str, Any], image: Any) -> list[dict[str, Any]]:
    """The volumes of the launch: the image's root volume, changed by the request, and all others."""
    root = image.block_device_mappings[0]
    given = {device["DeviceName"]: device for device in request.get("BlockDeviceMappings", [])}
    given.setdefault(root["DeviceName"], {"DeviceName": root["DeviceName"]})
    devices = []
    for name, device in given.items():
        if "NoDevice" in device or device.get("VirtualName"):
            continue
        is_root = name == root["DeviceName"]
        ebs = {"DeleteOnTermination": True, **(root["Ebs"] if is_root else {}), **device.get("Ebs", {})}
        ebs.setdefault("VolumeType", "gp3" if is_root else "gp2")
        if ebs["VolumeType"] == "gp3":
            ebs = {**_GP3, **ebs}
        if is_root and ebs["VolumeSize"] < root["Ebs"]["VolumeSize"]:
            raise refuse(
                "InvalidBlockDeviceMapping",
                f"Volume of size {ebs['VolumeSize']}GB is smaller than  snapshot '{root['Ebs']['SnapshotId']}', "
                f"expect size >= {root['Ebs']['VolumeSize']}GB",
            )
        devices.append({"DeviceName": name, "Ebs": ebs})
    return devices


def _user_data(request: Mapping[str, Any]) -> Any:
    """User data as moto keeps it: that of a template already has this form; empty user data counts as none."""
    given = request.get("UserData")
    if not given or isinstance(given, Base64EncodedString):
        return given or None
    return parse_user_data(given)


def _profile(given: Mapping[str, Any] | None, account: str, partition: str) -> Any:
    if not given:
        return None
    try:
        return filter_iam_instance_profiles(
            account,
            partition=partition,
            iam_instance_profile_arn=given.get("Arn"),
            iam_instance_profile_name=given.get("Name"),
        )
    except NotFoundException as error:  # EC2's message, at which the provider waits for IAM
        member = "name" if given.get("Name") else "arn"
        raise refuse(
            "InvalidParameterValue",
            f"Value ({given[member.capitalize()]}) for parameter iamInstanceProfile.{member} is invalid. "
            f"Invalid IAM Instance Profile {'name' if member == 'name' else 'ARN'}",
        ) from error
