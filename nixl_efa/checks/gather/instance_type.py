"""The instance type as EC2 has it today, and the zones that offer it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa.checks.facts import TypeSeen

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def type_seen(ec2: EC2Client, name: str) -> TypeSeen | None:
    """The type, None when the region doesn't have it. Asked by filter: an unknown name is then no error."""
    answer = ec2.describe_instance_types(Filters=[{"Name": "instance-type", "Values": [name]}])
    return next((parsed(each) for each in answer["InstanceTypes"] if each.get("InstanceType") == name), None)


def offered_zones(ec2: EC2Client, name: str) -> tuple[str, ...]:
    """The zones that offer the type, sorted."""
    answer = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [name]}]
    )
    return tuple(sorted(each["Location"] for each in answer["InstanceTypeOfferings"]))


def parsed(payload: Mapping[str, Any]) -> TypeSeen:
    """The type from EC2's payload."""
    network = payload.get("NetworkInfo", {})
    return TypeSeen(
        name=payload["InstanceType"],
        vcpu=payload.get("VCpuInfo", {}).get("DefaultVCpus", 0),
        efa_interfaces=network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
        if network.get("EfaSupported")
        else 0,
        usage_classes=tuple(payload.get("SupportedUsageClasses", ())),
        placement_strategies=tuple(payload.get("PlacementGroupInfo", {}).get("SupportedStrategies", ())),
        architectures=tuple(payload.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
        boot_modes=tuple(payload.get("SupportedBootModes", ())),
    )
