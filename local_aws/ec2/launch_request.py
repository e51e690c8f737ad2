"""A RunInstances request with its launch template merged in: pure.

EC2 user guide, "Launch instances using a launch template": a parameter of the request wins over the template's.
Structures are merged member by member, block devices by device name, tags by resource type and key; a list of
network interfaces in the request replaces the template's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from local_aws.ec2.api import refuse

_NOT_FOR_INSTANCES = {"LaunchTemplate", "MinCount", "MaxCount", "DryRun", "ClientToken"}
# No member that is merged here is a structure in one of the two and a plain value in the other. Members that only a
# template has are dropped by name.
_TEMPLATE_ONLY = {"InstanceRequirements", "RamDiskId"}

Request = dict[str, Any]


def merged(template: Mapping[str, Any], request: Mapping[str, Any]) -> Request:
    """The parameters of the launch: the template's, overridden by the request's."""
    result: Request = {name: value for name, value in template.items() if name not in _TEMPLATE_ONLY}
    for name, value in request.items():
        if name in _NOT_FOR_INSTANCES or value is None:
            continue
        known = result.get(name)
        if name == "BlockDeviceMappings":
            result[name] = _merged_devices(known or [], value)
        elif name == "TagSpecifications":
            result[name] = _merged_tags(known or [], value)
        elif isinstance(known, Mapping) and isinstance(value, Mapping):
            result[name] = merged(known, value)
        else:
            result[name] = value
    return result


def check_combinations(request: Mapping[str, Any]) -> None:
    """Refuse combinations that EC2 does not accept: interfaces together with instance-level subnet, groups or
    address."""
    if not request.get("NetworkInterfaces"):
        return
    for names, what in (
        (("SubnetId",), "subnet ID"),
        (("SecurityGroupIds", "SecurityGroups"), "security groups"),
        (("PrivateIpAddress",), "private IP address"),
    ):
        if any(request.get(name) for name in names):
            raise refuse(
                "InvalidParameterCombination",
                f"Network interfaces and an instance-level {what} may not be specified on the same request",
            )


def _merged_devices(template: Sequence[Mapping[str, Any]], request: Sequence[Mapping[str, Any]]) -> list[Any]:
    devices = {device["DeviceName"]: dict(device) for device in template}
    for device in request:
        devices[device["DeviceName"]] = merged(devices.get(device["DeviceName"], {}), device)
    return list(devices.values())


def _merged_tags(template: Sequence[Mapping[str, Any]], request: Sequence[Mapping[str, Any]]) -> list[Any]:
    tags: dict[str, dict[str, str]] = {}
    for specification in [*template, *request]:
        of_type = tags.setdefault(specification["ResourceType"], {})
        of_type.update({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])})
    return [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in of_type.items()]}
        for kind, of_type in tags.items()
    ]
