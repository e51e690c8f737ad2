"""What the launch names, as AWS shows it: parameters, the instance type, the image, the key pair; and its dry run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nixl_efa.aws import ATTEMPTS
from nixl_efa.aws_calls import FIRST_WAIT_SECONDS, Sleep, patiently
from nixl_efa.aws_errors import error_code, error_message, error_status
from nixl_efa.capacity import parameters
from nixl_efa.checks.facts import DryRun, Image, KeyPair, NoAnswer, TypeInEc2
from nixl_efa.checks.launch_request import request
from nixl_efa.launch import Launch
from nixl_efa.refusals.model import Refusal

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient


def parameter(ssm: SSMClient, name: str) -> str | None:
    """A parameter's value as Terraform reads it; None when there is no such parameter. SecretParameter for a
    SecureString."""
    stored = parameters.read(ssm, name)
    return stored.value if stored.version else None


def type_in_ec2(ec2: EC2Client, name: str) -> TypeInEc2 | None:
    """The type, None when the region doesn't have it. Asked by filter: an unknown name is then no error."""
    answer = ec2.describe_instance_types(Filters=[{"Name": "instance-type", "Values": [name]}])
    return next(
        (parsed_type(each) for each in answer["InstanceTypes"] if each.get("InstanceType") == name), None
    )


def offered_zones(ec2: EC2Client, types: Sequence[str]) -> tuple[str, ...]:
    """The zones that offer all the types, sorted."""
    answer = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": list(types)}]
    )
    offered = {(each["Location"], each["InstanceType"]) for each in answer["InstanceTypeOfferings"]}
    zones = sorted({zone for zone, _ in offered})
    return tuple(zone for zone in zones if all((zone, one) in offered for one in types))


def parsed_type(payload: Mapping[str, Any]) -> TypeInEc2:
    """The type from EC2's payload."""
    network = payload.get("NetworkInfo", {})
    return TypeInEc2(
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


def image(ec2: EC2Client, image_id: str) -> Image | None:
    """An image by its id, None when it isn't there or not shared with the account."""
    answer = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [image_id]}], IncludeDeprecated=True)
    return next((parsed_image(each) for each in answer["Images"]), None)


def parsed_image(payload: Mapping[str, Any]) -> Image:
    """An image from EC2's payload."""
    root = payload.get("RootDeviceName", "")
    deprecated = payload.get("DeprecationTime")
    return Image(
        id=payload["ImageId"],
        name=payload.get("Name", ""),
        state=payload.get("State", ""),
        architecture=payload.get("Architecture", ""),
        platform=payload.get("PlatformDetails", ""),
        root_device=root,
        root_device_type=payload.get("RootDeviceType", ""),
        root_gib=next(
            (
                each.get("Ebs", {}).get("VolumeSize", 0)
                for each in payload.get("BlockDeviceMappings", ())
                if each.get("DeviceName") == root
            ),
            0,
        ),
        ena=payload.get("EnaSupport", False),
        boot_mode=payload.get("BootMode", ""),
        virtualization=payload.get("VirtualizationType", ""),
        deprecated_at=datetime.fromisoformat(deprecated) if deprecated else None,
        allowed=payload.get("ImageAllowed"),
    )


def key_pair(ec2: EC2Client, name: str) -> KeyPair | None:
    """A key pair by its name, None when it isn't there."""
    answer = ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [name]}])
    return next(
        (KeyPair(name=each["KeyName"], kind=each.get("KeyType", "")) for each in answer["KeyPairs"]), None
    )


def dry_run(
    ec2: EC2Client,
    launch: Launch,
    sleep: Sleep,
    *,
    subnet_id: str,
    image: Image,
    reservation_id: str | None,
) -> DryRun:
    """EC2's answer to the launch; nothing is launched. The code of an error is the answer, also for a missing
    permission to launch.

    ec2: a client without retries. Errors that may be temporary are retried here: throttling, a lost answer, a fault of
         EC2. InsufficientInstanceCapacity and similar errors have HTTP status 500 too (EC2 API reference,
         errors-overview), but a retry does not help (ray 49097) and would only take time.
    """
    from botocore.exceptions import ClientError, HTTPClientError

    body = request(launch, subnet_id=subnet_id, image=image, reservation_id=reservation_id)
    for tries_left in reversed(range(ATTEMPTS)):
        try:
            patiently(lambda: ec2.run_instances(**body), sleep, tries=ATTEMPTS)
        except ClientError as error:
            code = error_code(error)
            passes = error_status(error) >= 500 and not code.startswith("Insufficient")
            if not passes or not tries_left:
                return DryRun(code=code, message=" ".join(error_message(error).split()))
        except HTTPClientError:
            if not tries_left:
                raise
        else:
            raise RuntimeError("EC2 answered a dry run as if it had launched instances")
        sleep(FIRST_WAIT_SECONDS)
    raise AssertionError("the last try returns or raises")


def role_refused(refusal: Refusal) -> NoAnswer:
    """The answer to every question when a role can't be assumed. It is not a missing permission to read: without the
    role nothing at all can be read."""
    return NoAnswer(
        "sts:AssumeRole",
        f"the role of the setting assume_role can't be assumed ({refusal.code}: {refusal.message}); its trust policy "
        "must allow these credentials, with the external_id that it requires",
    )
