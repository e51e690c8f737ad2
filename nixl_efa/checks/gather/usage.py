"""The instances that run now, and the quotas that they count against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nixl_efa import instance_types
from nixl_efa.aws_calls import ask_all
from nixl_efa.aws_errors import error_code
from nixl_efa.checks.facts import Quota, Running
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Market
from nixl_efa.settings.model import NAME_TAG, STACK_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_service_quotas import ServiceQuotasClient

_STATES = [*RUNNING, "shutting-down", "stopping"]
_MARKETS: dict[str, Market] = {"spot": "spot", "capacity-block": "capacity-block"}


def running(ec2: EC2Client) -> tuple[Running, ...]:
    """The region's instances that take up capacity, also those that are being terminated; 1,000 in a call."""
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": _STATES}],
        PaginationConfig={"PageSize": 1000},
    )
    return tuple(
        parsed(instance)
        for page in pages
        for reservation in page.get("Reservations", ())
        for instance in reservation.get("Instances", ())
    )


def market_of(payload: Mapping[str, Any]) -> Market:
    """The market on which EC2 launched an instance."""
    return _MARKETS.get(payload.get("InstanceLifecycle", ""), "on-demand")


def parsed(payload: Mapping[str, Any]) -> Running:
    """An instance from EC2's payload; `ownership` marks those of the stack."""
    tags = {tag["Key"]: tag["Value"] for tag in payload.get("Tags", ())}
    known = instance_types.find(payload["InstanceType"])
    options = payload.get("CpuOptions", {})
    placement = payload.get("Placement", {})
    target = payload.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget", {})
    return Running(
        id=payload["InstanceId"],
        instance_type=payload["InstanceType"],
        market=market_of(payload),
        state=payload["State"]["Name"],
        reservation_id=payload.get("CapacityReservationId", ""),
        name=tags.get(NAME_TAG, ""),
        own=False,
        vcpu=known.vcpu if known else options.get("CoreCount", 0) * options.get("ThreadsPerCore", 1),
        stack=tags.get(STACK_TAG, ""),
        reservation_target=target.get("CapacityReservationId", ""),
        image_id=payload.get("ImageId", ""),
        key_name=payload.get("KeyName", ""),
        subnet_id=payload.get("SubnetId", ""),
        vpc_id=payload.get("VpcId", ""),
        zone=placement.get("AvailabilityZone", ""),
        group_ids=tuple(group["GroupId"] for group in payload.get("SecurityGroups", ())),
        placement_group=placement.get("GroupName", ""),
    )


def quotas(service_quotas: ServiceQuotasClient, codes: tuple[str, ...]) -> tuple[Quota, ...]:
    """The quotas with these codes that Service Quotas knows, read in parallel. Raises the first error that is not about
    an unknown code."""
    answers, errors = ask_all(codes, lambda code: quota(service_quotas, code))
    for error in errors.values():
        raise error
    return tuple(found for found in answers.values() if found is not None)


def gp3_gib(ec2: EC2Client) -> int:
    """The total GiB of the region's gp3 volumes, attached or not; 1,000 volumes in a call."""
    pages = ec2.get_paginator("describe_volumes").paginate(
        Filters=[{"Name": "volume-type", "Values": ["gp3"]}], PaginationConfig={"PageSize": 1000}
    )
    return sum(volume.get("Size", 0) for page in pages for volume in page["Volumes"])


def quota(service_quotas: ServiceQuotasClient, code: str, service: str = "ec2") -> Quota | None:
    """A quota of EC2 or EBS by its code; AWS's default when the account has no value of its own; None for an unknown
    code."""
    from botocore.exceptions import ClientError

    for ask in (service_quotas.get_service_quota, service_quotas.get_aws_default_service_quota):
        try:
            answer = ask(ServiceCode=service, QuotaCode=code)["Quota"]
        except ClientError as error:
            if error_code(error) != "NoSuchResourceException":
                raise
        else:
            return Quota(code=code, name=answer.get("QuotaName", code), value=answer.get("Value", 0.0))
    return None
